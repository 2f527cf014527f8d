"""Joules that the machine says it used: the GPU's counter (NVML), else the CPU package's (RAPL), else none.

Both count the whole device, whoever uses it: on a shared machine the figures are an upper bound.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class EnergyMeter:
    """joules: total so far; None where nothing counts. source: what counts, or why nothing does, in words."""

    source: str
    joules: Callable[[], float] | None = None


def energy_meter(device: str, index: int = 0, rapl: Path = RAPL) -> EnergyMeter:
    """The meter of a device ("cpu" or "cuda")."""
    return _nvml(index) if device == "cuda" else _rapl(rapl)


def seen_as(index: int, environ: Mapping[str, str] = os.environ) -> int | str:
    """What NVML calls the GPU that CUDA calls `index`: NVML counts all of the machine's, CUDA those that
    CUDA_VISIBLE_DEVICES names, by number or by UUID."""
    names = [name.strip() for name in environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if index >= len(names) or not names[index]:
        return index
    return int(names[index]) if names[index].isdigit() else names[index]


def _nvml(index: int) -> EnergyMeter:
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return EnergyMeter("energy not measured: reading the GPU's counter needs nvidia-ml-py (pip install it)")
    try:
        nvml.nvmlInit()
        name = seen_as(index)
        by_number = isinstance(name, int)
        handle = (nvml.nvmlDeviceGetHandleByIndex if by_number else nvml.nvmlDeviceGetHandleByUUID)(name)
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError as error:
        return EnergyMeter(f"energy not measured: this GPU has no energy counter ({error})")
    return EnergyMeter("NVML, the whole GPU", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)


def _rapl(root: Path) -> EnergyMeter:
    """Packages of a CPU; the kernel lets root alone read them."""
    counters = sorted(root.glob("intel-rapl:[0-9]*/energy_uj"))
    counters = [path for path in counters if path.parent.name.count(":") == 1]

    def joules() -> float:
        return sum(int(path.read_text()) for path in counters) / 1e6

    try:
        if counters and joules() >= 0:
            return EnergyMeter("RAPL, all CPU packages", joules)
    except (OSError, ValueError):
        return EnergyMeter("energy not measured: the CPU's counter (RAPL) may be read by root alone")
    return EnergyMeter("energy not measured: this machine has no energy counter that we can read (no GPU, no RAPL)")
