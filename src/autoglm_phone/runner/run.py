"""One step of deferred depth: its rows, segment by segment, and what becomes of each at every boundary.

See runner.cascade, which begins steps.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autoglm_phone.engine.interface import RowResult, Steering
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.runner.ahead import decide, put_down, result_of, withdraw, write_ahead
from autoglm_phone.runner.batch import Batch
from autoglm_phone.runner.company import Company
from autoglm_phone.runner.drafting import draft, sample_all
from autoglm_phone.runner.exits import confidences
from autoglm_phone.runner.lane import Lane, Reading
from autoglm_phone.runner.lookup import follow, look_up, settle_lookups
from autoglm_phone.runner.pending import joined
from autoglm_phone.runner.placed import Placed, insert_states, place, token_ids
from autoglm_phone.runner.scoring import LOGIT_ROWS, prompt_logprobs

if TYPE_CHECKING:
    from autoglm_phone.runner.cascade import Cascade


class Run:
    """One step. room: bytes that waiting states may still take. crowd: sequences that are running."""

    def __init__(self, cascade: Cascade, lanes: list[Lane], room: int, crowd: int):
        self.cascade = cascade
        self.decoder = cascade.decoder
        self.lanes = lanes
        self.room = room
        width, dtype = self.decoder.spec.hidden_size, self.decoder.backend.dtype
        self.state_bytes = width * dtype.itemsize  # of a token, at a boundary
        self.readings: list[Reading] = []
        self._passes = cascade.passes
        self._batch: Batch | None = None
        # A step of nothing but sequences that decode and may leave early; they are what the gate judges.
        self._exiting = bool(lanes) and all(
            lane.row.first <= 1 and lane.row.samples and lane.sequence.num_output and lane.sequence.rule.thresholds
            for lane in lanes
        )
        # No step with a prompt in it: its first token need not wait for what others write ahead.
        self._decoding = all(lane.row.samples and lane.sequence.num_output for lane in lanes)
        self._owing = False  # deeper segments caught up with a prompt, which other steps have paid for at once
        self.open = cascade.gate.opens(len(lanes)) if self._exiting else not cascade.gate.shut(crowd)
        self.company = Company(cascade.gate.company(len(lanes)) if self._exiting and self.open else 1, lanes)

    def finish(self, steering: Steering) -> list[Reading]:
        """Take all rows as deep as they go."""
        count = self.decoder.num_segments
        going: list[Lane] = []
        hidden: Tensor | None = None
        self._go_through(steering)
        alone = self._exiting and self._decoding and self.company.size == 1
        if alone and self.open and self.cascade.lookup.on(len(self.lanes)):
            look_up(self, steering)
        for segment in range(count):
            resting = segment == 1 and self.company.resting
            entering = [] if resting else [lane for lane in self.lanes if lane.row.first == segment]
            if entering:
                going, hidden = self._enter(segment, going, entering, hidden)
            if not going or hidden is None:
                continue
            hidden = self._pass(segment, going, hidden)
            boundary = segment + 1
            if boundary == count or any(self._stops(lane, boundary) for lane in going):
                going, hidden = self._turn(boundary, going, hidden, steering)
        return self.readings

    def _go_through(self, steering: Steering) -> None:
        """Ask at once for the segments behind which nothing is to be decided for a lane: their boundaries are free."""
        for lane in self.lanes:
            sequence = lane.sequence
            if lane.depth == sequence.cap or sequence.rule.provisional or not lane.complete or lane.forced:
                continue
            stop = sequence.cap
            if self.open:
                stop = next((b for b in sorted(sequence.rule.thresholds) if self._asked(lane, b)), stop)
            while lane.depth < stop and sequence.frontiers[lane.depth] == lane.start:
                if steering.extend(sequence, lane.depth, lane.end) < lane.end:
                    break
                lane.depth += 1

    def _asked(self, lane: Lane, boundary: int) -> bool:
        """Whether the lane's newest token is to be read here. Only for a token that comes here, as its exit counts."""
        known = lane.asks.get(boundary)
        if known is None:
            known = lane.asks[boundary] = self.open and lane.state.exits.ask(boundary)
        return known

    def results(self) -> dict[str, RowResult]:
        """Tokens of the step, by request, once it is finished."""
        settle_lookups(self)
        sampled = sample_all(self.cascade, self.readings) if self.readings else {}
        for lane in self.lanes:
            if lane.ahead is not None and lane.left:
                sampled[lane.sequence.request_id] = result_of(self.cascade, lane)
        return sampled

    def note_drafting(self, tokens: int, seconds: float) -> None:
        """The step is over: tell the controllers what it gave and took, if nothing else went on in it."""
        if self._exiting and all(lane.left and lane.left == lane.sequence.rule.goal for lane in self.lanes):
            guesses = sum(lane.looked_up for lane in self.lanes)
            self.cascade.lookup.note_beside(len(self.lanes), guesses, seconds - (self.cascade.passes - self._passes))
        if self._exiting and self.open and not self._owing:
            self.cascade.gate.note_step(len(self.lanes), seconds, tokens)
            self.cascade.ahead.note_step(len(self.lanes), tokens, seconds)
        depths = {lane.sequence.rule.draft for lane in self.lanes}
        if len(depths) == 1 and 0 not in depths and all(lane.row.count == 1 and lane.left for lane in self.lanes):
            self.cascade.drafting.note_step(depths.pop(), [lane.drafted for lane in self.lanes], tokens, seconds)

    def _enter(
        self, segment: int, going: list[Lane], entering: list[Lane], hidden: Tensor | None
    ) -> tuple[list[Lane], Tensor]:
        """Lanes that begin at this segment join those that come out of the one before it."""
        lanes = going + entering
        if segment == 0:
            placed = self._arrange(lanes)
            hidden = self.decoder.embed(torch.from_numpy(token_ids(placed)).to(self.decoder.backend.device))
            for p in placed:
                insert_states(hidden, p)
            return self._in_order(lanes), hidden
        parts = [hidden[lane.first : lane.last + 1] for lane in going]  # type: ignore[index]
        for lane in entering:
            parts.append(lane.state.pending.get(segment, lane.start, lane.end).clone())
            self._note_caught_up(lane, segment, lane.end - lane.start)
        return self._regroup(lanes, parts)

    def _regroup(self, lanes: list[Lane], parts: list[Tensor]) -> tuple[list[Lane], Tensor]:
        """Put lanes and their states into the order of a pass."""
        placed = self._arrange(lanes)
        by_state = {id(lane.state): part for lane, part in zip(lanes, parts, strict=True)}
        return self._in_order(lanes), joined([by_state[id(p.state)] for p in placed])

    def _arrange(self, lanes: list[Lane]) -> list[Placed]:
        """Places for the lanes' tokens in hand; sets each lane's `first`."""
        spans = [(lane.state, lane.start, lane.end) for lane in lanes]
        placed, order = place(spans)
        for p, index in zip(placed, order, strict=True):
            lanes[index].first = p.first
        self._batch = Batch(placed, self.decoder.spec, self.decoder.backend, self.cascade.page_size)
        return placed

    @staticmethod
    def _in_order(lanes: list[Lane]) -> list[Lane]:
        return sorted(lanes, key=lambda lane: lane.first)

    def _pass(self, segment: int, lanes: list[Lane], hidden: Tensor) -> Tensor:
        """Through one segment."""
        assert self._batch is not None  # internal: made before the first pass
        start, cost = time.perf_counter(), self.cascade.clock()
        hidden = self.decoder.run_batch(segment, hidden, self._batch)
        cost = self.cascade.clock() - cost
        verifying = SegmentCosts.VERIFY if any(lane.drafted or lane.guessed for lane in lanes) else 0
        self.cascade.note(verifying + segment, hidden.shape[0], cost)
        share = (time.perf_counter() - start) / hidden.shape[0]
        for lane in lanes:
            lane.frontiers[segment] = lane.end
            lane.seconds[segment] += share * (lane.end - lane.start)
        return hidden

    @staticmethod
    def _stops(lane: Lane, boundary: int) -> bool:
        """Whether there is anything to decide for the lane: not where the scheduler has decided already."""
        return boundary >= lane.depth or (lane.row.drafts > 0 and boundary == lane.sequence.rule.draft)

    def _turn(
        self, boundary: int, lanes: list[Lane], hidden: Tensor, steering: Steering
    ) -> tuple[list[Lane], Tensor | None]:
        """Decide for each lane at a boundary; returns those that go on and their states."""
        for lane in lanes:
            self._refine(lane, boundary, hidden, steering)
        ended = [lane for lane in lanes if boundary >= lane.sequence.cap]
        if ended:
            self._end(boundary, ended, hidden)
        written = [lane for lane in lanes if lane.ahead is not None and not lane.left]
        if written:
            decide(self, boundary, written, hidden)
        asking = [lane for lane in lanes if boundary < lane.sequence.cap and self._may_leave(lane, boundary)]
        if asking:
            self._leave(boundary, asking, hidden, steering)
        if self._exiting and self.open and boundary < self.decoder.num_segments:
            there = [lane for lane in lanes if boundary < lane.sequence.cap]
            left = sum(lane.left == boundary for lane in there)
            self.cascade.gate.note(boundary, left, len(there))
            self.cascade.ahead.note_reach(boundary, left, len(there))
        drafting = [lane for lane in lanes if lane.row.drafts and boundary == lane.sequence.rule.draft]
        if drafting:
            draft(self.cascade, boundary, drafting, hidden)
        going: list[Lane] = []
        parts: list[Tensor] = []
        same = not drafting and all(lane.ahead is None for lane in lanes)  # those have other tokens in hand now
        held = self.company.gather(lanes, self.room, hidden.shape[1] * hidden.element_size()) if boundary == 1 else []
        for lane in held:
            self.keep(lane, boundary, hidden)
            lane.goal = max(lane.goal, 2)
        resting = set(map(id, held))
        for lane in lanes:
            kept = lane.ahead is not None and boundary == lane.ahead.boundary == lane.left
            if boundary >= lane.sequence.cap or kept or id(lane) in resting:
                same = False
                continue
            part = None
            if not self._waits(lane, boundary, hidden):
                before = (lane.start, lane.end)
                part = self._go_on(lane, boundary, hidden, steering)
                same = same and before == (lane.start, lane.end)
            if part is None:
                same = False
                continue
            going.append(lane)
            parts.append(part)
        if asking and going and self._decoding:
            self.cascade.ahead.note_deep(len(self.lanes), sum(part.shape[0] for part in parts))
        if same or not going:
            return going, hidden if going else None
        return self._regroup(going, parts)

    def _refine(self, lane: Lane, boundary: int, hidden: Tensor, steering: Steering) -> None:
        """Let the planner see the state of a prompt's last token."""
        sequence = lane.sequence
        if sequence.rule.provisional and boundary == 1 and lane.complete and self.cascade.depth_probe is not None:
            steering.refine(sequence, self.cascade.depth_probe(hidden[lane.last]))
            lane.goal = sequence.goal
            for segment in range(sequence.cap, len(lane.frontiers)):
                lane.frontiers[segment] = 0

    def _may_leave(self, lane: Lane, boundary: int) -> bool:
        """Whether the lane's newest token could be read here."""
        if lane.left or not lane.complete or boundary < lane.goal or boundary not in lane.sequence.rule.thresholds:
            return False
        return lane.ahead is None and (lane.forced or self._asked(lane, boundary))

    def _leave(self, boundary: int, asking: list[Lane], hidden: Tensor, steering: Steering) -> None:
        """Read the newest token of those lanes that are confident enough, and write on where that pays."""
        logits = self._read(boundary, asking, hidden)
        values = confidences(logits)
        guessing: list[tuple[Lane, int]] = []  # and the row of its newest token
        if any(lane.guessed for lane in asking):
            rows, row = [], 0
            for lane in asking:
                if lane.guessed:
                    guessing.append((lane, row))
                rows.append(row)
                row += lane.guessed + 1
            every, spread, logits, values = logits, values, logits[rows], [values[row] for row in rows]
        sure = [
            value >= lane.sequence.rule.thresholds[boundary] or lane.forced
            for lane, value in zip(asking, values, strict=True)
        ]
        controller = self.cascade.ahead
        for lane, leaves in zip(asking, sure, strict=True):
            if not lane.forced:
                lane.state.exits.note(boundary, leaves)
                if boundary == lane.sequence.rule.goal:
                    controller.note_token(lane.state.calm, leaves)
        followed = []
        for lane, row in guessing:
            end = row + lane.guessed + 1
            followed.append(follow(self, lane, every[row:end], spread[row:end]))
        doubtful = not all(sure) or any(writer.chance < 1 for writer in followed)
        if self._decoding and doubtful and self.company.size == 1 and controller.on(len(self.lanes)):
            write_ahead(self, boundary, asking, logits, values, hidden, steering, followed)
        for writer in followed:
            put_down(self, writer, hidden)
        leaving = []
        for index, lane in enumerate(asking):
            if lane.ahead is None:
                if boundary == lane.sequence.rule.goal:
                    lane.state.calm = lane.state.calm + 1 if sure[index] else 0
                if sure[index]:
                    leaving.append(index)
        if leaving:
            lanes = [asking[index] for index in leaving]
            self._take_reading(boundary, lanes, logits if len(lanes) == len(asking) else logits[leaving])

    def _end(self, boundary: int, lanes: list[Lane], hidden: Tensor) -> None:
        """These lanes have come as deep as they may."""
        cascade = self.cascade
        for lane in lanes:
            lane.prompt_logprobs = prompt_logprobs(self.decoder, lane, boundary, hidden)
            if cascade.probe is not None and boundary == len(cascade.ends):
                end = lane.last + 1 - max(0, lane.end - len(lane.sequence.tokens))  # without what is being tried out
                for i in range(lane.first, end, LOGIT_ROWS):
                    states = hidden[i : min(i + LOGIT_ROWS, end)]
                    cascade.probe(lane.sequence.request_id, lane.start + i - lane.first, self.decoder.logits(states))
        reading = [lane for lane in lanes if lane.complete and not lane.left and lane.ahead is None]
        for lane in reading:
            if lane.sequence.sampling.max_tokens == 0:
                lane.left = boundary
        reading = [lane for lane in reading if not lane.left]
        if reading:
            self._take_reading(boundary, reading, self._read(boundary, reading, hidden))

    def _read(self, boundary: int, lanes: list[Lane], hidden: Tensor) -> Tensor:
        """Logits [lanes, V] of the lanes' newest tokens."""
        rows = [row for lane in lanes for row in range(lane.last - lane.drafted - lane.guessed, lane.last + 1)]
        if len(rows) != hidden.shape[0] or rows != list(range(len(rows))):
            hidden = hidden.index_select(0, torch.tensor(rows, device=hidden.device))
        return self.cascade.head(hidden, boundary)

    def _take_reading(self, boundary: int, lanes: list[Lane], logits: Tensor) -> None:
        row = 0
        for lane in lanes:
            lane.left = boundary
            row += lane.drafted
            if self.cascade.exit_probe is not None and not lane.drafted:
                self.cascade.read(lane, boundary, lane.end - 1, logits[row])
            row += 1
        self.readings.append(Reading(lanes, logits))

    def _waits(self, lane: Lane, boundary: int, hidden: Tensor) -> bool:
        """Keep the lane's states here for later, if nobody needs them deeper now and there is room."""
        rule = lane.sequence.rule
        exits = boundary in rule.thresholds or (rule.provisional and boundary == 1)
        if not exits or boundary < lane.goal or (lane.complete and not lane.left):
            return False
        size = (lane.end - lane.start) * hidden.shape[1] * hidden.element_size()
        if size > self.room:
            return False
        self.keep(lane, boundary, hidden)
        return True

    def keep(self, lane: Lane, boundary: int, hidden: Tensor) -> None:
        """The lane's tokens in hand wait here."""
        states = hidden[lane.first : lane.last + 1]
        lane.state.pending.put(boundary, lane.start, states)
        self.room -= states.shape[0] * states.shape[1] * states.element_size()

    def _go_on(self, lane: Lane, boundary: int, hidden: Tensor, steering: Steering) -> Tensor | None:
        """States of the lane's tokens for the next segment, waiting ones included; None if it stops here for now.

        Sets the lane's tokens in hand.
        """
        sequence, pending = lane.sequence, lane.state.pending
        begin = lane.frontiers[boundary]
        if not lane.left and lane.complete:
            lane.goal = max(lane.goal, boundary + 1)
        written = lane.ahead is not None and boundary == lane.ahead.boundary  # all of it is pending
        if not pending.covers(boundary, begin, lane.start):
            if lane.ahead is not None and not lane.left:
                withdraw(lane)
            if not lane.left:
                lane.rewind = begin
            return None
        end = lane.end
        if boundary >= lane.depth or begin != lane.start:
            end = steering.extend(sequence, boundary, lane.end)
        if end < lane.end and lane.ahead is not None and not lane.left:
            withdraw(lane)
            end = min(end, lane.end)
        if end < lane.end:
            if not written:
                self.keep(lane, boundary, hidden)
            if end <= begin:
                return None
        self._owing = self._owing or begin < sequence.prompt_length
        waiting = min(end, lane.start) - begin
        if waiting:
            self._note_caught_up(lane, boundary, waiting)
        if written:
            lane.start, lane.end = begin, end
            return pending.get(boundary, begin, end).clone()
        parts = []
        if begin < lane.start:
            parts.append(pending.get(boundary, begin, min(end, lane.start)))
        if end > lane.start:
            parts.append(hidden[lane.first : lane.first + end - lane.start])
        if lane.tail is not None:
            parts.append(lane.tail)
            end += lane.tail.shape[0]
            lane.tail = None
        lane.start, lane.end = begin, end
        # A pass may overwrite its input, and what waits must survive a pass that fails.
        return joined(parts) if len(parts) > 1 or not waiting else parts[0].clone()

    def _note_caught_up(self, lane: Lane, segment: int, count: int) -> None:
        ends = self.cascade.ends
        lane.caught_up[ends[segment]] += count
        lane.layers_caught_up += count * (ends[segment] - ends[segment - 1])
