"""Samples of the world as a model family's engine takes them, and what it answered as the world scores it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from autoglm_phone.engine.request import MediaItem
from autoglm_phone.models import registry as models
from autoglm_phone.models.native.processing import content_hash
from autoglm_phone.train.encode import ID, IGNORE, Encoder
from autoglm_phone.train.generate import Prepared, prepare_sample, split_answer
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.sample import Sample, Split

Task = tuple[str, str, Split, int]  # model folder, category, split, index


@dataclass(frozen=True)
class Question:
    """ids: the prompt. media: in prompt order. reference: the sample's own answer, where its tokens are known."""

    sample: Sample
    ids: tuple[int, ...]
    media: tuple[MediaItem, ...]
    reference: tuple[int, ...] = ()


def draw(task: Task) -> Question:
    """One sample of the world for one model (runs in data workers)."""
    folder, category, split, index = task
    return _encoder(folder)(registry.generate(category, split, index))


@lru_cache(maxsize=1)
def _encoder(folder: str) -> Callable[[Sample], Question]:
    return _glm4v(Path(folder)) if models.family(Path(folder)) == "glm4v" else _native(Path(folder))


def _native(folder: Path) -> Callable[[Sample], Question]:
    from autoglm_phone.runner.spec import read_spec

    encoder = Encoder(Tokenizer.from_file(str(folder / "tokenizer.json")), no_think=0.0)
    patches = read_spec(folder, "none").config.vision_config.max_patches

    def encode(sample: Sample) -> Question:
        made = prepare_sample(sample, encoder, patches)
        row = encoder.row(sample.turns, random.Random(0))
        reference = tuple(label for label in row.labels if label != IGNORE)
        return Question(sample, tuple(made.ids), native_media(made), reference)

    return encode


def native_media(item: Prepared) -> tuple[MediaItem, ...]:
    """The engine's view of a prepared sample's pictures and sound."""
    pictures, mels = iter(item.pictures), iter(item.mels)
    media = []
    for position, token in enumerate(item.ids):
        if token == ID["<|image|>"]:
            pixels = next(pictures)
            media.append(MediaItem("image", content_hash("image", pixels), position, 1, {"pixels": pixels}))
        elif token == ID["<|audio|>"]:
            mel = next(mels)
            media.append(MediaItem("audio", content_hash("audio", mel), position, 1, {"mel": mel}))
    return tuple(media)


def _glm4v(folder: Path) -> Callable[[Sample], Question]:
    """Through the checkpoint's own template, tokenizer and preprocessing, which are not ours to know."""
    from autoglm_phone.bench.world import messages
    from autoglm_phone.chat.prompt import PromptBuilder
    from autoglm_phone.chat.template import ChatTemplate
    from autoglm_phone.chat.tokenizer import Tokenizer as ChatTokenizer
    from autoglm_phone.media.load import MediaLimits, MediaLoader

    known = models.facts(folder)
    tokenizer = ChatTokenizer.load(folder, vocab_size=known.vocab_size)
    loader = MediaLoader(MediaLimits(), trusted=True)
    processor, template = models.load_processor(folder), ChatTemplate.load(folder)
    prompts = PromptBuilder(tokenizer, template, loader, processor, known.max_length, known.media_token_ids)

    def encode(sample: Sample) -> Question:
        prompt = prompts.chat(messages(sample))
        return Question(sample, tuple(prompt.ids), tuple(prompt.media))

    return encode


@dataclass(frozen=True)
class Said:
    """What a model generated. thought_tokens: of the thought alone."""

    thought: str
    answer: str
    thought_tokens: int


def listen(folder: Path) -> Callable[[Sequence[int]], Said]:
    """Generated ids, stop token included → thought and answer, for models of either family."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if models.family(folder) == "native":
        return lambda ids: Said(*split_answer(tokenizer, ids), thought_tokens=_before(ids, ID["</think>"]))
    end, stops = tokenizer.token_to_id("</think>"), set(models.facts(folder).eos_token_ids)

    def hear(ids: Sequence[int]) -> Said:
        kept = ids[:-1] if ids and ids[-1] in stops else ids
        text = tokenizer.decode(list(kept), skip_special_tokens=False)
        thought, closed, rest = text.partition("</think>")
        if not closed:  # it never thought, or never stopped thinking
            thought, rest = ("", text) if "<answer>" in text else (text, "")
        answer = rest.rpartition("<answer>")[2].partition("</answer>")[0]
        return Said(thought.replace("<think>", ""), answer, _before(ids, end) if closed and end is not None else 0)

    return hear


def _before(ids: Sequence[int], mark: int) -> int:
    """Tokens before the mark; all if it is missing."""
    return ids.index(mark) if mark in ids else len(ids)
