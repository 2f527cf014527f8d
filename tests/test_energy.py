"""Which GPU's energy is read: the one that the process uses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from autoglm_phone.bench import energy


@pytest.mark.parametrize(
    ("visible", "index", "expected"),
    [
        (None, 0, 0), (None, 3, 3), ("", 1, 1),
        ("3", 0, 3), ("2, 0", 1, 0), ("GPU-5f1c", 0, "GPU-5f1c"), ("1,GPU-5f1c", 1, "GPU-5f1c"), ("1", 4, 4),
    ],
)  # fmt: skip
def test_the_name_of_a_visible_gpu(visible, index, expected):
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert energy.seen_as(index, environ) == expected


@pytest.mark.parametrize(("visible", "joules"), [("1", 20.0), ("GPU-b", 20.0), ("0", 10.0)])
def test_the_meter_of_a_process_that_sees_one_gpu(monkeypatch, visible, joules):
    gpus = ["GPU-a", "GPU-b"]
    fake = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=gpus.index,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: 10_000 * (handle + 1),
    )
    monkeypatch.setattr(energy, "import_module", lambda name: fake)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    meter = energy.energy_meter("cuda")
    assert meter.joules is not None
    assert meter.joules() == joules
