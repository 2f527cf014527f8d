"""Our worker: `compress` on the native checkpoint with a recipe of a few lines, calibrated on the shared tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import exchange
from glm4_text import is_text

from autoglm_phone.compress import pipeline, recipe
from autoglm_phone.compress.calibrate import Sample
from autoglm_phone.compress.opening import open_model

# Steps by method; {shape} is bits, group and symmetry. What `int4.yaml` does to the decoder is "default".
RECIPES = {
    "rtn": ["rtn: {shape}"],
    "awq": ["awq: {shape}"],
    "gptq": ["gptq: {shape}"],
    "awq-gptq": ["awq: {shape}", "gptq: {}"],
    "default": ["awq: {shape}", "gptq: {compensate: 0.5, refine: 3}"],
    "round": ["awq: {shape}", "gptq: {compensate: 0.5, refine: 3}", "round: {}"],
    "tune": ["awq: {shape}", "gptq: {compensate: 0.5, refine: 3}", "tune: {iterations: 200}"],
    "tune-codes": ["awq: {shape}", "gptq: {compensate: 0.5, refine: 3}", "tune: {iterations: 200, codes: 0.02}"],
}
TARGETS = "targets: [attention, mlp]"


def steps(method: str, bits: int, group: int, symmetric: bool) -> str:
    """The recipe as YAML."""
    shape = f"bits: {bits}, group_size: {group}, symmetric: {str(symmetric).lower()}"
    lines = []
    for step in RECIPES[method]:
        kind, options = step.split(": ", 1)
        inner = options.strip("{}").replace("shape", shape)
        lines.append(f"  - {kind}: {{{TARGETS}{', ' + inner if inner else ''}}}")
    return "steps:\n" + "\n".join(lines) + "\n"


def main() -> None:
    args = exchange.arguments(__doc__ or "", tuple(RECIPES))

    def work() -> Mapping[str, Any]:
        text = steps(args.method, args.bits, args.group, args.symmetric)
        samples = []
        for ids in exchange.calibration(args.calibration):
            count = len(ids)
            samples.append(Sample(tuple(ids), (), (0,) * count, (1.0,) * count, tuple(range(1, count))))
        made = recipe.parse(f"seed: {args.seed}\n" + text)
        out = args.out / "compressed"
        if not (out / "config.json").exists():  # an interrupted run goes on
            pipeline.compress(args.native, made, out, samples=samples, say=lambda line: print(line, flush=True))
        source = open_model(out).source
        tensors = {name: source.get(name).clone() for name in source.names() if is_text(name)}
        return {"tensors": tensors, "recipe": text, "scales": made.scales}

    exchange.run(args, ("autoglm-phone",), work)


if __name__ == "__main__":
    main()
