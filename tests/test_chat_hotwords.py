"""The words of a transcription's prompt: what they are, where they may have been misheard, and which are taken."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from autoglm_phone.chat.hotwords import MAX_CANDIDATES, MAX_TERMS, candidates, respell, terms
from autoglm_phone.chat.transcription import BONUS, choose


def texts(prompt: str) -> list[str]:
    return [t.text for t in terms(prompt)]


def test_lists_give_their_entries_and_sentences_their_words() -> None:
    assert texts("微信、支付宝，高德地图") == ["微信", "支付宝", "高德地图"]
    assert texts("McDonald, New York") == ["McDonald", "New", "York", "New York"]
    assert texts("We met Siobhan at the office.") == ["met", "Siobhan", "the", "office"]
    assert "欧阳" in texts("昨天我们和欧阳娜娜一起吃饭了。")
    assert texts("") == texts(" ,，\n") == []


def test_many_words_are_bounded_and_the_last_count() -> None:
    made = texts(", ".join(f"word{i}x" for i in range(2 * MAX_TERMS)))
    assert len(made) == MAX_TERMS
    assert made[-1] == f"word{2 * MAX_TERMS - 1}x"


@pytest.mark.parametrize(
    ("heard", "prompt", "wanted"),
    [
        ("Call Jon Smyth today.", "John Smith", "Call John Smith today."),
        ("转给宋医生346元。", "苏医生", "转给苏医生346元。"),
        ("删除和小东的聊天技术。", "记录", "删除和小东的聊天记录。"),
    ],
)
def test_a_word_written_nearly_alike_is_a_candidate(heard: str, prompt: str, wanted: str) -> None:
    assert wanted in [c.apply(heard) for c in candidates(heard, terms(prompt))]


@pytest.mark.parametrize(
    ("heard", "prompt"), [("Open the settings.", "Xylophone"), ("Call John. Smith", "John Smith"), ("打开设置", "设置")]
)
def test_unlike_or_present_words_are_none(heard: str, prompt: str) -> None:
    assert candidates(heard, terms(prompt)) == []


def test_candidates_are_bounded() -> None:
    heard = " ".join(f"cat{i}" for i in range(100))
    assert len(candidates(heard, terms("cats, bats, cart, cash"))) == MAX_CANDIDATES


@pytest.mark.parametrize("letters", ["的一是在不了有和人这中大", "etaoinsr      "])
def test_the_longest_prompt_and_transcript_take_a_moment(letters: str) -> None:
    """Every word of both nearly alike: what a client could do to hold up the server."""
    rng = random.Random(0)
    heard, prompt = ("".join(rng.choices(letters, k=count)) for count in (2000, 2048))
    for text in (prompt, prompt.replace(" ", ", "), "，".join(prompt[i : i + 3] for i in range(0, 1500, 3))):
        wanted = terms(text)
        began = time.process_time()
        assert len(candidates(heard, wanted)) <= MAX_CANDIDATES
        respell(heard, wanted)
        assert time.process_time() - began < 2


def test_unusual_spellings_are_taken_over() -> None:
    assert respell("connect to wifi and open ai", terms("Wi-Fi, OpenAI")) == "connect to Wi-Fi and OpenAI"
    assert respell("open the settings", terms("Settings")) == "open the settings"


def test_the_sound_decides() -> None:
    heard = "call Shevaun"
    found = candidates(heard, terms("Siobhaun"))
    assert found

    def chosen(loss: float) -> str:
        async def score(text: str, _: int) -> float:
            return -10.0 if text == heard else -10.0 - loss

        return asyncio.run(choose(heard, found, score))

    allowed = BONUS * (1 - found[0].distance / 2)
    assert chosen(allowed - 0.1) == "call Siobhaun"
    assert chosen(allowed + 0.1) == heard


def test_overlapping_words_do_not_both_enter() -> None:
    heard = "red bat"
    found = candidates(heard, terms("bad, bath"))

    async def score(text: str, _: int) -> float:
        return {"red bat": 0.0, "red bath": -1.0, "red bad": -0.5}.get(text, -100.0)

    assert asyncio.run(choose(heard, found, score)) in ("red bad", "red bath")


def test_any_text_goes_through() -> None:
    """Whatever client and model write: bounded, in range, and nothing raises."""
    rng = random.Random(0)
    letters = "ab C1'-.,，。 \n微信付é\U0001f600\u200b(["
    for _ in range(300):
        heard, prompt = ("".join(rng.choices(letters, k=rng.randrange(40))) for _ in range(2))
        wanted = terms(prompt)
        for candidate in candidates(heard, wanted):
            assert 0 <= candidate.start < candidate.end <= len(heard)
            assert 0 < candidate.distance <= 1
            assert candidate.term.text in candidate.apply(heard)
        respell(heard, wanted)
