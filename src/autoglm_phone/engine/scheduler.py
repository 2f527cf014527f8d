"""Which tokens of which sequences run in the next step. No tensors: tested in milliseconds.

Continuous batching with chunked prefill: a step has a budget of tokens; decoding sequences come first (one token each),
the rest of the budget goes to prompts, in order of priority and arrival. When pages run out, the sequence that is last
in that order gives its pages back and is computed again later (preemption by recompute).

Every segment has that budget for itself. A row takes its share, and pages, in the segments that it is sure to need;
what it turns out to need beyond them it asks for in the middle of the step (`extend`). If there is none left, it waits
at the boundary and enters there in a later step: catching up is chunked as prefill is.

Progress is certain: the engine admits only requests that fit into the pool alone, and the first sequence in order is
never preempted in favour of another.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import replace

from autoglm_phone.engine import retain
from autoglm_phone.engine.blocks import PagePool
from autoglm_phone.engine.depth import DepthRule
from autoglm_phone.engine.interface import Move, Progress, Row
from autoglm_phone.engine.prefix_cache import PrefixCache
from autoglm_phone.engine.sequence import Sequence, Status
from autoglm_phone.graph.kv import DROPPED, DROPPING
from autoglm_phone.graph.plan import KVPolicy

SMALL = 8  # tokens that may catch up in a step whose budget prompts have used up: decoding should not wait for them


def _key(sequence: Sequence) -> tuple[int, int]:
    return sequence.key


class Scheduler:
    """Queues of sequences and the pages they own.

    Args:
        pool: pages of all segments.
        prefix_cache: None switches prefix caching off.
        num_segments: of the decoder.
        max_num_seqs: sequences that may hold pages at once.
        max_num_batched_tokens: token budget of a step, in each segment.
        dynamic_batching: False admits a batch only when no sequence of the last one is left.
        namespace: tells models apart in prefix digests.
        drafts: how many tokens each of these sequences, which draft, should draft in the next step.
    """

    def __init__(
        self,
        pool: PagePool,
        prefix_cache: PrefixCache | None,
        *,
        num_segments: int,
        max_num_seqs: int,
        max_num_batched_tokens: int,
        dynamic_batching: bool = True,
        namespace: str = "",
        drafts: Callable[[Seq[Sequence]], Seq[int]] | None = None,
    ):
        self.pool = pool
        self.prefix_cache = prefix_cache
        self.num_segments = num_segments
        self.max_num_seqs = max_num_seqs
        self.max_num_batched_tokens = max_num_batched_tokens
        self.dynamic_batching = dynamic_batching
        self.namespace = namespace
        self.drafts = drafts
        self.waiting: list[Sequence] = []  # sorted by key; preempted sequences keep their arrival number
        self.running: list[Sequence] = []  # sorted by key
        self.num_preemptions = 0
        self.prefix_queries = 0  # tokens looked up
        self.prefix_hits = 0  # tokens found
        self._budgets = [max_num_batched_tokens] * num_segments  # tokens that each segment may still take in this step

    def add(self, sequence: Sequence) -> None:
        bisect.insort(self.waiting, sequence, key=_key)

    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    def schedule(self) -> list[Row]:
        """Rows of the next step, their pages allocated. At most one row a sequence."""
        self._budgets = [self.max_num_batched_tokens] * self.num_segments
        admitting = self.dynamic_batching or not self.running
        rows: dict[int, Row] = {}  # by arrival number
        preempted = False
        for sequence in sorted(self.running, key=lambda s: (s.remaining > 1, s.key)):
            if not any(self._budgets):
                break
            if sequence.status is not Status.RUNNING:
                continue  # preempted by one before it in this very loop
            row = self._row(sequence)
            if row is None:
                continue  # the segment that it waits for is full
            while not self._grow(sequence, row.end, row.first, row.depth):
                victim = self.running[-1]
                self._preempt(victim)
                preempted = True
                self._return(rows.pop(victim.order, None))
                if victim is sequence:
                    break
            else:
                rows[sequence.order] = self._take(row)
        while admitting and not preempted and self.waiting and len(self.running) < self.max_num_seqs:
            sequence = self.waiting[0]
            if not self._budgets[0] or not self._admit(sequence):
                break
            row = self._row(sequence)
            if row is None:
                break
            self._grow(sequence, row.end, row.first, row.depth)  # _admit made sure that all of its tokens fit
            rows[sequence.order] = self._take(row)
        if self.drafts is not None:
            # Not with a prompt: its first token need not wait for drafts.
            able = [row for row in rows.values() if row.sequence.num_output and row.samples]
            drafting = [row for row in able if row.sequence.rule.draft]
            counts = self.drafts([row.sequence for row in drafting]) if drafting else ()
            for row, count in zip(drafting, counts, strict=True):
                rows[row.sequence.order] = self._allow_drafts(row, count)
        return list(rows.values())

    def extend(self, sequence: Sequence, segment: int, end: int) -> int:
        """See engine.interface.Steering.extend. Never preempts: the others are running."""
        start = sequence.frontiers[segment]
        end = min(end, start + max(self._budgets[segment], SMALL))
        if end > start and not self._grow(sequence, end, segment, segment + 1):
            end = max(start, min(end, len(sequence.page_tables[segment]) * self._page_tokens(sequence)))
        self._budgets[segment] -= end - start
        return end

    def advance(self, row: Row, progress: Progress | None = None) -> None:
        """The row was computed: move the frontiers, offer full pages to the prefix cache, and give back what the KV
        policy does not keep.

        Call it when the row's new tokens have been appended. progress None: as the row says.
        """
        sequence = row.sequence
        before = list(sequence.frontiers)
        if progress is None:
            for segment in range(row.first, row.depth):
                sequence.frontiers[segment] = max(sequence.frontiers[segment], row.end)
            done = row.samples
        else:
            # A request may end in the middle of its accepted drafts.
            known = len(sequence.tokens)
            sequence.frontiers = [min(frontier, known) for frontier in progress.frontiers]
            done = progress.done
        if progress is not None and progress.rewind is not None:
            self.rewind(sequence, progress.rewind)
        if done:
            sequence.new_goal()
        elif progress is not None:
            sequence.goal = max(sequence.goal, progress.goal)
        dropping = sequence.plan.kv.kind in DROPPING
        if dropping or sequence.gaps:
            retain.note_blind(sequence, before, self.pool.page_size)
        if self.prefix_cache is not None and sequence.request.prefix_caching:
            self._index(sequence, self.prefix_cache)
        if dropping:
            self.pool.free(retain.sweep(sequence, self.pool.page_size))

    def rewind(self, sequence: Sequence, position: int) -> None:
        """Compute again from the page that holds this token; what was computed before stays. From the start, where
        the KV policy has given back what the tokens behind it would read."""
        size = self._page_tokens(sequence)
        keep = position // size
        if keep and retain.lacks(sequence, keep * size, self.pool.page_size):
            keep = 0
        if keep == 0:
            retain.begin_again(sequence)
        dropped = [table[keep:] for table in sequence.page_tables]
        self._free_tables(dropped)
        for segment, table in enumerate(sequence.page_tables):
            del table[keep:]
            sequence.frontiers[segment] = min(sequence.frontiers[segment], keep * size)
            sequence.num_indexed[segment] = min(sequence.num_indexed[segment], keep)
            sequence.swept[segment] = -1
        sequence.renew()

    def keep_by(self, sequence: Sequence, policy: KVPolicy, pack: int) -> list[Move]:
        """Keep the keys and values of a running sequence by another policy from now on. Pages that are given up go back
        to the pool at once.

        Returns what the runner has to move before the next step, in this order.

        Raises:
            EngineError: pages were given back that a narrow format would need. OutOfPagesError: the pool has no room to
                move. Nothing was changed.
        """
        moves = retain.repack(sequence, policy, pack, self.pool) if pack != sequence.pack else []
        retain.follow(sequence, policy, pack)
        self.pool.free(retain.sweep(sequence, self.pool.page_size))
        sequence.renew()
        sequence.peak_pages = max(sequence.peak_pages, sequence.num_pages)
        return moves

    def replan(self, sequence: Sequence, rule: DepthRule) -> None:
        """Run the sequence by another rule from now on. Pages below its cap go back to the pool at once.

        Where it becomes deeper, what the deeper segments lack is computed when it is needed.
        """
        dropped = [[] if segment < rule.cap else table for segment, table in enumerate(sequence.page_tables)]
        self._free_tables(dropped)
        for segment in range(rule.cap, self.num_segments):
            sequence.page_tables[segment] = []
            sequence.frontiers[segment] = sequence.num_indexed[segment] = 0
            sequence.swept[segment] = -1
        if any(dropped):
            sequence.renew()
        sequence.follow(rule)
        newest = len(sequence.tokens) - 1
        if sequence.frontiers[sequence.goal - 1] > newest:  # it waits deeper, and its state here was not kept
            self.rewind(sequence, newest)

    def remove(self, sequence: Sequence) -> None:
        """End a sequence, wherever it is, and free its pages."""
        if sequence.status is Status.FINISHED:
            return
        (self.running if sequence.status is Status.RUNNING else self.waiting).remove(sequence)
        self._release(sequence)
        sequence.status = Status.FINISHED

    def check(self) -> None:
        """Raises if pages leaked, are owned twice by mistake, or a queue or a frontier is out of order."""
        self.pool.check()
        if self.prefix_cache is not None:
            self.prefix_cache.check()
        counts = [0] * self.pool.num_pages
        for sequence in self.running:
            size = self._page_tokens(sequence)
            for table, frontier in zip(sequence.page_tables, sequence.frontiers, strict=True):
                live = [page for page in table if page != DROPPED]
                if len(table) < -(-frontier // size) or len(set(live)) != len(live):
                    raise ValueError(f"page table of {sequence.request_id} is too short or holds a page twice")
                if DROPPED in table[frontier // size :]:
                    raise ValueError(f"{sequence.request_id} gave back a page that it is still to write")
                for page in live:
                    counts[page] += 1
            if any(sequence.page_tables[sequence.cap :]) or any(sequence.frontiers[sequence.cap :]):
                raise ValueError(f"{sequence.request_id} owns pages deeper than it runs")
            fronts = sequence.frontiers
            if fronts != sorted(fronts, reverse=True) or fronts[0] > len(sequence.tokens):
                raise ValueError(f"frontiers of {sequence.request_id} are out of order: {fronts}")
            if not 0 < sequence.goal <= sequence.cap or sequence.remaining < 1:
                raise ValueError(f"{sequence.request_id} has nothing to do")
        if any(table for sequence in self.waiting for table in sequence.page_tables):
            raise ValueError("a waiting sequence owns pages")
        if any(self.pool.references(page) != count for page, count in enumerate(counts)):
            raise ValueError("pages are referenced by no sequence, or by one that does not own them")
        for queue in (self.running, self.waiting):
            if [s.key for s in queue] != sorted(s.key for s in queue):
                raise ValueError("a queue is out of order")

    def _row(self, sequence: Sequence) -> Row | None:
        """What the sequence can do next: tokens of its first busy segment, and of the next ones as far as these stand
        at the same token and are sure to be needed. None if the budget has no room."""
        first = sequence.entry
        fronts = sequence.frontiers
        start = fronts[first]
        depth = first + 1
        while depth < sequence.goal and fronts[depth] == start:
            depth += 1
        count = min(len(sequence.tokens) - start, *self._budgets[first:depth])
        return Row(sequence, start, count, first, depth) if count > 0 else None

    def _take(self, row: Row) -> Row:
        for segment in range(row.first, row.depth):
            self._budgets[segment] -= row.count
        return row

    def _return(self, row: Row | None) -> None:
        if row is not None:
            for segment in range(row.first, row.depth):
                self._budgets[segment] += row.count

    def _allow_drafts(self, row: Row, count: int) -> Row:
        """Room for drafted tokens after the row, if the pool and the budget have it: they are never worth a
        preemption."""
        sequence = row.sequence
        count = min(count, *self._budgets[: sequence.cap])
        if row.depth < sequence.cap or count < 1 or not self._grow(sequence, row.end + count, 0, sequence.cap):
            return row
        for segment in range(sequence.cap):
            self._budgets[segment] -= count
        return replace(row, drafts=count)

    def _grow(self, sequence: Sequence, num_tokens: int, first: int, depth: int) -> bool:
        """Allocate what segments [first, depth) lack to hold this many tokens; False if the pool can't."""
        want = -(-num_tokens // self._page_tokens(sequence))
        tables = sequence.page_tables[first:depth]
        missing = sum(max(0, want - len(table)) for table in tables)
        if not missing:
            return True
        if not self.pool.can_allocate(missing):
            return False
        for table in tables:
            if want > len(table):
                after = table[-1] if table and table[-1] != DROPPED else None
                table += self.pool.allocate(want - len(table), after=after)
        sequence.peak_pages = max(sequence.peak_pages, sequence.num_pages)
        return True

    def _admit(self, sequence: Sequence) -> bool:
        """Move the sequence to the running ones if all of its present tokens fit; takes cached pages.

        They must fit as deep as its cap, although pages are given only as deep as its tokens go.
        """
        hit = None
        if self.prefix_cache is not None and sequence.may_use_prefix:
            sequence.extend_digests(self.pool.page_size, self.namespace)
            # The last token is always computed: its logits are needed.
            usable = (len(sequence.tokens) - 1) // self.pool.page_size
            usable = min(usable, retain.sharable(sequence, self.pool.page_size))
            hit = self.prefix_cache.find(sequence.digests[:usable], sequence.cap, uneven=sequence.goal < sequence.cap)
            for table in hit.pages:
                self.pool.share(table)
        found = sum(len(table) for table in hit.pages) if hit is not None else 0
        need = -(-len(sequence.tokens) // self._page_tokens(sequence)) * sequence.cap - found
        if not self.pool.can_allocate(need):
            if hit is not None:
                self._free_tables(hit.pages)
            return False
        if hit is not None:
            for segment, table in enumerate(hit.pages):
                sequence.page_tables[segment] = table
                sequence.frontiers[segment] = len(table) * self.pool.page_size
                sequence.num_indexed[segment] = len(table)
            self.prefix_queries += len(sequence.tokens)
            self.prefix_hits += sequence.frontiers[0]
            if sequence.times.admitted is None:
                sequence.cached_tokens = min(sequence.frontiers[0], sequence.prompt_length)
        self.waiting.remove(sequence)
        sequence.status = Status.RUNNING
        if sequence.times.admitted is None:
            sequence.times.admitted = time.perf_counter()
        bisect.insort(self.running, sequence, key=_key)
        return True

    def _index(self, sequence: Sequence, cache: PrefixCache) -> None:
        """Offer the pages that have become full, each segment as deep as it was computed; not those that only this
        sequence's KV policy makes right."""
        size = self.pool.page_size
        if sequence.pack > 1:
            return
        if sequence.frontiers[0] // size > min(sequence.num_indexed[: sequence.cap]):
            sequence.extend_digests(size, self.namespace)
            for segment, table in enumerate(sequence.page_tables):
                full = min(sequence.frontiers[segment], sequence.exact) // size
                for index in range(sequence.num_indexed[segment], full):
                    if table[index] != DROPPED:
                        cache.insert(sequence.digests[index], segment, table[index])
                sequence.num_indexed[segment] = max(sequence.num_indexed[segment], full)

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
            self.pool.free(table[index] for table in tables if index < len(table) and table[index] != DROPPED)

    def _page_tokens(self, sequence: Sequence) -> int:
        """Tokens that a page of this sequence holds."""
        return self.pool.page_size * sequence.pack
