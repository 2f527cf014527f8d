"""Deferred depth: the rows of a step on their way through the segments, each as deep as it needs.

At every boundary a row goes on, leaves with its token, or waits. What goes on takes the waiting states of its sequence
along as extra rows of the same pass, so that the keys and values of a segment are always those of the whole decoder and
have no holes; the rows of a pass are only those that need it. A state waits in runner.pending.

The idea of sharing one exact cache between depths is that of self-speculative decoding (Draft & Verify, arXiv
2309.08168; LayerSkip, arXiv 2404.16710) and of the delayed key-value computation of SkipDecode and EE-LLM (arXiv
2312.04916, "KV recomputation"); here it serves every exit policy, batched and paged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

from torch import Tensor

from autoglm_phone.engine.interface import Row
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.lookup import Guess
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.lane import Lane
from autoglm_phone.runner.pacing import Pacing
from autoglm_phone.runner.run import Run
from autoglm_phone.runner.sampler import Sampler
from autoglm_phone.runner.state import RequestState

LogitProbe = Callable[[str, int, Tensor], None]
ExitProbe = Callable[[str, int, int, Tensor], None]
DepthProbe = Callable[[Tensor], tuple[float, ...]]


class Cascade(Pacing):
    """Runs steps. See the module's docstring.

    Args:
        pending_bytes: what waiting states may take; rows go on where there is no room to wait. A row that may not go
            on either (no pages, no budget) waits all the same.

    Attributes:
        probe: for tests; called with (request id, position of the first row, float32 logits [rows, V]) of every row
            that the last segment processed. Slow. exit_probe: (request id, position, layers, logits [V]) of every token
            that left early.
        depth_probe: boundary state [H] of a prompt's last token after the first segment → scores for the planner.
    """

    def __init__(self, decoder: Decoder, sampler: Sampler, page_size: int, pending_bytes: int, max_model_len: int):
        super().__init__(decoder.num_segments, decoder.backend.device.type)
        self.decoder = decoder
        self.sampler = sampler
        self.page_size = page_size
        self.pending_bytes = pending_bytes
        self.max_model_len = max_model_len
        self.ends = [end for _, end in decoder.spec.segments]
        self.probe: LogitProbe | None = None
        self.exit_probe: ExitProbe | None = None
        self.depth_probe: DepthProbe | None = None

    def ends_request(self, lane: Lane, token: int) -> bool:
        """A draft of it would be the last: there is nothing to write ahead."""
        sampling = lane.sequence.sampling
        return token in sampling.stop_token_ids or (not sampling.ignore_eos and token in self.sampler.eos_token_ids)

    def before_end(self, lane: Lane, guesses: Sequence[Guess]) -> list[Guess]:
        """The guesses before the first that would end the request: nothing is read behind it."""
        return list(takewhile(lambda guess: not self.ends_request(lane, guess.token), guesses))

    def head(self, states: Tensor, boundary: int) -> Tensor:
        """Logits [rows, V] of states after so many segments."""
        start = self.clock()
        logits = self.decoder.logits(states, boundary - 1)
        self.note(SegmentCosts.HEAD, states.shape[0], self.clock() - start)
        return logits

    def read(self, lane: Lane, boundary: int, position: int, logits: Tensor) -> None:
        if self.exit_probe is not None:
            self.exit_probe(lane.sequence.request_id, position, self.ends[boundary - 1], logits.clone())

    def begin(self, rows: Sequence[tuple[Row, RequestState]], states: Sequence[RequestState]) -> Run:
        """A step over these rows. states: of all sequences; what has become useless of their waiting states is dropped.

        Call `Run.finish` to compute it.
        """
        held = 0
        for state in states:
            sequence = state.sequence
            state.pending.sync(sequence.frontiers, sequence.cap, sequence.preemptions)
            held += state.pending.nbytes
        for _, state in rows:
            state.begin_step()
        lanes = []
        for row, state in rows:
            sequence = row.sequence
            lane = Lane(row, state, list(sequence.frontiers), sequence.goal, row.depth, row.start, row.end)
            lane.seconds = [0.0] * len(self.ends)
            lanes.append(lane)
        return Run(self, lanes, self.pending_bytes - held, len(states))
