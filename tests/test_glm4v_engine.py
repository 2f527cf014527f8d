"""The paged engine against the plain model on a tiny GLM-4.1V checkpoint: any chunking, batch, prefix hit, preemption.

The plain model itself is compared with transformers' class in test_glm4v_model.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import CheckpointError, InvalidRequestError
from autoglm_phone.models.glm4v.model import Prompt
from autoglm_phone.models.glm4v.reference import make_tiny_checkpoint
from glm4v_cases import CheckpointUnderTest, picture, rewrite

TOLERANCE = 1e-4
NEW_TOKENS = 8

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "text": [{"role": "system", "content": "You are a phone agent."}, {"role": "user", "content": "你是谁?"}],
    "one": [{"role": "user", "content": [{"image": picture(180, 84, 1)}, "Tap the button 确定."]}],
    "two": [
        {"role": "user", "content": [{"image": picture(70, 210, 2)}, " then ", {"image": picture(150, 90, 3)}, "?"]}
    ],
    "turns": [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "<think>greet</think><answer>hi</answer>"},
        {"role": "user", "content": [{"image": picture(120, 200, 4)}, "what is this?"]},
    ],
    "other picture": [{"role": "user", "content": [{"image": picture(180, 84, 9)}, "Tap the button 确定."]}],
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> CheckpointUnderTest:
    return CheckpointUnderTest(make_tiny_checkpoint(tmp_path_factory.mktemp("glm4v") / "tiny", seed=1))


def request(
    checkpoint: CheckpointUnderTest, name: str, suffix: str = "", max_tokens: int = NEW_TOKENS
) -> EngineRequest:
    ids, items = checkpoint.place(CONVERSATIONS[name])
    sampling = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    return EngineRequest(name + suffix, ids, sampling, items)


def serve(engine: Engine, requests: list[EngineRequest]) -> tuple[dict[str, list[int]], list[tuple[str, int, Tensor]]]:
    """Generated tokens by request, and every row's logits as the engine computed them."""
    seen: list[tuple[str, int, Tensor]] = []
    engine.runner.probe = lambda name, first, logits: seen.append((name, first, logits.clone()))  # type: ignore[attr-defined]
    outputs: dict[str, list[int]] = {item.request_id: [] for item in requests}
    for item in requests:
        engine.add_request(item)
    while engine.has_work():
        for output in engine.step():
            assert output.error is None
            outputs[output.request_id] += output.token_ids
    return outputs, seen


def worst_difference(
    checkpoint: CheckpointUnderTest,
    requests: list[EngineRequest],
    outputs: dict[str, list[int]],
    seen: list[tuple[str, int, Tensor]],
) -> float:
    prompts = [Prompt((*r.prompt_ids, *outputs[r.request_id]), tuple(m.data for m in r.media)) for r in requests]
    expected = dict(zip([r.request_id for r in requests], checkpoint.model(prompts), strict=True))
    return max(
        float((logits - expected[name][first : first + len(logits)]).abs().max()) for name, first, logits in seen
    )


@pytest.mark.parametrize("chunk", [5, 16, 33, 512])
@pytest.mark.parametrize("page_size", [4, 16])
def test_mixed_batch_in_chunks(checkpoint: CheckpointUnderTest, chunk: int, page_size: int) -> None:
    config = EngineConfig(max_num_batched_tokens=chunk, page_size=page_size, dtype="float32", device="cpu")
    engine = load_engine(checkpoint.folder, config)
    requests = [request(checkpoint, name) for name in CONVERSATIONS]
    outputs, seen = serve(engine, requests)
    assert all(len(tokens) == NEW_TOKENS for tokens in outputs.values())
    assert worst_difference(checkpoint, requests, outputs, seen) <= TOLERANCE
    # Greedy tokens are the plain model's own choice at every step.
    for item in requests:
        prompt = Prompt((*item.prompt_ids, *outputs[item.request_id]), tuple(m.data for m in item.media))
        logits = checkpoint.model([prompt])[0][len(item.prompt_ids) - 1 : -1]
        assert logits.argmax(-1).tolist() == outputs[item.request_id]


def test_prefix_hits_across_pictures(checkpoint: CheckpointUnderTest) -> None:
    """Same text and token ids, another picture: a hit must never cross from one picture to the other."""
    engine = load_engine(checkpoint.folder, EngineConfig(page_size=4, dtype="float32", device="cpu"))
    first, again, other = (
        request(checkpoint, "one"),
        request(checkpoint, "one", "+"),
        request(checkpoint, "other picture"),
    )
    assert first.prompt_ids == other.prompt_ids
    results = [serve(engine, [item]) for item in (first, again, other)]
    for item, (outputs, seen) in zip((first, again, other), results, strict=True):
        assert worst_difference(checkpoint, [item], outputs, seen) <= TOLERANCE
    rows = [sum(len(logits) for _, _, logits in seen) for _, seen in results]
    assert rows[1] < rows[0] / 2  # the repeated request was served from the cache
    assert rows[2] > rows[1]  # the other picture was not
    assert results[0][0]["one"] == results[1][0]["one+"]


def test_preemption(checkpoint: CheckpointUnderTest) -> None:
    """Pages for 200 tokens, less than the running sequences grow to: some are thrown out and computed again."""
    shape = checkpoint.model.shape.text
    token_bytes = 2 * shape.num_layers * shape.num_kv_heads * shape.head_dim * 4
    config = EngineConfig(
        page_size=4, kv_cache_memory=token_bytes * 200, max_model_len=190, dtype="float32", device="cpu"
    )
    engine = load_engine(checkpoint.folder, config)
    requests = [request(checkpoint, name, max_tokens=40) for name in CONVERSATIONS]
    outputs, seen = serve(engine, requests)
    assert worst_difference(checkpoint, requests, outputs, seen) <= TOLERANCE
    assert engine.stats().preemptions > 0


def test_shards_and_shifted_ids(tmp_path: Path) -> None:
    shifted = CheckpointUnderTest(make_tiny_checkpoint(tmp_path, seed=4, id_shift=20, max_shard_size="300KB"))
    engine = load_engine(shifted.folder, EngineConfig(dtype="float32", device="cpu"))
    item = request(shifted, "two")
    outputs, seen = serve(engine, [item])
    assert worst_difference(shifted, [item], outputs, seen) <= TOLERANCE


def test_eos_list_ends_generation(checkpoint: CheckpointUnderTest) -> None:
    """The EOS ids of generation_config.json end a request; here one is forced by a bias."""
    engine = load_engine(checkpoint.folder, EngineConfig(dtype="float32", device="cpu"))
    answer_end = checkpoint.tokenizer.convert_tokens_to_ids("</answer>")
    ids, items = checkpoint.place(CONVERSATIONS["one"])
    sampling = SamplingParams(max_tokens=5, temperature=0.0, logit_bias={answer_end: 100.0})
    engine.add_request(EngineRequest("eos", ids, sampling, items))
    outputs = []
    while engine.has_work():
        outputs += engine.step()
    assert outputs[-1].finish_reason == "stop"
    assert outputs[-1].stop_token_id == answer_end
    assert answer_end not in [token for output in outputs for token in output.token_ids]


def test_picture_tokens_without_picture_are_refused(checkpoint: CheckpointUnderTest) -> None:
    engine = load_engine(checkpoint.folder, EngineConfig(dtype="float32", device="cpu"))
    item = request(checkpoint, "one")
    with pytest.raises(InvalidRequestError):
        engine.add_request(EngineRequest("bare", item.prompt_ids, item.sampling))


def test_bfloat16_stays_close(checkpoint: CheckpointUnderTest) -> None:
    engine = load_engine(checkpoint.folder, EngineConfig(dtype="bfloat16", device="cpu"))
    item = request(checkpoint, "two")
    outputs, seen = serve(engine, [item])
    prompt = Prompt((*item.prompt_ids, *outputs["two"]), tuple(m.data for m in item.media))
    expected = checkpoint.model([prompt])[0]
    worst = max(float((logits - expected[first : first + len(logits)]).abs().mean()) for _, first, logits in seen)
    assert worst < 0.1 * float(expected.std())
    assert torch.isfinite(seen[-1][2]).all()


@pytest.mark.parametrize("layout", ["first release", "llava", "split mlp"])
def test_old_layouts(checkpoint: CheckpointUnderTest, tmp_path: Path, layout: str) -> None:
    engine = load_engine(rewrite(checkpoint.folder, tmp_path, layout), EngineConfig(dtype="float32", device="cpu"))
    item = request(checkpoint, "one")
    assert worst_difference(checkpoint, [item], *serve(engine, [item])) <= TOLERANCE


@pytest.mark.parametrize(
    "name",
    ["lm_head.weight", "model.visual.merger.proj.weight", "model.language_model.layers.1.self_attn.q_proj.bias"],
)
def test_missing_tensors_show_at_load(checkpoint: CheckpointUnderTest, tmp_path: Path, name: str) -> None:
    """None of them may be made up (a tied head, no bias) or found out at the first picture."""
    folder = rewrite(checkpoint.folder, tmp_path, "as it is")
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        load_engine(folder, EngineConfig(dtype="float32", device="cpu"))
