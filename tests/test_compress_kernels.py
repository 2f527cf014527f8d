"""The walk over a block's columns: Triton's kernel against the PyTorch reference, interpreted or on a GPU."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from autoglm_phone.compress.algorithms import columns as walk
from autoglm_phone.compress.algorithms.gptq import Factor, damped, gptq, output_error, refine
from autoglm_phone.compress.algorithms.grid import Grid, search_grid

INTERPRETED = "TRITON_INTERPRET"
has_triton = pytest.mark.skipif(not walk.has_triton(), reason="needs triton")
runs_kernels = pytest.mark.skipif(
    not walk.has_triton() or not (torch.cuda.is_available() or os.environ.get(INTERPRETED)),
    reason="needs a GPU or Triton's interpreter, which the first test starts",
)
BLOCK = 32  # columns at once in most tests: the interpreter takes a millisecond for each
CASES = [  # bits, group, symmetric, rows, columns
    (2, 32, True, 16, 64),
    (3, 16, False, 17, 32),
    (4, 32, True, 33, 64),
    (4, 24, False, 5, 72),  # a last block that is not full
    (8, 40, True, 19, 40),  # a group of the whole row
    (3, 8, True, 1, 32),
]


@pytest.fixture(scope="module")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    return importlib.import_module("autoglm_phone.compress.algorithms.kernels")


@pytest.fixture
def through_kernel(kernels: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(walk, "uses_kernel", lambda tensor: True)


def problem(rows: int, columns: int, device: torch.device, seed: int = 0) -> tuple[Tensor, Tensor]:
    """In float64, where a kernel's other order of sums changes no code."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    inputs = torch.randn(3 * columns, columns // 4, generator=generator, dtype=torch.float64)
    inputs = inputs @ torch.randn(columns // 4, columns, generator=generator, dtype=torch.float64)
    inputs += 0.5 * torch.randn(inputs.shape, generator=generator, dtype=torch.float64)
    return weight.to(device), (inputs.T @ inputs / len(inputs)).to(device)


def grid_of(weight: Tensor, bits: int, group: int, symmetric: bool) -> Grid:
    return search_grid(weight.float(), bits, group, symmetric=symmetric)


@has_triton
@pytest.mark.skipif(torch.cuda.is_available() or INTERPRETED in os.environ, reason="the tests below run by themselves")
def test_all_of_this_in_the_interpreter() -> None:
    """A process of its own: Triton reads the variable when it is imported."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        "addopts=",
        "-q",
        "-x",
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        __file__,
    ]
    done = subprocess.run(
        command,
        env={**os.environ, INTERPRETED: "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@runs_kernels
@pytest.mark.parametrize(("bits", "group", "symmetric", "rows", "columns"), CASES)
def test_gptq_gives_the_references_codes(
    bits: int, group: int, symmetric: bool, rows: int, columns: int, device, kernels, monkeypatch
) -> None:
    weight, hessian = problem(rows, columns, device)
    grid = grid_of(weight, bits, group, symmetric)
    monkeypatch.setattr(walk, "uses_kernel", lambda tensor: False)
    expected = gptq(weight, hessian, grid, block=BLOCK)
    monkeypatch.setattr(walk, "uses_kernel", lambda tensor: True)
    assert torch.equal(gptq(weight, hessian, grid, block=BLOCK), expected)
    assert not torch.equal(expected, grid.quantize(weight.float()))


@runs_kernels
@pytest.mark.parametrize(("bits", "group", "symmetric", "rows", "columns"), CASES)
def test_refinement_gives_the_references_codes_and_scales(
    bits: int, group: int, symmetric: bool, rows: int, columns: int, device, kernels, monkeypatch
) -> None:
    weight, hessian = problem(rows, columns, device, seed=1)
    grid = grid_of(weight, bits, group, symmetric)
    start = grid.quantize(weight.float())
    monkeypatch.setattr(walk, "uses_kernel", lambda tensor: False)
    want_grid, want = refine(weight, hessian, grid, start, sweeps=1, block=BLOCK)
    monkeypatch.setattr(walk, "uses_kernel", lambda tensor: True)
    made_grid, made = refine(weight, hessian, grid, start, sweeps=1, block=BLOCK)
    assert torch.equal(made, want)
    assert torch.equal(made_grid.scales, want_grid.scales)
    assert bits == 8 or not torch.equal(want, start)


@runs_kernels
@pytest.mark.parametrize("descends", [True, False])
def test_one_block_in_float32(descends: bool, device, kernels) -> None:
    """Sums in another order: carries equal to a few units in the last place wherever the codes are the same."""
    weight, hessian = (t.float() for t in problem(17, 128, device, seed=2))
    grid = grid_of(weight, 4, 32, False)
    columns = walk.Columns.of(grid, torch.arange(128, device=device), torch.float32)
    h = damped(hessian, 0.01)
    if descends:
        codes = grid.quantize(weight)
        pull = (grid.dequantize(codes) - weight) @ h
        made = kernels.descend_block(pull, codes, h, columns)
        want = walk.descend_reference(pull, codes, h, columns)
    else:
        upper = Factor.of(hessian, act_order=False).upper()
        made = kernels.round_block(weight, weight, upper, columns)
        want = walk.round_reference(weight, weight, upper, columns)
    same = (made[0] == want[0]).all(1)
    assert int(same.sum()) >= 15
    assert torch.allclose(made[1][same], want[1][same], atol=1e-5)


@runs_kernels
def test_blocks_cut_from_a_wider_matrix_are_read_with_its_strides(device, kernels) -> None:
    weight, hessian = (t.float() for t in problem(9, 256, device, seed=3))
    grid = grid_of(weight, 4, 128, True)
    columns = walk.Columns.of(grid, torch.arange(256, device=device), torch.float32).cut(128, 256)
    upper = Factor.of(hessian, act_order=False).upper()[128:, 128:]
    cut = weight[:, 128:]
    wide = kernels.round_block(cut, cut, upper, columns)
    own = kernels.round_block(cut.contiguous(), cut.contiguous(), upper.contiguous(), columns)
    assert torch.equal(wide[0], own[0])
    assert torch.equal(wide[1], own[1])


@runs_kernels
@pytest.mark.parametrize("value", [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, -0.49999997, 3.0, -7.7])
def test_halves_go_to_the_even_code(value: float, device, kernels) -> None:
    weight = torch.full((3, 16), value, device=device)
    grid = Grid(4, 16, torch.ones(3, 1, dtype=torch.bfloat16, device=device), None)
    columns = walk.Columns.of(grid, torch.arange(16, device=device), torch.float32)
    codes, errors = kernels.round_block(weight, weight, torch.eye(16, device=device), columns)
    assert torch.equal(codes.float(), torch.round(weight))
    assert torch.equal(errors, weight - torch.round(weight))


@runs_kernels
def test_a_block_that_is_too_wide_is_refused(device, kernels) -> None:
    weight, hessian = (t.float() for t in problem(2, 160, device))
    grid = grid_of(weight, 4, 32, True)
    columns = walk.Columns.of(grid, torch.arange(160, device=device), torch.float32)
    with pytest.raises(Exception, match="at most 128 columns"):
        kernels.round_block(weight, weight, hessian, columns)


@runs_kernels
def test_gptq_through_the_kernel_beats_rounding(through_kernel, device) -> None:
    weight, hessian = (t.float() for t in problem(20, 64, device, seed=4))
    grid = grid_of(weight, 3, 32, True)

    def loss(codes: Tensor, with_grid: Grid) -> float:
        return float(output_error(with_grid.dequantize(codes) - weight, hessian).sum())

    codes = gptq(weight, hessian, grid, block=BLOCK)
    better, refined = refine(weight, hessian, grid, codes, sweeps=1, block=BLOCK)
    assert loss(refined, better) < loss(codes, grid) < loss(grid.quantize(weight), grid)
