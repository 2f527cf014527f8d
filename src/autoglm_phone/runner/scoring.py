"""Log-probabilities of a prompt's own tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from autoglm_phone.engine.request import TokenLogprob
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.lane import Lane
from autoglm_phone.runner.sampler import token_logprobs

LOGIT_ROWS = 64  # logits are made in pieces: 64 rows of 151,552 are 39 MB


def prompt_logprobs(decoder: Decoder, lane: Lane, boundary: int, hidden: Tensor) -> list[TokenLogprob]:
    """Of the prompt tokens that follow the lane's tokens, if the request wants them and has not got them yet.

    hidden: states of a pass, after `boundary` segments.
    """
    sequence = lane.sequence
    count = sequence.sampling.prompt_logprobs
    if count is None or sequence.prompt_logprobs is None:
        return []
    end = min(lane.end, sequence.prompt_length - 1)
    out: list[TokenLogprob] = []
    for start in range(lane.start, end, LOGIT_ROWS):
        stop = min(start + LOGIT_ROWS, end)
        states = hidden[lane.first + start - lane.start : lane.first + stop - lane.start]
        raw = torch.log_softmax(decoder.logits(states, boundary - 1), dim=-1)
        out += token_logprobs(raw, sequence.tokens[start + 1 : stop + 1], count)
    return out
