"""What units are quantized with: moments that readers of one tensor share, slices of rows, files written behind."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autoglm_phone.compress import files, quantize_matrix, statistics, timing
from autoglm_phone.compress.algorithms.awq import SEARCHED, search_scale
from autoglm_phone.compress.plan import ModulePlan
from autoglm_phone.compress.quantize_unit import quantize_unit
from autoglm_phone.compress.statistics import Moments, observe
from autoglm_phone.compress.unit_run import STATES_ON_DEVICE, room
from autoglm_phone.compress.units import Unit, forward, move

CPU = torch.device("cpu")
OPTIONS = {"damping": 0.01, "act_order": True, "block": 128, "refine": 2, "compensate": 0.0}


class Pair(nn.Module):
    """q and k read the same; v reads what q made; `side` is only reached by some samples."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 16)
        self.side = nn.Linear(16, 4)

    def forward(self, x: Tensor, through: bool) -> Tensor:
        made = self.v(torch.tanh(self.q(x))) + self.k(x).repeat(1, 1, 2)
        return made + self.side(x).mean() if through else made


def unit() -> Unit:
    return Unit("pair", "pair.", Pair, lambda module, state: {"hidden": module(state["hidden"], state["through"])})


def states(count: int = 5) -> list[dict]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(1, 7 + i, 16, generator=generator) for i in range(count)]
    weights = [torch.rand(7 + i, generator=generator) for i in range(count)]
    return [
        {"hidden": h, "weight": w, "through": i % 2 == 1} for i, (h, w) in enumerate(zip(made, weights, strict=True))
    ]


def plan(name: str, shape: tuple[int, int], **changes: object) -> ModulePlan:
    info = SimpleNamespace(name=name, unit="pair", kind="linear", shape=shape, columns=shape[1])
    fields = {"bits": 4, "group_size": 8, "symmetric": True, "line": 1, "clip": True, "gptq": OPTIONS, **changes}
    return ModulePlan(info, **fields)  # type: ignore[arg-type]


def by_hand(rows: list[Tensor], weights: list[Tensor]) -> Tensor:
    x, w = torch.cat(rows).double(), torch.cat(weights).double()
    return (x.T @ (x * w[:, None]) / w.sum()).float()


@pytest.mark.parametrize("block", [1, 16, 1000])
def test_moments_are_those_of_the_definition_and_shared_by_readers_of_one_tensor(block: int, monkeypatch) -> None:
    torch.manual_seed(0)
    module, samples = Pair(), states()
    monkeypatch.setattr(statistics, "_block", lambda device: block)
    seen = observe(unit(), module, samples, ["q", "k", "v", "side"], CPU)
    hidden = [s["hidden"][0] for s in samples]
    weights = [s["weight"] for s in samples]
    assert torch.allclose(seen.moments["q"].hessian, by_hand(hidden, weights), atol=1e-5)
    assert seen.moments["q"] is seen.moments["k"]
    inner = [torch.tanh(module.q(h)).detach() for h in hidden]
    assert torch.allclose(seen.moments["v"].hessian, by_hand(inner, weights), atol=1e-5)
    # It reads what q and k read, but not in every sample.
    assert torch.allclose(seen.moments["side"].hessian, by_hand(hidden[1::2], weights[1::2]), atol=1e-5)
    assert seen.moments["side"].total == pytest.approx(float(torch.cat(weights[1::2]).sum()), rel=1e-5)


def test_a_reader_that_leaves_takes_its_own_sums_with_it() -> None:
    """The first sample reaches `side` together with q and k; later ones do not."""
    module, samples = Pair(), states()[1:]
    seen = observe(unit(), module, samples, ["q", "side"], CPU)
    hidden, weights = [s["hidden"][0] for s in samples], [s["weight"] for s in samples]
    assert torch.allclose(seen.moments["side"].hessian, by_hand(hidden[::2], weights[::2]), atol=1e-5)
    assert torch.allclose(seen.moments["q"].hessian, by_hand(hidden, weights), atol=1e-5)


def test_slices_of_rows_change_nothing(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(37, 32, generator=generator)
    inputs = torch.randn(200, 32, generator=generator) @ torch.randn(32, 32, generator=generator)
    moments = Moments(inputs.T @ inputs / 200, None, 200.0)
    for symmetric in (True, False):
        one = plan("q", (37, 32), symmetric=symmetric)
        grid, codes = quantize_matrix.quantize_matrix(weight, moments, one)
        errors = quantize_matrix.relative_errors(weight, moments.hessian, one, grid, codes)
        monkeypatch.setattr(quantize_matrix, "SLICE", 5 * 32)
        assert len(list(quantize_matrix.slices(weight))) == 8
        cut_grid, cut = quantize_matrix.quantize_matrix(weight, moments, one)
        monkeypatch.undo()
        assert float((cut != codes).float().mean()) < 0.01  # sums of other shapes may round a tie the other way
        again = quantize_matrix.relative_errors(weight, moments.hessian, one, cut_grid, cut)
        assert torch.allclose(errors.sum(1), again.sum(1), rtol=1e-2)
        assert bool((errors[0].sum() < errors[1].sum()) & (errors[1].sum() < errors[2].sum()))


def test_matrices_together_are_the_matrices_apart() -> None:
    torch.manual_seed(1)
    samples, plans = states(), {"q": plan("q", (16, 16)), "k": plan("k", (8, 16))}
    both, alone = Pair(), Pair()
    alone.load_state_dict(both.state_dict())
    stored = dict.fromkeys(both.state_dict(), torch.float32)
    with torch.no_grad():
        together = quantize_unit(unit(), both, plans, samples, CPU, stored=stored)
        apart = {n: quantize_unit(unit(), alone, {n: p}, samples, CPU, stored=stored) for n, p in plans.items()}
    for name in plans:
        assert torch.equal(together.weights[name].codes, apart[name].weights[name].codes)
        assert together.losses[name] == pytest.approx(apart[name].losses[name], rel=1e-4)
        assert together.losses[name] < together.plain[name]
        assert torch.equal(both.get_submodule(name).weight, together.weights[name].dequantize())


def test_scales_found_on_some_rows_serve_all(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(512, 64, generator=generator)
    inputs = torch.randn(300, 64, generator=generator)
    inputs[:, :4] *= 12
    hessian = inputs.T @ inputs / 300
    assert weight.numel() < SEARCHED
    whole, best, plain = search_scale([weight], hessian, bits=3, group_sizes=[32])
    monkeypatch.setattr("autoglm_phone.compress.algorithms.awq.SEARCHED", 64 * 64)
    some, _, _ = search_scale([weight], hessian, bits=3, group_sizes=[32])
    monkeypatch.undo()
    ratio = (whole / some).log().abs().max()
    assert float(ratio) < 0.5  # a neighbouring candidate at most
    assert best < plain


def test_states_stay_where_there_is_room() -> None:
    samples = states(3)
    here = torch.device("meta")
    module = Pair().to(here)
    size = sum(v.nbytes for v in samples[0].values() if isinstance(v, Tensor))
    made = forward(unit(), module, samples, here, room=10**9)
    assert all(state["hidden"].device == here for state in made)
    assert size > 0
    there = forward(unit(), Pair(), [move(s, CPU) for s in samples], CPU)
    assert all(state["hidden"].device == CPU for state in there)


def test_files_are_written_behind_in_order_and_failures_are_told(tmp_path: Path, monkeypatch) -> None:
    order: list[str] = []
    gate = threading.Event()
    real = files.write_tensors

    def slow(path: Path, tensors: dict, losses: dict) -> None:
        gate.wait(5)
        order.append(path.name)
        real(path, tensors, losses)

    monkeypatch.setattr(files, "write_tensors", slow)
    with files.BackgroundWriter() as writer:
        writer.put(tmp_path / "a.safetensors", {"x": torch.ones(2)}, {"m": [1.0, 2.0]})
        assert not (tmp_path / "a.safetensors").exists()
        gate.set()
        writer.put(tmp_path / "b.safetensors", {"x": torch.zeros(2)}, {})
    assert order == ["a.safetensors", "b.safetensors"]
    assert torch.equal(load_file(tmp_path / "a.safetensors")["x"], torch.ones(2))
    assert files.note_of(tmp_path / "a.safetensors") == {"m": [1.0, 2.0]}
    with pytest.raises(SafetensorError, match="No such file"), files.BackgroundWriter() as writer:
        writer.put(tmp_path / "no such folder" / "c.safetensors", {"x": torch.ones(1)}, {})


def test_time_is_taken_only_where_it_is_asked_for() -> None:
    with timing.recording() as spent:
        with timing.stage("a"):
            pass
        with timing.stage("a"):
            pass
    assert list(spent.seconds) == ["a"]
    assert all(peak > 0 for peak in spent.gigabytes.values())  # empty without a GPU
    with timing.stage("b"):
        pass
    assert "b" not in spent.seconds


@pytest.mark.parametrize(
    ("total", "fraction", "expected"),
    [(140 << 30, 1.0, STATES_ON_DEVICE), (140 << 30, 1 / 14, (10 << 30) // 32), (24 << 30, 1.0, (24 << 30) // 32)],
)
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_smaller_card_keeps_fewer_states(monkeypatch, name, total, fraction, expected):
    """PyTorch 2.11 refuses "cuda" without a number where it asks for a process's fraction; so do these."""

    def asked(device: int) -> float:
        assert type(device) is int
        return fraction

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, total))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", asked)
    assert room(torch.device(name)) == pytest.approx(expected, rel=1e-6)
    assert room(torch.device("cpu")) == 0
