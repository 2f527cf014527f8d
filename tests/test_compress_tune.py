"""Tuning towards the float model's predictions: what is stored is what was measured, and it is never worse."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoglm_phone.compress.algorithms.grid import absmax_grid
from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.formats.master import ModuleSpec, QuantizedWeight, weight_from
from autoglm_phone.compress.plan import HEAD
from autoglm_phone.compress.tune import layer, tune
from autoglm_phone.compress.units import Stage, State, Unit, container

WIDTH, WORDS, GROUP = 16, 24, 8
CPU = torch.device("cpu")


def quantized(weight: Tensor, bits: int, symmetric: bool) -> QuantizedWeight:
    grid = absmax_grid(weight, bits, GROUP, symmetric=symmetric)
    spec = ModuleSpec("linear", bits, GROUP, symmetric, tuple(weight.shape))
    return QuantizedWeight(spec, grid.quantize(weight), grid.scales, grid.zeros)


def head(weight: Tensor) -> nn.Module:
    linear = nn.Linear(WIDTH, WORDS, bias=False)
    linear.weight.data.copy_(weight)
    return container(lm_head=linear).requires_grad_(False)


def stage(table: Tensor) -> Stage:
    """A model that is its output head alone, on fixed states of each token."""

    def run(module: nn.Module, state: State) -> State:
        return {"logits": module.lm_head(state["hidden"][:, state["predict"]])}  # type: ignore[operator]

    def begin(samples: object, _: object) -> list[State]:
        return [
            {"hidden": table[list(s.ids)][None], "predict": torch.tensor([p - 1 for p in s.answer_positions])}
            for s in samples  # type: ignore[attr-defined]
        ]

    return Stage("text", [Unit(HEAD, "", lambda: head(torch.zeros(WORDS, WIDTH)), run)], begin)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("codes", [0.0, 0.05])
def test_what_is_stored_is_what_was_measured(symmetric: bool, codes: float) -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(WORDS, WIDTH, generator=generator)
    table = torch.randn(WORDS, WIDTH, generator=generator)
    draws = torch.randint(WORDS, (20, 12), generator=generator).tolist()
    samples = [Sample(tuple(ids), (), (0,) * 12, (1.0,) * 12, tuple(range(1, 12))) for ids in draws]
    targets = [(table[list(s.ids)][:-1] @ weight.T).log_softmax(-1) for s in samples]
    start = quantized(weight, 3, symmetric)
    made = tune(
        [stage(table)], {HEAD: head(start.dequantize())}, {"lm_head": start}, {}, samples, targets, CPU,
        iterations=60, rate=0.005, batch=4, seed=0, tied=False, codes=codes,
    )  # fmt: skip
    assert made.after < made.before
    files = made.applied(start.tensors("lm_head"))
    stored = weight_from(files, "lm_head", start.spec)
    assert torch.equal(stored.codes, start.codes) == (codes == 0.0)
    held = samples[:4]
    gaps = [
        F.kl_div((table[list(s.ids)][:-1] @ stored.dequantize().T).log_softmax(-1), t, log_target=True,
                 reduction="batchmean")
        for s, t in zip(held, targets, strict=False)
    ]  # fmt: skip
    assert float(torch.stack(gaps).mean()) == pytest.approx(made.after, rel=1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
def test_points_never_leave_their_codes(symmetric: bool) -> None:
    weight = torch.randn(6, 2 * GROUP, generator=torch.Generator().manual_seed(1))
    start = quantized(weight, 2, symmetric)
    one = layer(start, CPU, moves=True)
    assert torch.equal(one.expand(), start.dequantize())
    assert torch.equal(one.made().codes, start.codes)
    with torch.no_grad():
        one.points += torch.linspace(-9, 9, one.points.numel()).view_as(one.points)
    one.confine()
    codes = one.made().codes
    assert int(codes.min()) >= -2
    assert int(codes.max()) <= 1
