"""Makes calibration records: world samples answered by the engine at every depth, and full depth's answer read at every
exit.

One pass over an answer has all its confidences: with deferred depth an exit sees exactly the states that full depth
has for the same tokens. Works for both families, whether their exit heads are in the checkpoint or in an add-on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import ConfigError, EngineError
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.graph.records import Record, RecordStore
from autoglm_phone.runner.spec import DecoderSpec, read_spec
from autoglm_phone.train.boundary_states import BoundaryReader, run
from autoglm_phone.train.questions import Question, Task, draw, listen
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
    exits: str | None = None,
    say: Say = print,
) -> list[Record]:
    """Records of the first `count` samples of each category; those the store has are not made again.

    Args:
        batch: samples answered at a time. workers: processes that draw samples; 1 draws them here.
        exits: as for `graph_file.find_exits`.

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
            maker = maker or RecordMaker(folder, batch, exits)
            for record in maker.make(next(drawn)):
                store.add(record)
        rows = [store.records[sample_id] for sample_id in ids]
        right = {d: sum(r.correct[d] for r in rows) / len(rows) for d in sorted(rows[0].correct)}
        shown = "  ".join(f"{depth}: {share:.2f}" for depth, share in right.items())
        say(f"[{number}/{len(wanted)}] {category:15s} right by depth  {shown}  ({time.monotonic() - began:.0f} s)")
    return [store.records[sample_id] for ids in wanted.values() for sample_id in ids]


def _draw_all(
    folder: Path, missing: Mapping[str, Sequence[int]], split: Split, batch: int, workers: int
) -> Iterator[list[Question]]:
    """Samples of each category, `batch` at a time, in order; several processes draw ahead of what is asked for."""
    chunks: list[list[Task]] = [
        [(str(folder), category, split, i) for i in indices[start : start + batch]]
        for category, indices in missing.items()
        for start in range(0, len(indices), batch)
    ]
    if workers == 1:
        for chunk in chunks:
            yield [draw(task) for task in chunk]
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead: deque[list[Future[Question]]] = deque()
        for chunk in chunks:
            ahead.append([pool.submit(draw, task) for task in chunk])
            if len(ahead) > 2:
                yield [future.result() for future in ahead.popleft()]
        for futures in ahead:
            yield [future.result() for future in futures]


def _exits_of(folder: Path, exits: str | None) -> DecoderSpec:
    spec = read_spec(folder, exits)
    if not spec.exit_layers:
        raise ConfigError(f"{folder.name} has no exit heads; train them first with `autoglm-phone exits tune`")
    return spec


class RecordMaker:
    """One model, ready to make records."""

    def __init__(self, folder: Path, batch: int, exits: str | None = None):
        spec = _exits_of(folder, exits)
        self.depths = (*spec.exit_layers, spec.num_layers)
        self.listen = listen(folder)
        # Whether tokens agree must not hang on rounding, where floats of 32 bits can be had.
        wide = spec.family == "native" or not torch.cuda.is_available()
        config = EngineConfig(
            dtype="float32" if wide else "auto",
            max_num_seqs=batch,
            dynamic_graph=True,
            exit_policy="full",
            enable_prefix_caching=False,
            exits=exits,
        )
        self.engine = load_engine(folder, config)
        self.reader = BoundaryReader(self.engine)

    def make(self, items: Sequence[Question]) -> list[Record]:
        """Records of some samples."""
        answers = {depth: self._answers(items, depth) for depth in self.depths}
        return [
            self._record(item, {depth: answers[depth][row] for depth in self.depths})
            for row, item in enumerate(items)
        ]  # fmt: skip

    def _answers(self, items: Sequence[Question], depth: int) -> list[list[int]]:
        """Greedy tokens of each item at a fixed depth, the stop token included."""
        sampling = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0)
        policy = "full" if depth == self.depths[-1] else "fixed"
        out: list[list[int]] = [[] for _ in items]
        for row, item in enumerate(items):
            graph = GraphRequest(policy=policy, max_depth=depth)  # type: ignore[arg-type]
            self.engine.add_request(EngineRequest(str(row), item.ids, sampling, item.media, graph=graph))
        for step in run(self.engine):
            if step.error is not None:
                raise EngineError(f"{items[int(step.request_id)].sample.id} failed at depth {depth}: {step.error}")
            tokens = out[int(step.request_id)]
            tokens += step.token_ids
            if step.stop_token_id is not None:
                tokens.append(step.stop_token_id)
        return out

    def _record(self, item: Question, answers: dict[int, list[int]]) -> Record:
        said = {depth: self.listen(tokens) for depth, tokens in answers.items()}
        scores = {depth: scoring.score(item.sample, heard.answer, heard.thought) for depth, heard in said.items()}
        full = self.depths[-1]
        confidence, agrees, state = self._read(item, answers[full])
        kinds = [medium.kind for medium in item.media]
        return Record(
            id=item.sample.id,
            category=item.sample.category,
            prompt=len(item.ids),
            images=kinds.count("image"),
            audios=kinds.count("audio"),
            thought=said[full].thought_tokens,
            tokens={depth: len(row) for depth, row in answers.items()},
            values={depth: float(score.value) for depth, score in scores.items()},
            correct={depth: bool(score.correct) for depth, score in scores.items()},
            confidence=confidence,
            agrees=agrees,
            state=state,
        )

    @torch.inference_mode()
    def _read(
        self, item: Question, tokens: Sequence[int]
    ) -> tuple[dict[int, list[float]], dict[int, list[bool]], list[float]]:
        """Confidence and agreement of every exit at every token, and the prompt's boundary state."""
        ids = (*item.ids, *tokens[:-1])
        states = self.reader.read(ids, item.media, range(len(item.ids) - 1, len(ids)))
        wanted = torch.tensor(tokens, device=self.reader.device)
        confidence, agrees = {}, {}
        for segment, depth in enumerate(self.depths[:-1]):
            logits = self.reader.decoder.logits(states[depth], segment)
            best, chosen = torch.softmax(logits, dim=-1).max(dim=-1)
            confidence[depth] = best.tolist()
            agrees[depth] = (chosen == wanted).tolist()
        return confidence, agrees, states[self.depths[0]][0].float().tolist()
