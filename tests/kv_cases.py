"""Planners with KV policies, and a watch that compares every token with the reference under the same visibility.

What a token may see is worked out here token by token, from the policy's words and from the gaps that the page tables
had when the token was computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from autoglm_phone.engine.request import EngineRequest
from autoglm_phone.graph.kv import DROPPED
from autoglm_phone.graph.plan import GraphRequest, KVPolicy, Plan
from autoglm_phone.graph.rewrite import Rewriter
from depth_cases import TOLERANCE, FixedPlans, NativeDepths, Record, step, watch
from native_cases import PAGE, make_request

PROMPT = list(range(30, 50))
TOKEN_BYTES = 6 * 2 * 2 * 16 * 4 * 8 // 6
NARROW_TOLERANCE = 0.25  # of logits that spread over about 10; a chosen bound


class Plans(FixedPlans):
    """Plans with KV policies, and rewriters, by request id."""

    def __init__(self, kv: dict[str, KVPolicy] | None = None) -> None:
        super().__init__()
        self.kv = kv or {}
        self.rewriters: dict[str, Rewriter] = {}

    def plan(self, facts: EngineRequest) -> Plan:
        return replace(super().plan(facts), kv=self.kv.get(facts.request_id, KVPolicy()))

    def rewriter(self, facts: EngineRequest) -> Rewriter | None:
        return self.rewriters.get(facts.request_id)


@dataclass
class Life:
    """A sequence from one computation of its first tokens to the next. seen: per segment, position → keys it read."""

    seen: list[dict[int, torch.Tensor]]
    reads: list[tuple[int, int, torch.Tensor]] = field(default_factory=list)
    frontiers: list[int] = field(default_factory=list)
    narrow: bool = False


def keys_of(policy: KVPolicy, request: EngineRequest, table: list[int], query: int) -> torch.Tensor:
    """bool [query + 1]: which keys the token at `query` may read, by the words of the policy."""
    prompt, sees = len(request.prompt_ids), torch.zeros(query + 1, dtype=torch.bool)
    for page in range(query // PAGE + 1):
        tokens = range(page * PAGE, min((page + 1) * PAGE, query + 1))
        if page == query // PAGE:
            wanted = True
        elif table[page] == DROPPED:
            wanted = False
        elif policy.kind == "window":
            media = [t for item in request.media for t in range(item.position, item.position + item.length)]
            wanted = any(
                t > query - policy.window
                or t < policy.sinks
                or (policy.keep_prompt and t < prompt)
                or (policy.keep_media and t in media)
                for t in tokens
            )
        else:
            wanted = True
        sees[tokens.start : tokens.stop] = wanted
    return sees


class Watch:
    """Notes what every token could see when it was computed."""

    def __init__(self, engine: Any, requests: list[EngineRequest]):
        self.engine, self.record = engine, Record()
        self.requests = {r.request_id: r for r in requests}
        self.lives: dict[str, list[Life]] = {}
        watch(engine, self.record)
        self._execute = engine.runner.execute
        engine.runner.execute = self.execute

    def execute(self, rows, steering):
        before = {}
        for row in rows:
            s = row.sequence
            tables = [list(table) for table in s.page_tables]
            before[s.request_id] = (list(s.frontiers), tables, s.plan.kv, s.pack)
        results = self._execute(rows, steering)
        for row, result in zip(rows, results, strict=True):
            name = row.sequence.request_id
            frontiers, tables, policy, pack = before[name]
            lives = self.lives.setdefault(name, [])
            if not lives or any(new < old for new, old in zip(frontiers, lives[-1].frontiers, strict=True)):
                kept: list[dict[int, torch.Tensor]] = [{} for _ in frontiers]
                if lives:
                    pairs = zip(lives[-1].seen, frontiers, strict=True)
                    kept = [{q: keys for q, keys in seen.items() if q < f} for seen, f in pairs]
                lives.append(Life(kept, narrow=bool(lives) and lives[-1].narrow and max(frontiers) > 0))
            life = lives[-1]
            life.narrow = life.narrow or pack > 1
            for segment, (first, end) in enumerate(zip(frontiers, result.progress.frontiers, strict=True)):
                for query in range(first, end):
                    table = row.sequence.page_tables[segment] if pack == 1 else []
                    gaps = [DROPPED if g == DROPPED else 0 for g in tables[segment]] + [0] * len(table)
                    life.seen[segment][query] = (
                        torch.ones(query + 1, dtype=torch.bool)
                        if pack > 1
                        else keys_of(policy, self.requests[name], gaps, query)
                    )
            life.frontiers = [
                min(f, len(row.sequence.tokens) + len(result.token_ids)) for f in result.progress.frontiers
            ]
        for name, position, depth, logits in self.record.read:
            self.lives[name][-1].reads.append((position, depth, logits))
        self.record.read.clear()
        self.record.rows.clear()
        return results

    def check(self, reference: NativeDepths, *, aborted: frozenset[str] = frozenset()) -> float:
        """Returns the largest difference of logits."""
        worst = 0.0
        for name, lives in self.lives.items():
            request, tokens = self.requests[name], [*self.requests[name].prompt_ids, *self.record.tokens(name)]
            if name not in aborted:
                assert self.record.outputs[name][-1].error is None
            for life in lives:
                reads = [read for read in life.reads if read[0] < len(tokens)]
                if not reads:
                    continue
                truth = masked_logits(reference, self.engine, tokens, request, life.seen)
                for position, depth, logits in reads:
                    error = float((logits - truth[depth][position]).abs().max())
                    bound = NARROW_TOLERANCE if life.narrow else TOLERANCE
                    assert error <= bound, (name, position, depth, error)
                    worst = max(worst, error)
        return worst


def masked_logits(reference, engine, tokens, request, seen) -> dict[int, torch.Tensor]:
    """The reference's logits at every depth when attention sees only these keys."""
    ends, length = engine.runner.layout.ends, len(tokens)
    masks = []
    for rows in seen:
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        for query, keys in rows.items():
            if query < length:
                mask[query, : query + 1] = keys
        masks.append(mask[None, None])

    def hook(segment: int) -> Any:
        def change(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            x, cos, sin, mask, *rest = args
            return (x, cos, sin, masks[segment] if mask is None else mask & masks[segment], *rest)

        return change

    hooks = []
    for index, layer in enumerate(reference.case.model.model.layers):
        segment = next(i for i, end in enumerate(ends) if index < end)
        hooks.append(layer.self_attn.register_forward_pre_hook(hook(segment)))
    try:
        return reference.logits(tokens, request.media)
    finally:
        for handle in hooks:
            handle.remove()


def ask(name: str, prompt: list[int] = PROMPT, media=(), **sampling) -> EngineRequest:
    fields = {"max_tokens": 40, **sampling}
    return replace(make_request(name, prompt, list(media), **fields), graph=GraphRequest("full", trace=True))


def run(engine, requests, seen: Watch | None = None, each=None) -> Watch:
    seen = seen or Watch(engine, requests)
    for request in requests:
        engine.add_request(request)
    count = 0
    while engine.has_work():
        step(engine, seen.record)
        count += 1
        if each is not None:
            each(count)
        assert count < 3000
    assert engine.pool.num_free == engine.pool.num_pages
    return seen
