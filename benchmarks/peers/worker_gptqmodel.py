"""GPTQModel's worker: GPTQ in its default form, or with act-order and its clip search; saved, loaded, dequantized."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import exchange
import torch

# Its pool wants two workers and gives itself one where there are two cores.
os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
METHODS = ("gptq", "gptq-act-mse", "awq", "gptaq")


def main() -> None:
    args = exchange.arguments(__doc__ or "", METHODS)

    def work() -> Mapping[str, Any]:
        from gptqmodel import BACKEND, GPTQModel, QuantizeConfig

        options: dict[str, Any] = {"bits": args.bits, "group_size": args.group, "sym": args.symmetric}
        if args.method == "gptq-act-mse":
            options |= {"desc_act": True, "static_groups": True, "act_group_aware": False, "mse": 2.4}
        elif args.method == "awq":
            options |= {"method": "awq", "format": "gemm"}
        elif args.method == "gptaq":
            from gptqmodel.quantization.config import GPTAQConfig

            options |= {"gptaq": GPTAQConfig()}
        config = QuantizeConfig(device="cpu", offload_to_disk=False, **options)
        model = GPTQModel.load(str(args.model), config, torch_dtype=torch.float32)
        sequences = exchange.calibration(args.calibration)
        rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in sequences]
        model.quantize(rows, batch_size=1)
        saved = args.out / "packed"
        model.save(str(saved))
        packed = GPTQModel.load(str(saved), backend=BACKEND.TORCH, device="cpu")
        tensors = dict(exchange.weights(packed.model))
        types = set()
        for name, module in packed.model.named_modules():
            if hasattr(module, "qweight"):
                types.add(str(module.scales.dtype))
                for part in [n for n in tensors if n.startswith(name + ".") and not n.endswith(".bias")]:
                    tensors.pop(part)
                weight = module.dequantize_weight()
                tensors[name + ".weight"] = weight.T if weight.shape[0] == module.in_features else weight
        return {"tensors": fused(tensors), "scales": sorted(types), **{k: str(v) for k, v in options.items()}}

    exchange.run(args, ("gptqmodel",), work)


def fused(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """gate_proj and up_proj, which the tool may split, as Glm4's one matrix again."""
    made = {}
    for name, tensor in tensors.items():
        if ".mlp.gate_proj." in name:
            up = tensors[name.replace("gate_proj", "up_proj")]
            made[name.replace("gate_proj", "gate_up_proj")] = torch.cat([tensor, up])
        elif ".mlp.up_proj." not in name:
            made[name] = tensor
    return made


if __name__ == "__main__":
    main()
