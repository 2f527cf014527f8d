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
from autoglm_phone.compress.tune import _adam, layer, tune
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


def test_norms_are_judged_as_they_are_stored() -> None:
    generator = torch.Generator().manual_seed(4)
    weight, table = (torch.randn(WORDS, WIDTH, generator=generator) for _ in range(2))
    draws = torch.randint(WORDS, (20, 12), generator=generator).tolist()
    samples = [Sample(tuple(ids), (), (0,) * 12, (1.0,) * 12, tuple(range(1, 12))) for ids in draws]
    targets = [(table[list(s.ids)][:-1] @ weight.T).log_softmax(-1) for s in samples]
    start = quantized(weight, 3, True)

    def normed(gain: Tensor, scales: Tensor | None = None) -> nn.Module:
        used = start if scales is None else QuantizedWeight(start.spec, start.codes, scales, None)
        made = head(used.dequantize())
        made.gain = nn.LayerNorm(WIDTH, elementwise_affine=True, bias=False)
        made.gain.weight.data.copy_(gain)
        return made

    def run(module: nn.Module, state: State) -> State:
        return {"logits": module.lm_head(state["hidden"][:, state["predict"]] * module.gain.weight)}  # type: ignore

    unit = Unit(HEAD, "", lambda: normed(torch.ones(WIDTH)), run)
    chain = Stage("text", [unit], stage(table).begin)
    coarse = torch.float8_e4m3fn  # steps of an eighth: rounding shows
    made = tune(
        [chain], {HEAD: normed(torch.ones(WIDTH))}, {"lm_head": start}, {"gain.weight": coarse}, samples, targets, CPU,
        iterations=60, rate=0.01, batch=4, seed=0, tied=False,
    )  # fmt: skip
    gain = made.floats["gain.weight"].float()
    again = tune(
        [chain], {HEAD: normed(gain, made.scales["lm_head"])},
        {"lm_head": QuantizedWeight(start.spec, start.codes, made.scales["lm_head"], None)},
        {"gain.weight": coarse}, samples, targets, CPU, iterations=0, rate=0.01, batch=4, seed=0, tied=False,
    )  # fmt: skip
    assert made.after < made.before
    assert not torch.equal(gain, torch.ones(WIDTH))
    assert again.before == pytest.approx(made.after, rel=1e-5)


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


def test_what_has_no_gradient_to_speak_of_stays() -> None:
    """Plain Adam moves every element at full pace, one whose gradient is noise of a millionth as far as any other."""
    generator = torch.Generator().manual_seed(5)
    leaf = torch.ones(8, requires_grad=True)
    moments, pace = [(torch.zeros(8), torch.zeros(8))], torch.full((8,), 0.01)
    strength = torch.tensor([1.0] * 4 + [1e-6] * 4)
    for step in range(20):
        leaf.grad = strength * (1.0 + 0.1 * torch.randn(8, generator=generator))
        _adam([leaf], moments, [pace], 1.0, step + 1)
    moved = (1.0 - leaf.detach()) / (20 * 0.01)
    assert bool((moved[:4] > 0.4).all())
    assert bool((moved[:4] <= 1.0).all())
    assert bool((moved[4:].abs() < 1e-4).all())
