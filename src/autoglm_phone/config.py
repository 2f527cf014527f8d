"""The engine's configuration: resolved once, validated once, never changed. Each default has its reason beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from autoglm_phone.errors import ConfigError, NotBuiltError
from autoglm_phone.graph.plan import EXIT_KINDS, KV_KINDS, ExitKind, KVKind

MIB = 1 << 20
KV_BUILT: tuple[KVKind, ...] = ("full", "window", "evict", "int8", "fp8")  # that a runner may know; a device may refuse

DTYPES = {
    "auto": "auto",
    "float32": "float32",
    "float": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
    "half": "float16",
}
# What --quantization may say. It never changes how files are read: it is compared with what they are.
QUANTIZATIONS = ("none", "awq", "gptq", "int8", "int4", "autoglm", "compressed-tensors")
QUANTIZATIONS_TO_COME = ("fp8", "gguf")


_WORDS = {**dict.fromkeys(("", "1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}


def _dynamic_graph() -> bool:
    """ENABLE_DYNAMIC_GRAPH of the environment; on unless it says no."""
    return _environment("ENABLE_DYNAMIC_GRAPH", "dynamic_graph", True)


def _low_memory() -> bool:
    """ENABLE_LOW_MEMORY of the environment; off unless it says yes."""
    return _environment("ENABLE_LOW_MEMORY", "low_memory", False)


def _environment(name: str, param: str, default: bool) -> bool:
    word = os.environ.get(name, "").strip().lower()
    if word not in _WORDS:
        raise ConfigError(f"{name} is {word!r}; use True or False", param=param)
    return _WORDS[word] if word else default


@dataclass(frozen=True)
class EngineConfig:
    """What the engine needs to know besides the model folder. Sizes in bytes, times in seconds.

    Raises:
        ConfigError: a value out of its bounds, or values that contradict one another.
        NotBuiltError: a known option whose part does not exist yet.
    """

    dtype: str = "auto"  # auto: float32 on CPU (bf16 needs AMX or AVX512-BF16 to be quicker), bfloat16 on GPU
    device: str = "auto"  # auto: cuda if there is one, else cpu
    quantization: str | None = None  # None: whatever the files are; else they must be that
    tensor_parallel_size: int = 1
    max_model_len: int | None = None  # None: the model's own context, or what the KV pages can hold if that is less
    max_num_seqs: int = 32  # on two cores, throughput is flat beyond it while latency grows
    max_num_batched_tokens: int = (
        512  # a prefill chunk of the mini model takes ~0.2 s on two cores: decode stalls no longer
    )
    max_queue: int = 1024  # requests waiting beyond it are refused with 503 rather than timed out
    dynamic_batching: bool = True  # False: a batch is admitted only when the last one has ended (for comparison)
    enable_prefix_caching: bool = True  # costs one SHA-256 a page, saves whole prefills of agents and chats
    kv_cache_memory: int | None = None  # None: 256 MiB on CPU; on GPU what gpu_memory_utilization leaves
    gpu_memory_utilization: float = 0.9  # the rest is for activations and other processes
    page_size: int = 16  # tokens a page: small enough to waste little, large enough that copies are long
    tower_cache_memory: int = 128 * MIB  # outputs of vision and audio towers, by content hash
    threads: int | None = None  # None: one or all cores, whichever proves quicker while running
    seed: int = 0  # seeds requests that bring no seed of their own
    dynamic_graph: bool = field(default_factory=_dynamic_graph)  # False: every request runs the whole decoder
    exit_policy: ExitKind | Literal["auto"] = "auto"  # of requests that name none; auto: the planner chooses
    exit_risk: float = 0.01  # share of tokens that may differ from the whole decoder's where tokens leave early
    lookup: bool = True  # guess tokens from n-grams behind sure ones and drafts: the same tokens, sooner
    exits: str | None = None  # file with exit heads; None: the one beside the weights, "none": the checkpoint's own
    pending_memory: int = 64 * MIB  # boundary states of tokens that left early: 65,536 of the mini model's; beyond it,
    # tokens run deeper than they need
    tower_memory: int | None = None  # bytes of loaded towers; None: all may stay
    # Deeper layers come when a token needs them, and a tower goes with the step that ran it. Slower: not by default.
    low_memory: bool = field(default_factory=_low_memory)
    enforce_eager: bool = False  # True: no CUDA graphs, each operation launched by itself (vLLM's word)
    offload_segments: bool = False  # decoder_memory 0 in other words
    # Bytes of decoder weights in memory, 0: the least that runs; "auto": that and the room of a tower while none is
    # loaded; None: all, or with low_memory "auto".
    decoder_memory: int | Literal["auto"] | None = None
    # Of requests that name none. auto lets the planner rewrite long answers, which costs quality: not by default.
    kv_policy: KVKind | Literal["auto"] = "full"

    lora_modules: Mapping[str, str | Path] = field(default_factory=dict)  # name → peft folder, served beside the base
    max_lora_rank: int = 64  # the largest that is common; a file of a much larger one is likely a mistake

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ConfigError(f"unknown dtype {self.dtype!r}; choose one of {', '.join(DTYPES)}", param="dtype")
        if self.quantization is not None:
            if self.quantization in QUANTIZATIONS_TO_COME:
                raise NotBuiltError(
                    f"quantization {self.quantization!r} is not built yet; use one of {', '.join(QUANTIZATIONS)}",
                    param="quantization",
                )
            if self.quantization not in QUANTIZATIONS:
                raise ConfigError(
                    f"unknown quantization {self.quantization!r}; known kinds are {', '.join(QUANTIZATIONS)}",
                    param="quantization",
                )
        self._at_least("tensor_parallel_size", 1)
        if self.tensor_parallel_size > 1:
            raise NotBuiltError("tensor_parallel_size above 1 is not built yet; use 1", param="tensor_parallel_size")
        for name in ("max_num_seqs", "max_num_batched_tokens", "max_queue", "page_size"):
            self._at_least(name, 1)
        for name in ("max_model_len", "kv_cache_memory", "threads"):
            if getattr(self, name) is not None:
                self._at_least(name, 1)
        self._at_least("max_lora_rank", 1)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or not -(2**63) <= self.seed < 2**63:
            raise ConfigError(f"seed must be an integer of at most 64 bits, not {self.seed!r}", param="seed")
        if not isinstance(self.lora_modules, Mapping) or any(not n or not str(p) for n, p in self.lora_modules.items()):
            raise ConfigError("lora_modules must map names to folders of adapters", param="lora_modules")
        self._at_least("tower_cache_memory", 0)
        self._at_least("pending_memory", 0)
        if self.tower_memory is not None:
            self._at_least("tower_memory", 0)
        if self.decoder_memory not in (None, "auto"):
            self._at_least("decoder_memory", 0)
        for name, kinds in (("exit_policy", EXIT_KINDS), ("kv_policy", KV_KINDS)):
            if getattr(self, name) not in ("auto", *kinds):
                raise ConfigError(
                    f"unknown {name} {getattr(self, name)!r}; choose auto, {', '.join(kinds)}", param=name
                )
        if self.kv_policy not in ("auto", *KV_BUILT):
            raise NotBuiltError(
                f"kv_policy {self.kv_policy!r} is not built yet; choose auto or {', '.join(KV_BUILT)}",
                param="kv_policy",
            )
        if not 0 <= self.exit_risk < 1:
            raise ConfigError(f"exit_risk {self.exit_risk} must lie in [0, 1)", param="exit_risk")
        if not 0 < self.gpu_memory_utilization <= 1:
            raise ConfigError(
                f"gpu_memory_utilization {self.gpu_memory_utilization} must lie in (0, 1]",
                param="gpu_memory_utilization",
            )
        self._agree()

    def _agree(self) -> None:
        """Raises ConfigError where one field takes away what another asks for."""
        static = "the dynamic graph, which dynamic_graph=False (--no-dynamic-graph, ENABLE_DYNAMIC_GRAPH) turns off"
        if not self.dynamic_graph and self.exit_policy not in ("auto", "full"):
            raise ConfigError(f"exit_policy {self.exit_policy!r} needs {static}", param="exit_policy")
        if not self.dynamic_graph and self.low_memory:
            raise ConfigError(f"low_memory (ENABLE_LOW_MEMORY) needs {static}", param="low_memory")
        if self.offload_segments and self.decoder_memory not in (None, 0):
            raise ConfigError(
                f"offload_segments stands for decoder_memory 0, not for {self.decoder_memory!r}; give one of the two",
                param="offload_segments",
            )

    @property
    def decoder_budget(self) -> int | Literal["auto"] | None:
        """What decoder_memory, low_memory and offload_segments say together; None: all layers stay in memory."""
        if self.decoder_memory is not None:
            return self.decoder_memory
        if self.offload_segments:
            return 0
        return "auto" if self.low_memory else None

    def _at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f"{name} must be an integer of at least {least}, not {value!r}", param=name)
