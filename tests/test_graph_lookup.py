"""N-grams, the table's file, and how many guesses are made. No tensors."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoglm_phone.config import EngineConfig
from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.cli import app
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.lookup import FIRST_REST, KINDS, LONGEST, TRIAL, WINDOW, LookupController
from autoglm_phone.graph.lookup_file import NAME, count_ngrams, load_table, read_table, save_table, tokenizer_digest
from autoglm_phone.graph.ngrams import NgramTable, OwnContext, keys_of
from autoglm_phone.models.registry import locate
from autoglm_phone.runner.load import load_runner


def costs(row: float, base: float = 1.0) -> SegmentCosts:
    """Passes over n rows take base * (1 + row * (n - 1))."""
    known = SegmentCosts()
    for part in (0, SegmentCosts.VERIFY):
        for rows in (1, 2, 4, 8, 16, 32):
            known.note(part, rows, base * (1 + row * (rows - 1)))
    for rows in (1, 2, 4, 8, 16, 32):
        known.note(SegmentCosts.HEAD, rows, 0.0)
    return known


def controller(row: float, table: NgramTable | None = None) -> LookupController:
    made = LookupController(costs(row))
    made.use(table)
    for on in (0, 1):
        made.note_beside(1, on, 0.0)
    return made


# N-grams.


def test_numbers_of_contexts_tell_them_apart():
    assert keys_of([5, 6, 7], 2) == keys_of([1, 6, 7], 2)
    assert keys_of([5, 6, 7], 3)[2] != keys_of([1, 6, 7], 3)[2]
    assert len(keys_of([7], 5)) == 1
    dice = random.Random(0)
    seen = {tuple(dice.randrange(8192) for _ in range(dice.randint(1, 5))) for _ in range(20000)}
    assert len({keys_of(context, 5)[-1] for context in seen}) > len(seen) - 3
    assert keys_of([3, 1, 2], 3)[-1] != keys_of([1, 2, 3], 3)[-1]


def test_a_table_says_what_followed_most_often_behind_the_longest_context():
    replies = [([1, 2, 3, 4], 1)] * 6 + [([9, 2, 3, 5], 1)] * 4
    table = count_ngrams(replies)
    assert table.find(keys_of([1, 2, 3], 5))[0] == 4
    assert table.find(keys_of([9, 2, 3], 5))[0] == 5
    token, chance = table.find(keys_of([7, 7, 3], 5))
    assert (token, round(chance, 1)) == (4, 0.5)
    assert table.find(keys_of([3, 1], 5)) == table.find(keys_of([1], 5))
    assert table.find(keys_of([6, 6], 5)) is None
    assert len(count_ngrams(replies, entries=2)) == 2
    assert len(count_ngrams([([1, 2, 3], 1)] * 2)) == 0  # too seldom


def test_what_stands_before_a_reply_is_context_only():
    table = count_ngrams([([7, 8, 1, 2], 2)] * 5)
    assert table.find(keys_of([7, 8], 5))[0] == 1
    assert table.find(keys_of([7], 5)) is None


def test_own_text_is_found_again():
    own = OwnContext()
    tokens = [1, 2, 3, 4, 5, 9, 1, 2]
    own.follow(tokens[:5])
    own.follow(tokens)
    assert own.find(keys_of(tokens, 5)) == (3, 2)
    tokens += [3]
    own.follow(tokens)
    assert own.find(keys_of(tokens, 5)) == (4, 3)
    tokens += [7, 1, 2, 3]
    own.follow(tokens)
    assert own.find(keys_of(tokens, 5)) == (7, 3)  # the last time counts
    assert own.find(keys_of([2, 9], 5)) is None


def test_own_text_followed_bit_by_bit_is_that_followed_at_once():
    dice = random.Random(3)
    tokens = [dice.randrange(6) for _ in range(200)]
    whole, parts = OwnContext(), OwnContext()
    whole.follow(tokens)
    for end in [*sorted(dice.sample(range(200), 40)), 200]:
        parts.follow(tokens[:end])
    assert whole._next == parts._next


# The file.


def test_a_table_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}")
    dice = random.Random(1)
    table = count_ngrams([([dice.randrange(5) for _ in range(30)], 1) for _ in range(20)])
    path = save_table(tmp_path, table, tokenizer_digest(tmp_path), {"file": "x"})
    assert path == tmp_path / NAME
    read = load_table(tmp_path)
    assert read is not None
    assert (read.entries, read.order) == (table.entries, table.order)


@pytest.mark.parametrize("fault", ["tokenizer", "checksum", "version", "json"])
def test_a_table_that_does_not_fit_is_left_aside(tmp_path: Path, fault, caplog):
    (tmp_path / "tokenizer.json").write_text("{}")
    path = save_table(tmp_path, count_ngrams([([1, 2, 3], 1)] * 9), tokenizer_digest(tmp_path), {})
    raw = json.loads(path.read_text())
    if fault == "tokenizer":
        (tmp_path / "tokenizer.json").write_text('{"other": 1}')
    elif fault == "checksum":
        raw["tokens"] = raw["contexts"]
    elif fault == "version":
        raw["version"] = 99
    path.write_text("{" if fault == "json" else json.dumps(raw))
    assert load_table(tmp_path) is None
    assert "exits lookup" in caplog.text
    with pytest.raises(ConfigError):
        read_table(path, tokenizer_digest(tmp_path))


def test_the_bundled_models_have_tables_of_their_tokenizer():
    for name in ("mini", "mini-int4"):
        table = load_table(locate(name))
        assert table is not None
        assert len(table) > 10_000
        assert (locate(name) / NAME).stat().st_size < 300_000


def test_a_file_of_conversations_makes_a_table(tmp_path: Path):
    talk = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day to you."}]}
    (tmp_path / "talks.jsonl").write_text("\n".join([json.dumps(talk)] * 6))
    result = CliRunner().invoke(
        app, ["lookup", "--data", str(tmp_path / "talks.jsonl"), "--out", str(tmp_path)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    table = read_table(tmp_path / NAME, tokenizer_digest(locate("mini")))
    assert len(table) > 3


@pytest.mark.parametrize(("fields", "longest"), [({}, LONGEST), ({"lookup": False}, 0), ({"dynamic_graph": False}, 0)])
def test_the_switch(fields, longest):
    runner = load_runner(locate("mini"), EngineConfig(device="cpu", kv_cache_memory=8 << 20, **fields))
    assert runner.cascade.lookup.longest == longest


# The controller.


def chain(*chances: float) -> list[float]:
    """Of each guess and all before it."""
    whole, chance = [], 1.0
    for one in chances:
        chance *= one
        whole.append(chance)
    return whole


def test_as_many_guesses_as_pay():
    cheap, dear = controller(0.1), controller(0.9)
    assert cheap.choose(1, 1, [chain(*[0.95] * 7)]) == [7]
    assert cheap.choose(1, 1, [chain(0.9, 0.9, 0.05, 0.9)]) == [2]
    assert cheap.choose(1, 1, [chain(0.05)]) == [0]
    assert dear.choose(1, 1, [chain(0.5, 0.5)]) == [0]
    assert dear.choose(1, 1, [chain(0.99)]) == [1]


def test_in_company_the_likely_guesses_come_first():
    chosen = controller(0.3).choose(1, 2, [chain(0.95, 0.9), chain(0.1, 0.9)])
    assert chosen == [2, 0]


def test_guesses_are_for_a_sequence_that_decodes_alone():
    made = controller(0.1)
    assert made.on(1)
    assert not made.on(2)


def test_nothing_is_guessed_before_passes_were_measured():
    made = LookupController(SegmentCosts())
    made.use(None)
    assert made.choose(1, 1, [chain(0.99)]) == [0]
    assert not LookupController(costs(0.1)).on(1)  # not in use


def test_what_guesses_take_beside_the_pass_counts():
    made = controller(0.05)
    assert made.choose(1, 1, [chain(0.3)]) == [1]
    for _ in range(400):
        made.note_beside(1, 1, 0.5)
    assert made.choose(1, 1, [chain(0.3)]) == [0]


def test_sorts_are_learned_and_a_request_that_disappoints_is_believed_less():
    tokens = [1, 2, 3, 4, 1, 2]
    made = controller(0.1)
    first, other = made.guesser("text"), made.guesser("picture")
    before = made.guess(first, tokens, 1)[0].chance
    for _ in range(30):
        made.note(first, made.guess(first, tokens, 1), 0, ended=False)
    assert first.trust < 0.8
    assert made.guess(first, tokens, 1)[0].chance < 0.5 * before
    assert made.guess(other, tokens, 1)[0].chance == before
    new = made.guesser("text")
    assert new.trust == 1
    assert made.guess(new, tokens, 1)[0].chance < 0.5 * before


def test_guesses_behind_a_wrong_one_are_not_judged():
    made = controller(0.1)
    guesser = made.guesser(None)
    tokens = [1, 2, 3, 4, 5, 6, 1, 2]
    guesses = made.guess(guesser, tokens, 4)
    assert [guess.token for guess in guesses] == [3, 4, 5]
    made.note(guesser, guesses, 1, ended=False)
    assert guesser.right == pytest.approx(4 + 0.95)
    assert guesser.expected == pytest.approx(4 + 0.95 * guesses[0].chance + guesses[1].chance)
    again = made.guesser(None)
    made.note(again, guesses, 1, ended=True)
    assert again.right == 5


def test_what_never_paid_is_tried_now_and_then():
    made = controller(0.9)
    chosen = [made.choose(1, 1, [chain(0.3)])[0] for _ in range(10 * TRIAL)]
    assert sum(chosen) == 10


def test_guesses_that_cost_more_than_they_give_rest_longer_each_time():
    made = controller(0.3)
    rests = []
    for _ in range(4):
        for _ in range(WINDOW):
            assert made.on(1)
            made.note_pass(1, 1, 3, 0)
        rest = 0
        while not made.on(1):
            rest += 1
        rests.append(rest)
    assert rests == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST, 8 * FIRST_REST]
    for _ in range(20 * WINDOW):
        made.note_pass(1, 1, 3, 3)
        assert made.on(1)


def test_kinds_of_requests_that_are_remembered_are_few():
    made = controller(0.1)
    for kind in range(3 * KINDS):
        made.guesser(kind)
    assert len(made._rates) == KINDS


def test_a_table_and_the_own_text_that_agree_are_believed_more():
    table = count_ngrams([([1, 2, 3], 1)] * 4 + [([1, 2, 4], 1)] * 4)
    made = controller(0.1, table)
    guesser = made.guesser(None)
    alone = made.guess(guesser, [8, 8, 1, 2], 1)[0]
    both = made.guess(made.guesser(None), [1, 2, 3, 8, 1, 2], 1)[0]
    assert alone.token == both.token == 3
    assert both.chance > alone.chance
    assert both.sort != alone.sort
