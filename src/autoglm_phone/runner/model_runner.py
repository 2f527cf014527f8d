"""Computes the scheduler's rows: towers, segments, sampling. Implements engine.interface.Runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autoglm_phone.engine.interface import Row, RowResult
from autoglm_phone.engine.request import EngineRequest, MediaItem, TokenLogprob
from autoglm_phone.engine.sequence import Sequence as EngineSequence
from autoglm_phone.errors import InvalidRequestError
from autoglm_phone.models.glm4v.positions import mrope_positions
from autoglm_phone.runner.batch import Batch, Placed, place_rows, token_ids
from autoglm_phone.runner.cross_memory import CrossMemoryBuilder
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.sampler import Sampler, token_logprobs
from autoglm_phone.runner.sampling_state import SamplingState, uniform
from autoglm_phone.runner.state import RequestState
from autoglm_phone.runner.threads import ThreadTuner
from autoglm_phone.runner.towers import Towers

LOGIT_ROWS = 64  # prompt log-probabilities go through the head in pieces: 64 rows of 151,552 logits are 39 MB
LogitProbe = Callable[[str, int, Tensor], None]


class ModelRunner:
    """See engine.interface.Runner.

    probe: for tests; called with (request id, position of the first row, float32 logits [rows, V]) of every row
        computed. Slow.
    """

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
        self.sampler = Sampler(spec.eos_token_ids)
        self.probe: LogitProbe | None = None
        self._seed = seed
        self._threads = threads
        self._states: dict[str, RequestState] = {}

    def validate(self, request: EngineRequest) -> None:
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
        state = RequestState(sequence, SamplingState(sequence, default_seed))
        if request.media:
            with self._threads.step("towers"):
                self._see(state)
        if self.spec.mrope_section is not None:
            images = [(item.position, item.data["grid_thw"]) for item in request.media]
            state.positions = mrope_positions(len(request.prompt_ids), images, merge_size=self.spec.merge_size)
        self._states[sequence.request_id] = state

    def _see(self, state: RequestState) -> None:
        """Run the towers on the request's media."""
        media = state.sequence.request.media
        if self.memories is not None:
            state.memory = self.memories.build(media)
        else:
            state.inline = [(item.position, self.towers.encode(item)) for item in media]

    def release(self, request_id: str) -> None:
        self._states.pop(request_id, None)

    def transcript(self, item: MediaItem) -> str:
        return self.towers.transcript(item)

    @torch.inference_mode()
    def execute(self, rows: Sequence[Row]) -> list[RowResult]:
        with self._threads.step(sum(row.count for row in rows)):
            return self._execute(rows)

    def _execute(self, rows: Sequence[Row]) -> list[RowResult]:
        placed = place_rows([(row, self._states[row.sequence.request_id]) for row in rows])
        hidden = self._forward(placed)
        if self.probe is not None:
            for p in placed:
                self.probe(p.row.sequence.request_id, p.row.start, self._logits(hidden, p.first, p.first + p.row.count))
        results = {
            p.row.sequence.request_id: RowResult(prompt_logprobs=self._prompt_logprobs(hidden, p)) for p in placed
        }
        sampling = [p for p in placed if p.row.samples and p.row.sequence.sampling.max_tokens > 0]
        if sampling:
            last = torch.tensor([p.first + p.row.count - 1 for p in sampling], device=hidden.device)
            boundary = hidden if len(sampling) == hidden.shape[0] else hidden.index_select(0, last)
            logits = self.decoder.logits(boundary)
            for p, result in zip(
                sampling, self.sampler.sample(logits, [p.state.sampling for p in sampling]), strict=True
            ):
                known = results[p.row.sequence.request_id]
                results[p.row.sequence.request_id] = RowResult(
                    result.token_ids, result.logprobs, known.prompt_logprobs, result.error
                )
        return [results[row.sequence.request_id] for row in rows]

    def _forward(self, placed: Sequence[Placed]) -> Tensor:
        """Boundary states after the last segment, [T, H]."""
        decoder = self.decoder
        device = decoder.backend.device
        hidden = decoder.embed(torch.from_numpy(token_ids(placed)).to(device))
        for p in placed:
            _insert_states(hidden, p)
        batch = Batch(placed, self.spec, decoder.backend, self.page_size)
        for segment in range(decoder.num_segments):
            hidden = decoder.run_segment(segment, hidden, batch.segment(segment))
        return hidden

    def _logits(self, hidden: Tensor, first: int, end: int) -> Tensor:
        return torch.cat(
            [self.decoder.logits(hidden[i : min(i + LOGIT_ROWS, end)]) for i in range(first, end, LOGIT_ROWS)]
        )

    def _prompt_logprobs(self, hidden: Tensor, p: Placed) -> tuple[TokenLogprob, ...]:
        """Of the prompt tokens that follow the row's tokens."""
        row = p.row
        count = row.sequence.sampling.prompt_logprobs
        if count is None or row.sequence.prompt_logprobs is None or row.start >= row.sequence.prompt_length - 1:
            return ()
        end = min(row.end, row.sequence.prompt_length - 1)
        out: list[TokenLogprob] = []
        for start in range(row.start, end, LOGIT_ROWS):
            stop = min(start + LOGIT_ROWS, end)
            logits = self.decoder.logits(hidden[p.first + start - row.start : p.first + stop - row.start])
            raw = torch.log_softmax(logits, dim=-1)
            out += token_logprobs(raw, row.sequence.tokens[start + 1 : stop + 1], count)
        return tuple(out)


def _insert_states(hidden: Tensor, p: Placed) -> None:
    """Put tower states where the row's picture tokens are (GLM-4.1V)."""
    for position, states in p.state.inline:
        first, end = max(position, p.row.start), min(position + states.shape[0], p.row.end)
        if first < end:
            offset = p.first - p.row.start
            hidden[first + offset : end + offset] = states[first - position : end - position]
