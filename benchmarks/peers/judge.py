"""One evaluator for all: float32 weights of any tool against the original's, on the same held-out conversations."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Of each held-out conversation, sums over its reply's tokens: [n] each. whole: KL over all its tokens."""

    kl: Tensor
    same: Tensor
    gap: Tensor
    tokens: Tensor
    whole: Tensor
    length: Tensor

    def summary(self) -> dict[str, float]:
        """Mean KL in nats with its 95 % interval over conversations, top-1 agreement, perplexity ratio."""
        total = float(self.tokens.sum())
        low, high = interval(self.kl, self.tokens)
        return {
            "kl": float(self.kl.sum()) / total,
            "kl_low": low,
            "kl_high": high,
            "kl_all_tokens": float(self.whole.sum() / self.length.sum()),
            "top1": float(self.same.sum()) / total,
            "perplexity_ratio": math.exp(float(self.gap.sum()) / total),
        }


def interval(sums: Tensor, counts: Tensor, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of a mean; whole conversations are drawn, because their tokens hang together."""
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(sums), (draws, len(sums)), generator=generator)
    means = sums.double()[picks].sum(1) / counts.double()[picks].sum(1)
    return float(means.quantile(0.025)), float(means.quantile(0.975))


def paired(here: dict[str, list[float]], there: dict[str, list[float]]) -> tuple[float, float, float]:
    """(mean KL here less there, its 95 % interval), paired by conversation; arguments as of `as_json`."""
    gap = torch.tensor(here["kl"]).double() - torch.tensor(there["kl"]).double()
    tokens = torch.tensor(here["tokens"]).double()
    return (float(gap.sum() / tokens.sum()), *interval(gap, tokens))


class Judge:
    """Holds the original's predictions, so that every candidate costs one pass."""

    def __init__(self, model: Path, held_out: Path):
        from transformers import Glm4ForCausalLM

        self.model = Glm4ForCausalLM.from_pretrained(model, dtype=torch.float32).eval().requires_grad_(False)
        self.rows: list[dict[str, Any]] = json.loads(held_out.read_text())["conversations"]
        self.original = {n: t.clone() for n, t in load_file(model / "model.safetensors").items()}
        self._base = [self._predict(row["ids"]) for row in self.rows]

    @torch.no_grad()
    def _predict(self, ids: list[int]) -> Tensor:
        """Log-probabilities of every next token, float32 [length - 1, V]."""
        return self.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Put a candidate's weights into the model; a tied head follows its embedding."""
        missing, extra = self.model.load_state_dict(tensors, strict=False)
        missing = [name for name in missing if name != "lm_head.weight"]
        if missing or extra:
            raise ValueError(f"not this model's weights: missing {missing[:3]}, unknown {list(extra)[:3]}")

    @torch.no_grad()
    def __call__(self, tensors: dict[str, Tensor]) -> Scores:
        self.load(tensors)
        parts = []
        for row, base in zip(self.rows, self._base, strict=True):
            ids, start = row["ids"], row["reply"] - 1
            made = self._predict(ids)
            kl = F.kl_div(made, base, log_target=True, reduction="none").sum(-1).clamp_min(0)
            truth = torch.tensor(ids[1:])[:, None]
            gap = (base.gather(1, truth) - made.gather(1, truth))[start:]
            same = (made.argmax(-1) == base.argmax(-1))[start:]
            parts.append([float(v) for v in (kl[start:].sum(), same.sum(), gap.sum(), len(same), kl.sum(), len(kl))])
        return Scores(*torch.tensor(parts, dtype=torch.float64).T)


def as_json(scores: Scores) -> dict[str, list[float]]:
    """For the results' file: figures of each conversation, so that others can test differences themselves."""
    return {name: [round(float(v), 6) for v in tensor] for name, tensor in asdict(scores).items()}
