"""Calibration samples: whole conversations through the model's own chat template, text, pictures and speech.

From our world, or from a JSONL file of OpenAI-style conversations ({"messages": [...]}, ending with the assistant's
reply). Every position knows its kind, because what a picture or a voice conditions is rarer and more fragile than plain
text; `weights` gives each kind its share, and `gradients` has `media_weights` measure how much each should count, as
MBQ (Li et al. 2024) does for vision and language tokens.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoglm_phone.engine.request import MediaItem
from autoglm_phone.errors import AutoGLMError, ConfigError
from autoglm_phone.models import registry as models

if TYPE_CHECKING:
    from autoglm_phone.compress.unit_weights import UnitWeights

KINDS = ("text", "picture", "speech", "media")  # media: the tokens that stand for a picture or clip
GRADIENTS = ("kinds", "squares", "positions", "layers", "replies")  # rules of `media_weights`
_CALL = re.compile(r"<tool_call>([^\n<]*)\n(.*?)</tool_call>", re.DOTALL)
# The world's groups by what conditions the reply; all categories of a modality are drawn in turn.
_WORLD = {"text": ("text",), "picture": ("screen", "chart", "scene"), "speech": ("audio",)}


@dataclass(frozen=True)
class Calibration:
    """What to calibrate on.

    samples: how many. max_tokens: longer conversations lose their middle, never their answer.
    mix: share of each modality among the world's samples. weights: of each kind's positions in the statistics.
    gradients: how gradients change these weights, one of GRADIENTS; "": not at all.
    path: a JSONL file instead of the world.

    Raises:
        ConfigError: no samples, or no tokens of them.
    """

    samples: int = 128
    max_tokens: int = 512
    mix: Mapping[str, float] = field(default_factory=lambda: {"text": 0.4, "picture": 0.35, "speech": 0.25})
    weights: Mapping[str, float] = field(
        default_factory=lambda: {"text": 1.0, "picture": 1.0, "speech": 1.0, "media": 0.5}
    )
    answer_weight: float = 1.0
    gradients: str = ""
    seed: int = 0
    path: Path | None = None

    def __post_init__(self) -> None:
        for name in ("samples", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be a whole number above 0, not {getattr(self, name)}", param=name)

    def digest(self) -> str:
        """Changes when the samples would."""
        parts = {**vars(self), "path": None, "mix": dict(self.mix), "weights": dict(self.weights)}
        made = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        if self.path is not None:
            made.update(self.path.read_bytes())
        return made.hexdigest()[:16]


@dataclass(frozen=True)
class Sample:
    """One conversation. kinds: index into KINDS of each token; weights: of each token; answer_positions: its reply.
    by_unit: factors on the weights that differ from unit to unit, where they were measured."""

    ids: tuple[int, ...]
    media: tuple[MediaItem, ...]
    kinds: tuple[int, ...]
    weights: tuple[float, ...]
    answer_positions: tuple[int, ...]
    by_unit: UnitWeights | None = None

    @property
    def modality(self) -> str:
        """What conditions the reply: the last medium, or text alone."""
        return KINDS[self.kinds[-1]]


def load(folder: Path, calibration: Calibration, split: str = "train", workers: int = 1) -> list[Sample]:
    """The calibration samples of a model folder.

    Args:
        split: of the world; the report measures on "val". workers: processes that draw it; 1 draws here.

    Raises:
        ConfigError: the file holds no usable conversation, or the world's drawing packages are missing.
    """
    encode = _Encoder(folder, calibration)
    if calibration.path is not None:
        return [
            encode.located(messages, f"{calibration.path}:{number}")
            for number, messages in _read_jsonl(calibration.path, calibration.samples)
        ]
    kinds = set(encode.kinds)
    return [encode(messages) for messages in _draw_world(calibration, kinds, split, workers)]


def encode(folder: Path, conversations: Iterable[Any], calibration: Calibration) -> list[Sample]:
    """Samples of conversations at hand, all of them: lists of messages, or {"messages": [...]} as in a JSONL.

    Raises:
        ConfigError: one that is none, or a picture or sound that can't be read; says which.
    """
    found = list(conversations)
    if not found:
        raise ConfigError("there are no conversations to calibrate on", param="calibration")
    one = _Encoder(folder, calibration)
    made = []
    for number, conversation in enumerate(found, 1):
        raw = conversation if isinstance(conversation, Mapping) else {"messages": conversation}
        place = f"conversation {number}"
        made.append(one.located(_messages(raw, place), place))
    return made


class _Encoder:
    def __init__(self, folder: Path, calibration: Calibration):
        from autoglm_phone.chat.prompt import PromptBuilder
        from autoglm_phone.chat.template import ChatTemplate
        from autoglm_phone.chat.tokenizer import Tokenizer
        from autoglm_phone.media.load import MediaLimits, MediaLoader

        known = models.facts(folder)
        self.calibration = calibration
        self.kinds = ["text", *(["picture"] if known.image_token_id is not None else [])]
        self.kinds += ["speech"] if known.audio_token_id is not None else []
        tokenizer = Tokenizer.load(folder, vocab_size=known.vocab_size)
        loader = MediaLoader(MediaLimits(), trusted=True)
        processor = models.load_processor(folder)
        template = ChatTemplate.load(folder)
        self._prompts = PromptBuilder(tokenizer, template, loader, processor, known.max_length, known.media_token_ids)

    def located(self, messages: Sequence[Mapping[str, Any]], place: str) -> Sample:
        """The sample of a user's conversation; whatever is wrong with it is said with its place."""
        try:
            return self(messages)
        except AutoGLMError as error:
            raise ConfigError(f"{place} can't be used: {error}", param="calibration") from error
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{place} has a message of no known form ({what})", param="calibration") from error

    def __call__(self, messages: Sequence[Mapping[str, Any]]) -> Sample:
        prompt = self._prompts.chat(messages[:-1])  # with what opens the reply, which is given, not predicted
        whole = self._prompts.chat(messages, add_generation_prompt=False)
        ids, media = list(whole.ids), list(whole.media)
        start = min(len(prompt.ids), len(ids) - 1)
        kinds = _kinds(len(ids), media)
        keep = _window(len(ids), start, media, self.calibration.max_tokens)
        moved = {old: new for new, old in enumerate(keep)}
        weights = [self.calibration.weights.get(KINDS[kinds[i]], 1.0) for i in keep]
        weights = [
            w * (self.calibration.answer_weight if i >= start else 1.0) for w, i in zip(weights, keep, strict=True)
        ]
        return Sample(
            tuple(ids[i] for i in keep),
            tuple(
                MediaItem(m.kind, m.content_hash, moved[m.position], m.length, m.data)
                for m in media
                if m.position in moved
            ),
            tuple(kinds[i] for i in keep),
            tuple(weights),
            tuple(moved[i] for i in keep if i >= start),
        )


def _kinds(length: int, media: Sequence[MediaItem]) -> list[int]:
    kinds = [0] * length
    for medium in sorted(media, key=lambda m: m.position):
        end = medium.position + medium.length
        kinds[medium.position : end] = [KINDS.index("media")] * medium.length
        kinds[end:] = [KINDS.index(after(medium.kind))] * (length - end)
    return kinds


def after(medium: str) -> str:
    """The kind of what follows an "image" or a sound, and of the states that a tower makes of it."""
    return "picture" if medium == "image" else "speech"


def _window(length: int, start: int, media: Sequence[MediaItem], limit: int) -> list[int]:
    """Which tokens to keep: the beginning, every medium whole, and the end, where the reply is."""
    if length <= limit:
        return list(range(length))
    needed = {i for m in media for i in range(m.position, m.position + m.length)} | {0, 1}
    room = max(limit - len(needed), 16)
    tail = [i for i in range(length - 1, -1, -1) if i not in needed][:room]
    return sorted(needed | set(tail))


def _draw_world(calibration: Calibration, kinds: set[str], split: str, workers: int) -> Iterator[list[dict[str, Any]]]:
    usable = {kind: _categories(kind) for kind in calibration.mix if kind in kinds}
    usable = {kind: names for kind, names in usable.items() if names and calibration.mix[kind] > 0}
    if not usable:
        raise ConfigError(
            "the world can draw nothing here; install the extra 'train' or give a JSONL file (--calibration)"
        )
    rng = random.Random(calibration.seed)
    plan: list[tuple[str, int]] = []
    for kind, count in apportion(calibration.samples, {kind: calibration.mix[kind] for kind in usable}).items():
        names = usable[kind]
        plan += [(names[i % len(names)], i // len(names) + 1000 * calibration.seed) for i in range(count)]
    rng.shuffle(plan)
    draw = partial(_conversation, split=split)
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(draw, *zip(*plan, strict=True), chunksize=2)
    else:
        yield from (draw(name, index) for name, index in plan)


def _categories(kind: str) -> list[str]:
    """The world's categories of a modality that can be drawn here."""
    from autoglm_phone.train.world import registry

    known = registry.CATEGORIES.values()
    return [category.id for category in known if category.group in _WORLD[kind] and registry.is_available(category.id)]


def apportion(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers by share that add up to `count`: what is left over goes where most was cut off (Hamilton)."""
    total = sum(shares.values())
    exact = {name: count * share / total for name, share in shares.items()}
    made = {name: int(value) for name, value in exact.items()}
    left = sorted(exact, key=lambda name: made[name] - exact[name])[: count - sum(made.values())]
    return {name: number + (name in left) for name, number in made.items()}


def _conversation(name: str, index: int, split: Any) -> list[dict[str, Any]]:
    """A sample of the world as messages that end with the right reply."""
    from autoglm_phone.bench.world import messages
    from autoglm_phone.train.world import registry

    sample = registry.generate(name, split, index)
    return [*messages(sample), _reply(sample.answer.text, sample.answer.reasoning)]


def _reply(text: str, reasoning: str) -> dict[str, Any]:
    """The world writes tool calls as the model does; a conversation holds them apart."""
    calls = [{"type": "function", "function": {"name": n, "arguments": a}} for n, a in _CALL.findall(text)]
    made: dict[str, Any] = {"role": "assistant", "content": _CALL.sub("", text), "reasoning_content": reasoning}
    return {**made, "tool_calls": calls} if calls else made


def _read_jsonl(path: Path, limit: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """(line, messages) of at most `limit` conversations, spread over the whole file: many are sorted by topic."""
    try:
        text = path.read_text(encoding="utf-8").split("\n")  # splitlines would break at a text's own U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"calibration file {path} can't be read: {error}", param="calibration") from error
    lines = [(number, line) for number, line in enumerate(text, 1) if line.strip()]
    if not lines:
        raise ConfigError(f"{path} holds no conversations", param="calibration")
    count = min(limit, len(lines))
    for number, line in (lines[place * len(lines) // count] for place in range(count)):
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path}:{number} is not JSON: {error}", param="calibration") from error
        yield number, _messages(raw, f"{path}:{number}")


def _messages(raw: Any, place: str) -> list[dict[str, Any]]:
    messages = raw.get("messages") if isinstance(raw, Mapping) else None
    fault = None
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        fault = "there is no list of messages"
    elif len(messages) < 2 or messages[-1].get("role") != "assistant":
        fault = "the last message must be the assistant's, and not the only one"
    if fault is not None:
        raise ConfigError(
            f'{place} is not a conversation ({fault}); each is {{"messages": [...]}} that ends with the assistant\'s '
            "reply",
            param="calibration",
        )
    return list(messages)  # type: ignore[arg-type]
