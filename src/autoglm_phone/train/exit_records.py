"""Makes calibration records: world samples answered by the engine at full depth, what every exit would have said at
each token, and the answers that leaving early would have given.

One full-depth pass has it all: with deferred depth an exit sees exactly the states that full depth has for the same
tokens. An answer at a fixed depth, or under thresholds, is full depth's up to the first token that differs, so only
what follows that token is generated, from cached pages. Works for both families, whether their exit heads are in the
checkpoint or in an add-on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import torch

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.planning import Planning
from autoglm_phone.engine.request import EngineRequest, SamplingParams, StepOutput
from autoglm_phone.errors import ConfigError, EngineError
from autoglm_phone.graph.plan import ExitKind, GraphRequest
from autoglm_phone.graph.records import DIALS, Dialled, Record, RecordStore
from autoglm_phone.runner.exits import confidences
from autoglm_phone.runner.spec import DecoderSpec, read_spec
from autoglm_phone.train.answer_tree import AnswerTree, Branch, Followed, Prefix, Wanted
from autoglm_phone.train.boundary_watch import BoundaryWatch, Kept
from autoglm_phone.train.questions import Question, Task, draw, listen
from autoglm_phone.train.world import registry, scoring
from autoglm_phone.train.world.sample import Split

MAX_TOKENS = 320
AHEAD = 32  # samples drawn ahead by other processes
WORTH = 3  # tokens of a guess that must have been right for the rest of it to be tried once more
SHIFT = 4  # tokens by which a guess may lie beside the answer
TOWER_CACHE = 512 << 20  # bytes: a picture is asked about several times while a batch of others is
LOGIT_BYTES = 64 << 20  # of logits that exist at once
Say = Callable[[str], None]


def gather(
    folder: Path,
    store: RecordStore,
    counts: Mapping[str, int],
    *,
    split: Split = "val",
    batch: int = 16,
    workers: int = 1,
    exits: str | None = None,
    say: Say = print,
) -> list[Record]:
    """Records of the first samples of each category; those the store has are not made again.

    Args:
        counts: samples of each category. batch: answers at a time. workers: processes that draw samples; 1 draws them
            here. exits: as for `graph_file.find_exits`.

    Raises:
        ConfigError: the model has no exits, or a category is unknown.
    """
    for category in counts:
        registry.category(category)
    wanted = {c: [f"{c}/{split}/{i}" for i in range(count)] for c, count in counts.items()}
    tasks: list[Task] = [
        (str(folder), c, split, i)
        for c, ids in wanted.items()
        for i, name in enumerate(ids)
        if name not in store.records
    ]
    began, made = time.monotonic(), 0
    open_ids = {c: {name for name in ids if name not in store.records} for c, ids in wanted.items()}

    def report(category: str) -> None:
        rows = [store.records[name] for name in wanted[category]]
        right = {d: sum(r.correct[d] for r in rows) / len(rows) for d in sorted(rows[0].correct)}
        shown = "  ".join(f"{depth}: {share:.2f}" for depth, share in right.items())
        left = len(tasks) - made
        say(f"{category:15s} right by depth  {shown}  ({time.monotonic() - began:.0f} s, {left} requests to go)")

    for category, ids in open_ids.items():
        if not ids:
            report(category)
    if tasks:
        maker = RecordMaker(folder, batch, exits)
        for record in maker.stream(_drawn(tasks, workers)):
            store.add(record)
            made += 1
            open_ids[record.category].discard(record.id)
            if not open_ids[record.category]:
                report(record.category)
    return [store.records[name] for ids in wanted.values() for name in ids]


def _drawn(tasks: Sequence[Task], workers: int) -> Iterator[Question]:
    """The samples in order; several processes draw ahead of what is asked for."""
    if workers == 1:
        yield from map(draw, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead: deque[Future[Question]] = deque()
        for task in tasks:
            ahead.append(pool.submit(draw, task))
            if len(ahead) > AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _exits_of(folder: Path, exits: str | None) -> DecoderSpec:
    spec = read_spec(folder, exits)
    if not spec.exit_layers:
        raise ConfigError(f"{folder.name} has no exit heads; train them first with `autoglm-phone exits tune`")
    return spec


@dataclass
class _Work:
    """A sample on its way to a record. fixed: answers at the exits' depths. running: its requests."""

    item: Question
    tree: AnswerTree
    state: list[float] = field(default_factory=list)
    fixed: dict[int, Prefix] = field(default_factory=dict)
    dialled: dict[float, Followed] = field(default_factory=dict)
    asked: set[Prefix] = field(default_factory=set)
    running: int = 0


@dataclass
class _Run:
    """A greedy continuation of a prefix at some depth. tokens: what is certain of it. guess: what was put behind them
    into the request, not yet checked."""

    work: _Work
    prefix: Prefix
    depth: int
    kept: Kept
    tokens: list[int] = field(default_factory=list)
    guess: Prefix = ()


class RecordMaker:
    """One model, ready to make records.

    An answer is guessed (the sample's own, or what another depth said) and checked in one pass like a prompt, which
    costs a fraction of as many decode steps; decoding goes on where the guess was wrong. What comes out is the greedy
    answer whatever was guessed.
    """

    def __init__(self, folder: Path, batch: int, exits: str | None = None):
        spec = _exits_of(folder, exits)
        self.depths = (*spec.exit_layers, spec.num_layers)
        self.full = spec.num_layers
        self.batch = batch
        self.listen = listen(folder)
        # Whether tokens agree must not hang on rounding, where floats of 32 bits can be had.
        wide = spec.family == "native" or not torch.cuda.is_available()
        config = EngineConfig(
            dtype="float32" if wide else "auto",
            max_num_seqs=batch,
            dynamic_graph=True,
            exit_policy="full",
            tower_cache_memory=TOWER_CACHE,
            exits=exits,
        )
        self.engine = load_engine(folder, config)
        # An earlier calibration must not have a say in the next one: no planner, so no budget and no rewrite.
        self.engine.planning = Planning(config, None)
        self.decoder = self.engine.runner.decoder  # type: ignore[attr-defined]
        self.stops = frozenset(self.engine.runner.eos_token_ids)
        self.watch = BoundaryWatch(self.decoder)
        self._segment_of = {end: index for index, (_, end) in enumerate(spec.segments)}
        self._runs: dict[str, _Run] = {}
        self._count = 0

    def stream(self, items: Iterable[Question]) -> Iterator[Record]:
        """Records of samples, as they become ready; `batch` answers at a time, whatever sample they belong to.

        Raises:
            EngineError: a sample could not be answered.
        """
        waiting = iter(items)
        drained = False
        while True:
            while not drained and len(self._runs) < self.batch:
                item = next(waiting, None)
                drained = item is None
                if item is not None:
                    self._begin(item)
            if not self._runs:
                return
            with self.watch.listening():
                steps = list(self.engine.step())
            for step in steps:
                run = self._runs.get(step.request_id)
                if run is None:  # its guess was wrong
                    continue
                if step.error is not None:
                    raise EngineError(f"{run.work.item.sample.id} failed: {step.error}")
                if self._take(step, run) and run.work.running == 0:
                    yield self._record(run.work)

    def make(self, items: Sequence[Question]) -> list[Record]:
        """Records of some samples, in their order."""
        made = {record.id: record for record in self.stream(items)}
        return [made[item.sample.id] for item in items]

    def _begin(self, item: Question) -> None:
        work = _Work(item, AnswerTree(self.stops, MAX_TOKENS, self.full))
        work.asked.add(())
        self._ask(work, Wanted((), item.reference), self.full)

    def _ask(self, work: _Work, wanted: Wanted, depth: int) -> None:
        """Continue a prefix greedily at a depth."""
        watched = self.depths if depth == self.full else (depth,)
        kept = Kept(len(work.item.ids) + len(wanted.prefix) - 1, {one: {} for one in watched})
        work.running += 1
        self._launch(_Run(work, wanted.prefix, depth, kept), wanted.guess)

    def _launch(self, run: _Run, guess: Prefix, *, cached: bool = True) -> None:
        """Let the engine go on behind what is certain and what is guessed. cached: may take pages computed before."""
        name = f"record {self._count}"
        self._count += 1
        left = MAX_TOKENS - len(run.prefix) - len(run.tokens)
        end = next((place for place, token in enumerate(guess) if token in self.stops), len(guess))
        run.guess = guess[: min(end, left - 1)]
        ids = (*run.work.item.ids, *run.prefix, *run.tokens, *run.guess)
        sampling = SamplingParams(max_tokens=left - len(run.guess), temperature=0.0)
        policy: ExitKind = "full" if run.depth == self.full else "fixed"
        graph = GraphRequest(policy=policy, max_depth=None if run.depth == self.full else run.depth)
        self.engine.add_request(
            EngineRequest(name, ids, sampling, run.work.item.media, prefix_caching=cached, graph=graph)
        )
        self.watch.watch(name, run.kept)
        self._runs[name] = run

    def _take(self, step: StepOutput, run: _Run) -> bool:
        """What a step gave; True if the continuation is complete with it."""
        name = step.request_id
        if run.guess:
            guess, run.guess = run.guess, ()
            if not run.kept.has(run.kept.start + len(run.tokens), len(guess)):
                self._end(name, step)  # another request had computed the guess: its states were not seen
                self._launch(run, guess, cached=False)
                return False
            said = self._said(run, len(guess))
            right = next((i for i, (a, b) in enumerate(zip(guess, said, strict=True)) if a != b), len(guess))
            run.tokens += guess[:right]
            if right < len(guess):
                self._end(name, step)
                run.tokens.append(said[right])
                if not run.work.tree.ended((*run.prefix, *run.tokens)):
                    self._launch(run, _realigned(guess[right + 1 :], said[right]) if right >= WORTH else ())
                    return False
                self._finish(run)
                return True
        run.tokens += step.token_ids
        if step.stop_token_id is not None:
            run.tokens.append(step.stop_token_id)
        if step.finish_reason is None:
            return False
        self._end(name, step)
        self._finish(run)
        return True

    def _end(self, name: str, step: StepOutput) -> None:
        """Be done with a request, whether it has ended or not."""
        if step.finish_reason is None:
            self.engine.abort(name)
        del self._runs[name]
        self.watch.forget(name)

    @torch.inference_mode()
    def _said(self, run: _Run, count: int) -> list[int]:
        """The greedy tokens of the run's depth behind what is certain of it."""
        states = run.kept.rows(run.depth, run.kept.start + len(run.tokens), count)
        return [token for logits in self._logits(states, run.depth) for token in logits.argmax(dim=-1).tolist()]

    def _logits(self, states: torch.Tensor, depth: int) -> Iterator[torch.Tensor]:
        """float32 logits of states behind a depth, some rows at a time."""
        rows = max(1, LOGIT_BYTES // (4 * self.decoder.spec.vocab_size))
        for part in states.split(rows):
            yield self.decoder.logits(part, self._segment_of[depth])

    def _finish(self, run: _Run) -> None:
        """A continuation is complete: keep it, and ask for what is still missing."""
        work = run.work
        work.running -= 1
        if run.depth != self.full:
            work.fixed[run.depth] = (*run.prefix, *run.tokens)
            return
        work.tree.branches[run.prefix] = self._branch(run)
        if run.prefix == ():
            work.state = run.kept.rows(self.depths[0], run.kept.start, 1)[0].float().tolist()
            for depth in self.depths[:-1]:
                other = work.tree.first_other(depth)
                if other is None or work.tree.ended(other.prefix):
                    work.fixed[depth] = work.tree.branches[()].tokens if other is None else other.prefix
                else:
                    self._ask(work, other, depth)
        for dial in DIALS:
            if dial not in work.dialled:
                found = work.tree.follow(dict.fromkeys(self.depths[:-1], dial))
                if isinstance(found, Followed):
                    work.dialled[dial] = found
                elif found.prefix not in work.asked:
                    work.asked.add(found.prefix)
                    self._ask(work, found, self.full)

    @torch.inference_mode()
    def _branch(self, run: _Run) -> Branch:
        """Every exit at every token of a continuation."""
        confidence: dict[int, list[float]] = {}
        said: dict[int, list[int]] = {}
        for depth in self.depths[:-1]:
            confidence[depth], said[depth] = [], []
            for logits in self._logits(run.kept.rows(depth, run.kept.start, len(run.tokens)), depth):
                said[depth] += logits.argmax(dim=-1).tolist()
                confidence[depth] += confidences(logits)
        return Branch(tuple(run.tokens), confidence, said)

    def _record(self, work: _Work) -> Record:
        item, root = work.item, work.tree.branches[()]
        scores: dict[Prefix, scoring.Score] = {}

        def score(tokens: Prefix) -> scoring.Score:
            if tokens not in scores:
                heard = self.listen(tokens)
                scores[tokens] = scoring.score(item.sample, heard.answer, heard.thought)
            return scores[tokens]

        answers = {**work.fixed, self.full: root.tokens}
        kinds = [medium.kind for medium in item.media]
        return Record(
            id=item.sample.id,
            category=item.sample.category,
            prompt=len(item.ids),
            images=kinds.count("image"),
            audios=kinds.count("audio"),
            thought=self.listen(root.tokens).thought_tokens,
            tokens={depth: len(answers[depth]) for depth in self.depths},
            values={depth: float(score(answers[depth]).value) for depth in self.depths},
            correct={depth: bool(score(answers[depth]).correct) for depth in self.depths},
            confidence=root.confidence,
            agrees={
                depth: [one == token for one, token in zip(said, root.tokens, strict=True)]
                for depth, said in root.said.items()
            },
            state=work.state,
            # An answer that was given up counts as wrong: too much risk is never the result.
            dialled={
                dial: Dialled(
                    float(score(found.tokens).value) if found.complete else 0.0,
                    found.complete and bool(score(found.tokens).correct),
                    found.layers,
                )
                for dial, found in sorted(work.dialled.items())
            },
        )


def _realigned(guess: Prefix, token: int) -> Prefix:
    """What is left of a guess whose next token was wrong: `token` stands there instead. If it comes a little later in
    the guess, the answer left something out; else it replaced one token."""
    near = guess[:SHIFT]
    return guess[near.index(token) + 1 :] if token in near else guess
