"""The server's configuration: resolved once from flags, never changed. Each default has its reason beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from autoglm_phone.config import EngineConfig
from autoglm_phone.errors import ConfigError

# Flags of parts that later releases bring: known by name, so that they are refused and not ignored.
NOT_BUILT = {
    "kv_cache_dtype": "quantized KV caches",
    "speculative_config": "speculative decoding",
    "pipeline_parallel_size": "pipeline parallelism",
    "data_parallel_size": "data parallelism",
}


@dataclass(frozen=True)
class ServeConfig:
    model: str = "mini"  # a folder, or the name of a bundled model
    served_model_names: tuple[str, ...] = ()  # empty: the model's own name
    host: str = "0.0.0.0"
    port: int = 8000
    api_keys: tuple[str, ...] = ()  # empty: no authentication
    log_level: str = "info"

    # The model and the engine.
    dtype: str = "auto"
    quantization: str | None = None
    quantized: bool = False
    device: str = "auto"
    tensor_parallel_size: int = 1
    max_model_len: int | None = None  # None: the checkpoint's own limit
    max_num_seqs: int = 32  # rows of a step; more streams than this wait
    dynamic_batching: bool = True
    enable_prefix_caching: bool = True
    gpu_memory_utilization: float = 0.9
    kv_cache_memory: int | None = None  # bytes; None: the engine's default
    threads: int | None = None  # None: one or all cores, whichever proves quicker while running
    seed: int = 0  # of requests that bring none

    # The dynamic graph.
    dynamic_graph: bool | None = None  # None: what ENABLE_DYNAMIC_GRAPH says, else on
    exit_policy: str = "auto"  # of requests that name none
    exit_risk: float = 0.01  # what calibration certifies by default
    lookup: bool = True  # guess tokens from n-grams where exits are sure
    exits: str | None = None  # exit heads beside the model, if it has such a file
    tower_memory: int | None = None  # bytes; None: one at a time, gone when idle; all of them without dynamic graph
    low_memory: bool | None = None  # None: what ENABLE_LOW_MEMORY says, else off
    decoder_memory: int | Literal["auto"] | None = None  # bytes; None: all layers stay, or with low_memory "auto"
    enforce_eager: bool = False  # to find out whether a CUDA graph is to blame
    offload_segments: bool = False  # slow: for machines that can't hold the whole decoder
    kv_policy: str = "full"  # of requests that name none; EngineConfig says why

    lora_modules: Mapping[str, str] = field(default_factory=dict)  # adapters served as models: name → peft folder
    max_lora_rank: int = 64  # EngineConfig says why

    response_cache_mb: int = 0  # 0: off, since it keeps clients' texts in memory

    # What a request may bring.
    limit_mm_per_prompt: Mapping[str, int] = field(default_factory=lambda: {"image": 10, "audio": 10})
    mm_processor_kwargs: Mapping[str, Any] = field(default_factory=dict)
    allowed_media_domains: tuple[str, ...] = ()  # empty: no media by URL
    max_body_bytes: int = 64 * 1024 * 1024  # ten full-resolution phone screenshots in Base64
    max_pending: int = 256  # sequences inside the server, running and queued
    max_audio_seconds: float = 600.0  # of one transcription
    max_chat_audio_seconds: float = 120.0  # of one clip in a chat
    max_image_pixels: int = 50_000_000  # of one encoded picture

    def __post_init__(self) -> None:
        _between("port", self.port, 0, 65535)
        _between("tensor-parallel-size", self.tensor_parallel_size, 1, 64)
        _between("max-num-seqs", self.max_num_seqs, 1, 4096)
        _between("gpu-memory-utilization", self.gpu_memory_utilization, 0.05, 1.0)
        _between("max-pending", self.max_pending, 1, 100_000)
        _between("max-audio-seconds", self.max_audio_seconds, 0.1, 86_400)
        if any(not name.strip() for name in self.served_model_names):
            raise ConfigError("--served-model-name is empty; give a name, or leave the flag out")
        if self.max_model_len is not None:
            _between("max-model-len", self.max_model_len, 16, 10_000_000)
        for kind, count in self.limit_mm_per_prompt.items():
            if kind not in ("image", "audio"):
                raise ConfigError(f"--limit-mm-per-prompt knows image and audio, not {kind!r}")
            _between(f"limit-mm-per-prompt {kind}", count, 0, 256)
        _between("response-cache-mb", self.response_cache_mb, 0, 1 << 20)
        if self.exit_policy == "fixed":
            raise ConfigError(
                "--exit-policy fixed has no depth of its own: clients choose it with graph.max_depth; "
                "use auto, full, confidence or lossless"
            )
        if self.quantized and self.model not in ("mini", "mini-int4"):
            raise ConfigError(
                f"--quantized serves the bundled INT4 model instead of the bundled mini; whether {self.model} is "
                "quantized shows in its files: leave the flag out"
            )
        taken = [name for name in self.lora_modules if name in self.names]
        if taken:
            raise ConfigError(f"--lora-modules: {taken[0]!r} is the name of the base model; choose another name")
        self.engine_config()

    @property
    def names(self) -> tuple[str, ...]:
        """What clients may call the base model."""
        return self.served_model_names or (self.model_name.rstrip("/").rsplit("/", 1)[-1] or "model",)

    @property
    def model_name(self) -> str:
        """What to load: --quantized stands for the bundled INT4 model."""
        return "mini-int4" if self.quantized else self.model

    def engine_config(self) -> EngineConfig:
        """The engine's part. It checks its own fields, unbuilt ones included."""
        return EngineConfig(
            dtype=self.dtype,
            device=self.device,
            quantization=self.quantization,
            tensor_parallel_size=self.tensor_parallel_size,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            max_queue=self.max_pending,
            dynamic_batching=self.dynamic_batching,
            enable_prefix_caching=self.enable_prefix_caching,
            kv_cache_memory=self.kv_cache_memory,
            gpu_memory_utilization=self.gpu_memory_utilization,
            threads=self.threads,
            seed=self.seed,
            exit_policy=self.exit_policy,  # type: ignore[arg-type]  # checked there
            exit_risk=self.exit_risk,
            lookup=self.lookup,
            exits=self.exits,
            tower_memory=self.tower_memory,
            decoder_memory=self.decoder_memory,
            enforce_eager=self.enforce_eager,
            offload_segments=self.offload_segments,
            kv_policy=self.kv_policy,  # type: ignore[arg-type]
            lora_modules=self.lora_modules,
            max_lora_rank=self.max_lora_rank,
            **({} if self.dynamic_graph is None else {"dynamic_graph": self.dynamic_graph}),
            **({} if self.low_memory is None else {"low_memory": self.low_memory}),
        )


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"--{name} must lie between {low} and {high}, not {value}")


def read_decoder_memory(text: str | None) -> int | Literal["auto"] | None:
    """`--decoder-memory`: bytes, or auto.

    Raises:
        ConfigError: neither.
    """
    if text is None:
        return None
    if text.strip().lower() == "auto":
        return "auto"
    if not text.strip().isdecimal():
        raise ConfigError(f"--decoder-memory must be a number of bytes or auto, not {text!r}", param="decoder_memory")
    return int(text)


def read_limits(text: str | None) -> dict[str, int]:
    """`--limit-mm-per-prompt`: JSON as in {"image": 10}, or image=10,audio=2."""
    limits = {"image": 10, "audio": 10}
    if not text:
        return limits
    try:
        if text.lstrip().startswith("{"):
            given = json.loads(text)
        else:
            given = {k.strip(): v for k, v in (item.split("=", 1) for item in text.split(","))}
        limits.update({str(k): int(v) for k, v in given.items()})
    except (ValueError, TypeError, AttributeError) as exc:
        raise ConfigError("--limit-mm-per-prompt must look like '{\"image\": 10}' or image=10") from exc
    return limits


def read_lora_modules(items: Sequence[str]) -> dict[str, str]:
    """`--lora-modules`: name=folder, or JSON as in {"name": "mine", "path": "folder"}.

    Raises:
        ConfigError: neither, or a name that comes twice.
    """
    modules: dict[str, str] = {}
    for item in items:
        name, _, path = item.partition("=")
        if item.lstrip().startswith("{"):
            try:
                given = json.loads(item)
            except ValueError as exc:
                raise ConfigError(f"--lora-modules: {item[:80]!r} is not valid JSON") from exc
            if set(given) - {"name", "path", "base_model_name"}:
                raise ConfigError(f"--lora-modules: {item[:80]!r} may hold name, path and base_model_name")
            name, path = given.get("name"), given.get("path")
        if not isinstance(name, str) or not isinstance(path, str) or not name.strip() or not path.strip():
            raise ConfigError(
                f"--lora-modules: {item[:80]!r} must look like name=folder, or JSON with name and path as strings"
            )
        if name in modules:
            raise ConfigError(f"--lora-modules: the name {name!r} comes twice; each adapter needs its own")
        modules[name] = path
    return modules


def read_processor_kwargs(text: str | None) -> dict[str, Any]:
    """`--mm-processor-kwargs`: a JSON object; `max_pixels` is the one option there is."""
    if not text:
        return {}
    try:
        given = json.loads(text)
    except ValueError as exc:
        raise ConfigError("--mm-processor-kwargs must be a JSON object as in '{\"max_pixels\": 5000000}'") from exc
    if not isinstance(given, dict) or set(given) - {"max_pixels"}:
        raise ConfigError("--mm-processor-kwargs knows one option, max_pixels")
    pixels = given.get("max_pixels", 784)
    if isinstance(pixels, bool) or not isinstance(pixels, int) or not 784 <= pixels <= 10**8:
        raise ConfigError("max_pixels must be a whole number between 784 and 100000000")
    return given


def read_keys(keys: Sequence[str], key_file: Path | None, environment: str | None = None) -> tuple[str, ...]:
    """All keys: the flags', those of a file (one a line, # comments), and AUTOGLM_PHONE_API_KEY's.

    Raises:
        ConfigError: an empty key, which would leave the server open to everybody, or a file without any.
    """
    found = [k.strip() for k in keys]
    if not all(found):
        raise ConfigError(
            "--api-key is empty, which would let everybody in; give a key, or leave the flag out", param="api_key"
        )
    if key_file is not None:
        try:
            lines = key_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"--api-key-file: cannot read {key_file}") from exc
        in_file = [s for line in lines if (s := line.strip()) and not s.startswith("#")]
        if not in_file:
            raise ConfigError(f"--api-key-file: {key_file} holds no key")
        found += in_file
    if environment is not None:
        if not environment.strip():
            raise ConfigError(
                "AUTOGLM_PHONE_API_KEY is set but empty, which would let everybody in; give it a key, or unset it",
                param="api_key",
            )
        found.append(environment.strip())
    return tuple(dict.fromkeys(found))
