"""Tiny native models with reference logits, their media and requests, and a driver: for tests of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams, StepOutput
from autoglm_phone.models.native.configuration import AutoGLMPhoneConfig
from autoglm_phone.models.native.modeling import AutoGLMPhoneForConditionalGeneration
from autoglm_phone.models.native.processing import content_hash

TOLERANCE = 1e-4
VOCAB, IMAGE, AUDIO = 160, 9, 12
PAGE = 4
TOKEN_BYTES = 6 * 2 * 2 * 16 * 4  # layers, K and V, KV heads, head size, float32


def small_config(**fields) -> AutoGLMPhoneConfig:
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": 64,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "intermediate_size": 96,
        "max_position_embeddings": 256,
        "exit_layers": [1, 3, 5],  # segments of different length
        "exit_rank": 4,
        "cross_attention_layers": [1, 2, 5],
        "cross_num_attention_heads": 4,
        "max_media": 2,
        "vision_config": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "stem_channels": [8, 8, 16],
            "stem_groups": 4,
        },
        "audio_config": {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "num_mel_bins": 16,
            "stem_channels": 16,
            "stem_groups": 4,
            "ctc_vocab": "abc",
        },
    }
    return AutoGLMPhoneConfig(**{**sizes, **fields})


@dataclass(frozen=True)
class Case:
    folder: Path
    model: AutoGLMPhoneForConditionalGeneration

    def logits(self, tokens: list[int], media: tuple[MediaItem, ...]) -> Tensor:
        """Reference logits [L, V] of a whole sequence."""
        ids = torch.tensor([tokens])
        kinds: dict[str, list[Tensor]] = {"image": [], "audio": []}
        for item in media:
            if item.kind == "image":
                pixels = torch.from_numpy(item.data["pixels"]).permute(2, 0, 1).float() / 127.5 - 1
                kinds["image"].append(self.model.model.encode_images(pixels[None])[0][0])
            else:
                kinds["audio"].append(self.model.model.encode_audio(torch.from_numpy(item.data["mel"])[None])[0][0])
        with torch.no_grad():
            memory = None
            if media:
                # The towers take padded batches; states of pictures of different size go in one by one.
                model = self.model.model
                originals = model._image_states, model._audio_states
                model._image_states = lambda *_: kinds["image"]  # type: ignore[method-assign]
                model._audio_states = lambda *_: kinds["audio"]  # type: ignore[method-assign]
                try:
                    # Placeholders that the model wrote itself stand for nothing.
                    marked = torch.full_like(ids, 20)
                    places = [item.position for item in media]
                    marked[0, places] = ids[0, places]
                    memory = model.memory_for(marked)
                finally:
                    model._image_states, model._audio_states = originals  # type: ignore[method-assign]
            return self.model(ids, memory=memory).logits[0]


def save_case(folder: Path, **fields) -> Case:
    torch.manual_seed(3)
    model = AutoGLMPhoneForConditionalGeneration(small_config(**fields)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif parameter.ndim == 1:
                parameter.normal_(0, 0.7)  # biases, and the gates of the cross-attention, which are zero at the start
            else:
                parameter.normal_(0, 1.3 * parameter[0].numel() ** -0.5)
    model.tie_weights()
    model.save_pretrained(folder)
    return Case(folder, model)


SLIDING = ["full_attention", "sliding_attention"] * 3


def picture(rows: int, cols: int, seed: int, position: int) -> MediaItem:
    pixels = np.random.default_rng(seed).integers(0, 256, (rows * 16, cols * 16, 3), dtype=np.uint8)
    return MediaItem("image", content_hash("image", pixels), position, 1, {"pixels": pixels})


def clip(frames: int, seed: int, position: int) -> MediaItem:
    mel = np.random.default_rng(seed).standard_normal((16, frames)).astype(np.float32)
    return MediaItem("audio", content_hash("audio", mel), position, 1, {"mel": mel})


def make_request(name: str, prompt: list[int], media: list[MediaItem], **sampling) -> EngineRequest:
    ids = list(prompt)
    for item in media:
        ids[item.position] = IMAGE if item.kind == "image" else AUDIO
    fields = {"max_tokens": 6, "temperature": 0.0, "ignore_eos": True, **sampling}
    priority = fields.pop("priority", 0)
    return EngineRequest(name, tuple(ids), SamplingParams(**fields), tuple(media), priority=priority)


@dataclass
class Run:
    """Outputs by request, and all logits that the engine computed: (request, first position, [rows, V])."""

    outputs: dict[str, list[StepOutput]]
    logits: list[tuple[str, int, Tensor]]

    def tokens(self, name: str) -> list[int]:
        return [token for output in self.outputs[name] for token in output.token_ids]


def run(engine: Engine, requests: list[EngineRequest], arrivals: list[int] | None = None) -> Run:
    """arrivals: at which step each request comes."""
    result = Run({}, [])
    engine.runner.probe = lambda name, first, rows: result.logits.append((name, first, rows))  # type: ignore[attr-defined]
    pending = sorted(zip(arrivals or [0] * len(requests), requests, strict=True), key=lambda pair: pair[0])
    step = 0
    while pending or engine.has_work():
        while pending and pending[0][0] <= step:
            engine.add_request(pending.pop(0)[1])
        for output in engine.step():
            result.outputs.setdefault(output.request_id, []).append(output)
        engine.scheduler.check()
        step += 1
    return result


def check(case: Case, requests: list[EngineRequest], result: Run) -> None:
    """All logits equal the reference's; greedy tokens are its own choice, or tie with it within the tolerance."""
    reference = {}
    for request in requests:
        outputs = result.outputs[request.request_id]
        assert all(output.error is None for output in outputs)
        tokens = [*request.prompt_ids, *result.tokens(request.request_id)]
        reference[request.request_id] = case.logits(tokens, request.media)
        assert outputs[-1].finish_reason == "length"
        assert len(tokens) - len(request.prompt_ids) == request.sampling.max_tokens
    for name, first, rows in result.logits:
        expected = reference[name][first : first + rows.shape[0]]
        assert float((rows - expected).abs().max()) <= TOLERANCE, (name, first)
    for request in requests:
        rows = reference[request.request_id][len(request.prompt_ids) - 1 : -1]
        chosen = rows.gather(1, torch.tensor(result.tokens(request.request_id))[:, None])[:, 0]
        assert float((rows.amax(-1) - chosen).max()) <= TOLERANCE


def engine_for(case: Case, tokens: int = 2000, **fields) -> Engine:
    # Segments have 1 to 2 layers of the 6; a page has room for the longest: 8/6 of the memory.
    memory = tokens * TOKEN_BYTES * 8 // 6
    defaults = {"page_size": PAGE, "kv_cache_memory": memory, "dtype": "float32", "device": "cpu"}
    return load_engine(case.folder, EngineConfig(**{**defaults, **fields}))
