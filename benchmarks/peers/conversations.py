"""Calibration and held-out tokens: the world's text conversations through the model's own chat template."""

from __future__ import annotations

import json
from pathlib import Path

from autoglm_phone.compress import calibrate


def write_calibration(folder: Path, out: Path, *, sequences: int, length: int, seed: int) -> None:
    """`sequences` rows of exactly `length` tokens: conversations of the training split one after another, cut.

    Packed because AutoRound drops shorter rows and others would need padding; every tool reads the same file.
    """
    count, tokens, conversations = max(8, sequences * length // 64), [], 0
    wanted = calibrate.Calibration(samples=count, max_tokens=length, mix={"text": 1.0}, seed=seed)
    for sample in calibrate.load(folder, wanted, split="train"):
        if len(tokens) >= sequences * length:
            break
        tokens += sample.ids
        conversations += 1
    if len(tokens) < sequences * length:
        raise ValueError(f"{count} conversations hold {len(tokens)} tokens, {sequences * length} are needed")
    rows = [tokens[i * length : (i + 1) * length] for i in range(sequences)]
    out.write_text(json.dumps({"seed": seed, "conversations": conversations, "sequences": rows}))


def write_held_out(folder: Path, out: Path, *, conversations: int, seed: int) -> None:
    """Whole conversations of the test split, whose fillings no training sample has, and where their replies begin."""
    wanted = calibrate.Calibration(samples=conversations, max_tokens=1024, mix={"text": 1.0}, seed=seed)
    drawn = calibrate.load(folder, wanted, split="test")
    rows = [{"ids": list(s.ids), "reply": s.answer_positions[0]} for s in drawn]
    out.write_text(json.dumps({"seed": seed, "split": "test", "conversations": rows}))
