"""The GLM-4.1V parity cases, shared by tests and benchmarks/parity_glm4v.py."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Glm4vForConditionalGeneration

from autoglm_phone.engine.request import MediaItem
from autoglm_phone.models import registry
from autoglm_phone.models.glm4v.model import Glm4vModel, Prompt
from autoglm_phone.models.glm4v.processing import Glm4vProcessor, pixel_values

Part = str | dict[str, Image.Image]

# (height, width) in pixels, from the smallest picture to the largest phone screen.
SIZES = (
    *((28, 28), (10, 17), (56, 84), (111, 113), (240, 320), (333, 517), (480, 854), (1, 150), (1000, 37)),
    *((720, 1280), (1080, 1920), (2400, 1080), (3200, 1440)),
)


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """Blocks of random colour: edges everywhere, so that resampling and patch order show."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (max(height // 7, 1), max(width // 7, 1), 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


@dataclass
class CheckpointUnderTest:
    """Our model and transformers' on the same folder."""

    folder: Path
    model: Glm4vModel = field(init=False)
    theirs: Glm4vForConditionalGeneration = field(init=False)
    processor: Glm4vProcessor = field(init=False)
    tokenizer: Any = field(init=False)

    def __post_init__(self) -> None:
        self.model = Glm4vModel.from_folder(self.folder)
        self.theirs = Glm4vForConditionalGeneration.from_pretrained(self.folder, dtype=torch.float32).eval()
        self.processor = Glm4vProcessor.from_folder(self.folder)
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)

    def place(self, messages: list[dict[str, Any]]) -> tuple[tuple[int, ...], tuple[MediaItem, ...]]:
        """Prompt ids and media of messages whose content is text or a list of parts, {"image": PIL} or text."""
        pictures: list[Image.Image] = []
        rendered = []
        for message in messages:
            content = message["content"]
            if not isinstance(content, str):
                pictures += [part["image"] for part in content if not isinstance(part, str)]
                content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in content]
            rendered.append({"role": message["role"], "content": content})
        text = self.tokenizer.apply_chat_template(rendered, tokenize=False, add_generation_prompt=True)
        processed = [self.processor.image(item) for item in pictures]
        facts = registry.facts(self.folder)
        return registry.place_media(self.tokenizer(text).input_ids, processed, facts.media_token_ids)

    def conversation(self, messages: list[dict[str, Any]]) -> Prompt:
        ids, items = self.place(messages)
        return Prompt(ids, tuple(item.data for item in items))

    def prompt(self, parts: list[Part]) -> Prompt:
        return self.conversation([{"role": "user", "content": parts}])


CASES = ("text", "one image", "two images", "adjacent images", "multi-turn, image in the second turn", "mixed batch")


def build_prompts(checkpoint: CheckpointUnderTest, case: str) -> list[Prompt]:
    one = checkpoint.prompt([{"image": picture(180, 84, seed=1)}, "Tap the button 确定."])
    two = checkpoint.prompt(["First: ", {"image": picture(70, 210, 2)}, " then ", {"image": picture(150, 90, 3)}, "?"])
    text = checkpoint.conversation(
        [{"role": "system", "content": "You are a phone agent."}, {"role": "user", "content": "你是谁?"}]
    )
    turns = checkpoint.conversation(
        [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "<think>greet</think><answer>hi</answer>"},
            {"role": "user", "content": [{"image": picture(120, 200, 4)}, "what is this?"]},
        ]
    )
    adjacent = checkpoint.prompt([{"image": picture(60, 200, 5)}, {"image": picture(60, 200, 6)}])
    return {
        "text": [text],
        "one image": [one],
        "two images": [two],
        "adjacent images": [adjacent],
        "multi-turn, image in the second turn": [turns],
        "mixed batch": [text, one, two, turns],
    }[case]


@torch.no_grad()
def reference_logits(
    checkpoint: CheckpointUnderTest, prompts: list[Prompt], padding: str, *, flat_positions: bool = False
) -> list[torch.Tensor]:
    """transformers' logits [tokens, vocab] of each prompt, computed as one padded batch."""
    token = checkpoint.model.shape.image_token_id
    longest = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), longest), checkpoint.tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    spans = []
    for row, prompt in enumerate(prompts):
        start = longest - len(prompt.ids) if padding == "left" else 0
        spans.append(slice(start, start + len(prompt.ids)))
        ids[row, spans[row]] = torch.tensor(list(prompt.ids))
        mask[row, spans[row]] = 1
    images = [image for prompt in prompts for image in prompt.images]
    extra: dict[str, Any] = {}
    if images:
        extra["pixel_values"] = torch.from_numpy(np.concatenate([pixel_values(image) for image in images]))
        extra["image_grid_thw"] = torch.from_numpy(np.stack([image["grid_thw"] for image in images]))
        extra["mm_token_type_ids"] = (ids == token).int()
    if flat_positions:
        extra["position_ids"] = torch.arange(longest)[None, None].expand(3, len(prompts), -1)
    logits = checkpoint.theirs(input_ids=ids, attention_mask=mask, **extra).logits
    return [logits[row, span] for row, span in enumerate(spans)]


def rewrite(source: Path, target: Path, layout: str) -> Path:
    """A copy of a checkpoint's config and weights as another writer would have saved them."""
    config = json.loads((source / "config.json").read_text())
    tensors = load_file(source / "model.safetensors")
    if layout in ("transformers 4", "first release"):
        text = config["text_config"]
        rope = text.pop("rope_parameters")
        text |= {
            "rope_theta": rope["rope_theta"],
            "partial_rotary_factor": rope["partial_rotary_factor"],
            "rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": rope["mrope_section"]},
        }
        config["vision_config"].pop("rope_parameters")
        config["torch_dtype"] = config.pop("dtype")
    if layout == "first release":
        text = config.pop("text_config")
        config = {**text, **config}  # the text fields lay at the top level
        tensors = {
            name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): tensor
            for name, tensor in tensors.items()
        }
    if layout == "llava":
        tensors = {
            name.replace("model.language_model.", "language_model.model.").replace(
                "lm_head.", "language_model.lm_head."
            ): t
            for name, t in tensors.items()
        }
    if layout == "split mlp":
        for name in [name for name in tensors if name.endswith("language_model.layers.0.mlp.gate_up_proj.weight")]:
            gate, up = tensors.pop(name).chunk(2)
            tensors[name.replace("gate_up", "gate")] = gate.contiguous()
            tensors[name.replace("gate_up", "up")] = up.contiguous()
    (target / "config.json").write_text(json.dumps(config))
    save_file(tensors, target / "model.safetensors")
    return target
