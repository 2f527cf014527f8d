"""The scheduler and its pages with a fake runner: every step keeps every invariant, every request ends."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.blocks import PagePool
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.depth import DepthLayout
from autoglm_phone.engine.interface import Row, RowResult, Steering
from autoglm_phone.engine.prefix_cache import PrefixCache, page_digest, root_digest
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams, StepOutput, ThinkingBudget
from autoglm_phone.errors import AutoGLMError, EngineError, InvalidRequestError

VOCAB = 50
PAGE = 4


class FakeRunner:
    """Stands in for a model: its pages remember which token was written where, and the next token is a hash of all of
    a sequence's tokens as read back through its page tables. A wrong, stale or doubly owned page changes the output.
    """

    num_segments = 2
    page_size = PAGE
    vocab_size = VOCAB
    eos_token_ids = frozenset({0})
    cache_namespace = "fake"
    layout = DepthLayout((6, 12), frozenset({6}))
    page_bytes = 100
    probes = False
    drafting = None

    def __init__(self, num_pages: int, max_model_len: int):
        self.num_pages = num_pages
        self.max_model_len = max_model_len
        self.memory: dict[tuple[int, int], tuple[int, int, int]] = {}
        self.prepared: set[str] = set()
        self.fails_on: int | None = None  # a token that makes a batch raise
        self.most_rows = self.most_tokens = 0

    def validate(self, request: EngineRequest) -> None:
        if 49 in request.prompt_ids:
            raise InvalidRequestError("49 is refused")

    def prepare(self, sequence) -> None:
        self.prepared.add(sequence.request_id)

    def rest(self) -> None: ...

    def report(self, stats) -> None: ...

    def release(self, request_id: str) -> None:
        self.prepared.discard(request_id)

    def transcript(self, item: MediaItem) -> str:
        return ""

    def execute(self, rows: list[Row], steering: Steering) -> list[RowResult]:
        assert all(row.sequence.request_id in self.prepared for row in rows)
        for row in rows:
            if self.fails_on is not None and self.fails_on in row.sequence.tokens[row.start : row.end]:
                raise RuntimeError("secret detail")
        self.most_rows = max(self.most_rows, len(rows))
        self.most_tokens = max(self.most_tokens, sum(row.count for row in rows))
        for row in rows:
            for segment, table in enumerate(row.sequence.page_tables):
                for i in range(row.start, row.end):
                    self.memory[table[i // PAGE], i % PAGE] = (segment, i, row.sequence.tokens[i])
        return [RowResult((self._next(row),) if row.samples else ()) for row in rows]

    def _next(self, row: Row) -> int:
        for segment, table in enumerate(row.sequence.page_tables):
            read = [self.memory[table[i // PAGE], i % PAGE] for i in range(row.end)]
            assert read == [(segment, i, token) for i, token in enumerate(row.sequence.tokens)], "foreign or stale page"
        return next_token(row.sequence.tokens)


def next_token(tokens: list[int]) -> int:
    return hashlib.sha256(bytes(tokens)).digest()[0] % 48


def expected(prompt: list[int], max_tokens: int, limit: int) -> tuple[list[int], str]:
    tokens = list(prompt)
    while True:
        token = next_token(tokens)
        tokens.append(token)
        if token == 0:
            return tokens[len(prompt) : -1], "stop"
        if len(tokens) - len(prompt) == max_tokens or len(tokens) == limit:
            return tokens[len(prompt) :], "length"


def make(num_pages: int = 40, limit: int = 64, **config) -> tuple[Engine, FakeRunner]:
    runner = FakeRunner(num_pages, limit)
    return Engine(EngineConfig(**{"max_num_batched_tokens": 16, "max_num_seqs": 4, **config}), runner), runner


def request(name: str, prompt: list[int], max_tokens: int = 8, **fields) -> EngineRequest:
    return EngineRequest(name, tuple(prompt), SamplingParams(max_tokens=max_tokens), **fields)


def drain(engine: Engine, gathered: dict[str, list[StepOutput]] | None = None) -> dict[str, list[StepOutput]]:
    gathered = {} if gathered is None else gathered
    for _ in range(10_000):
        if not engine.has_work():
            break
        for output in engine.step():
            gathered.setdefault(output.request_id, []).append(output)
        engine.scheduler.check()
    assert not engine.has_work(), "no progress"
    return gathered


def tokens_of(outputs: list[StepOutput]) -> list[int]:
    return [token for output in outputs for token in output.token_ids]


actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.lists(st.integers(1, 3), min_size=1, max_size=40),
            st.integers(1, 20),
            st.integers(0, 2),  # priority
            st.booleans(),  # prefix caching
        ),
        st.tuples(st.just("step"), st.integers(1, 6)),
        st.tuples(st.just("abort"), st.integers(0, 30)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(
    plan=actions,
    pages=st.integers(32, 60),
    budget=st.integers(1, 24),
    seqs=st.integers(1, 6),
    caching=st.booleans(),
    dynamic=st.booleans(),
)
def test_any_interleaving_keeps_the_invariants(plan, pages, budget, seqs, caching, dynamic):
    engine, runner = make(
        pages,
        max_num_batched_tokens=budget,
        max_num_seqs=seqs,
        enable_prefix_caching=caching,
        dynamic_batching=dynamic,
    )
    wanted: dict[str, tuple[list[int], int]] = {}
    gathered: dict[str, list[StepOutput]] = {}
    aborted: set[str] = set()
    for action in plan:
        if action[0] == "add":
            name = f"r{len(wanted)}"
            wanted[name] = (action[1], action[2])
            engine.add_request(request(name, action[1], action[2], priority=action[3], prefix_caching=action[4]))
        elif action[0] == "step":
            for _ in range(action[1]):
                for output in engine.step():
                    gathered.setdefault(output.request_id, []).append(output)
                engine.scheduler.check()
        elif engine.abort(f"r{action[1]}"):
            aborted.add(f"r{action[1]}")
            engine.scheduler.check()
    drain(engine, gathered)
    assert engine.pool.num_free == pages
    assert not runner.prepared
    assert runner.most_rows <= seqs
    assert runner.most_tokens <= budget
    for name, (prompt, max_tokens) in wanted.items():
        outputs = gathered.get(name, [])
        tokens, reason = expected(prompt, max_tokens, runner.max_model_len)
        if name in aborted:
            assert tokens_of(outputs) == tokens[: len(tokens_of(outputs))]
        else:
            assert tokens_of(outputs) == tokens
            assert [o.finish_reason for o in outputs][-1] == reason
            assert all(o.finish_reason is None for o in outputs[:-1])


def test_preemption_recomputes_and_loses_nothing():
    engine, _ = make(32, max_num_seqs=4)  # 32 pages = 64 tokens in two segments; four sequences want 96
    prompts = [[i + 1] * 20 for i in range(4)]
    for i, prompt in enumerate(prompts):
        engine.add_request(request(f"r{i}", prompt, 24))
    gathered = drain(engine)
    for i, prompt in enumerate(prompts):
        assert tokens_of(gathered[f"r{i}"]) == expected(prompt, 24, 64)[0]


def test_preemption_takes_the_last_in_order_first():
    engine, _ = make(32, max_num_seqs=2, enable_prefix_caching=False)
    engine.add_request(request("late", [3] * 24, 39, priority=1))
    engine.step()
    engine.step()
    engine.add_request(request("urgent", [5] * 30, 30, priority=0))
    drain(engine)
    assert engine.stats().preemptions > 0


def test_prefix_hits_skip_the_prefill():
    engine, _ = make()
    prompt = [7] * 18
    engine.add_request(request("a", prompt, 3))
    first = drain(engine)["a"]
    engine.add_request(request("b", prompt, 3))
    second = drain(engine)["b"]
    assert first[0].cached_tokens == 0
    assert second[0].cached_tokens == 16
    assert tokens_of(first) == tokens_of(second)


def test_salts_and_media_separate_prefixes():
    engine, _ = make()
    item = MediaItem("image", "hash-a", 2, 1, None)
    other = MediaItem("image", "hash-b", 2, 1, None)
    for name, fields in {
        "plain": {},
        "salted": {"cache_salt": "key"},
        "with a": {"media": (item,)},
        "with b": {"media": (other,)},
    }.items():
        engine.add_request(request(name, [7] * 18, 2, **fields))
        assert drain(engine)[name][0].cached_tokens == 0, name
    engine.add_request(request("again", [7] * 18, 2, media=(item,)))
    assert drain(engine)["again"][0].cached_tokens == 16


def test_digest_depends_on_everything():
    root = root_digest("")
    media = [MediaItem("image", "h", 2, 1, None)]
    seen = {
        page_digest(root, [1, 2, 3, 4], 0, []),
        page_digest(root, [1, 2, 3, 5], 0, []),
        page_digest(root_digest("salt"), [1, 2, 3, 4], 0, []),
        page_digest(root_digest("", "model"), [1, 2, 3, 4], 0, []),
        page_digest(root, [1, 2, 3, 4], 0, media),
        page_digest(root, [1, 2, 3, 4], 0, [MediaItem("image", "h", 1, 1, None)]),
        page_digest(root, [1, 2, 3, 4], 0, [MediaItem("audio", "h", 2, 1, None)]),
    }
    assert len(seen) == 7
    assert page_digest(root, [1, 2, 3, 4], 4, media) in seen  # the medium lies in another page


def test_static_batching_admits_only_between_batches():
    engine, _ = make(dynamic_batching=False, max_num_seqs=2)
    for i in range(4):
        engine.add_request(request(f"r{i}", [i + 1] * 6, 6 + i))
    running = []
    while engine.has_work():
        engine.step()
        running.append({s.request_id for s in engine.scheduler.running})
    for names in running:
        assert names <= {"r0", "r1"} or names <= {"r2", "r3"}


def test_one_failing_request_leaves_the_others_alone(caplog):
    engine, runner = make()
    runner.fails_on = 30
    engine.add_request(request("good", [1, 2, 3], 5))
    engine.add_request(request("bad", [1, 30, 3], 5))
    engine.add_request(request("fine", [4, 5, 6], 5))
    gathered = drain(engine)
    assert gathered["bad"][-1].finish_reason == "error"
    assert "secret" not in gathered["bad"][-1].error
    assert tokens_of(gathered["good"]) == expected([1, 2, 3], 5, 64)[0]
    assert tokens_of(gathered["fine"]) == expected([4, 5, 6], 5, 64)[0]
    assert engine.pool.num_free == engine.pool.num_pages
    assert engine.stats().failures == 1


@pytest.mark.parametrize(
    ("prompt", "fields", "message"),
    [
        ([], {}, "empty"),
        ([1] * 64, {}, "context window"),
        ([1, VOCAB], {}, "token ids"),
        ([-1], {}, "token ids"),
        ([49], {}, "refused"),
        ([1, 2], {"media": (MediaItem("image", "h", 1, 2, None),)}, "media"),
    ],
)
def test_bad_requests_are_refused(prompt, fields, message):
    engine, _ = make()
    with pytest.raises(InvalidRequestError, match=message):
        engine.add_request(request("r", prompt, **fields))
    assert not engine.has_work()


def test_duplicate_ids_and_full_queues_are_refused():
    engine, _ = make(max_queue=2)
    engine.add_request(request("r", [1]))
    with pytest.raises(InvalidRequestError, match="in use"):
        engine.add_request(request("r", [1]))
    engine.add_request(request("s", [1]))
    with pytest.raises(AutoGLMError, match="waiting"):
        engine.add_request(request("t", [1]))


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {VOCAB: 1.0}},
        {"logit_bias": {1: float("nan")}},
        {"stop_token_ids": frozenset({-1})},
        {"max_tokens": -1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"min_p": 1.5},
        {"top_k": -2},
        {"repetition_penalty": 0.0},
        {"frequency_penalty": float("inf")},
        {"logprobs": 10**9},
        {"prompt_logprobs": -1},
        {"thinking": ThinkingBudget((VOCAB,))},
    ],
)
def test_unbounded_sampling_parameters_are_refused(fields):
    engine, _ = make()
    with pytest.raises(InvalidRequestError):
        engine.add_request(EngineRequest("r", (1,), SamplingParams(**fields)))


def test_stats_add_up():
    engine, _ = make()
    for i in range(3):
        engine.add_request(request(f"r{i}", [i + 1] * 9, 4))
    assert engine.stats().waiting == 3
    gathered = drain(engine)
    stats = engine.stats()
    made = sum(len(o.token_ids) + (o.stop_token_id is not None) for outputs in gathered.values() for o in outputs)
    assert stats.generation_tokens == made
    assert stats.prompt_tokens == 27
    assert sum(stats.finished.values()) == 3
    assert stats.time_to_first_token.count == 3
    assert stats.e2e_latency.count == 3
    assert (stats.running, stats.waiting, stats.kv_usage) == (0, 0, 0.0)
    assert stats.step_tokens.count == stats.steps


def test_pool_faults_are_found():
    pool = PagePool(4, PAGE)
    pages = pool.allocate(2)
    pool.free(pages)
    with pytest.raises(EngineError, match="more often"):
        pool.free(pages)
    with pytest.raises(EngineError, match="asked for"):
        pool.allocate(5)
    pool.check()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("afsc"), st.integers(0, 7)), max_size=60))
def test_pool_against_a_model(steps):
    """Random allocate / free / share / cache calls against plain reference counts."""
    pool = PagePool(8, PAGE)
    cache = PrefixCache(pool)
    counts = [0] * 8
    owned: list[int] = []
    for number, (action, n) in enumerate(steps):
        if action == "a" and pool.can_allocate(n):
            pages = pool.allocate(n, after=owned[-1] if owned else None)
            assert len(set(pages)) == n
            assert all(counts[page] == 0 for page in pages)
            owned += pages
            for page in pages:
                counts[page] += 1
        elif action == "f" and owned:
            page = owned.pop(n % len(owned))
            pool.free([page])
            counts[page] -= 1
        elif action == "s" and owned:
            page = owned[n % len(owned)]
            pool.share([page])
            owned.append(page)
            counts[page] += 1
        elif action == "c" and owned:
            cache.insert(hashlib.sha256(bytes([number])).digest(), 0, owned[n % len(owned)])
        pool.check()
        cache.check()
        assert [pool.references(page) for page in range(8)] == counts


def test_the_host_side_imports_no_tensor_library():
    code = (
        "import sys, autoglm_phone.engine.core, autoglm_phone.engine.loop; "
        "sys.exit(bool({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
