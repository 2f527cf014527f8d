"""The engine's logits against the reference's, native family: any batch, chunking, prefix hit, preemption and media."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, SamplingParams, ThinkingBudget
from autoglm_phone.errors import CheckpointError, ConfigError, InvalidRequestError, NotBuiltError
from native_cases import (
    AUDIO,
    IMAGE,
    SLIDING,
    TOLERANCE,
    VOCAB,
    Case,
    check,
    clip,
    engine_for,
    make_request,
    picture,
    run,
    save_case,
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Case:
    return save_case(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def sliding(tmp_path_factory) -> Case:
    """Sliding layers with sinks, untied head, no q/k/v bias."""
    fields = {"layer_types": SLIDING, "sliding_window": 7, "attention_sinks": 2}
    return save_case(tmp_path_factory.mktemp("sliding"), tie_word_embeddings=False, attention_bias=False, **fields)


@st.composite
def traffic(draw):
    """Requests that share prefixes, with media in random places, and when they arrive."""
    stem = draw(st.lists(st.integers(20, VOCAB - 1), min_size=24, max_size=24))
    requests, arrivals = [], []
    for index in range(draw(st.integers(1, 5))):
        shared = draw(st.integers(0, 24))
        tail = draw(st.lists(st.integers(20, VOCAB - 1), min_size=1, max_size=30))
        prompt = stem[:shared] + tail
        places = draw(st.lists(st.integers(0, len(prompt) - 1), max_size=3, unique=True))
        media = []
        for place in sorted(places):
            seed = draw(st.integers(0, 1))
            if draw(st.booleans()):
                media.append(picture(1 + seed, draw(st.integers(1, 3)), seed, place))
            else:
                media.append(clip(draw(st.integers(4, 30)), seed, place))
        requests.append(make_request(f"r{index}", prompt, media, max_tokens=draw(st.integers(1, 12))))
        arrivals.append(draw(st.integers(0, 8)))
    return requests, arrivals


# Without the explain phase, which runs a failing case hundreds of times.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
LOAD = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)


@LOAD
@given(
    traffic=traffic(),
    chunk=st.sampled_from([1, 3, 8, 21, 512]),
    tokens=st.sampled_from([80, 110, 2000]),
    seqs=st.integers(1, 5),
    caching=st.booleans(),
    page=st.sampled_from([1, 4, 16]),
)
def test_logits_equal_the_reference(plain, traffic, chunk, tokens, seqs, caching, page):
    requests, arrivals = traffic
    engine = engine_for(
        plain,
        tokens,
        page_size=page,
        max_num_batched_tokens=chunk,
        max_num_seqs=seqs,
        enable_prefix_caching=caching,
    )
    assert engine.runner.max_model_len >= 66  # each request fits alone
    check(plain, requests, run(engine, requests, arrivals))
    assert engine.pool.num_free == engine.pool.num_pages


@LOAD
@given(traffic=traffic(), chunk=st.sampled_from([1, 5, 16, 512]), tokens=st.sampled_from([72, 2000]))
def test_sliding_layers_equal_the_reference(sliding, traffic, chunk, tokens):
    requests, arrivals = traffic
    engine = engine_for(sliding, tokens, max_num_batched_tokens=chunk)
    check(sliding, requests, run(engine, requests, arrivals))


def test_preemption_happens_and_is_exact(plain):
    engine = engine_for(plain, 90, max_num_seqs=4)
    requests = [
        make_request(f"r{i}", [20 + i] * 20, [picture(2, 2, i, 3)] if i % 2 else [], max_tokens=30) for i in range(4)
    ]
    result = run(engine, requests)
    assert engine.stats().preemptions > 0
    check(plain, requests, result)


def test_prefix_hit_after_a_picture_is_exact_and_skips_its_tower(plain):
    engine = engine_for(plain)
    prompt = list(range(30, 62))
    first = make_request("first", prompt, [picture(2, 3, 0, 5)])
    again = make_request("again", prompt, [picture(2, 3, 0, 5)])
    other = make_request("other", prompt, [picture(2, 3, 1, 5)])
    for request, cached in ((first, 0), (again, 28), (other, 4)):  # 32 tokens in pages of 4; the last is recomputed
        result = run(engine, [request])
        check(plain, [request], result)
        assert result.outputs[request.request_id][0].cached_tokens == cached
    assert engine.runner.towers.runs["image"] == 2  # type: ignore[attr-defined]


def test_towers_stay_unloaded_without_media(plain):
    engine = engine_for(plain)
    run(engine, [make_request("text", [30, 31, 32], [])])
    assert engine.runner.towers.loaded == frozenset()  # type: ignore[attr-defined]
    run(engine, [make_request("sound", [30, 31, 32], [clip(20, 0, 1)])])
    assert engine.runner.towers.loaded == {"audio"}  # type: ignore[attr-defined]


def test_greedy_tokens_do_not_depend_on_the_batch(plain):
    requests = [make_request(f"r{i}", [20 + 7 * i, 33, 90 - i] * (3 + i), [], max_tokens=20) for i in range(6)]
    together = run(engine_for(plain), requests)
    for request in requests:
        assert run(engine_for(plain), [request]).tokens(request.request_id) == together.tokens(request.request_id)


def test_seeded_sampling_does_not_depend_on_the_batch_or_preemption(plain):
    fields = {"temperature": 1.0, "seed": 11, "top_p": 0.95, "max_tokens": 30}
    requests = [make_request(f"r{i}", [20 + i] * 20, [], **fields) for i in range(4)]
    alone = [run(engine_for(plain), [request]).tokens(request.request_id) for request in requests]
    tight = engine_for(plain, 90)
    together = run(tight, requests)
    assert tight.stats().preemptions > 0
    assert [together.tokens(f"r{i}") for i in range(4)] == alone


def test_logprobs_and_prompt_logprobs(plain):
    request = make_request("r", [25, 60, 61, 99, 30, 31, 77], [], logprobs=3, prompt_logprobs=2, max_tokens=4)
    engine = engine_for(plain, max_num_batched_tokens=3)
    run(engine, [replace(request, request_id="warm", sampling=SamplingParams(max_tokens=1))])
    outputs = run(engine, [request]).outputs["r"]
    tokens = [*request.prompt_ids, *(t for o in outputs for t in o.token_ids)]
    raw = torch.log_softmax(plain.logits(tokens, ()), -1)
    prompt = outputs[0].prompt_logprobs
    assert prompt is not None
    assert prompt[0] is None
    assert len(prompt) == len(request.prompt_ids)
    entries = [*prompt[1:], *(entry for o in outputs for entry in o.logprobs or ())]
    assert len(entries) == len(tokens) - 1
    for position, entry in enumerate(entries):
        assert entry is not None
        assert entry.token_id == tokens[position + 1]
        assert entry.logprob == pytest.approx(float(raw[position, entry.token_id]), abs=TOLERANCE)
        assert len(entry.top) == (2 if position < len(request.prompt_ids) - 1 else 3)
        assert entry.top[0][1] == pytest.approx(float(raw[position].max()), abs=TOLERANCE)
    assert all(output.prompt_logprobs is None for output in outputs[1:])


def test_prompt_logprobs_survive_preemption(plain):
    engine = engine_for(plain, 90, max_num_batched_tokens=7)
    requests = [
        make_request(f"r{i}", [20 + i] * 40, [], prompt_logprobs=0, max_tokens=20, priority=i) for i in range(3)
    ]
    result = run(engine, requests)
    assert engine.stats().preemptions > 0
    for request in requests:
        prompt = result.outputs[request.request_id][0].prompt_logprobs
        assert prompt is not None
        assert [entry.token_id for entry in prompt[1:] if entry is not None] == list(request.prompt_ids[1:])


def test_dense_contexts_are_used_and_are_dropped_when_a_group_changes(plain):
    engine = engine_for(plain)
    requests = [make_request(f"r{i}", [20 + i] * (5 + i), [], max_tokens=12 + 3 * i) for i in range(3)]
    check(plain, requests, run(engine, requests, [0, 0, 4]))
    contexts = engine.runner.decoder.pages.contexts  # type: ignore[attr-defined]
    assert contexts.appends > contexts.gathers > 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_near_the_reference(plain, dtype):
    engine = engine_for(plain, dtype=dtype)
    request = make_request("r", list(range(30, 60)), [picture(2, 2, 0, 4)], max_tokens=4)
    result = run(engine, [request])
    reference = plain.logits([*request.prompt_ids, *result.tokens("r")], request.media)
    for _, first, rows in result.logits:
        error = (rows - reference[first : first + rows.shape[0]]).abs()
        assert float(error.mean()) < (0.03 if dtype == "bfloat16" else 0.004) * float(reference.std())


def test_scoring_without_output(plain):
    request = make_request("r", [25, 60, 61], [], prompt_logprobs=0, max_tokens=0)
    (output,) = run(engine_for(plain), [request]).outputs["r"]
    assert output.finish_reason == "length"
    assert output.token_ids == ()
    assert output.prompt_logprobs is not None
    assert len(output.prompt_logprobs) == 3


def test_stop_tokens_and_eos_end_a_request_and_stay_out_of_it(plain):
    engine = engine_for(plain)
    tokens = run(engine, [make_request("free", [40, 41, 42], [], max_tokens=12)]).tokens("free")
    stop = tokens[4]
    first = tokens.index(stop)
    request = make_request("stopped", [40, 41, 42], [], max_tokens=12, stop_token_ids=frozenset({stop}))
    result = run(engine, [request])
    assert result.tokens("stopped") == tokens[:first]
    assert result.outputs["stopped"][-1].finish_reason == "stop"
    assert result.outputs["stopped"][-1].stop_token_id == stop
    biased = make_request("eos", [40, 41, 42], [], ignore_eos=False, min_tokens=3, logit_bias={17: 1000.0})
    result = run(engine, [biased])
    assert len(result.tokens("eos")) == 3
    assert result.outputs["eos"][-1].stop_token_id == 17


def test_thinking_budget_ends_the_thought(plain):
    budget = ThinkingBudget(end_ids=(15, 16), max_tokens=3)
    result = run(engine_for(plain), [make_request("r", [40, 41, 42], [], max_tokens=9, thinking=budget)])
    assert result.tokens("r")[3:5] == [15, 16]
    assert len(result.tokens("r")) == 9


@pytest.mark.parametrize(
    ("prompt", "media", "message"),
    [
        ([30, IMAGE, 31], [], "media tokens"),
        ([30, 31, 32], [picture(1, 1, 0, 1)], "no .*image.* tokens"),
        ([30, AUDIO, 32], [picture(1, 1, 0, 1)], "no .*image.* tokens"),
        ([30, IMAGE, IMAGE], [replace(picture(1, 1, 0, 1), length=2)], "one token"),
    ],
)
def test_placeholders_must_match_the_media(plain, prompt, media, message):
    with pytest.raises(InvalidRequestError, match=message):
        engine_for(plain).add_request(EngineRequest("r", tuple(prompt), SamplingParams(), tuple(media)))


def test_a_broken_picture_ends_its_request_alone(plain):
    engine = engine_for(plain)
    broken = replace(picture(1, 1, 0, 1), data={"pixels": np.zeros((3, 5), np.uint8)}, content_hash="broken")
    good = make_request("good", [30, 31, 32], [])
    result = run(engine, [make_request("bad", [30, 31, 32], [broken]), good])
    assert result.outputs["bad"][-1].finish_reason == "error"
    check(plain, [good], replace(result, outputs={"good": result.outputs["good"]}))
    assert engine.pool.num_free == engine.pool.num_pages


def test_a_batch_that_fails_is_run_row_by_row(plain, monkeypatch):
    """Memory for a whole batch may be lacking where each row fits: nobody notices but for the time."""
    engine = engine_for(plain)
    decoder = engine.runner.decoder  # type: ignore[attr-defined]
    original = decoder.run_segment
    failures = []

    def run_segment(index, hidden, meta):
        if index == 2 and hidden.shape[0] == 3 and len(failures) < 4:  # three sequences decode together
            failures.append(index)
            raise MemoryError
        return original(index, hidden, meta)

    monkeypatch.setattr(decoder, "run_segment", run_segment)
    requests = [make_request(f"r{i}", [20 + i] * (5 + i), [], max_tokens=15, temperature=0.0) for i in range(3)]
    result = run(engine, requests)
    assert len(failures) == 4
    check(plain, requests, result)


def test_aborts_in_the_middle_of_everything(plain):
    engine = engine_for(plain, 100, max_num_batched_tokens=6)
    requests = [make_request(f"r{i}", [20 + i] * 25, [picture(1, 1, i, 2)], max_tokens=20) for i in range(5)]
    for request in requests:
        engine.add_request(request)
    for step in range(40):
        engine.step()
        if step % 4 == 3:
            engine.abort(f"r{step // 8}")
        engine.scheduler.check()
    assert not engine.has_work()
    assert engine.pool.num_free == engine.pool.num_pages
    check(
        plain,
        [make_request("after", [20] * 25, [picture(1, 1, 0, 2)])],
        run(engine, [make_request("after", [20] * 25, [picture(1, 1, 0, 2)])]),
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_equals_the_reference(sliding):
    engine = engine_for(sliding, device="cuda", max_num_batched_tokens=16)
    requests = [make_request(f"r{i}", [20 + i] * 30, [picture(2, 2, i, 3)] if i % 2 else []) for i in range(4)]
    result = run(engine, requests)
    check(sliding, requests, replace(result, logits=[(name, first, rows.cpu()) for name, first, rows in result.logits]))


def test_transcript_reads_the_audio_tower(plain):
    engine = engine_for(plain)
    assert set(engine.transcript(clip(40, 0, 0))) <= set("abc")
    with pytest.raises(InvalidRequestError):
        engine.transcript(picture(1, 1, 0, 0))


def test_damaged_folders_are_named(plain, tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_engine(tmp_path / "nothing")
    (tmp_path / "config.json").write_text((plain.folder / "config.json").read_text())
    with pytest.raises(CheckpointError, match="safetensors"):
        load_engine(tmp_path)
    weights = (plain.folder / "model.safetensors").read_bytes()
    shard = tmp_path / "model-00001-of-00002.safetensors"
    shard.write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CheckpointError, match="model-00001-of-00002"):
        load_engine(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    )
    with pytest.raises(CheckpointError, match="model-00002-of-00002"):
        load_engine(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "other"}')
    with pytest.raises(CheckpointError, match="other"):
        load_engine(tmp_path)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"quantization": "fp8"}, NotBuiltError),
        ({"quantization": "zip"}, ConfigError),
        ({"tensor_parallel_size": 2}, NotBuiltError),
        ({"dtype": "float8"}, ConfigError),
        ({"max_num_seqs": 0}, ConfigError),
        ({"gpu_memory_utilization": 1.5}, ConfigError),
    ],
)
def test_bad_configurations_are_refused(fields, error):
    with pytest.raises(error):
        EngineConfig(**fields)


def test_configurations_that_do_not_fit_the_model_are_refused(plain):
    for fields in ({"max_model_len": 10_000}, {"tokens": 20, "max_model_len": 200}, {"device": "abacus"}):
        with pytest.raises(ConfigError):
            engine_for(plain, **fields)
