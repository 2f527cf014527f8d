"""Packed linears and embeddings against the float64 product of what `packing` says the codes mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from autoglm_phone.backends import quantized_table
from autoglm_phone.backends.quantized import BLOCK, PackedWeight, pack, scaled, stack, unpack
from autoglm_phone.backends.quantized_blocks import BlockHandle, quantize_rows
from autoglm_phone.backends.quantized_int8 import Int8Handle
from autoglm_phone.backends.quantized_table import TableHandle
from autoglm_phone.compress.formats import packing

CPU = torch.device("cpu")
BITS = (2, 3, 4, 8)


def make(
    rows: int, columns: int, bits: int, groups: int, symmetric: bool, seed: int = 0, activation_bits: int | None = None
) -> PackedWeight:
    generator = torch.Generator().manual_seed(seed)
    low, high = -(1 << (bits - 1)), 1 << (bits - 1)
    codes = torch.randint(low, high, (rows, columns), dtype=torch.int8, generator=generator)
    scales = (torch.randn(rows, groups, generator=generator) * 0.1).half()  # negative ones too
    zeros = None
    if not symmetric:
        points = torch.randint(low, high, (rows, groups), dtype=torch.int8, generator=generator)
        zeros = packing.pack_codes(points, bits)
    return PackedWeight(bits, columns, packing.pack_codes(codes, bits), scales, zeros, activation_bits)


def truth(weight: PackedWeight) -> Tensor:
    """float64 [rows, columns]"""
    scales, columns = weight.scales.float(), weight.columns
    return packing.dequantize(weight.codes, scales, weight.zeros, bits=weight.bits, columns=columns).double()


def relative(made: Tensor, expected: Tensor) -> float:
    return float((made.double() - expected).norm() / expected.norm().clamp(min=1e-30))


@given(
    bits=st.sampled_from(BITS),
    rows=st.integers(1, 40),
    size=st.integers(1, 24),
    groups=st.integers(1, 5),
    symmetric=st.booleans(),
    bias=st.booleans(),
    count=st.sampled_from([0, 1, 2, 4, 5, 17]),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_products_of_any_shape(bits, rows, size, groups, symmetric, bias, count, seed) -> None:
    weight = make(rows, size * groups, bits, groups, symmetric, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    x = torch.randn(count, size * groups, generator=generator)
    added = torch.randn(rows, generator=generator) if bias else None
    expected = x.double() @ truth(weight).T + (0 if added is None else added)
    # Codes are exact; the sums' rounding is measured against the size of their terms.
    size_of_terms = float((x.abs() @ truth(weight).abs().float().T).max()) + 16 if count else 1.0
    for handle in (TableHandle.of(weight, added, torch.float32), BlockHandle.of(weight, added, CPU, torch.float32)):
        made = handle.multiply(x)
        assert made.shape == (count, rows)
        assert torch.allclose(made.double(), expected, rtol=0, atol=1e-5 * size_of_terms)
        ids = torch.randint(0, rows, (7,), generator=generator)
        assert torch.allclose(handle.look_up(ids).double(), truth(weight)[ids], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("count", [1, 4, 16, 128])
def test_products_of_the_mini_shapes(bits: int, symmetric: bool, count: int) -> None:
    for rows, columns, group in ((1280, 256, 128), (256, 640, 128), (512, 256, 256), (1000, 256, 64)):
        weight = make(rows, columns, bits, columns // group, symmetric)
        x = torch.randn(count, columns, generator=torch.Generator().manual_seed(1))
        expected = x.double() @ truth(weight).T
        assert relative(TableHandle.of(weight, None, torch.float32).multiply(x), expected) < 2e-6
        assert relative(BlockHandle.of(weight, None, CPU, torch.float32).multiply(x), expected) < 2e-6


@pytest.mark.parametrize("bits", BITS)
def test_quick_unpacking_is_the_formats(bits: int) -> None:
    for columns in (1, 5, 8, 33):
        weight = make(6, columns, bits, 1, True)
        assert torch.equal(unpack(weight.codes, bits, columns), packing.unpack_codes(weight.codes, bits, columns))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("symmetric", [True, False])
def test_integer_products(bits: int, groups: int, symmetric: bool) -> None:
    """8-bit inputs: exactly the product of the rounded inputs, and close to that of the true ones."""
    weight = make(96, 128, bits, groups, symmetric, activation_bits=8)
    bias = torch.randn(96)
    for count in (1, 5, 33):
        x = torch.randn(count, 128) * torch.rand(count, 1) * 10
        codes, steps = quantize_rows(x)
        expected = (codes.double() * steps) @ truth(weight).T + bias
        handle = Int8Handle.of(weight, bias, CPU, torch.float32)
        assert relative(handle.multiply(x), expected) < 2e-6
        assert relative(BlockHandle.of(weight, bias, CPU, torch.float32).multiply(x), expected) < 2e-6
        assert relative(handle.multiply(x), x.double() @ truth(weight).T + bias) < 0.02
    ids = torch.tensor([3, 95, 3])
    assert torch.allclose(handle.look_up(ids).double(), truth(weight)[ids], rtol=1e-5, atol=1e-6)
    assert torch.isfinite(handle.multiply(torch.zeros(2, 128))).all()


class AsStrictAsAGpu(TorchDispatchMode):
    """cuBLASLt's integer product takes matrices alone whose rows (or columns) lie multiples of four bytes apart."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._int_mm.default:
            for matrix in args:
                assert max(matrix.stride()) % 4 == 0, f"strides {matrix.stride()}"
        return func(*args, **(kwargs or {}))


def test_integer_products_of_inputs_that_lie_column_by_column() -> None:
    """As a convolution over an odd number of frames leaves them."""
    weight = make(96, 128, 8, 1, True, activation_bits=8)
    handle = Int8Handle.of(weight, None, CPU, torch.float32)
    x = torch.randn(128, 111)
    with AsStrictAsAGpu():
        made = handle.multiply(x.t())
    assert torch.equal(made, handle.multiply(x.t().contiguous()))


def test_the_kind_of_handle_follows_the_weight() -> None:
    weight, trained = make(8, 16, 3, 1, True), make(8, 16, 8, 1, True, activation_bits=8)
    assert isinstance(pack(trained, None, CPU, torch.float32), Int8Handle)
    assert isinstance(pack(make(8, 16, 3, 1, True), None, CPU, torch.float32, table=False), BlockHandle)
    head = pack(weight, None, CPU, torch.float32)
    assert isinstance(head, TableHandle)
    assert pack(weight, None, CPU, torch.float32, table=False) is head, "a tied embedding is not kept twice"


@pytest.mark.parametrize("mixed", [False, True])
def test_stacked_linears(mixed: bool) -> None:
    """q, k and v of a layer: one piece if alike, side by side if not."""
    weights = [make(24, 32, 4, 2, False, 1), make(8, 32, 3 if mixed else 4, 2, False, 2), make(8, 32, 4, 2, False, 3)]
    parts = [weights[0], weights[1], truth(weights[2]).float() if mixed else weights[2]]
    joined = stack(parts)
    assert isinstance(joined, PackedWeight) is not mixed
    assert tuple(joined.shape) == (40, 32)
    x, bias = torch.randn(3, 32), torch.randn(40)
    expected = x.double() @ torch.cat([truth(w) for w in weights]).T + bias
    assert relative(pack(joined, bias, CPU, torch.float32).multiply(x), expected) < 2e-6


def test_a_gate_goes_into_the_scales() -> None:
    weight, gate = make(8, 16, 4, 2, False), torch.tensor([0.37])
    made = pack(scaled(weight, gate), None, CPU, torch.float32).look_up(torch.arange(8))
    assert relative(made, truth(weight) * 0.37) < 1e-6
    assert torch.allclose(truth(scaled(weight, gate)), truth(weight) * gate.double(), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_activations(dtype: torch.dtype) -> None:
    weight = make(64, 128, 4, 2, True)
    x = torch.randn(3, 128).to(dtype)
    expected = x.double() @ truth(weight).T
    for handle in (TableHandle.of(weight, None, dtype), BlockHandle.of(weight, None, CPU, dtype)):
        assert handle.multiply(x).dtype == dtype
        assert relative(handle.multiply(x), expected) < 0.01


class LargestFloat(TorchDispatchMode):
    """Counts the elements of the largest floating-point tensor that any operator makes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                self.elements = max(self.elements, tensor.numel())
        return made


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(6144, 1024, 128), (512, 12288, 64), (40960, 256, 256)])
@pytest.mark.parametrize("count", [1, 32])
def test_the_whole_float_weight_never_exists(bits: int, shape: tuple[int, int, int], count: int) -> None:
    rows, columns, group = shape
    weight = make(rows, columns, bits, columns // group, bits == 3)
    assert rows * columns >= 6 * BLOCK
    x = torch.randn(count, columns)
    bound = max(BLOCK, count * rows, columns // group * rows, x.numel())  # a block, the output, the scales
    with LargestFloat() as seen:
        table = TableHandle.of(weight, None, torch.float32)
        table.multiply(x)
        table.look_up(torch.tensor([0, rows - 1]))
        blocks = BlockHandle.of(weight, None, CPU, torch.float32)
        blocks.multiply(x)
        blocks.look_up(torch.tensor([0, rows - 1]))
    assert 0 < seen.elements <= bound < rows * columns / 4
    boxed = {3: 4}.get(bits, bits)
    held = sum(t.nbytes for t in (table.table, table.scales, table.points) if t is not None)
    assert held <= rows * columns * boxed / 8 + 8 * rows * columns / group + 8 * columns


def test_bags_and_blocks_agree_at_the_switch() -> None:
    weight = make(96, 64, 4, 2, False)
    handle = TableHandle.of(weight, None, torch.float32)
    limit = quantized_table.BAG_ROWS[4]
    x = torch.randn(limit, 64)
    assert torch.allclose(handle.multiply(x)[: limit - 1], handle.multiply(x[: limit - 1]), atol=1e-5)
