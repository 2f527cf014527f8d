"""Finished units to a checkpoint: tensors under the names that the model has on disk, specs, checksums, the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import safe_open

from autoglm_phone.compress import transform
from autoglm_phone.compress.files import write_text
from autoglm_phone.compress.formats import master
from autoglm_phone.compress.opening import COPIED, Opened
from autoglm_phone.compress.plan import CompressionPlan
from autoglm_phone.compress.recipe import Recipe
from autoglm_phone.compress.tune import Tuned


def assemble(
    opened: Opened,
    plan: CompressionPlan,
    recipe: Recipe,
    work: Path,
    max_shard_bytes: int,
    tuned: Tuned | None,
) -> tuple[Path, dict[str, Any]]:
    """The master checkpoint of finished units, with the model's other files, in the work folder.

    Returns:
        (its folder, the report that belongs beside it).
    """
    disk = opened.source.disk
    staging = work / "assembled"
    shutil.rmtree(staging, ignore_errors=True)
    writer = master.ShardWriter(staging, max_shard_bytes)
    written: set[str] = set()
    losses: dict[str, Any] = {}

    def disk_name(name: str) -> str:
        if name in disk:
            return disk[name]
        module, part = name.rsplit(".", 1)
        return disk[module + ".weight"].removesuffix("weight") + part

    for unit in (u for stage in opened.architecture.stages() for u in stage.units):
        path = work / f"{unit.name}.safetensors"
        with safe_open(path, framework="pt") as file:
            losses |= {unit.prefix + n: v for n, v in json.loads(file.metadata()["losses"]).items()}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            for name, tensor in (tensors if tuned is None else tuned.applied(tensors)).items():
                writer.add(disk_name(name), tensor)
                written.add(name)
    quantized = {name + ".weight" for name in plan.modules}
    tied = {"lm_head.weight"} if plan.tied else set()
    for name in sorted(opened.source.names()):
        if name not in written and name not in quantized and name not in tied:
            writer.add(disk[name], opened.source.get(name))
    sums = writer.close()
    specs = {disk[name + ".weight"].removesuffix(".weight"): p.spec for name, p in plan.modules.items()}
    for name, stored in opened.source.shared.items():
        if stored.removesuffix(".weight") in specs:
            specs[name.removesuffix(".weight")] = specs[stored.removesuffix(".weight")]
    config = json.loads((opened.folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = master.MasterConfig(specs, sums).to_json()
    for pattern in COPIED:
        for file in sorted(opened.folder.glob(pattern)):
            if file.name not in ("config.json", master.INDEX):
                shutil.copy(file, staging / file.name)
    write_text(staging / "config.json", json.dumps(config, indent=1) + "\n")
    report = {"recipe": recipe.name, "format": "master", "bytes": plan.num_bytes, "float_bytes": plan.float_bytes}
    return staging, {**report, "losses": losses, "steps": transform.reports(work)}
