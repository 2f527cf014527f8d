"""Model folder + configuration → runner: device, dtype, weights, and as many KV pages as the memory budget holds."""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path

import torch

from autoglm_phone.backends.graph_backend import GraphBackend
from autoglm_phone.backends.torch_backend import TorchBackend
from autoglm_phone.config import DTYPES, MIB, EngineConfig
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.graph.lookup_file import load_table
from autoglm_phone.models.glm4v.weights import check_complete, engine_name
from autoglm_phone.runner.adapter_bank import load_adapters
from autoglm_phone.runner.cross_memory import CrossMemoryBuilder
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.graphed import GraphedDecoder, capture_graphs
from autoglm_phone.runner.model_runner import ModelRunner
from autoglm_phone.runner.quantized import check_asked, open_weights, read_quantization
from autoglm_phone.runner.spec import DecoderSpec, read_spec
from autoglm_phone.runner.streaming import StreamedSegments
from autoglm_phone.runner.threads import ThreadTuner
from autoglm_phone.runner.towers import Glm4vTowers, NativeTowers, Towers
from autoglm_phone.runner.weights import DecoderWeights, load_decoder, packer, weight_bytes

logger = logging.getLogger(__name__)

TOWER_IDLE = 2.0  # seconds: the mini model's towers load again in 35-45 ms, a tenth of a picture's first-token time
CPU_KV_MEMORY = 256 * MIB  # the mini model in float32: 10,922 tokens of 24 KiB


def load_runner(folder: Path, config: EngineConfig) -> ModelRunner:
    """Build everything that computes.

    Raises:
        CheckpointError: the folder can't be loaded. ConfigError: the configuration does not fit model or machine.
    """
    start = time.perf_counter()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if not folder.is_dir():
        raise CheckpointError(f"model folder {folder} does not exist", param="model")
    quantization = read_quantization(folder)
    check_asked(folder, quantization, config.quantization)
    spec = read_spec(folder, config.exits)
    device, dtype = _device(config), _dtype(config)
    graphs = graphs_fit(config, device, quantized=quantization is not None)
    budget = config.decoder_budget
    backend = (GraphBackend if graphs else TorchBackend)(
        device,
        dtype,
        halves=True,
        **spec.backend_options,
    )
    checkpoint = open_weights(folder, quantization, rename=engine_name if spec.family == "glm4v" else None)
    if spec.family == "glm4v":
        check_complete(folder, checkpoint.names(), spec.config)  # the tower is read later, at its first picture
    weights = load_decoder(
        checkpoint, spec, backend, offload=budget is not None, memory=None if budget == "auto" else budget
    )
    adapters = load_adapters(
        config.lora_modules, config.max_lora_rank, folder, checkpoint, spec,
        lambda layer: packer(backend, spec, layer, offload=budget is not None),
    )  # fmt: skip
    num_pages, max_model_len = _size_pages(config, spec, device, dtype)
    decoder = (GraphedDecoder if graphs else Decoder)(spec, weights, backend, num_pages, config.page_size)
    decoder.adapters = adapters
    capture_graphs(decoder)
    kind = NativeTowers if spec.family == "native" else Glm4vTowers
    towers: Towers = kind(
        spec, checkpoint, device, dtype, config.tower_cache_memory // 2, config.tower_memory, _tower_idle(config)
    )
    if budget is not None:
        _share(weights, towers, lend=budget == "auto")
    memories = None
    if weights.memory is not None:
        memories = CrossMemoryBuilder(
            weights.memory, towers, spec.cross_heads, spec.max_media, config.tower_cache_memory // 2, adapters
        )
    logger.info(
        "loaded %s (%s%s, %s on %s) in %.1f s: %d KV pages of %d tokens, context %d",
        folder.name,
        spec.family,
        "" if quantization is None else ", " + quantization.words,
        str(dtype).removeprefix("torch."),
        device,
        time.perf_counter() - start,
        num_pages,
        config.page_size,
        max_model_len,
    )
    runner = ModelRunner(
        decoder,
        towers,
        memories,
        num_pages=num_pages,
        page_size=config.page_size,
        max_model_len=max_model_len,
        cache_namespace=hashlib.sha256(str(folder.resolve()).encode()).hexdigest(),
        seed=config.seed,
        pending_memory=config.pending_memory,
        # A fixed number of threads is the user's word; without one, and on a CPU, we choose while running.
        threads=ThreadTuner(torch.get_num_threads() if config.threads is None and device.type == "cpu" else 1),
    )
    if config.dynamic_graph:
        runner.profile()
        if config.lookup and device.type == "cpu":  # on a GPU nothing was measured yet
            table = load_table(folder)
            for controller in (runner.cascade.lookup, runner.cascade.draft_lookup):
                controller.use(table)
    return runner


def _tower_idle(config: EngineConfig) -> float | None:
    """Seconds after which an unused tower goes. Without a budget, those that requests go on using stay; the static
    graph keeps all."""
    if config.tower_memory is not None:
        return None
    if config.low_memory:
        return 0.0
    return TOWER_IDLE if config.dynamic_graph else None


def _share(weights: DecoderWeights, towers: Towers, *, lend: bool) -> None:
    """Say what stays in memory. lend: layers may use the room of the largest tower while none is loaded."""
    segments = weights.segments
    if isinstance(segments, StreamedSegments):
        if lend:
            segments.share(towers.largest_bytes, lambda: towers.loaded_bytes)
            towers.store.give_room = segments.give_room
        layers = sum(len(segment) for segment in segments)
        logger.info(
            "[DYNAMIC GRAPH] Keeping %d of %d layers in memory; the others are read when a token needs them "
            "(%.1f MB of decoder weights in all)",
            len(segments.kept),
            layers,
            weight_bytes(weights) / 1e6,
        )


def graphs_fit(config: EngineConfig, device: torch.device, *, quantized: bool) -> bool:
    """Whether decode passes can be CUDA graphs: packed weights are unpacked by operations that were never captured."""
    return device.type == "cuda" and not (config.enforce_eager or config.decoder_budget is not None or quantized)


def _device(config: EngineConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(config.device)
    except RuntimeError:
        raise ConfigError(f"unknown device {config.device!r}; use auto, cpu or cuda", param="device") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda was asked for but this machine has no usable GPU", param="device")
    return device


def _dtype(config: EngineConfig) -> torch.dtype:
    name = DTYPES[config.dtype]
    if name == "auto":
        name = "bfloat16" if _device(config).type == "cuda" else "float32"
    return getattr(torch, name)


def _size_pages(config: EngineConfig, spec: DecoderSpec, device: torch.device, dtype: torch.dtype) -> tuple[int, int]:
    """(pages, longest sequence in tokens)."""
    width = 2 * spec.kv_heads * spec.head_dim * dtype.itemsize
    page_bytes = spec.layers_per_page * config.page_size * width
    if config.kv_cache_memory is not None:
        budget = config.kv_cache_memory
    elif device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        budget = int(free - (1 - config.gpu_memory_utilization) * total)
    else:
        budget = CPU_KV_MEMORY
    num_pages = budget // page_bytes
    segments = len(spec.segments)
    holds = num_pages // segments * config.page_size
    if config.max_model_len is not None and config.max_model_len > spec.max_position_embeddings:
        raise ConfigError(
            f"max_model_len {config.max_model_len} is above the model's {spec.max_position_embeddings} positions",
            param="max_model_len",
        )
    wanted = config.max_model_len or spec.max_position_embeddings
    if holds < (wanted if config.max_model_len is not None else config.page_size):
        least = config.max_model_len or config.page_size
        need = -(-least // config.page_size) * segments * page_bytes
        lower = "" if config.max_model_len is None else " or lower max_model_len"
        raise ConfigError(
            f"{max(budget, 0):,} bytes of KV cache hold {max(holds, 0)} tokens, and {least} are the least here; give "
            f"kv_cache_memory at least {need:,} bytes{lower}",
            param="kv_cache_memory",
        )
    # More pages than all sequences can use would only cost memory.
    most = config.max_num_seqs * -(-min(wanted, holds) // config.page_size) * segments
    return max(1, min(num_pages, most)), min(wanted, holds)
