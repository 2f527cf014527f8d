"""Before training: looks through the world once and writes its tokenizer, CTC characters and glyph inventory.

The same seed gives the same files. Only training samples are looked at.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from autoglm_phone.train.mixture import KINDS, TEXT
from autoglm_phone.train.tokenizer import save_tokenizer, train_tokenizer
from autoglm_phone.train.world import registry
from autoglm_phone.train.world.fillings import WORLD_SEED
from autoglm_phone.train.world.sample import Sample

MIN_GLYPH_COUNT = 2


def _texts(sample: Sample) -> Iterator[str]:
    for turn in sample.turns:
        yield turn.text
        if turn.reasoning:
            yield turn.reasoning
    for turns in sample.alternatives:
        for turn in turns:
            yield turn.text
            if turn.reasoning:
                yield turn.reasoning


def prepare(
    out: Path,
    *,
    base: Path | None = None,
    text_samples: int = 4000,
    media_samples: int = 400,
    vocab_size: int = 8192,
    seed: int = WORLD_SEED,
) -> dict[str, int]:
    """Write the tokenizer's files, ctc_vocab.txt and glyph_vocab.json into `out`; return their sizes.

    base: a folder made earlier, whose model is to be trained on: its tokenizer stays as it is, and characters that are
    new are appended to its CTC alphabet, so that its weights still fit.
    """
    texts: list[str] = []
    spoken: Counter[str] = Counter()
    glyphs: Counter[str] = Counter()
    for kind, table in KINDS.items():
        for category, weight in table.items():
            count = text_samples if category in TEXT else media_samples
            count = max(50, int(count * min(2.0, weight)))
            for index in range(count):
                sample = registry.generate(category, "train", index, seed)
                texts.extend(_texts(sample))
                for clip in sample.clips:
                    spoken.update(clip.text)
                for picture in sample.pictures:
                    glyphs.update(glyph.char for glyph in picture.glyphs)
            print(f"{kind}/{category}: {count} samples", flush=True)
    old_letters = ""
    if base is None:
        tokenizer = train_tokenizer(texts, vocab_size)
    else:
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        old_letters = (base / "ctc_vocab.txt").read_text().rstrip("\n")
    save_tokenizer(tokenizer, out)
    letters = old_letters + "".join(sorted(ch for ch in spoken if ch != "\n" and ch not in old_letters))
    (out / "ctc_vocab.txt").write_text(letters + "\n")
    known = sorted(ch for ch, n in glyphs.items() if n >= MIN_GLYPH_COUNT and ch.strip())
    (out / "glyph_vocab.json").write_text(json.dumps({ch: i + 1 for i, ch in enumerate(known)}, ensure_ascii=False))
    return {"tokens": tokenizer.get_vocab_size(), "ctc": len(letters), "glyphs": len(known)}
