"""The world's text categories: deterministic, dealt out to splits without overlap, judged as their truth says."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest

from autoglm_phone.errors import ConfigError
from autoglm_phone.train.world import preview, registry, scoring
from autoglm_phone.train.world.sample import Sample, Turn
from autoglm_phone.train.world.text import invented, persona, phrases, steps
from autoglm_phone.train.world.text.grammar import full_width, say

TEXT = registry.TEXT_GROUP
MATHS = ("arith", "datetime", "units", "price")


def _sample(truth: dict, lang: str = "en") -> Sample:
    turns = (Turn("user", "?"), Turn("assistant", "!"))
    return Sample("arith", "test", 0, lang, 0, turns, truth)  # type: ignore[arg-type]


@pytest.mark.parametrize("category", TEXT)
def test_same_index_gives_the_same_sample(category: str) -> None:
    first = list(registry.iter_samples(category, "train", 10, 20))
    assert first == list(registry.iter_samples(category, "train", 10, 20))


def test_another_process_with_another_hash_seed_gives_the_same_samples() -> None:
    code = (
        "from autoglm_phone.train.world import registry\n"
        "for c in registry.TEXT_GROUP:\n"
        "    for s in registry.iter_samples(c, 'test', 0, 6):\n"
        "        print(repr(s.turns), s.truth)\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 1000


@pytest.mark.parametrize("category", TEXT)
def test_reference_answers_are_accepted(category: str) -> None:
    for split, count in (("train", 100), ("val", 30), ("test", 100)):
        for sample in registry.iter_samples(category, split, 0, count):  # type: ignore[arg-type]
            judged = scoring.score(sample, sample.answer.text, sample.answer.reasoning)
            assert judged.correct, (sample.id, sample.answer.text, sample.truth, judged.detail)
            assert judged.value == 1.0


@pytest.mark.parametrize("category", TEXT)
def test_corrupted_answers_are_rejected(category: str) -> None:
    for sample in registry.iter_samples(category, "test", 0, 120):
        answer = sample.answer.text
        for wrong in ("", "Paris is the capital of France, founded in 250.", answer[: len(answer) // 6]):
            if wrong and sample.truth["kind"] in ("contains", "rule") and answer.startswith(wrong):
                continue  # the fact may stand at the very beginning
            assert not scoring.score(sample, wrong).correct, (sample.id, wrong, sample.truth)
        digits = re.sub(r"\d", lambda m: str((int(m.group()) + 1) % 10), answer)
        if digits != answer and sample.truth["kind"] in ("number", "facts", "bleu", "tool_call"):
            assert not scoring.score(sample, digits).correct, (sample.id, digits, sample.truth)


@pytest.mark.parametrize("category", TEXT)
def test_conversations_have_their_shape(category: str) -> None:
    several = 0
    for sample in registry.iter_samples(category, "train", 0, 300):
        roles = [turn.role for turn in sample.turns]
        body = roles[1:] if roles[0] == "system" else roles
        assert body == ["user", "assistant"] * (len(body) // 2)
        assert all(turn.text.strip() for turn in sample.turns)
        assert len(sample.answer.reasoning) <= 240
        assert len(sample.answer.text) <= 260
        several += len(body) > 2
        if sample.lang == "en" and category != "translate":
            assert not re.search("[\u4e00-\u9fff]", sample.answer.text), sample.id
        if sample.lang == "zh" and category not in ("translate", "tools", "units", "notify"):
            assert re.search("[\u4e00-\u9fff]", sample.answer.text), sample.id
    assert several >= 20


@pytest.mark.parametrize("category", [name for name in TEXT if name != "tools"])
def test_train_and_test_questions_do_not_overlap(category: str) -> None:
    def questions(split: str, count: int) -> set[str]:
        samples = registry.iter_samples(category, split, 0, count)  # type: ignore[arg-type]
        return {sample.turns[-2].text.strip().lower() for sample in samples}

    both = questions("train", 3000) & questions("test", 400)
    assert not both


def test_held_out_topics_never_occur_in_training() -> None:
    from autoglm_phone.train.world.lexicon_topics import HELD_OUT

    seen = "\n".join(
        turn.text for sample in registry.iter_samples("oos", "train", 0, 4000) for turn in sample.turns[-2:-1]
    )
    for kind in HELD_OUT.values():
        for topics in kind.values():
            for topic in topics:
                if len(topic) > 3:
                    assert topic not in seen


def test_unseen_templates_occur_in_every_fourth_test_sample_only() -> None:
    assert [s.unseen_template for s in registry.iter_samples("arith", "test", 0, 8)] == [i % 4 == 3 for i in range(8)]
    assert not any(s.unseen_template for s in registry.iter_samples("arith", "train", 0, 8))


PHRASED = [(pool, lang) for pool in ("identity", "help", "smalltalk") for lang in ("zh", "en")]


def _wordings(pool: str, lang: str) -> dict[str, tuple[str, ...]]:
    registry.load(pool)
    return {intent.name: persona._questions(pool, lang, intent.name) for intent in persona.TABLES[pool][lang]}  # type: ignore[index, arg-type]


@pytest.mark.parametrize(("pool", "lang"), PHRASED)
def test_every_intent_has_many_wordings_and_none_belongs_to_two(pool: str, lang: str) -> None:
    seen: dict[str, str] = {}
    for name, patterns in _wordings(pool, lang).items():
        keys = {phrases.phrase_key(text) for pattern in patterns for text in phrases.expansions(pattern)}
        assert len(keys) >= 40, (pool, lang, name, len(keys))
        for key in keys:
            assert seen.setdefault(key, name) == name, (key, name, seen[key])


@pytest.mark.parametrize(("pool", "lang"), PHRASED)
def test_held_out_wordings_are_made_of_words_that_training_has(pool: str, lang: str) -> None:
    for patterns in _wordings(pool, lang).values():
        held = phrases.held_out_keys(patterns)
        assert held
        texts = [text for pattern in patterns for text in phrases.expansions(pattern)]
        known = {word for text in texts if phrases.phrase_key(text) not in held for word in phrases._units(text)}
        for text in phrases.held_out(patterns):
            assert set(phrases._units(text)) <= known, text


@pytest.mark.parametrize("pool", ["identity", "help", "smalltalk"])
def test_held_out_wordings_are_asked_in_unseen_samples_only(pool: str) -> None:
    registry.load(pool)
    held = {key for lang in ("zh", "en") for key in persona._roots(pool, lang)[1]}  # type: ignore[arg-type]
    for split, unseen, wanted in (("train", False, False), ("test", False, False), ("test", True, True)):
        found = 0
        for index in range(0, 2400, 4):
            sample = registry.generate(pool, split, index + 3 if unseen else index)  # type: ignore[arg-type]
            found += phrases.phrase_key(sample.turns[-2].text) in held
        # A misspelt phrase may become another one: rarely.
        assert (found > 100) if wanted else (found <= 2), (split, unseen, found)


def test_wording_refuses_unseen_outside_the_test_split() -> None:
    with pytest.raises(ConfigError, match="test split only"):
        phrases.wording(random.Random(0), ("a {x}", "b {x}", "c {x}"), "train", True)


def test_listed_names_are_mostly_new_to_the_reader() -> None:
    names = [invented.name(random.Random(seed), "en", "train") for seed in range(400)]
    assert len(set(names)) > 300
    tested = {invented.name(random.Random(seed), "en", "test") for seed in range(200)}
    assert not tested & set(names)
    for make in (invented.place, invented.item, invented.title):
        shared = {make(random.Random(i), "zh", "train") for i in range(400)} & {
            make(random.Random(i), "zh", "test") for i in range(200)
        }
        assert not shared


def test_tools_are_called_by_the_names_of_their_definitions() -> None:
    names = set()
    for sample in registry.iter_samples("tools", "train", 0, 200):
        if sample.truth["kind"] == "tool_call":
            system = next(turn.text for turn in sample.turns if turn.role == "system")
            assert f'"name": "{sample.truth["name"]}"' in system
            assert all(f'"{argument}": {{"type"' in system for argument in sample.truth["arguments"])
            names.add(sample.truth["name"])
    assert len(names) > 60


_STEP = re.compile(r"^([\d.+×÷()-]+)=(-?[\d.]+)(?:r(\d+))?(?:\|[\d.]+)?$")


def _compute(text: str) -> Decimal:
    """An independent evaluation: shunting-yard over decimals."""
    values: list[Decimal] = []
    signs: list[str] = []
    rank = {"+": 1, "-": 1, "×": 2, "÷": 2}

    def reduce() -> None:
        b, a, sign = values.pop(), values.pop(), signs.pop()
        values.append({"+": a + b, "-": a - b, "×": a * b, "÷": a / b if b else Decimal(0)}[sign])

    previous = "("
    for token in re.findall(r"[\d.]+|[+×÷()-]", text):
        if token[0].isdigit():
            values.append(Decimal(token))
        elif token == "-" and previous in "(":
            values.append(Decimal(0))
            signs.append("-")
        elif token == "(":
            signs.append(token)
        elif token == ")":
            while signs[-1] != "(":
                reduce()
            signs.pop()
        else:
            while signs and signs[-1] != "(" and rank[signs[-1]] >= rank[token]:
                reduce()
            signs.append(token)
        previous = token
    while signs:
        reduce()
    return values[0]


@pytest.mark.parametrize("category", MATHS)
def test_every_written_step_is_true(category: str) -> None:
    checked = 0
    for sample in registry.iter_samples(category, "train", 0, 400):
        for line in sample.answer.reasoning.split("\n"):
            match = _STEP.match(line)
            if not match:
                continue
            left, right, rest = match.groups()
            if rest is not None:
                a, b = left.split("÷")
                assert divmod(int(a), int(b)) == (int(right), int(rest)), line
            elif not line.startswith("1") or "k" not in line:
                assert _compute(left) == Decimal(right), (sample.id, line)
            checked += 1
    assert checked > 300


@pytest.mark.parametrize("split", ["train", "test"])
def test_arithmetic_truth_is_the_value_of_its_expression(split: str) -> None:
    checked = 0
    for sample in registry.iter_samples("arith", split, 0, 400):  # type: ignore[arg-type]
        first = sample.answer.reasoning.split("\n")[0].rstrip(":").split("=")[0]
        if first and re.fullmatch(r"[\d+×÷()-]+", first):
            assert _compute(first) == Decimal(sample.truth["value"]), sample.id
            checked += 1
    assert checked > 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("347+586", "933"),
        ("1003-998", "5"),
        ("347*26", "9022"),
        ("2082/6", "347"),
        ("3024/24", "126"),
        ("(12+8)*3-15", "45"),
        ("12.50*3", "37.50"),
        ("37.50/3", "12.50"),
        ("100-3.05", "96.95"),
        ("1000*17", "17000"),
        ("90*8/10", "72"),
    ],
)
def test_work_out(text: str, value: str) -> None:
    lines, result = steps.work_out(steps.parse(text))
    assert result == Decimal(value)
    assert lines[-1].split("=")[-1] == value


def test_work_out_refuses_what_it_cannot_write() -> None:
    for text in ("3-5", "7/2", "123*456"):
        with pytest.raises(steps.NotWritable):
            steps.work_out(steps.parse(text))


def test_number_scorer_reads_the_last_numbers() -> None:
    sample = _sample({"kind": "number", "value": "1234.50"})
    assert scoring.score(sample, "10 + 20, so it is $1,234.50.").correct
    assert not scoring.score(sample, "1234.5 is not it, 7 is.").correct
    assert scoring.score(_sample({"kind": "number", "values": ["3", "35"]}), "一共 3 小时 35 分钟。").correct


def test_holds_respects_numbers_and_words() -> None:
    assert scoring.holds("It is 17:05.", "17:05")
    assert not scoring.holds("It is 117", "17")
    assert not scoring.holds("another", "no")
    assert scoring.holds("一共3条", "3")


def test_transcripts_are_judged_by_edits() -> None:
    sample = _sample({"kind": "transcript", "text": "Open the camera, please.", "lang": "en"})
    assert scoring.score(sample, "open the camera please").correct
    assert scoring.score(sample, "open a camera please").detail["edits"] == 1
    chinese = _sample({"kind": "transcript", "text": "打开相机。"}, "zh")
    assert scoring.score(chinese, "打开照相机").detail["edits"] == 1
    table = scoring.corpus_scores([(sample, "open a camera please"), (chinese, "打开相机")])["arith"]
    assert table.wer == pytest.approx(0.25)
    assert table.cer == 0.0


def test_corpus_scores_of_references_are_perfect() -> None:
    pytest.importorskip("sacrebleu")
    samples = [s for name in ("translate", "summary") for s in registry.iter_samples(name, "test", 0, 60)]
    table = scoring.corpus_scores([(sample, sample.answer.text) for sample in samples])
    for name in ("translate", "summary"):
        assert table[name].accuracy == 1.0
        assert table[name].bleu == pytest.approx(100.0)
        assert table[name].low > 0.9
    assert table["summary"].facts == 1.0
    worse = scoring.corpus_scores([(sample, sample.answer.text[: len(sample.answer.text) // 2]) for sample in samples])
    assert worse["translate"].bleu is not None
    assert worse["translate"].bleu < 70


def test_wilson_interval() -> None:
    low, high = scoring.wilson(95, 100)
    assert low == pytest.approx(0.888, abs=2e-3)
    assert high == pytest.approx(0.978, abs=2e-3)
    assert scoring.wilson(0, 0) == (0.0, 1.0)


def test_honest_scorer_rejects_inventions() -> None:
    sample = next(
        s for s in registry.iter_samples("oos", "test", 0, 50) if s.truth == {"kind": "honest"} and s.lang == "en"
    )
    assert scoring.score(sample, "I don't know that. I am AutoGLM-Phone, a small assistant.").correct
    for wrong in (
        "I don't know that.",
        "I am AutoGLM-Phone, a small assistant. It was built in 1889 and I don't know more.",
        "I don't know. The capital is Paris. I am a small assistant.",
        "Sure! Here is a poem about it.",
    ):
        assert not scoring.score(sample, wrong).correct, wrong


def test_unknown_names_are_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="known: identity"):
        registry.generate("nothing", "train", 0)
    with pytest.raises(ConfigError, match="start at 0"):
        registry.generate("arith", "train", -1)
    with pytest.raises(ConfigError, match="truth kind 'odd'"):
        scoring.score(replace(_sample({"kind": "odd"})), "x")


def test_two_scorers_of_one_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="two scorers"):
        scoring.scorer("exact")(lambda sample, answer, reasoning: scoring.Score(True, 1.0))


def test_grammar() -> None:
    rng = random.Random(0)
    made = {say(rng, "[a|b[c|]]{x}[|!]", x="-") for _ in range(200)}
    assert made == {"a-", "a-!", "bc-", "bc-!", "b-", "b-!"}
    with pytest.raises(ConfigError):
        say(rng, "[a|b")
    assert full_width("你好,3+4=? 9:30") == "你好\uff0c3+4=? 9:30"


def test_preview_prints_samples(capsys: pytest.CaptureFixture[str]) -> None:
    assert preview.main(["--category", "arith", "--n", "2"]) == 0
    assert capsys.readouterr().out.count("=== arith/train/") == 2
    assert preview.main(["--category", "nothing"]) == 2
