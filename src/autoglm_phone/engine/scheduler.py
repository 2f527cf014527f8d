"""Which tokens of which sequences run in the next step. No tensors: tested in milliseconds.

Continuous batching with chunked prefill: a step has a budget of tokens; decoding sequences come first (one token each),
the rest of the budget goes to prompts, in order of priority and arrival. When pages run out, the sequence that is last
in that order gives its pages back and is computed again later (preemption by recompute).

Progress is certain: the engine admits only requests that fit into the pool alone, and the first sequence in order is
never preempted in favour of another.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Sequence as Seq

from autoglm_phone.engine.blocks import PagePool
from autoglm_phone.engine.interface import Row
from autoglm_phone.engine.prefix_cache import PrefixCache
from autoglm_phone.engine.sequence import Sequence, Status


def _key(sequence: Sequence) -> tuple[int, int]:
    return sequence.key


class Scheduler:
    """Queues of sequences and the pages they own.

    Args:
        pool: pages of all segments.
        prefix_cache: None switches prefix caching off.
        max_num_seqs: sequences that may hold pages at once.
        max_num_batched_tokens: token budget of a step.
        dynamic_batching: False admits a batch only when no sequence of the last one is left.
        namespace: tells models apart in prefix digests.
    """

    def __init__(
        self,
        pool: PagePool,
        prefix_cache: PrefixCache | None,
        *,
        max_num_seqs: int,
        max_num_batched_tokens: int,
        dynamic_batching: bool = True,
        namespace: str = "",
    ):
        self.pool = pool
        self.prefix_cache = prefix_cache
        self.max_num_seqs = max_num_seqs
        self.max_num_batched_tokens = max_num_batched_tokens
        self.dynamic_batching = dynamic_batching
        self.namespace = namespace
        self.waiting: list[Sequence] = []  # sorted by key; preempted sequences keep their arrival number
        self.running: list[Sequence] = []  # sorted by key
        self.num_preemptions = 0
        self.prefix_queries = 0  # tokens looked up
        self.prefix_hits = 0  # tokens found

    def add(self, sequence: Sequence) -> None:
        bisect.insort(self.waiting, sequence, key=_key)

    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    def schedule(self) -> list[Row]:
        """Rows of the next step, their pages allocated. At most one row a sequence."""
        budget = self.max_num_batched_tokens
        admitting = self.dynamic_batching or not self.running
        rows: dict[int, Row] = {}  # by arrival number
        preempted = False
        for sequence in sorted(self.running, key=lambda s: (s.remaining > 1, s.key)):
            if budget == 0:
                break
            if sequence.status is not Status.RUNNING:
                continue  # preempted by one before it in this very loop
            count = min(sequence.remaining, budget)
            while not self._grow(sequence, sequence.computed + count):
                victim = self.running[-1]
                self._preempt(victim)
                preempted = True
                lost = rows.pop(victim.order, None)
                budget += lost.count if lost is not None else 0
                if victim is sequence:
                    break
            else:
                rows[sequence.order] = Row(sequence, sequence.computed, count)
                budget -= count
        while admitting and not preempted and self.waiting and budget and len(self.running) < self.max_num_seqs:
            sequence = self.waiting[0]
            if not self._admit(sequence):
                break
            count = min(sequence.remaining, budget)
            self._grow(sequence, sequence.computed + count)  # _admit made sure that all of its tokens fit
            rows[sequence.order] = Row(sequence, sequence.computed, count)
            budget -= count
        return list(rows.values())

    def advance(self, row: Row) -> None:
        """The row was computed: move the frontiers and offer its full pages to the prefix cache."""
        sequence = row.sequence
        sequence.frontiers = [max(frontier, row.end) for frontier in sequence.frontiers]
        if self.prefix_cache is None or not sequence.request.prefix_caching:
            return
        sequence.extend_digests(self.pool.page_size, self.namespace)
        full = sequence.computed // self.pool.page_size
        for index in range(sequence.num_indexed, full):
            for segment, table in enumerate(sequence.page_tables):
                self.prefix_cache.insert(sequence.digests[index], segment, table[index])
        sequence.num_indexed = max(sequence.num_indexed, full)

    def remove(self, sequence: Sequence) -> None:
        """End a sequence, wherever it is, and free its pages."""
        if sequence.status is Status.FINISHED:
            return
        (self.running if sequence.status is Status.RUNNING else self.waiting).remove(sequence)
        self._release(sequence)
        sequence.status = Status.FINISHED

    def check(self) -> None:
        """Raises if pages leaked, are owned twice by mistake or a queue is out of order."""
        self.pool.check()
        if self.prefix_cache is not None:
            self.prefix_cache.check()
        counts = [0] * self.pool.num_pages
        for sequence in self.running:
            for table in sequence.page_tables:
                if len(table) < self.pool.pages_for(sequence.computed) or len(set(table)) != len(table):
                    raise ValueError(f"page table of {sequence.request_id} is too short or holds a page twice")
                for page in table:
                    counts[page] += 1
        if any(table for sequence in self.waiting for table in sequence.page_tables):
            raise ValueError("a waiting sequence owns pages")
        if any(self.pool.references(page) != count for page, count in enumerate(counts)):
            raise ValueError("pages are referenced by no sequence, or by one that does not own them")
        for queue in (self.running, self.waiting):
            if [s.key for s in queue] != sorted(s.key for s in queue):
                raise ValueError("a queue is out of order")

    def _grow(self, sequence: Sequence, num_tokens: int) -> bool:
        """Allocate what the sequence lacks to hold this many tokens; False if the pool can't."""
        want = self.pool.pages_for(num_tokens)
        missing = sum(max(0, want - len(table)) for table in sequence.page_tables)
        if not self.pool.can_allocate(missing):
            return False
        for table in sequence.page_tables:
            if want > len(table):
                table += self.pool.allocate(want - len(table), after=table[-1] if table else None)
        return True

    def _admit(self, sequence: Sequence) -> bool:
        """Move the sequence to the running ones if all of its present tokens fit; takes cached pages."""
        hit = None
        if self.prefix_cache is not None and sequence.may_use_prefix:
            sequence.extend_digests(self.pool.page_size, self.namespace)
            # The last token is always computed: its logits are needed.
            usable = (len(sequence.tokens) - 1) // self.pool.page_size
            hit = self.prefix_cache.find(sequence.digests[:usable], sequence.num_segments)
            for table in hit.pages:
                self.pool.share(table)
        found = len(hit.pages[0]) if hit is not None else 0
        need = (self.pool.pages_for(len(sequence.tokens)) - found) * sequence.num_segments
        if not self.pool.can_allocate(need):
            if hit is not None:
                self._free_tables(hit.pages)
            return False
        if hit is not None:
            sequence.page_tables = hit.pages
            sequence.frontiers = [hit.num_tokens] * sequence.num_segments
            sequence.num_indexed = found
            self.prefix_queries += len(sequence.tokens)
            self.prefix_hits += hit.num_tokens
            if sequence.times.admitted is None:
                sequence.cached_tokens = min(hit.num_tokens, sequence.prompt_length)
        self.waiting.remove(sequence)
        sequence.status = Status.RUNNING
        if sequence.times.admitted is None:
            sequence.times.admitted = time.perf_counter()
        bisect.insort(self.running, sequence, key=_key)
        return True

    def _preempt(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._release(sequence)
        sequence.status = Status.WAITING
        sequence.preemptions += 1
        self.num_preemptions += 1
        bisect.insort(self.waiting, sequence, key=_key)

    def _release(self, sequence: Sequence) -> None:
        self._free_tables(sequence.page_tables)
        sequence.reset()

    def _free_tables(self, tables: Seq[list[int]]) -> None:
        # Last pages first, segment by segment: the head of a cached chain is the most useful part and goes last.
        for index in reversed(range(max((len(table) for table in tables), default=0))):
            self.pool.free(table[index] for table in tables if index < len(table))
