"""Logits → tokens, with vLLM's semantics and order (vllm/v1/sample/sampler.py):

grammar mask; log-probabilities of what the model said (before what follows); logit bias; minimum length; repetition,
frequency and presence penalties; then greedy, or temperature, min-p, top-k, top-p and a draw.

A row's token depends on its own logits and its own random stream alone, never on the rows beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoglm_phone.engine.interface import RowResult
from autoglm_phone.engine.request import TokenLogprob
from autoglm_phone.errors import AutoGLMError
from autoglm_phone.runner.sampling_state import SamplingState

logger = logging.getLogger(__name__)

GREEDY_BELOW = 1e-5  # temperatures under this are greedy, as in vLLM
NUCLEUS = 256  # top-p looks at this many tokens first; their mass nearly always covers it
LOWEST = float("-inf")


@dataclass(frozen=True)
class Sampler:
    """eos_token_ids: what min_tokens suppresses besides the request's own stop tokens."""

    eos_token_ids: frozenset[int]

    def sample(self, logits: Tensor, states: Sequence[SamplingState], *, logprobs: bool = True) -> list[RowResult]:
        """One token a row.

        Args:
            logits: float32 [N, V]; overwritten.
            states: of the N rows' requests.
            logprobs: False leaves out those that the requests want.
        """
        errors: dict[int, str] = {}
        for row, state in enumerate(states):
            state.sync()
            if state.sequence.matcher is not None:
                _guard(row, errors, lambda row=row, state=state: _mask_grammar(logits[row], state))  # type: ignore[misc]
        wanted = [row for row, state in enumerate(states) if logprobs and state.params.logprobs is not None]
        raw = torch.log_softmax(logits[wanted], dim=-1) if wanted else None
        self._bias(logits, states)
        _penalize(logits, states)
        tokens = _best(logits)
        drawn = [row for row, state in enumerate(states) if state.params.temperature >= GREEDY_BELOW]
        if drawn:
            chosen = _draw(logits[drawn], [states[row] for row in drawn])
            for row, token in zip(drawn, chosen, strict=True):
                tokens[row] = token
        for row, state in enumerate(states):
            forced = state.thought.next_token() if state.thought is not None else None
            if forced is not None:
                tokens[row] = forced
        entries: dict[int, tuple[TokenLogprob, ...]] = {}
        for place, row in enumerate(wanted):
            entries[row] = tuple(
                token_logprobs(raw[place : place + 1], [tokens[row]], states[row].params.logprobs or 0)  # type: ignore[index]
            )
        return [
            RowResult(error=errors[row]) if row in errors else RowResult((token,), entries.get(row, ()))
            for row, token in enumerate(tokens)
        ]

    def _bias(self, logits: Tensor, states: Sequence[SamplingState]) -> None:
        for row, state in enumerate(states):
            params = state.params
            if params.logit_bias:
                ids = torch.tensor(list(params.logit_bias), device=logits.device)
                logits[row, ids] += torch.tensor(list(params.logit_bias.values()), device=logits.device)
            if state.num_output < params.min_tokens:
                stops = set(params.stop_token_ids) | (set() if params.ignore_eos else self.eos_token_ids)
                if stops:
                    logits[row, torch.tensor(sorted(stops), device=logits.device)] = LOWEST


def _best(logits: Tensor) -> list[int]:
    """The most likely token a row. On a CPU numpy finds it in a tenth of torch's time."""
    return (logits.numpy().argmax(-1) if logits.device.type == "cpu" else logits.argmax(dim=-1)).tolist()


def token_logprobs(raw: Tensor, tokens: Sequence[int], count: int) -> list[TokenLogprob]:
    """Log-probability, rank (1 is the most likely) and `count` best alternatives of a token a row. raw [N, V]."""
    ids = torch.tensor(tokens, device=raw.device)
    chosen = raw.gather(1, ids[:, None])
    ranks = (raw >= chosen).sum(-1).tolist()
    count = min(count, raw.shape[-1])
    best, where = raw.topk(count, dim=-1) if count else (raw[:, :0], ids[:, None][:, :0])
    return [
        TokenLogprob(token, value, rank, tuple(zip(top_ids, top, strict=True)))
        for token, value, rank, top_ids, top in zip(
            tokens, chosen[:, 0].tolist(), ranks, where.tolist(), best.tolist(), strict=True
        )
    ]


def _guard(row: int, errors: dict[int, str], action: Callable[[], None]) -> None:
    """One row's grammar may fail; the others go on."""
    try:
        action()
    except AutoGLMError as error:
        errors[row] = error.message
    except Exception:
        logger.exception("the grammar of a row failed")
        errors[row] = "the grammar of this request failed"


def _mask_grammar(row: Tensor, state: SamplingState) -> None:
    """fill_mask() gives bool [tokenizer's size], True where a token is allowed; None allows all."""
    mask = state.sequence.matcher.fill_mask()
    if mask is None:
        return
    allowed = torch.from_numpy(np.array(mask, dtype=bool)[: row.shape[0]]).to(row.device)
    row[: allowed.shape[0]].masked_fill_(~allowed, LOWEST)
    row[allowed.shape[0] :] = LOWEST  # the head may be wider than the tokenizer


def _penalize(logits: Tensor, states: Sequence[SamplingState]) -> None:
    repeated = [(row, s.everything.ids, s.params.repetition_penalty) for row, s in enumerate(states) if s.penalizes_all]
    if repeated:
        rows, ids = _places([(row, ids) for row, ids, _ in repeated], logits.device)
        factor = _column([np.full(ids.shape[0], penalty) for _, ids, penalty in repeated], logits.device)
        value = logits[rows, ids]
        logits[rows, ids] = torch.where(value > 0, value / factor, value * factor)
    counted = [(row, s) for row, s in enumerate(states) if s.penalizes_output and s.output.ids.shape[0]]
    if counted:
        rows, ids = _places([(row, s.output.ids) for row, s in counted], logits.device)
        minus = [
            s.output.counts * s.params.frequency_penalty + np.float32(s.params.presence_penalty) for _, s in counted
        ]
        logits[rows, ids] -= _column(minus, logits.device)


def _places(pairs: list[tuple[int, np.ndarray]], device: torch.device) -> tuple[Tensor, Tensor]:
    rows = np.concatenate([np.full(ids.shape[0], row) for row, ids in pairs])
    ids = np.concatenate([ids for _, ids in pairs])
    return torch.from_numpy(rows).to(device), torch.from_numpy(ids).to(device)


def _column(parts: list[np.ndarray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(device)


def _draw(logits: Tensor, states: Sequence[SamplingState]) -> list[int]:
    """Temperature, filters and one draw a row. logits [R, V], overwritten."""
    params = [state.params for state in states]
    logits.div_(torch.tensor([p.temperature for p in params], device=logits.device)[:, None])
    if any(p.min_p > 0 for p in params):
        floor = torch.tensor([p.min_p for p in params], device=logits.device)[:, None]
        probabilities = torch.softmax(logits, dim=-1)
        logits.masked_fill_(probabilities < floor * probabilities.amax(-1, keepdim=True), LOWEST)
    for row, p in enumerate(params):
        if 0 < p.top_k < logits.shape[-1]:
            least = logits[row].topk(p.top_k).values[-1]
            logits[row].masked_fill_(logits[row] < least, LOWEST)
        if p.top_p < 1:
            _keep_nucleus(logits[row], p.top_p)
    # Inverse of the distribution function, in vocabulary order, in float64: the first token whose sum exceeds u.
    sums = torch.softmax(logits.double(), dim=-1).cumsum(-1)
    u = torch.tensor([state.uniform() for state in states], dtype=torch.float64, device=logits.device)
    found = torch.searchsorted(sums, (u * sums[:, -1])[:, None], right=True)[:, 0]
    return found.clamp_(max=logits.shape[-1] - 1).tolist()


def _keep_nucleus(row: Tensor, top_p: float) -> None:
    """Keep the most likely tokens until their mass reaches top_p, at least one. row [V], overwritten."""
    total = torch.logsumexp(row, dim=-1)
    best, where = row.topk(min(NUCLEUS, row.shape[0]))
    mass = (best - total).exp().cumsum(-1)
    if mass[-1] < top_p and best.shape[0] < row.shape[0]:
        best, where = row.sort(descending=True)
        mass = (best - total).exp().cumsum(-1)
    before = mass - (best - total).exp()  # the mass of the tokens ahead of each
    keep = int((before < top_p).sum().clamp_min(1))
    kept = row[where[:keep]]
    row.fill_(LOWEST)
    row[where[:keep]] = kept
