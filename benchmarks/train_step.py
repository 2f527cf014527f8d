"""Times the training step of a preset on random batches of the real sizes, kind by kind, with and without compilation.

    python benchmarks/train_step.py [--preset pro] [--batch-scale 0.5] [--repeats 10] [--no-compile]
    python benchmarks/train_step.py --estimate [--preset pro] [--batch-scale 0.5]

Prints machine, sizes, milliseconds a micro-batch, tokens a second and peak memory. Needs a GPU, but for --estimate: it
counts the forward pass's operations and the bytes that are kept for the backward pass (in bfloat16, not compiled, and
without the temporaries of single operations) on a few rows and multiplies.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from autoglm_phone.models.native.configuration import PRESETS, preset
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.train.batches import Batch, memory_layout
from autoglm_phone.train.encode import IGNORE
from autoglm_phone.train.mixture import BatchSizes
from autoglm_phone.train.muon import MuonAdam, OptimConfig
from autoglm_phone.train.objective import Objective

CTC = "".join(chr(0x4E00 + i) for i in range(1200))


def random_batch(kind: str, sizes: BatchSizes, device: torch.device, text_length: int = 192) -> Batch:
    """A batch of random content with the shapes that the world gives."""
    media_rows = {"image": sizes.images, "audio": sizes.clips, "joint": sizes.joint}.get(kind, 0)
    per = sizes.rows_per_image if kind == "image" else 1
    rows, length = (sizes.text_tokens // text_length, text_length) if kind == "text" else (media_rows * per, 96)
    ids = torch.randint(20, 8000, (rows, length), device=device)
    labels = torch.where(torch.rand(rows, length, device=device) < 0.5, ids, IGNORE)
    batch = Batch(kind, ids, labels, [kind] * rows, first=torch.full((rows,), 3, device=device))
    if kind in ("image", "joint"):
        batch.pixels = torch.randint(0, 255, (media_rows, 3, 800, 368), dtype=torch.uint8, device=device)
        batch.grids = torch.tensor([[50 - i % 5, 23 - i % 3] for i in range(media_rows)], device=device)
        patches = 50 * 23
        batch.glyphs = torch.stack(
            (torch.randint(0, media_rows * patches, (media_rows * 150,), device=device),
             torch.randint(1, 3000, (media_rows * 150,), device=device)), 1,
        )  # fmt: skip
    if kind in ("audio", "joint"):
        batch.wave = 0.1 * torch.randn(media_rows, 16000 * 5, device=device)
        batch.wave_lengths = torch.randint(30000, 80000, (media_rows,), device=device) // 160 * 160
        batch.ctc = torch.randint(1, 1200, (media_rows * 20,), device=device)
        batch.ctc_sizes = [20] * media_rows
        batch.frames = [int(n) // 160 for n in batch.wave_lengths]
    if kind == "joint":
        cpu = Batch("joint", ids.cpu(), labels.cpu(), [])
        cpu.pixels, cpu.grids, cpu.wave = batch.pixels.cpu(), batch.grids.cpu(), batch.wave.cpu()
        cpu.wave_lengths = batch.wave_lengths.cpu()
        batch.memory = memory_layout(cpu, [(("image", 3), ("audio", 6))] * media_rows, 16).to(device)
    return batch


def objective_of(name: str) -> Objective:
    """A preset's model with the heads of training, untrained."""
    audio = {**PRESETS[name].get("audio_config", {}), "ctc_vocab": CTC}
    return Objective(AutoGLMPhoneForConditionalGeneration(preset(name, audio_config=audio)), 3000)


def estimate(name: str, sizes: BatchSizes) -> None:
    """Operations and bytes of each kind's micro-batch, from one row, picture or clip of it."""
    objective = objective_of(name)
    weights = {p.untyped_storage().data_ptr(): p.nbytes for p in objective.parameters()}
    print(f"preset {name}: {sum(p.numel() for p in objective.parameters()):,} parameters, float32 "
          f"{sum(weights.values()) / 2**30:.2f} GiB, three to four times that in training")  # fmt: skip
    for kind, times in {
        "text": sizes.text_tokens / 192, "image": sizes.images, "audio": sizes.clips, "joint": sizes.joint,
    }.items():  # fmt: skip
        found = []
        for rows in (1, 2):  # what does not depend on the rows, such as the weights in bfloat16, counts once
            few = replace(sizes, text_tokens=192 * rows, images=rows, clips=rows, joint=rows)
            found.append(forward(objective, random_batch(kind, few, torch.device("cpu")), set(weights)))
        operations, kept = (once + (times - 1) * (twice - once) for once, twice in zip(*found, strict=True))
        print(f"{kind:6} forward {operations / 1e12:6.2f} TFLOP, forward and backward {3e-12 * operations:6.2f}; "
              f"kept {kept / 2**30:5.1f} GiB", flush=True)  # fmt: skip


def forward(objective: Objective, batch: Batch, weights: set[int]) -> tuple[int, int]:
    """(operations, bytes kept for the backward pass) of one forward pass in bfloat16."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        losses = objective(batch, 12)
    del losses
    return counter.get_total_flops(), sum(kept.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--batch-scale", type=float, default=1.0)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--estimate", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.estimate:
        estimate(args.preset, BatchSizes().scaled(args.batch_scale))
        return
    device = torch.device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = True
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, preset {args.preset}, seed 0")
    sizes = BatchSizes().scaled(args.batch_scale)
    objective = objective_of(args.preset).to(device)
    model = objective.model
    optimizer = MuonAdam(list(objective.named_parameters()), OptimConfig())
    batches = {kind: random_batch(kind, sizes, device) for kind in ("text", "image", "audio", "joint")}
    for compiled in (False,) if args.no_compile else (False, True):
        if compiled:
            for block in [*model.model.layers, *model.model.vision.blocks, *model.model.audio.blocks]:
                block.compile()
        for kind, batch in batches.items():
            began = time.perf_counter()
            for repeat in range(args.repeats + 3):
                if repeat == 3:
                    torch.cuda.synchronize()
                    warm, began = time.perf_counter() - began, time.perf_counter()
                with torch.autocast("cuda", torch.bfloat16):
                    losses = objective(batch, 12)
                losses["total"].backward()
            torch.cuda.synchronize()
            each = (time.perf_counter() - began) / args.repeats
            peak = torch.cuda.max_memory_allocated() / 2**30
            shown = {name: round(float(v.detach()), 2) for name, v in losses.items()}
            print(
                f"compile={compiled!s:5} {kind:6} {1000 * each:7.1f} ms  {batch.ids.numel() / each:10,.0f} tok/s  "
                f"warm-up {warm:.1f} s  peak {peak:.1f} GiB  {shown}",
                flush=True,
            )
            torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(args.repeats):
        optimizer.step(1.0)
    torch.cuda.synchronize()
    print(f"optimizer step {1000 * (time.perf_counter() - began) / args.repeats:.1f} ms")


if __name__ == "__main__":
    main()
