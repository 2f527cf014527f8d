"""Which family a model folder belongs to, where it lies, and what the parts above the model must know of it.

`model_type` in config.json decides: `autoglm_phone` is native, `glm4v` is GLM-4.1V. A new family is one line in
`_FAMILIES` and a processor. Reads JSON only; families are imported when first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.models.glm4v.configuration import read_json
from autoglm_phone.models.processed import Kind, Processed, Processor, place_media

__all__ = ["Family", "Kind", "ModelFacts", "Processed", "Processor", "facts", "family", "load_processor", "locate"]
__all__ += ["place_media"]

Family = Literal["native", "glm4v"]

_FAMILIES: dict[str, Family] = {"autoglm_phone": "native", "glm4v": "glm4v"}
_BUNDLED = Path(__file__).parent
BUNDLED_INT4 = "mini-int4"
_BUNDLED_NAMES = ("mini", BUNDLED_INT4)
_WITHOUT_WEIGHTS = ("pro", "9b")  # presets that a user trains or that only exist as a shape


@dataclass(frozen=True)
class ModelFacts:
    """What config.json and generation_config.json fix, the same fields for every family.

    vocab_size: rows of the embedding, an exclusive bound of token ids (often above the tokenizer's size).
    max_length: the longest sequence the positions were made for, in tokens.
    image_token_id, audio_token_id: the token that stands for a medium in the prompt; None if the model lacks the sense.
    """

    family: Family
    folder: Path
    eos_token_ids: tuple[int, ...]
    vocab_size: int
    max_length: int
    image_token_id: int | None
    audio_token_id: int | None
    dtype: str

    @property
    def media_token_ids(self) -> dict[Kind, int | None]:
        """For `place_media`."""
        return {"image": self.image_token_id, "audio": self.audio_token_id}


def locate(name_or_path: str | Path) -> Path:
    """The folder of a model: "mini" and "mini-int4" are the bundled ones, anything else a path.

    Raises:
        CheckpointError: there is no such folder, or it is not a model's.
    """
    name = str(name_or_path)
    if name in _WITHOUT_WEIGHTS:
        raise CheckpointError(
            f"preset {name!r} comes without weights; `autoglm-phone train --preset {name}` makes a folder to pass here",
            param="model",
        )
    folder = _BUNDLED / name if name in _BUNDLED_NAMES else Path(name).expanduser()
    if not folder.is_dir():
        hint = "this installation lacks its bundled weights" if name == "mini" else _download_hint(name)
        if name == BUNDLED_INT4:
            hint = (
                "this installation lacks the bundled INT4 model; make it with `autoglm-phone compress --model mini "
                "--recipe recipes/int4.yaml --out <folder>` and pass that folder"
            )
        raise CheckpointError(f"no model folder at {folder}: {hint}", param="model")
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json, so it is not a model folder", param="model")
    return folder.resolve()


def family(folder: Path) -> Family:
    """The family of a model folder.

    Raises:
        CheckpointError: no readable config.json, or an architecture that we do not serve.
    """
    kind = read_json(folder / "config.json").get("model_type")
    found = _FAMILIES.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise CheckpointError(
            f"{folder}: model_type {kind!r} is not served; {' and '.join(_FAMILIES)} are", param="model"
        )
    return found


def facts(folder: Path) -> ModelFacts:
    """Read a model folder's facts.

    Raises:
        CheckpointError: files are missing or contradict one another.
    """
    kind = family(folder)
    if kind == "glm4v":
        from autoglm_phone.models.glm4v.configuration import load_shape

        shape = load_shape(folder)
        return ModelFacts(
            family=kind,
            folder=folder,
            eos_token_ids=shape.eos_token_ids,
            vocab_size=shape.text.vocab_size,
            max_length=shape.text.max_position_embeddings,
            image_token_id=shape.image_token_id,
            audio_token_id=None,
            dtype=shape.dtype,
        )
    raw = read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    eos = read_json(generation).get("eos_token_id") if generation.exists() else None
    eos = raw.get("eos_token_id") if eos is None else eos
    return ModelFacts(
        family=kind,
        folder=folder,
        eos_token_ids=tuple(eos) if isinstance(eos, list) else () if eos is None else (int(eos),),
        vocab_size=_required(raw, "vocab_size", folder),
        max_length=_required(raw, "max_position_embeddings", folder),
        image_token_id=_required(raw, "image_token_id", folder),
        audio_token_id=_required(raw, "audio_token_id", folder),
        dtype=str(raw.get("dtype") or raw.get("torch_dtype") or "bfloat16"),
    )


def load_processor(folder: Path, mm_processor_kwargs: Mapping[str, Any] | None = None) -> Processor:
    """The family's processor, changed by `--mm-processor-kwargs` (e.g. {"max_pixels": 5000000}).

    Raises:
        CheckpointError: the folder's preprocessing files are missing or unknown.
        ConfigError: an override that the family does not know.
    """
    if family(folder) == "glm4v":
        from autoglm_phone.models.glm4v.processing import Glm4vProcessor

        return Glm4vProcessor.from_folder(folder, mm_processor_kwargs)
    from autoglm_phone.models.native.processing import NativeProcessor
    from autoglm_phone.models.native.shape import read_shape

    overrides = dict(mm_processor_kwargs or {})
    max_pixels = overrides.pop("max_pixels", None)
    if overrides:
        raise ConfigError(
            f"mm_processor_kwargs: unknown {sorted(overrides)}; native models know max_pixels",
            param="mm_processor_kwargs",
        )
    if max_pixels is not None and (not isinstance(max_pixels, int) or isinstance(max_pixels, bool) or max_pixels <= 0):
        raise ConfigError(
            f"max_pixels must be a positive number of pixels, not {max_pixels!r}", param="mm_processor_kwargs"
        )
    return NativeProcessor(read_shape(read_json(folder / "config.json"), folder), max_pixels)


def _required(raw: Mapping[str, Any], name: str, folder: Path) -> int:
    value = raw.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise CheckpointError(f"{folder}/config.json: {name} must be an integer, not {value!r}")
    return value


def _download_hint(name: str) -> str:
    looks_like_hub = name.count("/") == 1 and not name.startswith((".", "/", "~"))
    if looks_like_hub:
        return f"download it first (`hf download {name} --local-dir <folder>`) and pass that folder"
    return 'pass "mini" or a folder with config.json and *.safetensors'
