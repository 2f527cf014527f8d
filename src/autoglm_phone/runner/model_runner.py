"""Computes the scheduler's rows: towers, segments, sampling. Implements engine.interface.Runner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import torch

from autoglm_phone.engine.depth import DepthLayout
from autoglm_phone.engine.interface import Move, Row, RowResult, Steering
from autoglm_phone.engine.request import EngineRequest, MediaItem
from autoglm_phone.engine.sequence import Sequence as EngineSequence
from autoglm_phone.engine.stats import EngineStats
from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.graph.drafting import DraftController
from autoglm_phone.graph.exits import ExitHistory
from autoglm_phone.graph.groups import group_of
from autoglm_phone.graph.plan import KVKind
from autoglm_phone.models.glm4v.positions import mrope_positions
from autoglm_phone.runner.cascade import Cascade, LogitProbe
from autoglm_phone.runner.cross_memory import CrossMemoryBuilder
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.lane import Lane
from autoglm_phone.runner.offload import PinnedSegments
from autoglm_phone.runner.pending import PendingStates
from autoglm_phone.runner.profiling import profile
from autoglm_phone.runner.sampler import Sampler
from autoglm_phone.runner.sampling_state import SamplingState, uniform
from autoglm_phone.runner.state import RequestState
from autoglm_phone.runner.threads import ThreadTuner
from autoglm_phone.runner.towers import Towers

NOTHING = RowResult()


class ModelRunner:
    """See engine.interface.Runner. Depth is runner.cascade's part."""

    def __init__(
        self,
        decoder: Decoder,
        towers: Towers,
        memories: CrossMemoryBuilder | None,
        *,
        num_pages: int,
        page_size: int,
        max_model_len: int,
        cache_namespace: str,
        seed: int,
        threads: ThreadTuner,
        pending_memory: int = 64 << 20,
    ):
        spec = decoder.spec
        self.decoder = decoder
        self.spec = spec
        self.towers = towers
        self.memories = memories
        self.num_segments = decoder.num_segments
        self.num_pages = num_pages
        self.page_size = page_size
        self.max_model_len = max_model_len
        self.vocab_size = spec.vocab_size
        self.eos_token_ids = spec.eos_token_ids
        self.cache_namespace = cache_namespace
        self.cascade = Cascade(decoder, Sampler(spec.eos_token_ids), page_size, pending_memory, max_model_len)
        self.adapters: Mapping[str, str] = {} if decoder.adapters is None else decoder.adapters.digests
        self.drafting: DraftController | None = self.cascade.drafting
        self.layout = DepthLayout(tuple(end for _, end in spec.segments), frozenset(decoder.weights.exits))
        layers = spec.layers_per_page
        self.kv_kinds: tuple[KVKind, ...] = ("full", "window", "evict", *decoder.backend.narrow_kinds)
        self.pack = decoder.backend.dtype.itemsize
        self.page_bytes = 2 * layers * page_size * spec.kv_heads * spec.head_dim * decoder.backend.dtype.itemsize
        self._seed = seed
        self._threads = threads
        self._states: dict[str, RequestState] = {}

    @property
    def probe(self) -> LogitProbe | None:
        """For tests: see runner.cascade.Cascade."""
        return self.cascade.probe

    @probe.setter
    def probe(self, probe: LogitProbe | None) -> None:
        self.cascade.probe = probe

    @property
    def probes(self) -> bool:
        return self.cascade.depth_probe is not None

    def profile(self) -> None:
        """Measure what passes cost before the first request, so that nothing that cannot pay is tried at its expense.
        Does nothing where whole segments would have to be loaded for it."""
        if not isinstance(self.decoder.weights.segments, PinnedSegments):
            self.cascade.learn(profile(self.decoder, self.num_pages, self.page_size, self.cascade.clock))

    def validate(self, request: EngineRequest) -> None:
        if request.adapter is not None and request.adapter not in self.adapters:
            known = ", ".join(map(repr, self.adapters)) or "none"
            raise InvalidRequestError(
                f"there is no adapter {request.adapter[:64]!r}; this engine has {known}", param="model"
            )
        tokens = {"image": self.spec.image_token_id, "audio": self.spec.audio_token_id}
        expected = 0
        for item in request.media:
            self.towers.validate(item)
            expected += item.length
            if self.memories is not None and item.length != 1:
                raise InvalidRequestError(f"this model gives a medium one token of the prompt, not {item.length}")
            placeholder = tokens[item.kind]
            if any(token != placeholder for token in request.prompt_ids[item.position : item.position + item.length]):
                raise InvalidRequestError(f"the prompt has no <|{item.kind}|> tokens where a medium should stand")
        present = sum(request.prompt_ids.count(token) for token in set(tokens.values()) if token is not None)
        if present != expected:
            raise InvalidRequestError(
                f"the prompt has {present} media tokens but its media need {expected}; "
                "send media as parts, not as special tokens in the text"
            )

    @torch.inference_mode()
    def prepare(self, sequence: EngineSequence) -> None:
        request = sequence.request
        default_seed = int(uniform(self._seed, sequence.order) * (1 << 53))
        sampling = SamplingState(sequence, default_seed)
        kind = _kind(sequence)
        first = self.cascade.experience.first(kind, len(self.layout.ends))
        exits = ExitHistory(self.layout.ends, self.spec.head_in_layers, first)
        state = RequestState(sequence, sampling, PendingStates(self.num_segments), exits, kind)
        if request.media:
            with self._threads.step("towers"), self.towers.listening(sequence.trace.towers.append):
                self._see(state)
        if self.spec.mrope_section is not None:
            images = [(item.position, item.data["grid_thw"]) for item in request.media]
            state.positions = mrope_positions(len(request.prompt_ids), images, merge_size=self.spec.merge_size)
        self._states[sequence.request_id] = state

    def _see(self, state: RequestState) -> None:
        """Run the towers on the request's media."""
        media = state.sequence.request.media
        if self.memories is not None:
            state.memory = self.memories.build(media, state.sequence.request.adapter)
        else:
            state.inline = [(item.position, self.towers.encode(item)) for item in media]

    def report(self, stats: EngineStats) -> None:
        store = self.towers.store
        stats.tower_loads, stats.tower_unloads = Counter(store.loads), Counter(store.unloads)
        stats.tower_runs = Counter(self.towers.runs)
        stats.tower_bytes = store.loaded_bytes

    @torch.inference_mode()
    def recode(self, moves: Sequence[Move], before: KVKind, after: KVKind) -> None:
        for move in moves:
            self.decoder.backend.recode(self.decoder.pages, move.old, move.new, before, after)

    def release(self, request_id: str) -> None:
        state = self._states.pop(request_id, None)
        if state is not None:
            self.cascade.experience.note(state.kind, state.exits)

    def transcript(self, item: MediaItem) -> str:
        try:
            return self.towers.transcript(item)
        finally:
            self.rest()

    def rest(self) -> None:
        """Towers that nobody has used for a while give their memory back."""
        self.towers.store.rest()

    @torch.inference_mode()
    def execute(self, rows: Sequence[Row], steering: Steering) -> list[RowResult]:
        self.rest()
        with self._threads.step(sum(row.count for row in rows)):
            return self._execute(rows, steering)

    def _execute(self, rows: Sequence[Row], steering: Steering) -> list[RowResult]:
        pairs = [(row, self._states[row.sequence.request_id]) for row in rows]
        run = self.cascade.begin(pairs, list(self._states.values()))
        start = self.cascade.clock()
        run.finish(steering)
        sampled = run.results()
        tokens = sum(len(result.token_ids) for result in sampled.values())
        run.note_drafting(tokens, self.cascade.clock() - start)
        return [self._result(lane, sampled.get(lane.sequence.request_id, NOTHING)) for lane in run.lanes]

    def _result(self, lane: Lane, sampled: RowResult) -> RowResult:
        """What the lane's row gave. sampled: its tokens."""
        progress = lane.progress(self.layout.ends)
        if lane.state.looks:
            progress = replace(progress, masses=lane.state.masses())
        read = tuple(lane.prompt_logprobs)
        return RowResult(sampled.token_ids, sampled.logprobs, read, sampled.error, progress)


def _kind(sequence: EngineSequence) -> Hashable:
    """What requests have in common that should find alike at their exits: adapter, group, thresholds at first."""
    request = sequence.request
    group = group_of(item.kind for item in request.media)
    return request.adapter, group, tuple(sorted(sequence.plan.exit.thresholds.items()))
