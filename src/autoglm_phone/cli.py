"""The command line. Starts quickly: everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from autoglm_phone import __version__
from autoglm_phone.errors import AutoGLMError, ConfigError, NotBuiltError

app = typer.Typer(
    name="autoglm-phone",
    help="A multimodal GLM on a dynamic computation graph, behind an OpenAI-compatible server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
model_app = typer.Typer(help="Look at models.", no_args_is_help=True)
app.add_typer(model_app, name="model")

# Commands of other parts, imported only when they are called: name → (module, typer app, extra, help).
LAZY = {
    "train": ("autoglm_phone.train.cli", "app", "train", "Train the native family on the world."),
    "eval": ("autoglm_phone.bench.cli", "eval_app", "train", "Score a model on a suite."),
    "bench": ("autoglm_phone.bench.cli", "app", "bench", "Measure latency, memory and load."),
    "graph": ("autoglm_phone.graph.show", "app", "train", "Draw what ran for a request."),
    "exits": ("autoglm_phone.graph.cli", "app", "train", "Calibrate early exits and train the depth probe."),
    "compress": ("autoglm_phone.compress.cli", "app", "train", "Make a checkpoint small."),
}
# What a wrong flag or command raises: click's ClickException, of the click that newer typer releases hold inside or of
# the installed one, which older ones use. BadParameter is public in all of them.
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]  # type: ignore[assignment]
_EXTRA = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(context_settings=_EXTRA)
def serve(
    ctx: typer.Context,
    model: Annotated[str, typer.Option(help="Model folder, or 'mini' for the bundled model.")] = "mini",
    served_model_name: Annotated[list[str] | None, typer.Option(help="Name that clients use; repeatable.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16, float16 (half).")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    quantization: Annotated[
        str | None, typer.Option(help="What the files must be: none, awq, gptq, int4, int8; default: as they are.")
    ] = None,
    quantized: Annotated[bool, typer.Option("--quantized", help="Serve the bundled INT4 model.")] = False,
    tensor_parallel_size: Annotated[int, typer.Option(help="GPUs to spread the model over (1 for now).")] = 1,
    max_model_len: Annotated[int | None, typer.Option(help="Context in tokens; default: the model's own.")] = None,
    max_num_seqs: Annotated[int | None, typer.Option(help="Sequences that run at once; default: 32.")] = None,
    max_batch_size: Annotated[int | None, typer.Option(help="The same as --max-num-seqs.")] = None,
    dynamic_batching: Annotated[bool, typer.Option(help="Admit new requests while others run.")] = True,
    enable_prefix_caching: Annotated[bool, typer.Option(help="Reuse the KV pages of equal prompt beginnings.")] = True,
    gpu_memory_utilization: Annotated[float, typer.Option(help="Share of the GPU's memory to use.")] = 0.9,
    kv_cache_memory: Annotated[int | None, typer.Option(help="Bytes for the KV cache; default: by device.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; default: one or all, measured while running.")
    ] = None,
    limit_mm_per_prompt: Annotated[str | None, typer.Option(help="Media a request, e.g. '{\"image\": 10}'.")] = None,
    mm_processor_kwargs: Annotated[str | None, typer.Option(help="JSON, e.g. '{\"max_pixels\": 5000000}'.")] = None,
    allowed_media_domains: Annotated[
        list[str] | None, typer.Option(help="Host from which media may be fetched by URL; repeatable. Default: none.")
    ] = None,
    max_audio_seconds: Annotated[float, typer.Option(help="Longest recording to transcribe.")] = 600.0,
    max_pending: Annotated[int, typer.Option(help="Sequences inside the server, running and waiting.")] = 256,
    api_key: Annotated[list[str] | None, typer.Option(help="Key that clients must send; repeatable.")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="File with one key a line.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of requests that bring none.")] = 0,
    dynamic_graph: Annotated[
        bool | None,
        typer.Option(
            "--dynamic-graph/--no-dynamic-graph",
            "--enable-dynamic-graph/--no-enable-dynamic-graph",
            help="Run only the layers, towers and cache that a request needs. Default: on, or ENABLE_DYNAMIC_GRAPH.",
        ),
    ] = None,
    exit_policy: Annotated[
        str, typer.Option(help="auto, full, confidence or lossless; clients may override.")
    ] = "auto",
    exit_risk: Annotated[
        float, typer.Option(help="Share of answers that leaving early may turn wrong; 0: none.")
    ] = 0.01,
    lookup: Annotated[
        bool,
        typer.Option(help="Guess tokens from n-grams (exits, drafts): the same tokens, sooner."),
    ] = True,
    exits: Annotated[
        str | None,
        typer.Option(help="File with exit heads, or 'none'; default: graph/exits.safetensors of the model, if there."),
    ] = None,
    tower_memory: Annotated[
        int | None,
        typer.Option(
            help="Bytes of loaded vision and audio towers; default: one at a time, gone after 2 s idle; all with "
            "--no-dynamic-graph."
        ),
    ] = None,
    low_memory: Annotated[
        bool | None,
        typer.Option(
            "--low-memory/--no-low-memory",
            help="Keep only the first decoder layers and what fits beside them; slower. Default: off, or "
            "ENABLE_LOW_MEMORY.",
        ),
    ] = None,
    decoder_memory: Annotated[
        str | None,
        typer.Option(help="Bytes of decoder weights in memory, 0 for the least, or auto; default: all of them."),
    ] = None,
    enforce_eager: Annotated[
        bool, typer.Option("--enforce-eager", help="No CUDA graphs: launch each operation by itself.")
    ] = False,
    offload_segments: Annotated[
        bool, typer.Option("--offload-segments", help="The same as --decoder-memory 0.")
    ] = False,
    kv_policy: Annotated[
        str, typer.Option(help="full, auto (rewritten while streaming), window, evict, int8, fp8")
    ] = "full",
    lora_modules: Annotated[
        list[str] | None,
        typer.Option(help="Adapters to serve as models of their own: name=folder [name=folder ...]; repeatable."),
    ] = None,
    max_lora_rank: Annotated[int, typer.Option(help="Adapters of a higher rank are refused.")] = 64,
    enable_lora: Annotated[
        bool, typer.Option("--enable-lora", help="Implied by --lora-modules; understood for scripts that set it.")
    ] = False,
    response_cache_mb: Annotated[
        int, typer.Option(help="MiB of whole answers to greedy requests, kept for equal ones; 0: off.")
    ] = 0,
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error.")] = "info",
) -> None:
    """Serve a model behind the OpenAI API."""
    from autoglm_phone.api import config as c

    # `--lora-modules a=x b=y`: typer leaves all but the first folder among the arguments that it does not know.
    more = [arg for arg in ctx.args if lora_modules and not arg.startswith("-") and ("=" in arg or "{" in arg)]
    _refuse_unknown([arg for arg in ctx.args if arg not in more], c.NOT_BUILT)
    if enable_lora and not lora_modules:
        raise ConfigError("--enable-lora needs --lora-modules name=folder: adapters are loaded at start")
    if max_num_seqs is not None and max_batch_size is not None and max_num_seqs != max_batch_size:
        raise ConfigError("--max-num-seqs and --max-batch-size are two names of one number; give one of them")
    if log_level.lower() not in ("debug", "info", "warning", "error", "critical"):
        raise ConfigError(f"--log-level {log_level!r} is unknown; use debug, info, warning or error")
    config = c.ServeConfig(
        model=model,
        served_model_names=tuple(served_model_name or ()),
        host=host,
        port=port,
        api_keys=c.read_keys(api_key or (), api_key_file, os.environ.get("AUTOGLM_PHONE_API_KEY")),
        log_level=log_level.lower(),
        dtype=dtype,
        quantization=quantization,
        quantized=quantized,
        device=device,
        tensor_parallel_size=tensor_parallel_size,
        max_model_len=max_model_len,
        max_num_seqs=next((n for n in (max_num_seqs, max_batch_size) if n is not None), c.ServeConfig.max_num_seqs),
        dynamic_batching=dynamic_batching,
        enable_prefix_caching=enable_prefix_caching,
        gpu_memory_utilization=gpu_memory_utilization,
        kv_cache_memory=kv_cache_memory,
        threads=threads,
        seed=seed,
        dynamic_graph=dynamic_graph,
        exit_policy=exit_policy,
        exit_risk=exit_risk,
        lookup=lookup,
        exits=exits,
        tower_memory=tower_memory,
        low_memory=low_memory,
        decoder_memory=c.read_decoder_memory(decoder_memory),
        enforce_eager=enforce_eager,
        offload_segments=offload_segments,
        kv_policy=kv_policy,
        lora_modules=c.read_lora_modules([*(lora_modules or ()), *more]),
        max_lora_rank=max_lora_rank,
        response_cache_mb=response_cache_mb,
        limit_mm_per_prompt=c.read_limits(limit_mm_per_prompt),
        mm_processor_kwargs=c.read_processor_kwargs(mm_processor_kwargs),
        allowed_media_domains=tuple(allowed_media_domains or ()),
        max_audio_seconds=max_audio_seconds,
        max_pending=max_pending,
    )
    from autoglm_phone.api.serve import serve as run

    run(config)


@app.command()
def chat(
    text: Annotated[list[str] | None, typer.Argument(help="What to say; without it a dialogue starts.")] = None,
    model: Annotated[str, typer.Option(help="Model folder, or 'mini'.")] = "mini",
    url: Annotated[str | None, typer.Option(help="A running server's address, instead of a local model.")] = None,
    api_key: Annotated[str, typer.Option(help="Key for --url.")] = "EMPTY",
    image: Annotated[list[Path] | None, typer.Option(help="Picture for the first message; repeatable.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="Recording for the first message; repeatable.")] = None,
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    thinking: Annotated[bool, typer.Option(help="Let the model think first.")] = True,
    max_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.")] = 512,
    temperature: Annotated[float, typer.Option(help="0: always the most likely word.")] = 0.0,
) -> None:
    """Talk to a model in the terminal."""
    from autoglm_phone.chat.terminal import Settings, run

    if not 0 <= temperature <= 2:
        raise ConfigError(f"--temperature must lie between 0 and 2, not {temperature:g}", param="temperature")
    if max_tokens < 1:
        raise ConfigError(f"--max-tokens must be at least 1, not {max_tokens}", param="max_tokens")

    settings = Settings(
        model=model,
        url=url,
        api_key=api_key,
        images=tuple(image or ()),
        audios=tuple(audio or ()),
        system=system,
        thinking=thinking,
        max_tokens=max_tokens,
        temperature=temperature,
    )
    run(settings, " ".join(text) if text else None)


@model_app.command("info")
def model_info(
    preset: Annotated[str | None, typer.Option(help="mini, pro or 9b.")] = None,
    model: Annotated[str | None, typer.Option(help="Model folder of either family, instead of a preset.")] = None,
) -> None:
    """The parameter table of a preset or a model folder (nothing is allocated)."""
    from autoglm_phone.models import info

    if preset and model:
        raise ConfigError("give either --preset or --model, not both")
    if model:
        _print_table(info.folder_table(model), model)
    else:
        _print_table(info.preset_table(preset or "mini"), preset or "mini")
        typer.echo("a preset has no CTC characters yet; --model counts a trained model's: the bundled mini has 1,337")


@app.command()
def version() -> None:
    """The package's version."""
    typer.echo(__version__)


def _print_table(rows: list, name: str) -> None:  # type: ignore[type-arg]
    total = sum(r.parameters for r in rows)
    width = max(len(r.part) for r in rows)
    typer.echo(f"{name}: {total:,} parameters ({total / 1e9:.3f} B)")
    for row in rows:
        typer.echo(f"  {row.part:<{width}}  {row.parameters:>14,}  {100 * row.parameters / total:5.1f} %")


def _refuse_unknown(args: list[str], not_built: dict[str, str]) -> None:
    """Flags that typer does not know: those of later releases get their own message."""
    for arg in args:
        name = arg.split("=", 1)[0]
        plain = name.removeprefix("--").removeprefix("no-").replace("-", "_")
        for known, part in not_built.items():
            if plain in (known, known.removeprefix("enable_")):
                raise NotBuiltError(f"{name} is not available yet: {part} comes with a later release")
        if arg.startswith("-"):
            raise ConfigError(f"unknown flag {name}; see autoglm-phone serve --help")
        raise ConfigError(f"unexpected argument {arg!r}; pass a model folder as --model {arg}")


def _run_lazy(name: str, args: list[str]) -> None:
    module, attribute, extra, _ = LAZY[name]
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        missing = getattr(exc, "name", None) or ""
        ours = not isinstance(exc, ImportError) or missing.startswith("autoglm_phone")
        hint = "" if ours else f": {missing} is missing; pip install 'autoglm-phone[{extra}]'"
        raise ConfigError(f"'{name}' is not available in this installation{hint}") from exc
    code = typer.main.get_command(found)(args=args, prog_name=f"autoglm-phone {name}", standalone_mode=False)
    if isinstance(code, int) and code:
        raise typer.Exit(code)


def _mount_lazy(name: str) -> None:
    @app.command(name, help=LAZY[name][3], context_settings={**_EXTRA, "help_option_names": []})
    def run(ctx: typer.Context) -> None:
        _run_lazy(name, ctx.args)


for _name in LAZY:
    _mount_lazy(_name)


def one_line(command: Callable[[], object]) -> NoReturn:
    """Runs a command line and exits: an error is one line on stderr and exit code 2.

    Args:
        command: a call of a typer command with standalone_mode=False, which returns an exit code or nothing.
    """
    try:
        code = command()
    except AutoGLMError as exc:
        _fail(exc.message)
    except _ClickException as exc:
        context = getattr(exc, "ctx", None)
        if type(exc).__name__ == "NoArgsIsHelpError":  # its message is the help itself
            exc.show()  # type: ignore[attr-defined]
            sys.exit(2)
        where = f"; see {context.command_path} --help" if context is not None else ""
        _fail(exc.format_message().rstrip(".") + where)  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> NoReturn:
    print(f"autoglm-phone: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Entry point of `autoglm-phone`."""
    one_line(lambda: app(prog_name="autoglm-phone", standalone_mode=False))


if __name__ == "__main__":
    main()
