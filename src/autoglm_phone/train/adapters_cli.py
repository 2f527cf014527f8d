"""`autoglm-phone train qlora` and `train merge`: adapters on a base that stays quantized, and into weights again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def qlora(
    out: Annotated[Path, typer.Option(help="folder for the adapters, as peft writes them")],
    model: Annotated[
        str, typer.Option(help="base: a model folder, quantized or plain, or a bundled name")
    ] = "mini-int4",
    data: Annotated[str, typer.Option(help="world, or a JSONL file of conversations")] = "world",
    steps: Annotated[int, typer.Option(help="optimizer steps")] = 100,
    batch: Annotated[int, typer.Option(help="conversations a step")] = 8,
    samples: Annotated[int, typer.Option(help="conversations to draw; a tenth is held out")] = 256,
    rank: Annotated[int, typer.Option(help="rank of the adapters")] = 16,
    alpha: Annotated[int, typer.Option(help="their factor is alpha / rank")] = 32,
    dropout: Annotated[float, typer.Option(help="before the adapters")] = 0.0,
    lr: Annotated[float, typer.Option(help="highest learning rate")] = 5e-4,
    targets: Annotated[
        str, typer.Option(help="comma-separated: attention, mlp, cross-attention, towers, head, or patterns")
    ] = "attention,mlp,cross-attention",
    max_tokens: Annotated[int, typer.Option(help="longer conversations lose their middle")] = 1024,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    workers: Annotated[int, typer.Option(help="processes that draw samples of the world")] = 1,
    seed: Annotated[int, typer.Option(help="of the adapters' start and of the order")] = 0,
) -> None:
    """Train low-rank adapters on a base whose weights stay as they are."""
    from autoglm_phone.compress.cli import check_device
    from autoglm_phone.train.qlora import QLoraConfig, train

    check_device(device)
    config = QLoraConfig(
        steps=steps,
        batch=batch,
        samples=samples,
        path=None if data == "world" else Path(data),
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        lr=lr,
        targets=tuple(targets.split(",")),
        max_tokens=max_tokens,
        device=device,
        workers=workers,
        seed=seed,
    )
    made = train(model, out, config, say=typer.echo)
    typer.echo(
        f"held-out loss {made.before:.4f} -> {made.after:.4f} nats a token, {made.seconds:.0f} s; wrote {out}. "
        f"`autoglm-phone serve --model {model} --lora-modules <name>={out}` serves it beside the base, "
        f"`autoglm-phone train merge --adapter {out} --out <folder>` makes a model of it"
    )


def merge(
    adapter: Annotated[Path, typer.Option(help="folder of the adapters")],
    out: Annotated[Path, typer.Option(help="folder for the model")],
    model: Annotated[
        str | None, typer.Option(help="weights to merge into; default: those they were trained on")
    ] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float16 or float32")] = "bfloat16",
) -> None:
    """Write base and adapters as plain float weights."""
    from autoglm_phone.train.merge import merge as run

    run(adapter, out, model=model, dtype=dtype)
    typer.echo(f"wrote {out}")
