"""GLM-4.1V parity with transformers, as a table: largest logit difference per case, pictures per size.

    python benchmarks/parity_glm4v.py

Tiny random checkpoint, float32, CPU. Pictures are compared with transformers' PIL-based image processor, and
with its torchvision-based one where torchvision is installed. Baseline of the ratio column: the spread of the
reference's own logits, so 1e-6 means a millionth of what the model says.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from autoglm_phone.models.glm4v.processing import Glm4vProcessor, Resampler, pixel_values
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from glm4v_cases import CASES, SIZES, CheckpointUnderTest, build_prompts, picture, reference_logits


def logits_table(checkpoint: CheckpointUnderTest) -> float:
    """Print a line per case; return the largest difference of all."""
    print(f"{'case':<46}{'tokens':>16}{'max |diff|':>13}{'/ std':>11}")
    worst = 0.0
    for case in CASES:
        for padding in ("left", "right") if case == "mixed batch" else ("none",):
            prompts = build_prompts(checkpoint, case)
            ours, theirs = checkpoint.model(prompts), reference_logits(checkpoint, prompts, padding)
            largest = max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
            spread = float(torch.cat(theirs).std())
            name = f"{case}, padded {padding}" if padding != "none" else case
            tokens = "+".join(str(len(prompt.ids)) for prompt in prompts)
            print(f"{name:<46}{tokens:>16}{largest:>13.2e}{largest / spread:>11.1e}")
            worst = max(worst, largest)
    return worst


def pictures_table(references: dict[Resampler, Any]) -> float:
    """Print a line per size; return the largest difference of all (infinite where a grid differs)."""
    print(f"\n{'height x width':<16}{'grid':>14}{'tokens':>8}" + "".join(f"{name:>14}" for name in references))
    worst = 0.0
    for height, width in SIZES:
        image = picture(height, width)
        differences = []
        for name, reference in references.items():
            expected = reference(image, return_tensors="pt")
            result = Glm4vProcessor(resampler=name).image(image)
            same_grid = result.data["grid_thw"].tolist() == expected["image_grid_thw"][0].tolist()
            same_count = result.num_tokens == int(expected["image_grid_thw"].prod()) // 4
            gap = torch.from_numpy(pixel_values(result.data)) - expected["pixel_values"] if same_grid else None
            differences.append(float(gap.abs().max()) if gap is not None and same_count else float("inf"))
        grid = "x".join(map(str, result.data["grid_thw"].tolist()))
        cells = "".join(f"{difference:>14.1e}" for difference in differences)
        print(f"{f'{height} x {width}':<16}{grid:>14}{result.num_tokens:>8}{cells}")
        worst = max(worst, *differences)
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the checkpoint's weights")
    seed = parser.parse_args().seed
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"transformers {transformers.__version__}, seed {seed}, float32\n")
    with tempfile.TemporaryDirectory() as folder:
        logits = logits_table(CheckpointUnderTest(make_tiny_checkpoint(Path(folder), seed=seed)))
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    references: dict[Resampler, Any] = {"pil": Glm4vImageProcessorPil()}
    if importlib.util.find_spec("torchvision") is not None:
        from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor

        references["torchvision"] = Glm4vImageProcessor()
    pixels = pictures_table(references)
    if "torchvision" not in references:
        print("torchvision is not installed: the default resampler was not compared with transformers here")
    print(f"\nlargest logit difference {logits:.2e} (bound 1e-4), largest pixel difference {pixels:.1e} (bound 0)")
    return 0 if logits <= 1e-4 and pixels == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
