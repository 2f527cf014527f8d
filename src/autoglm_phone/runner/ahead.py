"""`confidence`, several tokens a step: behind a token that it was not sure of, the shallow exit writes on, and one pass
of the deeper segments serves all unsure tokens of the step.

What a token is stays what the policy says of it alone, whatever is written ahead: at the first exit that is asked and
reaches its threshold, that exit's token; else the whole decoder's. Each is drawn with the request's own random number
for its place, so greedy and sampled outputs are those without writing ahead, token for token.

- A *sure* token is final once all tokens before it are. It is never verified: its risk is what its threshold was
  calibrated for.
- An *unsure* token's place is held by a *guess*, what the exit would draw. What follows is provisional.
- The deep pass takes the places up to the last unsure one, and whatever of the sequence waits before them. A deeper
  exit may be sure of an unsure place, else the end decides. Where the decision is the guess, what follows it stands;
  where it is another token, that one is taken, and what follows vanishes: tokens, states, randomness, what was learned
  of exits.

Nothing leaves the step before it is final. `graph.ahead` says when to write on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autoglm_phone.engine.interface import RowResult, Steering
from autoglm_phone.engine.request import TokenLogprob
from autoglm_phone.graph.exits import ExitHistory, Mark
from autoglm_phone.runner.drafting import is_plain, shallow_pass
from autoglm_phone.runner.exits import confidences
from autoglm_phone.runner.lane import Lane
from autoglm_phone.runner.pending import joined

if TYPE_CHECKING:
    from autoglm_phone.runner.cascade import Cascade
    from autoglm_phone.runner.run import Run


@dataclass
class Place:
    """What is known of one token that is to come. boundary: segments after which it was decided; 0: it was not.

    token: decided, or else the guess; None: the exit was not asked, and nothing follows. logits: [V], for tests that
    look at them.
    """

    token: int | None = None
    boundary: int = 0
    confidence: float = 0.0
    logprobs: tuple[TokenLogprob, ...] = ()
    logits: Tensor | None = None


@dataclass
class Ahead:
    """What a lane has written ahead.

    boundary: segments of the shallow passes. base: position of the newest token that the sequence had; place i is read
    at base + i. What was written behind the places is in the request's `drafts`. guessed: guesses that something was
    written behind; right: of those. marks: (place, boundary, what the history of that exit was before it).
    """

    boundary: int
    base: int
    places: list[Place] = field(default_factory=list)
    guessed: int = 0
    right: int = 0
    marks: list[tuple[int, int, Mark]] = field(default_factory=list)

    @property
    def open(self) -> list[int]:
        """Places without a decision."""
        return [index for index, place in enumerate(self.places) if not place.boundary]

    @property
    def end(self) -> int:
        """The end of the tokens that are right, once all places are decided."""
        return self.base + len(self.places)

    def forget(self, history: ExitHistory, count: int) -> None:
        """Only the first `count` places stay."""
        del self.places[count:]
        for place, boundary, mark in reversed(self.marks):
            if place >= count:
                history.restore(boundary, mark)
        self.marks = [entry for entry in self.marks if entry[0] < count]


@dataclass
class Writer:
    """A lane that writes on. limit: places that it may have. chance: that its guesses are right. calm: sure tokens
    since the last unsure one. over: nothing can follow its newest place."""

    lane: Lane
    ahead: Ahead
    limit: int
    chance: float = 1.0
    calm: int = 0
    over: bool = False
    tails: list[Tensor] = field(default_factory=list)

    def see(self, cascade: Cascade, confidence: float) -> bool:
        """An exit was read at the next place; returns whether it is sure."""
        boundary = self.ahead.boundary
        sure = self.lane.forced or confidence >= self.lane.sequence.rule.thresholds[boundary]
        self.calm = self.calm + 1 if sure else 0
        if not sure:
            self.chance *= cascade.ahead.chance(boundary, confidence, self.lane.state.trust)
        return sure


def write_ahead(
    run: Run,
    boundary: int,
    lanes: Sequence[Lane],
    logits: Tensor,
    values: Sequence[float],
    hidden: Tensor,
    steering: Steering,
    followed: Sequence[Writer] = (),
) -> None:
    """Write on behind the newest tokens of those lanes for which it pays.

    Args:
        lanes: whose newest token an exit was just asked for.
        logits, values: [lanes, V], and their confidences.
        hidden: states of the pass that ended at `boundary`.
        followed: lanes that have followed guesses (runner.lookup), and may write on behind them.
    """
    cascade, controller = run.cascade, run.cascade.ahead
    writers, rows, sure = [], [], []
    for row, lane in enumerate(lanes):
        limit = 0 if lane.lookup is not None else may_hold(run, boundary, lane, controller.longest + 1)
        if limit > 1:
            writer = Writer(lane, Ahead(boundary, lane.end - 1), limit, calm=lane.state.calm)
            writers.append(writer)
            sure.append(writer.see(cascade, values[row]))
            rows.append(row)
    current = [*(w for w in followed if not w.over), *writers]
    keep = controller.worth(boundary, len(run.lanes), [(w.chance, w.calm) for w in current]) if current else []
    going = [w for w, kept in zip(current, keep, strict=True) if kept and _take_pages(w, steering)]
    begun = set(map(id, going))
    chosen = [index for index, w in enumerate(writers) if id(w) in begun]
    if chosen:
        rows, writers = [rows[index] for index in chosen], [writers[index] for index in chosen]
        _draw(cascade, writers, [sure[index] for index in chosen], [values[row] for row in rows], logits[rows])
        going = [w for w in going if not ends(cascade, w)]
    while going:
        for writer in going:
            token = writer.ahead.places[-1].token
            assert token is not None  # internal: just drawn
            writer.lane.state.drafts.append(token)
            writer.lane.state.sampling.push(token)
        states = shallow_pass(cascade, boundary, [w.lane for w in going])
        for row, writer in enumerate(going):
            writer.tails.append(states[row : row + 1])
        asked = [row for row, writer in enumerate(going) if ask(run, writer)]
        current = [going[row] for row in asked]
        if not current:
            break
        logits = cascade.head(states if len(asked) == len(going) else states[asked], boundary)
        values = confidences(logits)
        sure = []
        for writer, value in zip(current, values, strict=True):
            calm = writer.calm
            sure.append(writer.see(cascade, value))
            if not writer.lane.forced:
                controller.note_token(calm, sure[-1])
                writer.lane.state.exits.note(boundary, sure[-1])
        cascade.gate.note(boundary, sum(sure), len(sure))
        keep = controller.worth(boundary, len(run.lanes), [(w.chance, w.calm) for w in current])
        _draw(cascade, current, sure, values, logits)
        going = [w for w, kept in zip(current, keep, strict=True) if kept and not ends(cascade, w)]
    for writer in writers if chosen else ():
        put_down(run, writer, hidden)


def may_hold(run: Run, boundary: int, lane: Lane, most: int) -> int:
    """Places that the lane may have in this step, up to `most`; less than two: it can't write ahead."""
    sequence, cascade = lane.sequence, run.cascade
    if sequence.matcher is not None or not lane.complete or boundary != sequence.rule.goal:
        return 0  # a matcher can't take a token back
    if sequence.plan.kv.kind == "evict":
        return 0  # pages stay by what tokens looked at, and what is written may vanish
    left = min(sequence.sampling.max_tokens - sequence.num_output, cascade.max_model_len - len(sequence.tokens))
    limit = min(most, left)
    size = (lane.end - lane.start + limit) * run.state_bytes
    if size > run.room or not lane.state.pending.covers(boundary, lane.frontiers[boundary], lane.start):
        return 0
    return limit


def _take_pages(writer: Writer, steering: Steering) -> bool:
    """Room for what is written."""
    writer.limit = take_pages(writer.lane, writer.ahead.boundary, writer.limit, steering)
    return writer.limit > len(writer.ahead.places)


def take_pages(lane: Lane, boundary: int, limit: int, steering: Steering) -> int:
    """Ask for room for so many places in the segments that write; returns how many there may be."""
    end = len(lane.sequence.tokens)
    for segment in range(boundary):
        limit = min(limit, steering.extend(lane.sequence, segment, end + limit - 1) - end + 1)
    return limit


def _draw(
    cascade: Cascade, writers: Sequence[Writer], sure: Sequence[bool], values: Sequence[float], logits: Tensor
) -> None:
    """A token for the next place of each."""
    seen = logits.clone() if cascade.exit_probe is not None else None
    results = cascade.sampler.sample(logits, [w.lane.state.sampling for w in writers])
    for row, (writer, certain, result) in enumerate(zip(writers, sure, results, strict=True)):
        boundary = writer.ahead.boundary if certain else 0
        shown = None if seen is None else seen[row]
        writer.ahead.places.append(Place(result.token_ids[0], boundary, values[row], result.logprobs, shown))


def ends(cascade: Cascade, writer: Writer) -> bool:
    """Nothing can follow the writer's newest place."""
    places = writer.ahead.places
    assert places[-1].token is not None  # internal: just drawn
    return len(places) >= writer.limit or cascade.ends_request(writer.lane, places[-1].token)


def ask(run: Run, writer: Writer) -> bool:
    """Whether to read the exit at the writer's next place; a place that is not read stays open, and is the last."""
    lane, ahead = writer.lane, writer.ahead
    if lane.forced:
        return True
    ahead.marks.append((len(ahead.places), ahead.boundary, lane.state.exits.mark(ahead.boundary)))
    if lane.state.exits.ask(ahead.boundary):
        return True
    ahead.places.append(Place())
    return False


def put_down(run: Run, writer: Writer, hidden: Tensor) -> None:
    """The writer is done: keep its states at the boundary, and see what is left to decide."""
    lane, ahead = writer.lane, writer.ahead
    lane.state.sampling.restore()
    run.keep(lane, ahead.boundary, hidden)
    if writer.tails:
        tail = joined(writer.tails)
        lane.state.pending.put(ahead.boundary, lane.end, tail)
        run.room -= tail.nbytes
    lane.ahead = ahead
    still = ahead.open
    ahead.guessed = sum(index < len(lane.state.drafts) for index in still)
    if still:
        lane.end = ahead.base + still[-1] + 1
    else:
        lane.left = ahead.boundary


def decide(run: Run, boundary: int, lanes: Sequence[Lane], hidden: Tensor) -> None:
    """Decide the open places of these lanes where this boundary can: all of them at the end of the decoder, elsewhere
    those of which its exit is sure. hidden: states of the pass that ended here."""
    wanted = [(lane, lane.ahead.open) for lane in lanes if lane.ahead is not None and _looks(run, lane, boundary)]
    if not wanted:
        return
    rows = [lane.first + lane.ahead.base + i - lane.start for lane, places in wanted for i in places]  # type: ignore[union-attr]
    logits = run.cascade.head(hidden.index_select(0, torch.tensor(rows, device=hidden.device)), boundary)
    values = confidences(logits)
    best = logits.argmax(dim=-1).tolist()
    first = 0
    for lane, places in wanted:
        end = first + len(places)
        _decide(run, boundary, lane, places, logits[first:end], values[first:end], best[first:end])
        first = end


def _looks(run: Run, lane: Lane, boundary: int) -> bool:
    """Whether this boundary can decide anything for the lane."""
    if boundary >= lane.sequence.cap:
        return True
    if not run.open or boundary not in lane.sequence.rule.thresholds:
        return False
    exits = lane.state.exits
    mark = exits.mark(boundary)
    asked = [exits.ask(boundary) for _ in lane.ahead.open]  # type: ignore[union-attr]
    exits.restore(boundary, mark)
    if any(asked):
        return True
    for place in lane.ahead.open:  # type: ignore[union-attr]
        lane.ahead.marks.append((place, boundary, exits.mark(boundary)))  # type: ignore[union-attr]
        exits.ask(boundary)
    return False


def _decide(
    run: Run,
    boundary: int,
    lane: Lane,
    places: Sequence[int],
    logits: Tensor,
    values: Sequence[float],
    best: Sequence[int],
) -> None:
    """One lane's open places, in order, until one turns out otherwise than guessed. logits [places, V]."""
    cascade, ahead, state = run.cascade, lane.ahead, lane.state
    assert ahead is not None  # internal: such lanes are given
    whole = boundary >= lane.sequence.cap
    plain = is_plain(lane, cascade.sampler, len(state.drafts))
    pushed = 0
    for row, index in enumerate(places):
        place = ahead.places[index]
        if not whole:
            ahead.marks.append((index, boundary, state.exits.mark(boundary)))
            if not state.exits.ask(boundary):
                continue
            sure = values[row] >= lane.sequence.rule.thresholds[boundary]
            state.exits.note(boundary, sure)
            if not sure:
                continue
        if cascade.exit_probe is not None:
            place.logits = logits[row].clone()
        token, place.logprobs = best[row], ()
        if not plain:
            for token in state.drafts[pushed:index]:
                state.sampling.push(token)
            pushed = index
            (result,) = cascade.sampler.sample(logits[row : row + 1], [state.sampling])
            token, place.logprobs = result.token_ids[0], result.logprobs
        guess, place.token, place.boundary = place.token, token, boundary
        if guess is not None:
            cascade.ahead.note_guess(ahead.boundary, place.confidence, guess == token, state.trust)
        if index < len(state.drafts):
            ahead.right += guess == token
        if guess != token:
            ahead.forget(state.exits, index + 1)
            break
    state.sampling.restore()
    lane.end = min(lane.end, ahead.end)
    if not ahead.open:
        lane.left = boundary


def withdraw(lane: Lane) -> None:
    """The deeper segments have no room for what the lane's open places need: what is final comes out now, and the rest
    was never written."""
    ahead, state = lane.ahead, lane.state
    assert ahead is not None  # internal: such a lane is given
    first = ahead.open[0]
    ahead.forget(state.exits, max(1, first))
    ahead.right = 0
    if first:
        lane.left, lane.end = ahead.boundary, min(lane.end, ahead.end)
        return
    settle(lane)
    lane.ahead, lane.end = None, min(lane.end, ahead.end)


def settle(lane: Lane) -> None:
    """Keep what was right of the lane's tokens."""
    ahead, state = lane.ahead, lane.state
    assert ahead is not None  # internal: such a lane is given
    lane.frontiers = [min(frontier, ahead.end) for frontier in lane.frontiers]
    if len(state.drafts) >= len(ahead.places):
        state.retract(ahead.end)
    state.drafts.clear()


def result_of(cascade: Cascade, lane: Lane) -> RowResult:
    """What a lane that wrote ahead gives: the tokens of its places."""
    ahead = lane.ahead
    assert ahead is not None  # internal: such a lane is given
    settle(lane)
    for index, place in enumerate(ahead.places):
        lane.state.calm = lane.state.calm + 1 if place.boundary == ahead.boundary else 0
        if place.logits is not None:
            cascade.read(lane, place.boundary, ahead.base + index, place.logits)
    lane.drafted, lane.accepted = ahead.guessed, ahead.right
    lane.depths = tuple(cascade.ends[place.boundary - 1] for place in ahead.places)
    tokens = tuple(place.token for place in ahead.places if place.token is not None)
    return RowResult(tokens, tuple(entry for place in ahead.places for entry in place.logprobs))
