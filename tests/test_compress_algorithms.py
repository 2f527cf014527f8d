"""GPTQ, AWQ, refinement and compensation against float64 references and against what must always hold."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from autoglm_phone.compress.algorithms.awq import search_scale, share
from autoglm_phone.compress.algorithms.gptq import (
    Factor,
    compensate,
    damped,
    gptq,
    missing,
    output_error,
    refine,
    refine_alone,
)
from autoglm_phone.compress.algorithms.grid import Grid, absmax_grid, search_grid
from autoglm_phone.errors import ConfigError


def problem(seed: int, rows: int = 24, columns: int = 64, samples: int = 400) -> tuple[Tensor, Tensor]:
    """A weight, and H of strongly correlated inputs with a few large channels."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator)
    mixing = torch.randn(columns, columns // 4, generator=generator)
    inputs = torch.randn(samples, columns // 4, generator=generator) @ mixing.T
    inputs += 0.3 * torch.randn(samples, columns, generator=generator)
    inputs[:, : columns // 16] *= 6
    return weight, inputs.T @ inputs / samples


def loss(weight: Tensor, grid: Grid, codes: Tensor, hessian: Tensor) -> float:
    return float(output_error(grid.dequantize(codes) - weight, hessian).sum())


def reference_gptq(weight: Tensor, hessian: Tensor, grid: Grid, damping: float, act_order: bool) -> Tensor:
    """GPTQ from its definition, in float64: after each column, the best change of all later ones."""
    h = hessian.double()
    h = h + damping * h.diagonal().mean() * torch.eye(len(h), dtype=torch.float64)
    order = torch.argsort(hessian.diagonal(), descending=True, stable=True) if act_order else torch.arange(len(h))
    rest = weight.double().clone()
    codes = torch.zeros(weight.shape, dtype=torch.int8)
    low, high = grid.bounds
    remaining = order.tolist()
    while remaining:
        inverse = torch.linalg.inv(h[remaining][:, remaining])
        column, left = remaining[0], remaining[1:]
        scale = grid.scales[:, column // grid.group_size].double()
        zero = 0.0 if grid.zeros is None else grid.zeros[:, column // grid.group_size].double()
        code = (torch.round(rest[:, column] / scale) + zero).clamp(low, high)
        codes[:, column] = code.to(torch.int8)
        error = (rest[:, column] - (code - zero) * scale) / inverse[0, 0]
        rest[:, left] -= error[:, None] * inverse[0, 1:]
        remaining = left
    return codes


@pytest.mark.parametrize("act_order", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gptq_against_float64(act_order: bool, symmetric: bool) -> None:
    weight, hessian = problem(1, rows=6, columns=32)
    grid = search_grid(weight, 3, 16, symmetric=symmetric)
    made = gptq(weight.double(), hessian.double(), grid, act_order=act_order, block=8)
    assert torch.equal(made, reference_gptq(weight, hessian, grid, 0.01, act_order))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(8))
def test_gptq_is_never_worse_than_rounding_on_correlated_inputs(bits: int, seed: int) -> None:
    weight, hessian = problem(seed)
    grid = absmax_grid(weight, bits, 32, symmetric=seed % 2 == 0)
    assert loss(weight, grid, gptq(weight, hessian, grid), hessian) <= loss(
        weight, grid, grid.quantize(weight), hessian
    )


@pytest.mark.parametrize("symmetric", [True, False])
def test_identity_hessian_reduces_gptq_to_rounding(symmetric: bool) -> None:
    weight, _ = problem(3)
    grid = search_grid(weight, 3, 32, symmetric=symmetric)
    assert torch.equal(gptq(weight, torch.eye(64), grid), grid.quantize(weight))


def test_block_size_changes_nothing() -> None:
    weight, hessian = problem(4)
    grid = absmax_grid(weight, 4, 32)
    whole = gptq(weight.double(), hessian.double(), grid, block=64)
    assert torch.equal(whole, gptq(weight.double(), hessian.double(), grid, block=5))


@pytest.mark.parametrize("seed", range(4))
def test_refine_never_loses_on_any_row(seed: int) -> None:
    weight, hessian = problem(seed)
    grid = search_grid(weight, 3, 32, hessian)
    codes = gptq(weight, hessian, grid)
    better, refined = refine(weight, hessian, grid, codes, sweeps=3)
    h = damped(hessian, 0.01)
    before = output_error(grid.dequantize(codes) - weight, h)
    after = output_error(better.dequantize(refined) - weight, h)
    assert bool((after <= before).all())
    assert float(after.sum()) < float(before.sum())


@pytest.mark.parametrize("symmetric", [True, False])
def test_refinement_without_correlations_is_refinement_with_the_identity(symmetric: bool) -> None:
    weight, _ = problem(7)
    grid = absmax_grid(weight, 3, 32, symmetric=symmetric)
    codes = grid.quantize(weight)
    want_grid, want = refine(weight, torch.eye(64), grid, codes, sweeps=3)
    made_grid, made = refine_alone(weight, grid, codes, sweeps=3)
    assert torch.equal(made, want)
    assert torch.equal(made_grid.scales, want_grid.scales)
    assert not torch.equal(made, codes)


def test_block_size_changes_nothing_in_refinement() -> None:
    weight, hessian = problem(8)
    grid = absmax_grid(weight, 3, 32)
    codes = grid.quantize(weight)
    whole = refine(weight.double(), hessian.double(), grid, codes, block=64)
    parts = refine(weight.double(), hessian.double(), grid, codes, block=5)
    assert torch.equal(whole[1], parts[1])
    assert torch.equal(whole[0].scales, parts[0].scales)


@pytest.mark.parametrize("act_order", [True, False])
def test_the_factor_is_one_of_the_hessian_and_solves_with_it(act_order: bool) -> None:
    hessian = problem(9)[1].double()
    factor = Factor.of(hessian, damping=0.01, act_order=act_order)
    upper, h = factor.upper(), damped(hessian, 0.01)
    assert torch.equal(upper, upper.triu())
    assert upper.is_contiguous()
    assert torch.allclose(upper.diagonal(), torch.ones(64, dtype=torch.float64))
    pivots = factor.lower.diagonal().flip(0).square()
    assert torch.allclose((upper * pivots) @ upper.T, h[factor.order][:, factor.order])
    sides = torch.randn(64, 3, dtype=torch.float64)
    assert torch.allclose(h @ factor.solve(sides), sides)


def test_a_hessian_without_rank_is_refused_with_advice() -> None:
    with pytest.raises(ConfigError, match="larger damping"):
        Factor.of(-torch.eye(4))


def test_clip_search_is_never_worse_than_covering_everything() -> None:
    weight, hessian = problem(5)
    for symmetric in (True, False):
        plain, best = (
            absmax_grid(weight, 3, 64, symmetric=symmetric),
            search_grid(weight, 3, 64, hessian, symmetric=symmetric),
        )
        assert loss(weight, best, best.quantize(weight), hessian) <= loss(
            weight, plain, plain.quantize(weight), hessian
        )


def test_a_symmetric_grid_puts_its_extra_code_where_the_largest_weight_is() -> None:
    grid = absmax_grid(torch.tensor([[0.5, 7.0, -6.0, 1.0]]), 4, 4)
    assert float(grid.scales) < 0
    assert grid.quantize(torch.tensor([[7.0, -6.0, 0.0, 0.0]]))[0, 0] == -8


def test_awq_scale_helps_and_folds_exactly() -> None:
    weight, hessian = problem(6)
    scale, with_it, without = search_scale([weight], hessian, bits=3, group_sizes=[32])
    assert with_it < without
    x = torch.randn(10, 64)
    assert torch.allclose((x / scale) @ (weight * scale).T, x @ weight.T, atol=1e-4)
    scaled = weight * scale
    grid = absmax_grid(scaled, 3, 32)
    error = (grid.dequantize(grid.quantize(scaled)) - scaled) / scale
    assert float((error @ hessian * error).sum()) == pytest.approx(with_it, rel=1e-3)


def test_heads_of_one_key_value_head_share_their_scale() -> None:
    made = share(torch.rand(16) + 0.5, repeat=2, head_dim=4).view(2, 2, 4)
    assert torch.equal(made[:, 0], made[:, 1])


def test_compensation_is_the_least_squares_solution() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(500, 16, generator=generator, dtype=torch.float64)
    ours = clean + 0.2 * torch.randn(500, 16, generator=generator, dtype=torch.float64)
    weight = torch.randn(8, 16, generator=generator, dtype=torch.float64)
    hessian, cross = ours.T @ ours / 500, clean.T @ ours / 500
    gap, factor = missing(weight, hessian, cross), Factor.of(hessian, damping=0.0)
    made = compensate(weight, gap, factor)
    expected = torch.linalg.lstsq(ours, clean @ weight.T).solution.T
    assert torch.allclose(made, expected, atol=1e-8)
    half = compensate(weight, gap, factor, strength=0.5)
    assert torch.allclose(half, (weight + expected) / 2, atol=1e-8)
