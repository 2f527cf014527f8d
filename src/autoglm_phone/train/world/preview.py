"""Prints samples: `python -m autoglm_phone.train.world.preview --category arith --n 5 [--out folder]`.

With --out, pictures are written as PNG and clips as WAV, named after the sample.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autoglm_phone.errors import AutoGLMError
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.sample import SAMPLE_RATE, Sample


def show(sample: Sample) -> str:
    """The sample as readable text."""
    lines = [f"=== {sample.id} lang={sample.lang} difficulty={sample.difficulty} unseen={sample.unseen_template}"]
    for turn in sample.turns:
        if turn.role == "assistant" and turn.reasoning:
            lines.append(f"<think>{turn.reasoning}</think>")
        lines.append(f"[{turn.role}] {turn.text}")
    lines.append(f"truth: {sample.truth}")
    if sample.pictures or sample.clips:
        lines.append(f"media: {[p.pixels.shape for p in sample.pictures]} {[len(c.samples) for c in sample.clips]}")
    for turns in sample.alternatives:
        lines.append("  also: " + " | ".join(f"{turn.role}: {turn.text}" for turn in turns))
    return "\n".join(lines)


def write_media(sample: Sample, folder: Path) -> None:
    """Pictures as PNG, clips as 16-bit WAV."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    stem = sample.id.replace("/", "-")
    for i, picture in enumerate(sample.pictures):
        Image.fromarray(picture.pixels).save(folder / f"{stem}-{i}.png")
    for i, clip in enumerate(sample.clips):
        import soundfile

        soundfile.write(str(folder / f"{stem}-{i}.wav"), clip.samples, SAMPLE_RATE, subtype="PCM_16")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m autoglm_phone.train.world.preview", description=__doc__)
    parser.add_argument("--category", required=True, help=f"one of: {', '.join(registry.CATEGORIES)}")
    parser.add_argument("--n", type=int, default=5, help="how many samples (default 5)")
    parser.add_argument("--start", type=int, default=0, help="index of the first one (default 0)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train")
    parser.add_argument("--out", type=Path, help="folder for PNG and WAV files")
    args = parser.parse_args(argv)
    try:
        for sample in registry.iter_samples(args.category, args.split, args.start, args.n):
            print(show(sample), end="\n\n")
            if args.out:
                write_media(sample, args.out)
    except AutoGLMError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
