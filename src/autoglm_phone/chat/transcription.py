"""A recording to text: cut into windows, each asked of the model, and the words of the client's prompt looked for.

The model has not been trained to read a transcript's context, so the prompt does not go in front of it. It biases the
result instead, as contextual biasing does in a second pass over the hypotheses (Williams et al. 2018, "Contextual
Speech Recognition in End-to-End Neural Network Systems"): wherever the transcript has something written nearly like a
word of the prompt, the model scores the transcript with that word in its place against the sound, and the word is
taken if it costs less than `BONUS` nats. What sounds like nothing in the prompt stays as it was.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoglm_phone.chat import hotwords
from autoglm_phone.chat.prompt import Prompt
from autoglm_phone.chat.service import Generation, Service
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.media import audio as sound
from autoglm_phone.media.speech import TRANSCRIBE_PROMPT

MAX_TOKENS = 448  # of one 30 s window (Whisper's bound)
BONUS = 12.0  # nats that a word of the prompt may cost where it has the transcript's letters; half of it with none
_AT_ONCE = 4  # windows of a recording in the engine's batch, and scored texts: one recording can't fill it


@dataclass(frozen=True)
class Wish:
    """language: "zh", "en" or None (asked in Chinese). prompt: words and spellings to expect. window: seconds."""

    language: str | None = None
    temperature: float = 0.0
    prompt: str = ""
    window: float = 30.0


@dataclass(frozen=True)
class Segment:
    """start, end: seconds from the recording's beginning."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Recording:
    """A recording made ready: one request a window."""

    generations: tuple[Generation, ...]
    bounds: tuple[tuple[float, float], ...]  # seconds
    terms: tuple[hotwords.Term, ...]

    @property
    def seconds(self) -> float:
        return self.bounds[-1][1]


def prepare(
    service: Service, data: bytes, wish: Wish, max_seconds: float, salt: str, adapter: str | None = None
) -> Recording:
    """Decodes a sound file, cuts it at quiet places into windows, and makes a request of each. Blocks: use a thread.

    Raises:
        MediaError: not a sound file, or too long.
    """
    samples = sound.decode_audio(data, param="file", max_seconds=max_seconds)
    request_id = "transcribe-" + secrets.token_hex(16)
    question = TRANSCRIBE_PROMPT[wish.language or "zh"]
    generations: list[Generation] = []
    bounds: list[tuple[float, float]] = []
    at = 0
    for i, window in enumerate(sound.split(samples, wish.window)):
        prompt = service.prompts.recording(window, question)
        budget = min(MAX_TOKENS, service.info.max_model_len - len(prompt.ids))
        sampling = SamplingParams(max_tokens=budget, temperature=wish.temperature)
        name = f"{request_id}-{i}"
        generations.append(Generation(name, prompt, sampling, style="answer_only", cache_salt=salt, adapter=adapter))
        bounds.append((at / sound.SAMPLE_RATE, (at + len(window)) / sound.SAMPLE_RATE))
        at += len(window)
    return Recording(tuple(generations), tuple(bounds), tuple(hotwords.terms(wish.prompt)))


async def transcribe(service: Service, recording: Recording) -> list[Segment]:
    """The text of every window, in order."""
    gate, scoring = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_AT_ONCE)

    async def one(generation: Generation, start: float, end: float) -> Segment:
        async with gate:
            text = (await service.collect(generation))[0].content.strip()
            if recording.terms and text:
                text = await _expected(service, generation, text, recording.terms, scoring)
            return Segment(start, end, text)

    async with asyncio.TaskGroup() as group:
        pairs = zip(recording.generations, recording.bounds, strict=True)
        tasks = [group.create_task(one(generation, *bound)) for generation, bound in pairs]
    return [task.result() for task in tasks]


def join(texts: Sequence[str]) -> str:
    """Windows one behind the other: a blank between them only where both sides are written with blanks."""
    out = ""
    for text in texts:
        blank = out and text and ord(out[-1]) < 0x2E80 and ord(text[0]) < 0x2E80
        out += (" " if blank else "") + text
    return out


async def _expected(
    service: Service,
    generation: Generation,
    text: str,
    terms: Sequence[hotwords.Term],
    gate: asyncio.Semaphore,
) -> str:
    """The transcript with misheard words of the prompt put right."""

    async def score(heard: str, place: int) -> float:
        async with gate:
            return await _log_probability(service, generation, heard, place)

    found = await asyncio.to_thread(hotwords.candidates, text, terms)
    return hotwords.respell(await choose(text, found, score), terms)


async def choose(text: str, found: Sequence[hotwords.Candidate], score: Callable[[str, int], Awaitable[float]]) -> str:
    """The transcript with those candidates that the sound allows, the best first where they overlap.

    Args:
        score: log-probability (nats) of a whole transcript, given the sound; its second argument numbers the calls.
    """
    if not found:
        return text
    before, *after = await asyncio.gather(*(score(t, i) for i, t in enumerate([text, *(c.apply(text) for c in found)])))
    # An allowance in nats: less for a word that has little in common with what was written.
    gains = [made - before + BONUS * (1 - c.distance / 2) for c, made in zip(found, after, strict=True)]
    taken: list[hotwords.Candidate] = []
    for gain, candidate in sorted(zip(gains, found, strict=True), key=lambda pair: -pair[0]):
        if gain > 0 and all(candidate.end <= t.start or t.end <= candidate.start for t in taken):
            taken.append(candidate)
    for candidate in sorted(taken, key=lambda c: -c.start):
        text = candidate.apply(text)
    return text


async def _log_probability(service: Service, generation: Generation, text: str, place: int) -> float:
    """log p(text | sound) of a window; -inf where it does not fit into the context."""
    ids = tuple(service.tokenizer.encode(text))
    base = generation.prompt
    if len(base.ids) + len(ids) >= service.info.max_model_len:
        return float("-inf")
    asked = replace(
        generation,
        request_id=f"{generation.request_id}-heard-{place}",
        prompt=Prompt(base.ids + ids, base.media, base.opening),
        sampling=SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0),
        raw=True,
    )
    entries: Any = (await service.collect(asked))[0].prompt_logprobs
    return sum(entry.logprob for entry in entries[len(base.ids) :])
