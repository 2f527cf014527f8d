"""The products of a GPU: PyTorch's int4 operator by its CPU twin, and where there is a GPU, all of them on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autoglm_phone.backends import quantized_int4
from autoglm_phone.backends.quantized import BLOCK, PackedWeight, block_of, pack
from autoglm_phone.backends.quantized_blocks import BlockHandle, quantize_rows
from autoglm_phone.backends.quantized_int4 import FLOAT_ROWS, Int4Handle, group_of, works_on
from autoglm_phone.backends.quantized_int8 import Int8Handle
from test_quantized_linear import make, relative, truth

CPU = torch.device("cpu")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = [CPU, pytest.param(torch.device("cuda"), marks=needs_gpu)]
HALF = 2**-8  # bfloat16's relative rounding, doubled: of the weights and of the result


def bfloat_scales(weight: PackedWeight) -> PackedWeight:
    return replace(weight, scales=weight.scales.bfloat16())


def test_weights_that_the_operator_holds() -> None:
    assert group_of(make(64, 512, 4, 4, True)) == 128
    assert group_of(make(64, 512, 3, 1, True)) == 256  # rows' own scales are repeated
    assert group_of(make(64, 192, 4, 2, False)) == 32  # 96 columns a group
    for weight in (
        make(64, 512, 8, 4, True),
        make(64, 512, 2, 4, True),
        make(60, 512, 4, 4, True),
        make(64, 48, 4, 1, True),
        make(64, 512, 4, 32, True),
        make(64, 512, 4, 4, True, activation_bits=8),
    ):
        assert group_of(weight) is None


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("shape", [(64, 512, 4), (96, 192, 2), (48, 256, 1), (160, 32, 1)])
def test_the_int4_operator_means_what_our_codes_mean(bits, symmetric, shape, device) -> None:
    rows, columns, groups = shape
    weight = bfloat_scales(make(rows, columns, bits, groups, symmetric))
    group = group_of(weight)
    assert group is not None
    bias = torch.randn(rows).bfloat16().to(device)
    handle = Int4Handle.of(weight, group, bias, device)
    expected_weight = truth(weight).to(device)
    # Zeros are rounded too, and a weight is the small difference of a zero and a code's step: more than HALF is lost.
    bound = HALF if symmetric else 2 * HALF
    for count in (1, 5, 40, FLOAT_ROWS + 3):
        x = torch.randn(count, columns, generator=torch.Generator().manual_seed(count)).bfloat16().to(device)
        expected = x.double() @ expected_weight.T + bias.double()
        made = handle.multiply(x)
        assert made.dtype == torch.bfloat16
        assert relative(made, expected) < bound
    ids = torch.tensor([3, rows - 1, 3, 0], device=device)
    looked = handle.look_up(ids)
    if symmetric:
        assert torch.equal(looked, expected_weight[ids].bfloat16())  # nothing is rounded but the product
    assert relative(looked, expected_weight[ids]) < bound


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_blocks_of_tiles(device, monkeypatch) -> None:
    monkeypatch.setattr(quantized_int4, "block_of", lambda _: 24 * 256)
    weight = bfloat_scales(make(96, 256, 4, 2, False))
    handle = Int4Handle.of(weight, 128, None, device)
    x = torch.randn(FLOAT_ROWS, 256).bfloat16().to(device)
    assert relative(handle.multiply(x), x.double() @ truth(weight).to(device).T) < 2 * HALF


def test_few_large_blocks_on_a_gpu() -> None:
    assert block_of(CPU) == BLOCK
    assert block_of(torch.device("cuda")) >= 16 * BLOCK


@needs_gpu
def test_the_kind_of_handle_on_a_gpu() -> None:
    assert works_on(torch.device("cuda"))
    device = torch.device("cuda")
    kinds = {
        Int4Handle: make(64, 256, 4, 2, False),
        Int8Handle: make(64, 256, 8, 1, True, activation_bits=8),
        BlockHandle: make(64, 256, 2, 2, True),
    }
    for kind, weight in kinds.items():
        assert isinstance(pack(weight, None, device, torch.bfloat16), kind)
    assert isinstance(pack(make(64, 256, 4, 2, True), None, device, torch.float16), BlockHandle)
    assert isinstance(pack(make(64, 250, 8, 1, True, activation_bits=8), None, device, torch.bfloat16), BlockHandle)


@needs_gpu
@pytest.mark.parametrize("symmetric", [True, False])
def test_integer_products_on_a_gpu(symmetric: bool) -> None:
    device = torch.device("cuda")
    weight = make(96, 128, 8, 1, symmetric, activation_bits=8)
    bias = torch.randn(96, device=device)
    handle = Int8Handle.of(weight, bias, device, torch.float32)
    for count in (1, 16, 17, 33, 100):
        x = torch.randn(count, 128, device=device) * 3
        codes, steps = quantize_rows(x)
        expected = (codes.double() * steps) @ truth(weight).to(device).T + bias
        assert relative(handle.multiply(x), expected) < 2e-6
        assert torch.equal(handle.multiply(x.t().contiguous().t()), handle.multiply(x))


@needs_gpu
@pytest.mark.parametrize("bits", [4, 8])
def test_products_can_be_captured(bits: int) -> None:
    """As CUDA graphs replay them: nothing waits for the GPU or asks what it holds."""
    device = torch.device("cuda")
    weight = make(512, 256, bits, 1 if bits == 8 else 2, True, activation_bits=8 if bits == 8 else None)
    handles = [pack(weight, None, device, torch.bfloat16), BlockHandle.of(weight, None, device, torch.bfloat16)]
    x = torch.randn(4, 256, device=device).bfloat16()
    for handle in handles:
        expected = handle.multiply(x)
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            handle.multiply(x)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = handle.multiply(x)
        graph.replay()
        assert torch.equal(made, expected)


@needs_gpu
@pytest.mark.parametrize(("bits", "most"), [(4, 2), (3, 2), (8, 80)])
def test_how_many_kernels_a_product_takes(bits: int, most: int) -> None:
    """Of a 9B model's gate and up, one row: decoding is launches."""
    device = torch.device("cuda")
    weight = bfloat_scales(make(27392, 4096, bits, 32, True))
    handle = pack(weight, None, device, torch.bfloat16)
    x = torch.randn(1, 4096, device=device).bfloat16()
    handle.multiply(x)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        handle.multiply(x)
        torch.cuda.synchronize()
    kernels = sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profile.events())
    assert 0 < kernels <= most
