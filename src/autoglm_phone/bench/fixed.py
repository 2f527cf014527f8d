"""The fixed benchmark set: 100 samples of the test split, written as data so that every later run measures the same.

`benchmarks/data/world-100/` holds samples.jsonl, PNG pictures and FLAC recordings, and manifest.json with the
generator's seed and the SHA-256 of every file. The world's generator may grow; this set stays.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from autoglm_phone.errors import CheckpointError
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.fillings import WORLD_SEED
from autoglm_phone.train.world.sample import SAMPLE_RATE, Clip, Picture, Sample, Turn

# How many samples of each category: 45 about pictures, 25 spoken (8 of them with a picture), 30 of text.
PLAN = {
    "screen": 15, "screen_read": 6, "chart_value": 4, "chart_trend": 2, "chart_compare": 3, "chart_forecast": 3,
    "scene_caption": 3, "scene_match": 3, "scene_count": 3, "scene_locate": 3,
    "asr": 9, "spoken_task": 8, "speech_screen": 4, "speech_chart": 4,
    "identity": 2, "help": 2, "smalltalk": 2, "oos": 3, "arith": 4, "datetime": 3, "units": 2, "price": 3, "notify": 3,
    "summary": 2, "translate": 3, "tools": 1,
}  # fmt: skip
FOLDER = Path(__file__).parents[3] / "benchmarks" / "data" / "world-100"
FIRST_INDEX = 100_000  # past what `eval --suite world` ever looks at


def write(folder: Path, seed: int = WORLD_SEED) -> int:
    """Draw the set and write it; returns the number of bytes written."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    records = []
    for category, count in PLAN.items():
        for index in range(FIRST_INDEX, FIRST_INDEX + count):
            sample = registry.generate(category, "test", index, seed)
            records.append(_record(sample, folder))
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    (folder / "samples.jsonl").write_text(lines)
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
    manifest = {"version": 1, "seed": seed, "first_index": FIRST_INDEX, "samples": len(records), "sha256": files}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return sum(p.stat().st_size for p in folder.iterdir())


def _record(sample: Sample, folder: Path) -> dict[str, Any]:
    stem = f"{sample.category}-{sample.index - FIRST_INDEX:02d}"
    pictures, clips = [], []
    for i, picture in enumerate(sample.pictures):
        name = f"{stem}-{i}.png"
        Image.fromarray(picture.pixels).save(folder / name, optimize=True)
        pictures.append(name)
    for i, clip in enumerate(sample.clips):
        name = f"{stem}-{i}.flac"
        soundfile.write(folder / name, clip.samples, SAMPLE_RATE, subtype="PCM_16")
        clips.append({"file": name, "text": clip.text, "lang": clip.lang, "voice": clip.voice})
    return {
        "category": sample.category,
        "index": sample.index,
        "lang": sample.lang,
        "difficulty": sample.difficulty,
        "unseen_template": sample.unseen_template,
        "turns": [asdict(turn) for turn in sample.turns],
        "truth": sample.truth,
        "pictures": pictures,
        "clips": clips,
    }


def load(folder: Path) -> list[Sample]:
    """The set as samples, media included.

    Raises:
        CheckpointError: a file is missing or differs from the manifest.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except OSError as exc:
        raise CheckpointError(f"{folder} holds no benchmark set (manifest.json is missing)") from exc
    for name, digest in manifest["sha256"].items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise CheckpointError(f"{path} is missing or was changed; restore it from the repository")
    return [_sample(json.loads(line), folder) for line in (folder / "samples.jsonl").read_text().splitlines()]


def _sample(record: dict[str, Any], folder: Path) -> Sample:
    pictures = tuple(
        Picture(np.asarray(Image.open(folder / name).convert("RGB"), dtype=np.uint8)) for name in record["pictures"]
    )
    clips = tuple(
        Clip(soundfile.read(folder / c["file"], dtype="float32")[0], c["text"], c["lang"], c["voice"])
        for c in record["clips"]
    )
    turns = tuple(Turn(**turn) for turn in record["turns"])
    return Sample(
        record["category"], "test", record["index"], record["lang"], record["difficulty"], turns, record["truth"],
        pictures, clips, record["unseen_template"],
    )  # fmt: skip
