"""A model folder to a `Service`: tokenizer, template, processor, engine, in this order, each with a log line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autoglm_phone.chat.grammar import GrammarCompiler
from autoglm_phone.chat.prompt import PromptBuilder
from autoglm_phone.chat.service import THOUGHT_END, EngineClient, ModelInfo, Service
from autoglm_phone.chat.template import ChatTemplate
from autoglm_phone.chat.tokenizer import Tokenizer
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.errors import CheckpointError
from autoglm_phone.media.load import MediaLimits, MediaLoader

log = logging.getLogger("autoglm_phone")
# generation_config.json's fields that become defaults, and the bounds in which they make sense.
_DEFAULTS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 1e6),
    "min_p": (0, 1),
    "repetition_penalty": (0.01, 10),
}


def load_service(
    model: str | Path,
    engine_config: EngineConfig,
    *,
    wrap: Callable[[Engine], EngineClient],
    names: tuple[str, ...] = (),
    media_limits: MediaLimits | None = None,
    trusted_media: bool = False,
    mm_processor_kwargs: Mapping[str, Any] | None = None,
    max_pending: int = 256,
) -> Service:
    """Everything around one model.

    Args:
        wrap: makes the client of the engine (AsyncEngine for a server).

    Raises:
        CheckpointError, ConfigError: the folder or the configuration can't be used.
    """
    from autoglm_phone.models.registry import facts, load_processor, locate

    folder = locate(model)
    known = facts(folder)
    log.info(
        "Initializing AutoGLM-Phone: model %s (%s) from %s", names[0] if names else folder.name, known.family, folder
    )
    tokenizer = Tokenizer.load(folder, vocab_size=known.vocab_size)
    template = ChatTemplate.load(folder)
    log.info("Tokenizer loaded: %d tokens, %d special", tokenizer.vocab_size, len(tokenizer.specials))
    processor = load_processor(folder, mm_processor_kwargs)

    from autoglm_phone.engine.loop import load_engine

    engine = load_engine(folder, engine_config)
    engine.thought_end = tuple(tokenizer.encode_prompt(THOUGHT_END))  # for thoughts that the planner bounds
    limit = engine.runner.max_model_len
    log.info("Device: %s, context %d tokens", device_line(engine), limit)
    loader = MediaLoader(media_limits or MediaLimits(), trusted=trusted_media)
    prompts = PromptBuilder(tokenizer, template, loader, processor, limit, known.media_token_ids)
    info = ModelInfo(
        names or (folder.name,), limit, known.vocab_size, engine.runner.eos_token_ids, read_defaults(folder)
    )
    grammars = GrammarCompiler(tokenizer, info.eos_ids)
    return Service(info, tokenizer, prompts, wrap(engine), grammars, max_pending=max_pending)


def read_defaults(folder: Path) -> dict[str, float]:
    """Sampling defaults of generation_config.json (a file that only says do_sample=false means greedy)."""
    path = folder / "generation_config.json"
    if not path.is_file():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise CheckpointError(f"{path} is not valid JSON", param="model") from exc
    out = {}
    for name, (low, high) in _DEFAULTS.items():
        value = raw.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            out[name] = float(value)
    if raw.get("do_sample") is False:
        out["temperature"] = 0.0
    return out


def device_line(engine: Any) -> str:
    """The device in words, as far as the runner tells it."""
    backend = getattr(getattr(engine.runner, "decoder", None), "backend", None)
    device = getattr(backend, "device", engine.config.device)
    dtype = str(getattr(backend, "dtype", engine.config.dtype)).removeprefix("torch.")
    return f"{device}, {dtype}"
