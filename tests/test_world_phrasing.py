"""The grammar that words training's questions: rich, unambiguous, and far from what the test set holds out."""

from __future__ import annotations

import json
import random
import re
from itertools import combinations

import pytest

from autoglm_phone.bench.fixed import FOLDER
from autoglm_phone.train.world import phrasing, registry
from autoglm_phone.train.world.audio import composed, openings, sentences, speech, wishes_sound
from autoglm_phone.train.world.fillings import held_out, split_of
from autoglm_phone.train.world.lexicon_tools import TOOLS
from autoglm_phone.train.world.text import invented, more_asks, notify, oos_phrases, persona, phrases
from autoglm_phone.train.world.text.grammar import say_one
from autoglm_phone.train.world.visual import (
    chart_questions,
    scene_questions,
    tasks,
    text_lines,
    wishes_chart,
    wishes_scene,
    wishes_screen,
)
from autoglm_phone.train.world.visual.chart_data import make_chart
from autoglm_phone.train.world.visual.scene import make_scene

LANGS = ("zh", "en")
_C, _S = chart_questions, scene_questions
# task: (wishes, the table whose last wordings are held out; None where nothing is)
TASKS = {
    "value": (wishes_chart.VALUE, _C._VALUE),
    "trend": (wishes_chart.TREND, _C._TREND),
    "more trend": (wishes_chart.TREND_MORE, _C._TREND),
    "best": (wishes_chart.BEST, _C._BEST),
    "best time": (wishes_chart.BEST_TIME, _C._BEST_TIME),
    "pair": (wishes_chart.PAIR, None),
    "gap": (wishes_chart.GAP, None),
    "forecast": (wishes_chart.FORECAST, _C._FORECAST),
    "caption": (wishes_scene.CAPTION, _S._CAPTION),
    "match": (wishes_scene.MATCH, _S._MATCH),
    "side": (wishes_scene.SIDE, None),
    "count": (wishes_scene.COUNT, _S._COUNT),
    "where": (wishes_scene.WHERE, _S._WHERE),
    "point": (wishes_scene.POINT, _S._POINT),
    "tap": (wishes_screen.TOUCHES["Tap"], tasks._TAP),
    "long press": (wishes_screen.TOUCHES["Long Press"], tasks._OTHER_TOUCHES["Long Press"]),
    "double tap": (wishes_screen.TOUCHES["Double Tap"], tasks._OTHER_TOUCHES["Double Tap"]),
    "wish": (wishes_screen.WISH, tasks._WISH),
    "all text": (wishes_screen.ALL_TEXT, text_lines._ALL),
    "line": (wishes_screen.LINE, text_lines._LINE),
    "transcribe": (wishes_sound.TRANSCRIBE, speech._TRANSCRIBE),
    "obey": (wishes_sound.OBEY, speech._OBEY),
}
BY_ONE = {"transcribe", "obey"}  # dealt out by `fillings.template`; the others by `tasks.phrase`


def held_of(task: str, lang: str) -> tuple[str, ...]:
    table = TASKS[task][1]
    if table is None:
        return ()
    return held_out(table[lang]) if task in BY_ONE else table[lang][-1:]


_NAMES = "x was way at high low period next one two side n m k kth"
SLOTS = dict.fromkeys(_NAMES.split(), "#")


def skeletons(task: str, lang: str, count: int) -> set[str]:
    rng = random.Random(f"{task}/{lang}")
    found = (phrasing.ask(rng, TASKS[task][0][lang], lang, held_of(task, lang), **SLOTS) for _ in range(count))
    return {skeleton(text) for text in found if text}


def skeleton(text: str) -> str:
    """An own normal form, not that of `phrasing`: letters and slots, no case, no punctuation, no spaces."""
    return re.sub(r"[^\w#]|_", "", re.sub(r"\{\w*\}", "#", text).lower())


def distance(a: str, b: str) -> int:
    """Letters to replace, add or leave out (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[j - 1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("task", TASKS)
def test_no_held_out_wording_is_said_in_training(task: str, lang: str) -> None:
    said = skeletons(task, lang, 1500)
    for held in map(skeleton, held_of(task, lang)):
        for text in said:
            assert text != held
            assert held not in text or len(held) < 4, (text, held)
            if len(held) > 8:
                assert distance(text, held) > 1, (text, held)


@pytest.mark.parametrize("lang", LANGS)
def test_whole_messages_leave_out_what_is_held_out(lang: str) -> None:
    rng = random.Random(7)
    fits, wish = scene_questions._FITS[lang][-1], tasks._WISH[lang][-1]
    scene = make_scene(random.Random(1), "train", lang, 1.0)  # type: ignore[arg-type]
    told = scene_questions.caption(scene.things, scene.background, lang)  # type: ignore[arg-type]
    for _ in range(400):
        question = scene_questions._match_caption(rng, scene, False, True).question
        assert skeleton(fits) not in skeleton(question.replace(told, "#"))
        goal = tasks.polite(rng, lang, "#", False, "train")  # type: ignore[arg-type]
        assert skeleton(wish) not in skeleton(goal)


@pytest.mark.parametrize("lang", LANGS)
def test_a_wish_that_has_only_the_held_out_wording_is_not_said(lang: str) -> None:
    for task in TASKS:
        for held in held_of(task, lang):
            core = held.rstrip("。？?.：:")
            wish = phrasing.Ask("chart", question=(core[:1].lower() + core[1:],))
            assert phrasing.ask(random.Random(1), wish, lang, (held,), **_all_slots(held)) is None


def _all_slots(text: str) -> dict[str, str]:
    return dict.fromkeys(re.findall(r"\{(\w*)\}", text), "#")


def test_near_wordings_are_recognised() -> None:
    held = ("Which way does the {x} go?",)
    assert phrasing.too_near("which way does the {what} go", held)
    assert phrasing.too_near("Please, which way does {x} go? Thanks.", held)
    assert phrasing.too_near("Which way did the {x} go?", held)
    assert not phrasing.too_near("How did the {x} develop?", held)
    assert phrasing.too_near(
        "这里有一张图，总结一下{x}的变化趋势。", ("总结{x}的变化趋势。", "总结一下{x}的变化趋势。")
    )


@pytest.mark.parametrize("lang", LANGS)
def test_no_phrase_belongs_to_two_tasks(lang: str) -> None:
    said = {task: skeletons(task, lang, 1500) for task in TASKS}
    tables = {task: {skeleton(text) for text in table[lang]} for task, (_, table) in TASKS.items() if table}
    for one, two in combinations(TASKS, 2):
        if {one, two} in ({"best", "best time"}, {"trend", "more trend"}):
            continue  # one task: whether a label is a time is seen in the chart; the further wordings are training's
        assert not said[one] & said[two], (one, two, said[one] & said[two])
        assert not said[one] & tables.get(two, set()), (one, two)
        assert not said[two] & tables.get(one, set()), (one, two)


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("task", [task for task in TASKS if task != "wish"])
def test_every_task_is_asked_in_many_ways(task: str, lang: str) -> None:
    assert len(skeletons(task, lang, 800)) > 250


def test_the_test_split_draws_nothing_and_keeps_its_words() -> None:
    rng = random.Random(3)
    before = rng.getstate()
    assert not phrasing.rich(rng, "test")
    assert phrasing.typed(rng, "What is it?", "en", "test") == "What is it?"
    assert rng.getstate() == before


def test_the_benchmark_set_is_what_the_generator_still_makes() -> None:
    records = [json.loads(line) for line in (FOLDER / "samples.jsonl").read_text().splitlines()]
    for record in records:
        if record["category"] in ("screen", "screen_read", "speech_screen"):
            continue  # where things stand follows from the fonts of this machine
        if not registry.is_available(record["category"]):
            continue
        made = registry.generate(record["category"], "test", record["index"])
        assert [turn.text for turn in made.turns] == [turn["text"] for turn in record["turns"]], record["category"]


def test_questions_of_charts_and_scenes_are_worded_by_the_grammar_in_training_only() -> None:
    def trends(split: str) -> set[str]:
        found = set()
        for seed in range(200):
            rng = random.Random(seed)
            chart = make_chart(rng, split, "en", "trend")  # type: ignore[arg-type]
            question = chart_questions.trend(rng, chart, False, False).question
            found.add(question.replace(chart.measure.lower(), "#"))
        return {text for text in found if " of " not in text.split("#")[-1]}

    table = {text.format(x="#") for text in chart_questions._TREND["en"]}
    assert trends("test") <= table
    assert len(trends("train")) > 60
    scene = make_scene(random.Random(1), "train", "zh", 1.0)
    rng = random.Random(2)
    assert len({scene_questions.captioned(rng, scene, False).question for _ in range(200)}) > 60


@pytest.mark.parametrize("lang", LANGS)
def test_fillings_are_all_said(lang: str) -> None:
    """A core that forgets its slot would ask for nothing in particular."""
    needs = {"value": "x", "trend": "x", "gap": "x high low", "forecast": "x next", "pair": "x way one two"}
    needs |= {"best": "x way", "best time": "x way", "match": "x", "side": "one two side", "count": "n"}
    needs |= {"where": "x", "point": "x", "tap": "x", "long press": "x", "double tap": "x", "wish": "x"}
    for task, names in needs.items():
        for shape in TASKS[task][0][lang].shapes():  # type: ignore[index]
            for pattern in getattr(TASKS[task][0][lang], shape):  # type: ignore[index]
                for text in phrases.expansions(pattern):
                    assert all(f"{{{name}}}" in text for name in names.split()), (task, text)


def test_screen_questions_are_reshaped_in_their_own_words() -> None:
    for lang, question, parts in (
        ("en", "What is the price of Milk?", ("price of Milk",)),
        ("en", "When does G12 leave?", ("G12 leave",)),
        ("en", "How many [x] are in the cart?", ("[x] are in the cart",)),
        ("zh", "牛奶的价格是多少？", ("牛奶的价格",)),
        ("zh", "面包勾选了吗？", ("面包勾选了吗",)),
    ):
        wish, slots = wishes_screen.reading(question, lang)
        rng = random.Random(question)
        said = {phrasing.ask(rng, wish, lang, (), **slots) for _ in range(60)}
        assert len(said) > 20
        assert all(part.lower() in text.lower() for text in said for part in parts), said


# --- text categories --------------------------------------------------------------------------------------------------


def _pools() -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """(name, language, the shared patterns, those that only training has)."""
    found = []
    for lang in LANGS:
        for kind, more in more_asks.NOTIFY.items():
            found.append((f"notify {kind}", lang, notify._ASK[kind][lang], more[lang]))
        for kind, more in more_asks.OOS.items():
            found.append((f"oos {kind}", lang, oos_phrases.ASK[kind][lang], more[lang]))
        for missing in oos_phrases.MISSING[lang]:
            if missing.name in more_asks.MISSING[lang]:
                more_questions = more_asks.MISSING[lang][missing.name]
                found.append((f"missing {missing.name}", lang, missing.questions, more_questions))
        for tool in TOOLS:
            found.append((tool.names[0], lang, tool.ask[lang], more_asks.TOOLS[tool.names[0]][lang]))
    return found  # type: ignore[return-value]


POOLS = _pools()


@pytest.mark.parametrize(("name", "lang", "patterns", "more"), POOLS, ids=[f"{p[0]} {p[1]}" for p in POOLS])
def test_further_wordings_leave_out_what_is_held_out(name: str, lang: str, patterns: tuple, more: tuple) -> None:
    held = phrases.held_out_keys(patterns)
    asked = [set(re.findall(r"\{(\w+)\}", text)) for pattern in patterns for text in phrases.expansions(pattern)]
    rng = random.Random(name)
    slots = {slot: f"{{{slot}}}" for slot in set().union(*asked)}
    for _ in range(300):
        assert phrases.phrase_key(say_one(rng, patterns, "train", False, more, **slots)) not in held
    rng = random.Random(4)
    plain = say_one(rng, patterns, "test", False, **slots)
    rng = random.Random(4)
    assert say_one(rng, patterns, "test", False, more, **slots) == plain
    needed = set.intersection(*asked)
    for pattern in more:
        for text in phrases.expansions(pattern):
            assert needed <= set(re.findall(r"\{(\w+)\}", text)), text


@pytest.mark.parametrize("lang", LANGS)
def test_further_small_talk_belongs_to_one_intent(lang: str) -> None:
    registry.load("smalltalk")
    names = [intent.name for intent in persona.TABLES["smalltalk"][lang]]  # type: ignore[index]
    keys: dict[str, set[str]] = {name: set() for name in names}
    for name in names:
        for pattern in persona._questions("smalltalk", lang, name):  # type: ignore[arg-type]
            keys[name] |= {phrases.phrase_key(text) for text in phrases.expansions(pattern)}
    for name, patterns in more_asks.TALK[lang].items():  # type: ignore[index]
        keys[name] |= {phrases.phrase_key(t) for p in patterns for t in phrases.expansions(p)}
    for one, two in combinations(names, 2):
        assert not keys[one] & keys[two], (one, two, keys[one] & keys[two])


@pytest.mark.parametrize("lang", LANGS)
def test_near_names_belong_to_their_split(lang: str) -> None:
    rng = random.Random(5)
    changed = 0
    for _ in range(200):
        name = invented.name(rng, lang, "train")
        near = invented.near(rng, name, lang, "train")
        changed += near != name
        if near != name:
            assert split_of("names.invented", near) == "train"
    assert changed > 180


def test_long_lists_hold_names_that_are_nearly_the_same() -> None:
    lists = [notify.messages(random.Random(seed), "en", "train", 9, 0.7) for seed in range(30)]
    assert all(len(items) == 9 and items == sorted(items, key=lambda m: m.clock) for items in lists)
    assert all(len({m.sender for m in items}) == 9 for items in lists)
    shared = sum(len({m.sender.split(" ")[0] for m in items}) < 9 for items in lists)
    assert shared > 10


# --- sound ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGS)
def test_sentences_of_unlike_build_start_in_many_ways(lang: str) -> None:
    rng = random.Random(6)
    texts = [openings.unlike(rng, lang) for _ in range(600)]
    starts = {text.split(" ")[0] if lang == "en" else text[:2] for text in texts}
    assert len(starts) > 60
    assert len(set(texts)) > 590
    if lang == "en":
        assert all(openings.teaches(text) for text in texts)


@pytest.mark.parametrize("lang", LANGS)
def test_swapped_words_are_taught_and_break_what_a_sentence_promises(lang: str) -> None:
    rng = random.Random(7)
    texts = [sentences.swapped(rng, lang, "train", False) for _ in range(300)]
    pool = {composed.word(rng, lang) for _ in range(40_000)}
    foreign = [sum(word in (text if lang == "zh" else f" {text} ") for word in pool) for text in texts]
    assert sum(count > 0 for count in foreign) > 290
    assert len(set(texts)) > 295
    assert sum(composed.taught(text) for text in texts) > 250
    assert not any(set(text) & sentences.UNDECIDABLE for text in texts)


_ASKS = re.compile(r"什么|多少|怎么|吗|几|[Ww]hat|[Hh]ow|[Ww]h(?:y|ere|en)|[Ww]ould|[Cc]an you")


def test_questions_are_often_only_to_be_written_down() -> None:
    questions = written = 0
    for index in range(60):
        sample = registry.generate("asr", "train", index)
        prompt = "".join(turn.text for turn in sample.turns if turn.role != "assistant").replace("<audio>", "").strip()
        assert prompt
        written += sample.answer.text == sample.truth["text"]
        questions += bool(_ASKS.search(sample.answer.text))
    assert written == 60
    assert questions > 12
