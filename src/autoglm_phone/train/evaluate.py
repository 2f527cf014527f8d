"""Scores a checkpoint on held-out samples with the reference model: the quick look between training calls.

`autoglm-phone eval --suite world` scores the same samples through the engine and is what the model card quotes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer

from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train.encode import Encoder
from autoglm_phone.train.generate import Prepared, answer_batch, batches, prepare_sample
from autoglm_phone.train.world import registry, scoring
from autoglm_phone.train.world.sample import Sample, Split


@lru_cache(maxsize=1)
def _encoder(tokenizer_json: str) -> Encoder:
    return Encoder(Tokenizer.from_str(tokenizer_json), no_think=0.0)


def _draw(task: tuple[str, str, Split, int, int]) -> Prepared:
    tokenizer_json, category, split, index, max_patches = task
    return prepare_sample(registry.generate(category, split, index), _encoder(tokenizer_json), max_patches)


def draw(
    tokenizer_json: str, categories: list[str], count: int, split: Split, max_patches: int, workers: int
) -> Iterator[tuple[str, list[Prepared]]]:
    """The first `count` samples of each category, drawn by several processes."""
    with ProcessPoolExecutor(workers) as pool:
        tasks = {c: [(tokenizer_json, c, split, i, max_patches) for i in range(count)] for c in categories}
        futures = {c: [pool.submit(_draw, t) for t in tasks[c]] for c in categories}
        for category in categories:
            yield category, [f.result() for f in futures[category]]


def evaluate(
    model: AutoGLMPhoneForConditionalGeneration,
    tokenizer_json: str,
    categories: list[str],
    *,
    count: int = 100,
    split: Split = "test",
    batch_size: int = 128,
    workers: int = 8,
    dump: Path | None = None,
    max_new_tokens: int = 320,
) -> dict[str, scoring.CategoryScore]:
    """Scores by category (`scoring.corpus_scores`), printed as they come; `dump` receives the wrong answers."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    model.eval()
    table: dict[str, scoring.CategoryScore] = {}
    lines: list[str] = []
    patches = model.config.vision_config.max_patches
    for category, items in draw(tokenizer_json, categories, count, split, patches, workers):
        began = time.monotonic()
        answered: list[tuple[Sample, str]] = []
        for batch in batches(items, batch_size):
            with torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_available()):
                answers = answer_batch(model, tokenizer, batch, max_new_tokens)
            for item, (thought, answer) in zip(batch, answers, strict=True):
                answered.append((item.sample, answer))
                score = scoring.score(item.sample, answer, thought)
                if not score.correct:
                    prompt = tokenizer.decode(item.ids, skip_special_tokens=False)
                    want = item.sample.answer
                    lines.append(
                        f"### {item.sample.id} unseen={item.sample.unseen_template}\n{prompt[-700:]}\n"
                        f"WANT {want.reasoning!r} -> {want.text!r}\nGOT  {thought!r} -> {answer!r}\n"
                    )
        scores = scoring.corpus_scores(answered)[category]
        table[category] = scores
        numbers = {k: v for k, v in vars(scores).items() if isinstance(v, float)}
        shown = " ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        print(f"{category:16s} {shown} ({time.monotonic() - began:.0f} s)", flush=True)
    if dump is not None:
        dump.parent.mkdir(parents=True, exist_ok=True)
        dump.write_text("\n".join(lines))
        print(f"wrote {len(lines)} wrong answers to {dump}", flush=True)
    return table
