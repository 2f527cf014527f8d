"""Makes calibration records: world samples answered by the engine at every depth, and full depth's answer read at every
exit by the reference model.

The engine gives the answers because it is what will serve them. The reference gives confidences: with deferred depth an
exit sees exactly the states that full depth has for the same tokens, so one teacher-forced pass has them all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import torch
from tokenizers import Tokenizer

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams
from autoglm_phone.errors import ConfigError, EngineError
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.records import Record, RecordStore
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.models.native.processing import content_hash
from autoglm_phone.runner.spec import DecoderSpec, read_spec
from autoglm_phone.train.encode import ID, Encoder
from autoglm_phone.train.generate import Prepared, media_tensors, prepare_sample, split_answer
from autoglm_phone.train.world import registry, scoring
from autoglm_phone.train.world.sample import Split

MAX_TOKENS = 320
Say = Callable[[str], None]


def gather(
    folder: Path,
    store: RecordStore,
    categories: Sequence[str],
    count: int,
    *,
    split: Split = "val",
    batch: int = 16,
    workers: int = 1,
    say: Say = print,
) -> list[Record]:
    """Records of the first `count` samples of each category; those the store has are not made again.

    Args:
        batch: samples answered at a time. workers: processes that draw samples; 1 draws them here.

    Raises:
        ConfigError: the model has no exits, or a category is unknown.
    """
    wanted = {c: [f"{c}/{split}/{i}" for i in range(count)] for c in categories}
    for category in categories:
        registry.category(category)
    missing = {c: [i for i in range(count) if f"{c}/{split}/{i}" not in store.records] for c in categories}
    maker: RecordMaker | None = None
    drawn = _draw_all(folder, missing, split, batch, workers)
    for number, (category, ids) in enumerate(wanted.items(), 1):
        began = time.monotonic()
        for _ in range(0, len(missing[category]), batch):
            maker = maker or RecordMaker(folder, batch)
            for record in maker.make(next(drawn)):
                store.add(record)
        rows = [store.records[sample_id] for sample_id in ids]
        right = {d: sum(r.correct[d] for r in rows) / len(rows) for d in sorted(rows[0].correct)}
        shown = "  ".join(f"{depth}: {share:.2f}" for depth, share in right.items())
        say(f"[{number}/{len(wanted)}] {category:15s} right by depth  {shown}  ({time.monotonic() - began:.0f} s)")
    return [store.records[sample_id] for ids in wanted.values() for sample_id in ids]


_Task = tuple[str, str, Split, int, int]


def _draw_all(
    folder: Path, missing: Mapping[str, Sequence[int]], split: Split, batch: int, workers: int
) -> Iterator[list[Prepared]]:
    """Samples of each category, `batch` at a time, in order; several processes draw ahead of what is asked for."""
    tokenizer_json = (folder / "tokenizer.json").read_text(encoding="utf-8")
    patches = 0
    if any(missing.values()):
        patches = _exits_of(folder).config.vision_config.max_patches
    chunks: list[list[_Task]] = [
        [(tokenizer_json, category, split, i, patches) for i in indices[start : start + batch]]
        for category, indices in missing.items()
        for start in range(0, len(indices), batch)
    ]
    if workers == 1:
        for chunk in chunks:
            yield [_draw(task) for task in chunk]
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead: deque[list[Future[Prepared]]] = deque()
        for chunk in chunks:
            ahead.append([pool.submit(_draw, task) for task in chunk])
            if len(ahead) > 2:
                yield [future.result() for future in ahead.popleft()]
        for futures in ahead:
            yield [future.result() for future in futures]


@lru_cache(maxsize=1)
def _encoder(tokenizer_json: str) -> Encoder:
    return Encoder(Tokenizer.from_str(tokenizer_json), no_think=0.0)


def _draw(task: _Task) -> Prepared:
    tokenizer_json, category, split, index, patches = task
    return prepare_sample(registry.generate(category, split, index), _encoder(tokenizer_json), patches)


def _exits_of(folder: Path) -> DecoderSpec:
    spec = read_spec(folder)
    if not spec.exit_layers:
        raise ConfigError("this model has no exit heads; train them first (autoglm-phone exits tune)")
    return spec


class RecordMaker:
    """One model, ready to make records."""

    def __init__(self, folder: Path, batch: int):
        spec = _exits_of(folder)
        self.depths = (*spec.exit_layers, spec.num_layers)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = EngineConfig(
            dtype="float32",  # as the reference reads: whether tokens agree must not hang on rounding
            max_num_seqs=batch,
            dynamic_graph=True,
            exit_policy="full",
            enable_prefix_caching=False,
        )
        self.engine: Engine = load_engine(folder, config)
        self.device = self.engine.runner.towers.device  # type: ignore[attr-defined]
        self.model = AutoGLMPhoneForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model.eval().to(self.device)

    def make(self, items: Sequence[Prepared]) -> list[Record]:
        """Records of some samples."""
        answers = {depth: self._answers(items, depth) for depth in self.depths}
        return [
            self._record(item, {depth: answers[depth][row] for depth in self.depths})
            for row, item in enumerate(items)
        ]  # fmt: skip

    def _answers(self, items: Sequence[Prepared], depth: int) -> list[list[int]]:
        """Greedy tokens of each item at a fixed depth, the stop token included."""
        sampling = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
        policy = "full" if depth == self.depths[-1] else "fixed"
        out: list[list[int]] = [[] for _ in items]
        for row, item in enumerate(items):
            graph = GraphRequest(policy=policy, max_depth=depth)  # type: ignore[arg-type]
            self.engine.add_request(EngineRequest(str(row), tuple(item.ids), sampling, _media(item), graph=graph))
        while self.engine.has_work():
            for step in self.engine.step():
                if step.error is not None:
                    raise EngineError(f"{items[int(step.request_id)].sample.id} failed at depth {depth}: {step.error}")
                tokens = out[int(step.request_id)]
                tokens += step.token_ids
                if step.stop_token_id is not None:
                    tokens.append(step.stop_token_id)
        return out

    def _record(self, item: Prepared, answers: dict[int, list[int]]) -> Record:
        said = {depth: split_answer(self.tokenizer, tokens) for depth, tokens in answers.items()}
        scores = {depth: scoring.score(item.sample, answer, thought) for depth, (thought, answer) in said.items()}
        tokens = answers[self.depths[-1]]
        confidence, agrees, state = self._read(item, tokens)
        return Record(
            id=item.sample.id,
            category=item.sample.category,
            prompt=len(item.ids),
            images=len(item.pictures),
            audios=len(item.mels),
            thought=tokens.index(ID["</think>"]) if ID["</think>"] in tokens else len(tokens),
            tokens={depth: len(row) for depth, row in answers.items()},
            values={depth: float(score.value) for depth, score in scores.items()},
            correct={depth: bool(score.correct) for depth, score in scores.items()},
            confidence=confidence,
            agrees=agrees,
            state=state,
        )

    @torch.inference_mode()
    def _read(
        self, item: Prepared, tokens: Sequence[int]
    ) -> tuple[dict[int, list[float]], dict[int, list[bool]], list[float]]:
        """Confidence and agreement of every exit at every token, and the prompt's boundary state."""
        model = self.model
        ids = torch.tensor([[*item.ids, *tokens[:-1]]], device=self.device)
        media = media_tensors([item], self.device)
        memory = None
        if media:
            prompt = torch.tensor([item.ids], device=self.device)
            memory = model.model.memory_for(prompt, **media)
        states = model.model(ids, memory=memory)
        start = len(item.ids) - 1
        wanted = torch.tensor(tokens, device=self.device)
        confidence, agrees = {}, {}
        for depth in self.depths[:-1]:
            logits = model.lm_head(model.model.head_state(states[depth][0, start:], depth)).float()
            best, chosen = torch.softmax(logits, dim=-1).max(dim=-1)
            confidence[depth] = best.tolist()
            agrees[depth] = (chosen == wanted).tolist()
        return confidence, agrees, states[self.depths[0]][0, start].float().tolist()


def _media(item: Prepared) -> tuple[MediaItem, ...]:
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
