"""AutoRound's worker: signed gradients on rounding and clips, 200 iterations a block (`alg-ext`: its extension)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import exchange
import torch

METHODS = ("autoround", "autoround-ext")


def main() -> None:
    args = exchange.arguments(__doc__ or "", METHODS)

    def work() -> Mapping[str, Any]:
        from auto_round import AutoRound
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(args.model)
        sequences = exchange.calibration(args.calibration)
        options: dict[str, Any] = {"enable_alg_ext": True} if args.method.endswith("-ext") else {}
        rounder = AutoRound(
            model,
            tokenizer,
            scheme={"bits": args.bits, "group_size": args.group, "sym": args.symmetric, "data_type": "int"},
            dataset=[torch.tensor([ids]) for ids in sequences],
            nsamples=len(sequences),
            seqlen=max(map(len, sequences)),
            iters=200,
            batch_size=8,
            device_map="cpu",
            enable_torch_compile=False,
            amp=False,
            seed=args.seed,
            **options,
        )
        made, layers = rounder.quantize()
        first = next(iter(layers.values()))
        tensors = {n: t for n, t in exchange.weights(made).items() if n.endswith((".weight", ".bias"))}
        return {"tensors": tensors, "iterations": 200, "layer": {k: str(v) for k, v in first.items()}}

    exchange.run(args, ("auto-round",), work)


if __name__ == "__main__":
    main()
