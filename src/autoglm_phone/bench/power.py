"""The GPU's energy without Python packages: NVML's counter through ctypes, else nvidia-smi's power, integrated."""

from __future__ import annotations

import ctypes
import subprocess
import threading
import time

from autoglm_phone.bench.energy import EnergyMeter, energy_meter, seen_as

PERIOD = 0.1  # seconds between two readings of nvidia-smi


def gpu_meter(index: int | None = 0) -> EnergyMeter:
    """The best meter that this machine has for the GPU that CUDA calls `index`; None: there is no GPU."""
    if index is None:
        return EnergyMeter("not measured: no GPU")
    packaged = energy_meter("cuda", index)
    if packaged.joules is not None:
        return packaged
    name = seen_as(index)
    return _library(name) or _sampled(name) or EnergyMeter("not measured: neither NVML nor nvidia-smi answers")


def _library(name: int | str) -> EnergyMeter | None:
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    if nvml.nvmlInit_v2():
        return None
    if isinstance(name, int):
        failed = nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(name), ctypes.byref(handle))
    else:
        failed = nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
    if failed:
        return None

    def joules() -> float:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
        return millijoules.value / 1000

    if nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
        return None
    return EnergyMeter("NVML's counter, the whole GPU", joules)


def _watts(name: int | str) -> float | None:
    command = ["nvidia-smi", f"--id={name}", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    try:
        return float(subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _sampled(name: int | str) -> EnergyMeter | None:
    if _watts(name) is None:
        return None
    total, lock = [0.0], threading.Lock()

    def follow() -> None:
        last = time.perf_counter()
        while True:
            watts = _watts(name)
            now = time.perf_counter()
            with lock:
                total[0] += (watts or 0.0) * (now - last)
            last = now
            time.sleep(PERIOD)

    threading.Thread(target=follow, daemon=True, name="nvidia-smi").start()

    def joules() -> float:
        with lock:
            return total[0]

    return EnergyMeter("power by nvidia-smi, integrated", joules)
