"""Answers of the float and of the compressed model to the same held-out samples of the world, side by side.

Both answer greedily through the engine at full depth. Answers are judged as they come and kept in a file, one line a
sample, so a run that was stopped goes on where it was; all tables are made of those lines.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from autoglm_phone.bench import world
from autoglm_phone.compress.progress import Say, silent
from autoglm_phone.engine.request import SamplingParams
from autoglm_phone.errors import ConfigError
from autoglm_phone.train.mixture import KINDS
from autoglm_phone.train.world import registry, scoring
from autoglm_phone.train.world.sample import Sample, Split

CATEGORIES = tuple(category for kind in KINDS.values() for category in kind)
_BATCH = 16


@dataclass(frozen=True)
class Reply:
    """What a model answered. value: partial credit in [0, 1]. detail: the judge's, for corpus scores.
    tap: where it tapped, in pixels of the picture; None if it did not."""

    answer: str
    correct: bool
    value: float
    detail: dict[str, Any]
    tokens: int
    tap: tuple[float, float] | None = None


@dataclass(frozen=True)
class Pair:
    """A sample with both models' replies. modality: text, picture or speech. reference: for BLEU, or None.
    target: the middle of what should be tapped, in pixels; None where nothing should."""

    id: str
    category: str
    modality: str
    lang: str
    reference: str | None
    target: tuple[float, float] | None
    first: Reply
    second: Reply


def gather(
    first: Path,
    second: Path,
    store: Path,
    *,
    count: int,
    categories: Sequence[str] = CATEGORIES,
    split: Split = "test",
    device: str = "cpu",
    workers: int = 1,
    beside: Path | None = None,
    say: Say = silent,
) -> list[Pair]:
    """Both models' replies to the first `count` samples of each category; those in the store are not made again.

    Args:
        workers: processes that draw samples; 1 draws them here.
        beside: a store of the same first model with another second one; the first one's replies are taken from there
            where it has them.

    Raises:
        ConfigError: an unknown category, or a store that holds answers of other models.
    """
    for category in categories:
        registry.category(category)
    digests, kind = [world.model_digest(folder) for folder in (first, second)], device.partition(":")[0]
    known = _load(store, f"{digests[0]} {digests[1]} {kind}")
    told = {} if beside is None else _first_replies(beside, digests[0], kind)
    wanted = [(category, index) for category in categories for index in range(count)]
    missing = [(c, i) for c, i in wanted if f"{c}/{split}/{i}" not in known]
    began, models = time.monotonic(), _Asked(first, second, device)
    with store.open("a", encoding="utf-8") as file:
        done = 0
        for drawn in _draw(missing, split, workers):
            for pair in _ask(models, drawn, told):
                known[pair.id] = pair
                file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
            file.flush()
            done += len(drawn)
            left = (time.monotonic() - began) / done * (len(missing) - done)
            say(f"  {drawn[-1].category}: {done} of {len(missing)} samples answered, about {left:.0f} s left")
    models.close()
    return [known[f"{category}/{split}/{index}"] for category, index in wanted]


class _Asked:
    """Both models, each loaded when it is first asked."""

    def __init__(self, first: Path, second: Path, device: str):
        self._folders, self._device = (first, second), device
        self._loaded: dict[int, Any] = {}

    def replies(self, which: int, drawn: Sequence[Sample]) -> list[Reply]:
        """Of the first (0) or second (1) model to each sample."""
        if not drawn:
            return []
        if which not in self._loaded:
            from autoglm_phone.llm import LLM

            memory = 2 << 30 if self._device.startswith("cuda") else None  # two engines share the card
            folder = str(self._folders[which])
            self._loaded[which] = LLM(folder, device=self._device, max_num_seqs=_BATCH, kv_cache_memory=memory)
        params = SamplingParams(temperature=0.0, max_tokens=world.MAX_TOKENS)
        prompts = [world.messages(sample) for sample in drawn]
        outputs = self._loaded[which].chat(prompts, params, enable_thinking=True, graph={"policy": "full"})
        return [_judge(sample, output.outputs[0]) for sample, output in zip(drawn, outputs, strict=True)]

    def close(self) -> None:
        for model in self._loaded.values():
            model.close()


def _draw(missing: Sequence[tuple[str, int]], split: Split, workers: int) -> Iterator[list[Sample]]:
    chunks = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    if workers <= 1:
        for chunk in chunks:
            yield [registry.generate(category, split, index) for category, index in chunk]
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead: deque[list[Future[Sample]]] = deque()
        for chunk in chunks:
            ahead.append([pool.submit(registry.generate, category, split, index) for category, index in chunk])
            if len(ahead) > 4:
                yield [future.result() for future in ahead.popleft()]
        for futures in ahead:
            yield [future.result() for future in futures]


def _ask(models: _Asked, drawn: Sequence[Sample], told: Mapping[str, Reply]) -> list[Pair]:
    """told: replies of the first model that are known already, by sample."""
    new = [sample for sample in drawn if sample.id not in told]
    firsts = {**told, **dict(zip((sample.id for sample in new), models.replies(0, new), strict=True))}
    pairs = []
    for sample, second in zip(drawn, models.replies(1, drawn), strict=True):
        first = firsts[sample.id]
        reference = sample.truth.get("reference")
        modality = "speech" if sample.clips else "picture" if sample.pictures else "text"
        lang = sample.truth.get("lang", sample.lang)
        target = _pixels(sample, _middle(sample.truth["box"])) if sample.truth.get("kind") == "tap" else None
        text = reference if isinstance(reference, str) else None
        pairs.append(Pair(sample.id, sample.category, modality, lang, text, target, first, second))
    return pairs


def _judge(sample: Sample, output: Any) -> Reply:
    from autoglm_phone.train.world.visual import actions

    answer = world.with_calls(output)
    judged = scoring.score(sample, answer, output.reasoning)
    tap = None
    if sample.truth.get("kind") == "tap":
        action = actions.parse(answer)
        point = action.fields.get("element") if action is not None else None
        tap = None if point is None else _pixels(sample, (point[0], point[1]))
    return Reply(answer, judged.correct, float(judged.value), judged.detail, len(output.token_ids), tap)


def _middle(box: Sequence[float]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _pixels(sample: Sample, point: tuple[float, float]) -> tuple[float, float]:
    """A point in 0–999 of the last picture's sides, in its pixels."""
    height, width = sample.pictures[-1].pixels.shape[:2]
    return point[0] * width / 1000, point[1] * height / 1000


def distance(one: tuple[float, float] | None, other: tuple[float, float] | None) -> float | None:
    """Pixels between two points."""
    return None if one is None or other is None else math.dist(one, other)


def _first_replies(store: Path, digest: str, kind: str) -> dict[str, Reply]:
    """The first model's replies in another store, by sample; none where the store is missing.

    Raises:
        ConfigError: they are another model's, or were made on another kind of device.
    """
    if not store.exists():
        return {}
    head, *lines = store.read_text(encoding="utf-8").splitlines()  # another process may be writing: nothing is mended
    models = json.loads(head).get("models", "")
    if not (models.startswith(f"{digest} ") and models.endswith(f" {kind}")):
        raise ConfigError(f"{store} holds no answers of this first model on this device")
    return {name: pair.first for name, pair in _pairs(lines).items()}


def _load(store: Path, digest: str) -> dict[str, Pair]:
    store.parent.mkdir(parents=True, exist_ok=True)
    if not store.exists():
        store.write_text(json.dumps({"models": digest}) + "\n", encoding="utf-8")
        return {}
    text = store.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        store.write_text(text + "\n", encoding="utf-8")  # a run was killed while it wrote
    first, *rest = text.splitlines()
    if json.loads(first).get("models") != digest:
        raise ConfigError(f"{store} holds the answers of other models or of another device; choose another --out")
    return _pairs(rest)


def _pairs(lines: Sequence[str]) -> dict[str, Pair]:
    """By sample; a line that a killed run left unfinished is passed over."""
    found = {}
    for line in lines:
        try:
            raw = json.loads(line)
        except ValueError:
            continue  # that line
        first_reply, second_reply = (_reply(raw.pop(name)) for name in ("first", "second"))
        target = None if raw["target"] is None else tuple(raw["target"])
        found[raw["id"]] = Pair(**{**raw, "target": target}, first=first_reply, second=second_reply)
    return found


def _reply(raw: dict[str, Any]) -> Reply:
    return Reply(**{**raw, "tap": None if raw["tap"] is None else tuple(raw["tap"])})
