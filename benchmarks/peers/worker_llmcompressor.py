"""llm-compressor's worker: AWQ (with duo scaling both ways) or GPTQ (static act-order), its own fake quantization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import exchange
import torch

METHODS = ("awq", "awq-mse", "gptq", "gptq-mse", "awq-gptq-mse")  # -mse: its clip search instead of the extremes


def main() -> None:
    args = exchange.arguments(__doc__ or "", METHODS)

    def work() -> Mapping[str, Any]:
        from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
        from compressed_tensors.quantization.lifecycle.forward import fake_quantize
        from datasets import Dataset
        from llmcompressor import oneshot
        from llmcompressor.modifiers.gptq import GPTQModifier
        from llmcompressor.modifiers.quantization import QuantizationModifier
        from llmcompressor.modifiers.transform.awq import AWQMapping, AWQModifier
        from llmcompressor.pipelines.cache import IntermediatesCache
        from transformers import AutoModelForCausalLM

        if not torch.accelerator.is_available():  # its AWQ pins memory, which fails without an accelerator
            IntermediatesCache.pin_memory = lambda *_, **__: None
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
        observer = {"observer": "memoryless_mse"} if args.method.endswith("-mse") else {}
        scheme = QuantizationScheme(
            targets=["Linear"],
            weights=QuantizationArgs(
                num_bits=args.bits, symmetric=args.symmetric, strategy="group", group_size=args.group, **observer
            ),
        )
        groups: dict[str, Any] = {"config_groups": {"group_0": scheme}, "ignore": ["lm_head"]}
        recipe: list[Any] = []
        if args.method.startswith("awq"):
            # Glm4ForCausalLM is not in its registry, and its default does not know a fused gate_up_proj: this is its
            # own mapping for Phi-3, which has one, with q, k and v apart.
            mappings = [
                AWQMapping("re:.*input_layernorm$", ["re:.*q_proj$", "re:.*k_proj$", "re:.*v_proj$"]),
                AWQMapping("re:.*v_proj$", ["re:.*o_proj$"]),
                AWQMapping("re:.*post_attention_layernorm$", ["re:.*gate_up_proj$"]),
                AWQMapping("re:.*gate_up_proj$", ["re:.*down_proj$"]),
            ]
            recipe.append(AWQModifier(mappings=mappings, duo_scaling="both"))
        recipe.append(GPTQModifier(**groups) if "gptq" in args.method else QuantizationModifier(**groups))
        sequences = exchange.calibration(args.calibration)
        rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in sequences]
        oneshot(
            model=model,
            dataset=Dataset.from_list(rows),
            recipe=recipe,
            max_seq_length=max(map(len, sequences)),
            num_calibration_samples=len(sequences),
            shuffle_calibration_samples=False,
            precision="float32",
        )
        made = exchange.weights(model)
        for name, module in model.named_modules():
            plan = getattr(module, "quantization_scheme", None)
            if plan is not None and plan.weights is not None:
                zero = getattr(module, "weight_zero_point", None)
                made[name + ".weight"] = fake_quantize(module.weight, module.weight_scale, zero, plan.weights)
        tensors = {n: t for n, t in made.items() if not n.endswith(("weight_scale", "weight_zero_point", "_g_idx"))}
        return {"tensors": tensors, "scales": str(module_scale_type(model)), "observer": observer or "minmax"}

    exchange.run(args, ("llmcompressor", "compressed-tensors"), work)


def module_scale_type(model: torch.nn.Module) -> torch.dtype | None:
    """In what type the tool holds its scales."""
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            return module.weight_scale.dtype
    return None


if __name__ == "__main__":
    main()
