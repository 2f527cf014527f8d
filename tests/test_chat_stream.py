"""The output parser: the same pieces however the tokens come, tags as tokens or as text, stop strings held back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.chat.present import Presenter, Style
from autoglm_phone.chat.prompt import Opening
from autoglm_phone.chat.stream import OutputParser, StopStrings
from autoglm_phone.chat.tokenizer import Tokenizer
from conftest import SPECIALS, make_tokenizer_json


def parse(
    tokenizer: Tokenizer, output: str, opening: Opening = "reasoning", style: Style = "separate", **options: object
) -> tuple[str, str, list[str], OutputParser]:
    """(content, reasoning, calls, parser) of an output, fed token by token."""
    parser = OutputParser(tokenizer, opening, **options)  # type: ignore[arg-type]
    presenter = Presenter(style)
    content, reasoning, calls = "", "", []
    for pieces in [*(parser.feed([i]) for i in tokenizer.encode_prompt(output)), parser.finish()]:
        delta = presenter.present(pieces)
        content, reasoning = content + delta.content, reasoning + delta.reasoning
        calls += [f"{c.name}:{c.arguments}" for c in delta.calls]
    return content, reasoning, calls, parser


@pytest.fixture(scope="module")
def text_tags() -> Tokenizer:
    """A tokenizer for which the tags are ordinary text."""
    spec = json.loads(make_tokenizer_json())
    spec["added_tokens"] = [
        t for t in spec["added_tokens"] if "think" not in t["content"] and "answer" not in t["content"]
    ]
    for name in SPECIALS:
        if "think" in name or "answer" in name:
            spec["model"]["vocab"].pop(name, None)
    return Tokenizer(json.dumps(spec, ensure_ascii=False))


CASES = [
    ("想</think><answer>好", "reasoning", "好", "想", "<think>想</think><answer>好"),
    ("</think><answer>好", "reasoning", "好", "", "好"),
    ("\n 想 \n</think>\n<answer>\n好", "reasoning", "好", "想", "<think>想</think><answer>好"),
    ("好", "answer", "好", "", "好"),
    ("<think>想</think><answer>好</answer>rest", "undecided", "好", "想", "<think>想</think><answer>好"),
    ("<think>想</think>好", "undecided", "好", "想", "<think>想</think>好"),
    ("just text", "undecided", "just text", "", "just text"),
    ("想", "reasoning", "", "想", "<think>想"),
]


@pytest.mark.parametrize(("output", "opening", "content", "reasoning", "inline"), CASES)
def test_thought_and_answer(
    tokenizer: Tokenizer, text_tags: Tokenizer, output: str, opening: Opening, content: str, reasoning: str, inline: str
) -> None:
    for each in (tokenizer, text_tags):
        assert parse(each, output, opening)[:2] == (content, reasoning)
        assert parse(each, output, opening, "inline")[:2] == (inline, "")
        assert parse(each, output, opening, "answer_only")[:2] == (content, "")


def test_a_spelled_tag_is_text_when_tags_are_tokens(tokenizer: Tokenizer) -> None:
    parser = OutputParser(tokenizer, "reasoning")
    pieces = parser.feed(tokenizer.encode("say </think> now")) + parser.finish()
    assert "".join(p.text for p in pieces) == "say </think> now"
    assert parser.channel == "reasoning"


def test_tool_calls(tokenizer: Tokenizer) -> None:
    output = 'hm</think><answer><tool_call>f\n{"a": 1}</tool_call>\n<tool_call>g\n{}</tool_call>'
    content, reasoning, calls, parser = parse(tokenizer, output, tools=frozenset({"f", "g"}))
    assert (content, reasoning, calls) == ("", "hm", ['f:{"a": 1}', "g:{}"])
    assert parser.calls == 2


@pytest.mark.parametrize("body", ["unknown\n{}", "f\nnot json", "f\n[1]", "f\n{"])
def test_a_broken_call_is_text(tokenizer: Tokenizer, body: str) -> None:
    content, _, calls, _ = parse(tokenizer, f"</think><answer><tool_call>{body}</tool_call>", tools=frozenset({"f"}))
    assert calls == []
    assert content == f"<tool_call>{body}</tool_call>"


def test_an_unfinished_call_is_text(tokenizer: Tokenizer) -> None:
    content, _, calls, _ = parse(tokenizer, "</think><answer><tool_call>f\n{", tools=frozenset({"f"}))
    assert (content, calls) == ("<tool_call>f\n{", [])


def test_stop_applies_to_the_answer_only(tokenizer: Tokenizer) -> None:
    content, reasoning, _, parser = parse(tokenizer, "a STOP b</think><answer>c STOP d", stop=["STOP"])
    assert (content, reasoning, parser.stopped) == ("c ", "a STOP b", "STOP")
    content, *_ = parse(tokenizer, "</think><answer>c STOP d", stop=["STOP"], include_stop=True)
    assert content == "c STOP"


@settings(max_examples=300, deadline=None)
@given(
    text=st.text("ab\n", max_size=30),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3),
    data=st.data(),
)
def test_stop_strings_do_not_depend_on_the_cuts(text: str, stops: list[str], data: st.DataObject) -> None:
    finder = StopStrings(stops)
    out, rest, found = "", text, None
    while rest and found is None:
        size = data.draw(st.integers(1, 4))
        piece, rest = rest[:size], rest[size:]
        settled, found = finder.push(piece)
        out += settled
    if found is None:
        out += finder.flush()
        assert out == text
        assert not any(s in text for s in stops)
    else:
        ends = [text.index(s) + len(s) for s in stops if s in text]
        assert found in stops
        assert text.startswith(out + found)
        assert not any(s in out for s in stops)
        assert len(out) <= max(ends)


def test_a_step_that_goes_past_a_stop_string_counts_only_what_was_used(tokenizer: Tokenizer) -> None:
    from autoglm_phone.chat.prompt import Prompt
    from autoglm_phone.chat.service import ChoiceStream, Generation
    from autoglm_phone.engine.request import SamplingParams, StepOutput

    ids = tuple(tokenizer.encode_prompt("one STOP two three"))
    made = []
    for size in (1, len(ids)):
        generation = Generation("r", Prompt((1,)), SamplingParams(stop=("STOP",)), raw=True)
        stream = ChoiceStream(tokenizer, generation, 0)
        update, text, tokens = None, "", 0
        for start in range(0, len(ids), size):
            update = stream.push(StepOutput("r", ids[start : start + size]))
            text, tokens = text + update.delta.content, tokens + len(update.token_ids)
            if update.finish_reason is not None:
                break
        assert update is not None
        made.append((text, tokens, update.completion_tokens, update.finish_reason, update.stop_reason))
    assert made[0] == made[1]
    assert made[0][1] < len(ids)
