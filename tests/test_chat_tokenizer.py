"""Tokenizer and detokenizer: any text survives, none becomes a control token, no half character comes out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.chat.tokenizer import Detokenizer, Tokenizer
from autoglm_phone.errors import CheckpointError, ContextLengthError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SPECIAL_TEXTS = ["<|system|>", "<think>", "</answer>", "[gMASK]", "<|image|>", "<tool_call>"]


@settings(max_examples=150, deadline=None)
@given(text=TEXT)
def test_any_text_round_trips(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    detokenizer = Detokenizer(tokenizer)
    assert "".join(detokenizer.push(i) for i in ids) + detokenizer.flush() == text


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.one_of(TEXT, st.sampled_from(SPECIAL_TEXTS)), max_size=6))
def test_text_never_becomes_a_special_token(tokenizer: Tokenizer, parts: list[str]) -> None:
    text = "".join(parts)
    specials = set(tokenizer.specials.values())
    assert not specials.intersection(tokenizer.encode(text))
    guard = tokenizer.guard()
    # Part by part, as messages and content parts are: neighbours must not join to a special token either.
    cut = len(text) // 2
    ids = tokenizer.encode_prompt("<|user|>" + guard.protect(text[:cut]) + guard.protect(text[cut:]), guard)
    assert ids[0] == tokenizer.special_id("<|user|>")
    assert not specials.intersection(ids[1:])
    assert tokenizer.decode(ids[1:]) == text


def test_guards_differ_between_prompts(tokenizer: Tokenizer) -> None:
    assert tokenizer.guard().mark != tokenizer.guard().mark


@settings(max_examples=100, deadline=None)
@given(ids=st.lists(st.integers(0, 351), max_size=40))
def test_detokenizer_emits_only_whole_characters(tokenizer: Tokenizer, ids: list[int]) -> None:
    detokenizer = Detokenizer(tokenizer)
    for i in ids:
        piece = detokenizer.push(i)
        piece.encode()  # a lone surrogate or half a character could not be encoded
    text = "你好"
    raw = tokenizer.encode(text)
    detokenizer = Detokenizer(tokenizer)
    assert "".join(detokenizer.push(i) for i in raw[:-1]) in ("你", "")


def test_length_is_refused_before_tokenizing(tokenizer: Tokenizer) -> None:
    with pytest.raises(ContextLengthError, match="shorten"):
        tokenizer.check_length("x" * 10_000_000, 2048)


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(CheckpointError, match="byte-level"):
        Tokenizer('{"model": {"type": "WordPiece", "vocab": {}}, "decoder": null}')


def test_token_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_text(4) == "<|system|>"
    broken = tokenizer.encode("中")[0]
    assert tokenizer.token_text(broken).startswith("bytes:\\x")
