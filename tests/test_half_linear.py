"""Products with weights in half precision: as good as float32 ones, and taken only where they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from adapter_cases import of, write_adapter
from autoglm_phone.backends import half
from autoglm_phone.backends.half import HalfLinear, holds
from autoglm_phone.backends.torch_backend import Linear, TorchBackend
from autoglm_phone.errors import EngineError
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.runner.weights import weight_bytes
from autoglm_phone.train.merge import merge
from native_cases import Case, check, clip, engine_for, make_request, picture, run, save_case

needs_it = pytest.mark.skipif(not half.is_available(), reason="this PyTorch lacks FBGEMM's half-precision products")


def weight_of(outputs: int, inputs: int) -> torch.Tensor:
    return (torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(inputs)) * 0.05).bfloat16()


def backend(**options) -> TorchBackend:
    sizes = {"eps": 1e-5, "head_dim": 16, "rotary_dim": 8, "theta": 1e4, "halves": True}
    return TorchBackend(torch.device("cpu"), torch.float32, **{**sizes, **options})


@needs_it
@pytest.mark.parametrize(("outputs", "inputs"), [(8192, 256), (1280, 256), (256, 640), (517, 301)])
@pytest.mark.parametrize("biased", [False, True])
def test_against_float64(outputs, inputs, biased):
    weight = weight_of(outputs, inputs)
    bias = torch.randn(outputs) if biased else None
    made = backend().pack_linear(weight, bias)
    assert isinstance(made, HalfLinear)
    for rows in (0, 1, 2, 3, 6, 7, 16, 200):
        x = torch.randn(rows, 2 * inputs)[:, :inputs]  # not in one piece
        exact = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
        plain = F.linear(x, weight.float(), bias)
        into = torch.full((rows, outputs), 7.0)
        backend().linear_into(x, made, into)
        for found in (backend().linear(x, made), into):
            torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-5)
        if rows:
            errors = [float((y.double() - exact).square().mean().sqrt()) for y in (into, plain)]
            assert errors[0] < 4 * errors[1]  # it adds up in another order


@needs_it
@pytest.mark.parametrize("biased", [False, True])
def test_threads_share_rows(biased):
    weight, bias, x = weight_of(96, 512), torch.randn(96) if biased else None, torch.randn(331, 512)
    made, before = HalfLinear.of(weight, bias), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        found = made.multiply(x)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, F.linear(x, weight.float(), bias), rtol=0, atol=2e-5)


def test_only_weights_that_lose_nothing():
    for weight in (weight_of(300, 64), torch.full((3, 4), 1e-9), torch.randn(9, 9).half()):
        assert holds(weight)
    assert not holds(torch.randn(300, 64))
    for wrong in (1e5, float("inf"), float("nan"), 1 + 2.0**-12):
        weight = weight_of(300, 64).float()
        weight[299, 63] = wrong
        assert not holds(weight)


@needs_it
def test_what_is_left_as_it_was(monkeypatch):
    weight, norm = weight_of(256, 512), torch.rand(512) + 0.5
    for options in ({"halves": False}, {}):
        kept = backend(**options)
        packed = kept.pack_norm_linear(norm, weight, None)
        assert isinstance(packed[1], HalfLinear) == bool(not options)
        assert (packed[0].weight is None) == (kept.folded(norm, weight) is not None) == bool(options)
    assert isinstance(backend().pack_linear(weight_of(256, 32), None), Linear)  # padding would take more than float32
    assert isinstance(backend().pack_linear(torch.randn(256, 512), None), Linear)
    monkeypatch.setattr(half, "LARGEST", 256 * 512 - 1)
    assert isinstance(backend().pack_linear(weight, None), Linear)
    monkeypatch.undo()
    monkeypatch.setattr(half, "is_available", lambda: False)
    assert isinstance(backend().pack_linear(weight, None), Linear)


def test_a_pytorch_without_it(monkeypatch):
    monkeypatch.delattr(torch, "fbgemm_linear_fp16_weight_fp32_activation", raising=False)
    assert not half.is_available.__wrapped__()


@needs_it
def test_a_product_that_is_wrong_is_not_used(monkeypatch):
    monkeypatch.setattr(torch, "fbgemm_linear_fp16_weight_fp32_activation", lambda x, w, bias, output: output.zero_())
    assert not half.is_available.__wrapped__()


@needs_it
def test_a_tied_head_and_its_embedding():
    weight = weight_of(1024, 256)
    head = backend().pack_linear(weight, None)
    table = backend().pack_tied_embedding(weight, head)
    ids = torch.tensor([5, 1023, 5, 0])
    assert torch.equal(backend().embed(table, ids), weight[ids].float())
    assert table.nbytes + head.packed.nbytes <= 3 * weight.nbytes
    assert table.data_ptr() != weight.data_ptr()  # which may be a mapped file
    with pytest.raises(EngineError):
        head.look_up(ids)


@pytest.fixture
def halved(tmp_path, monkeypatch) -> Case:
    """A tiny model in bfloat16's numbers, whose linears are packed although padding makes them larger."""
    monkeypatch.setattr(half, "_padded", lambda inputs: inputs)
    case = save_case(tmp_path / "float")
    model = case.model.to(torch.bfloat16)
    model.save_pretrained(tmp_path / "half")
    return Case(tmp_path / "half", model.float())


@needs_it
@pytest.mark.parametrize("together", [1, 4])
def test_the_engine_against_the_reference(halved, together):
    requests = [
        make_request("text", [30] * 9, [], max_tokens=20),
        make_request("long", [31, 35] * 30, [], max_tokens=8),
        make_request("picture", [32] * 7, [picture(2, 3, 0, 2)], max_tokens=12),
        make_request("both", [33] * 20, [picture(1, 2, 0, 3), clip(20, 1, 8)], max_tokens=12),
    ]
    engine = engine_for(halved, max_num_seqs=together, dynamic_graph=False)
    layer = engine.runner.decoder.weights.segments[0][0]
    assert all(isinstance(part, HalfLinear) for part in (layer.qkv, layer.out, layer.gate_up, layer.down))
    check(halved, requests, run(engine, requests))


@needs_it
@pytest.mark.parametrize("memory", [None, 0])
def test_adapters_beside_halves(halved, tmp_path, memory):
    """An adapter's factors hold the norm's weight just where the linear does; layers that come and go have it."""
    adapter = write_adapter(tmp_path / "a", halved.folder, 1)
    model = AutoGLMPhoneForConditionalGeneration.from_pretrained(
        merge(adapter, tmp_path / "merged", dtype="float32"), dtype=torch.float32
    )
    merged = Case(tmp_path / "merged", model.eval())
    requests = [
        of("a", "one", [20, 30, 40], [picture(1, 2, 0, 1)], max_tokens=9),
        of("a", "two", [20 + i for i in range(30)], max_tokens=9),
    ]
    engine = engine_for(halved, lora_modules={"a": adapter}, decoder_memory=memory)
    weights = engine.runner.decoder.weights
    deep = {isinstance(layer.qkv, HalfLinear) for layer in weights.segments[1]}
    assert isinstance(weights.segments[0][0].qkv, HalfLinear)
    assert deep == {isinstance(weights.head, HalfLinear)} == {memory is None}
    result = run(engine, requests)
    for request in requests:
        own = replace(result, logits=[part for part in result.logits if part[0] == request.request_id])
        assert own.logits
        check(merged, [request], own)


@needs_it
def test_all_bytes_count_once(halved):
    weights = engine_for(halved).runner.decoder.weights
    assert isinstance(weights.embedding, torch.Tensor)
    layers = [layer for segment in weights.segments for layer in segment]
    packed = sum(part.packed.nbytes for a in layers for part in (a.qkv, a.out, a.gate_up, a.down))
    tables = weights.embedding.nbytes + weights.head.packed.nbytes
    assert packed + tables < weight_bytes(weights) < 2 * (packed + tables)
