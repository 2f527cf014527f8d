"""`confidence`, tokens guessed from n-grams: further rows of the first pass, which the exit judges like any other row.

The row behind the newest token says what comes next and how sure the exit is. If that is the first guess, the guess's
row has read what the next step would have read, and so on: the places are those of `runner.ahead`, only that their
shallow pass is behind them already. At the first token that is not the guess, the rows behind it never were: states,
randomness, what is known of exits. So tokens, depths, log-probabilities and exit histories are those without guesses.
`graph.lookup` says what to guess and how much of it pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from autoglm_phone.engine.interface import Steering
from autoglm_phone.graph.lookup import Guess, Guesser, chances_of
from autoglm_phone.runner.ahead import Ahead, Place, Writer, ask, may_hold, take_pages
from autoglm_phone.runner.drafting import is_plain
from autoglm_phone.runner.lane import Lane

if TYPE_CHECKING:
    from autoglm_phone.runner.run import Run


@dataclass
class Lookup:
    """A lane's guesses in this step. chance: that the first is judged. rows: of them that are in hand. matched: that
    were drawn. ended: nothing could follow where they ended. doubtful: the exit was not sure of the first token."""

    guesser: Guesser
    guesses: list[Guess]
    chance: float
    rows: int = 0
    matched: int = 0
    ended: bool = False
    doubtful: bool = False


def look_up(run: Run, steering: Steering) -> None:
    """Put guesses behind the newest tokens of those lanes for which they pay; they become tokens in hand."""
    controller, depth = run.cascade.lookup, 0
    found: list[tuple[Lane, Lookup]] = []
    for lane in run.lanes:
        most = _most(run, lane)
        if most < 1 or (depth and lane.sequence.rule.goal != depth):
            continue
        state = lane.state
        if state.guesser is None:
            state.guesser = controller.guesser(state.kind)
        sure = 1.0 if lane.forced else 1 - run.cascade.ahead.unsure(state.calm)
        guesses = controller.guess(state.guesser, lane.sequence.tokens, most, sure)
        guesses = run.cascade.before_end(lane, guesses)
        if guesses:
            depth = lane.sequence.rule.goal
            found.append((lane, Lookup(state.guesser, guesses, sure * state.guesser.trust)))
    if not found:
        return
    chains = [chances_of(lookup.guesses, lookup.chance) for _, lookup in found]
    counts = controller.choose(depth, len(run.lanes), chains)
    for (lane, lookup), count in zip(found, counts, strict=True):
        count = min(count, take_pages(lane, depth, count + 1, steering) - 1) if count else 0
        if count < 1:
            continue
        del lookup.guesses[count:]
        lane.state.drafts[:] = [guess.token for guess in lookup.guesses]
        lane.lookup, lookup.rows = lookup, count
        lane.end += count


def _most(run: Run, lane: Lane) -> int:
    """Guesses that may go behind the lane's newest token."""
    sequence, goal = lane.sequence, lane.sequence.rule.goal
    alone = lane.row.first == 0 and lane.start == len(sequence.tokens) - 1 and lane.depth == goal
    if not alone or not (lane.forced or lane.asks.get(goal, False)):
        return 0  # it goes deeper at once
    if lane.state.keeping[0] or lane.state.looks or any(at != lane.start for at in lane.frontiers[:goal]):
        return 0
    return may_hold(run, goal, lane, run.cascade.lookup.longest + 1) - 1


def follow(run: Run, lane: Lane, logits: Tensor, values: Sequence[float]) -> Writer:
    """See how far the guesses of a lane are right.

    Args:
        logits, values: of its newest token and of its guesses, [1 + guesses, V]; overwritten.
    """
    cascade, lookup, state = run.cascade, lane.lookup, lane.state
    assert lookup is not None  # internal: such a lane is given
    boundary = lane.sequence.rule.goal
    guesses = lookup.rows
    lane.end -= guesses
    writer = Writer(lane, Ahead(boundary, lane.end - 1), guesses + 1, calm=state.calm)
    places, sampler = writer.ahead.places, cascade.sampler
    plain = is_plain(lane, sampler, guesses)
    best: list[int] = logits.numpy().argmax(-1).tolist() if plain else []
    read = sure_ones = 0
    for row in range(guesses + 1):
        calm = writer.calm
        forced = lane.forced
        sure = writer.see(cascade, values[row])
        lookup.doubtful = lookup.doubtful or not (row or sure)
        if row and not forced:
            cascade.ahead.note_token(calm, sure)
            state.exits.note(boundary, sure)
        read, sure_ones = read + (row > 0), sure_ones + (row > 0 and sure)
        place = Place(boundary=boundary if sure else 0, confidence=values[row])
        if cascade.exit_probe is not None:
            place.logits = logits[row].clone()
        if plain:
            place.token = best[row]
        else:
            (result,) = sampler.sample(logits[row : row + 1], [state.sampling])
            place.token, place.logprobs = result.token_ids[0], result.logprobs
        places.append(place)
        writer.over = cascade.ends_request(lane, place.token)
        if row == guesses or writer.over or place.token != state.drafts[row]:
            break
        state.sampling.push(state.drafts[row])
        lookup.matched += 1
        if not ask(run, writer):
            writer.over = True
            break
    lookup.ended = writer.over
    if lookup.matched < guesses:
        del state.drafts[lookup.matched :]
        state.retract(lane.end + lookup.matched)
    lane.end += lookup.matched
    lookup.rows = 0
    if writer.chance < 1 and not writer.over:  # it may write on
        writer.limit = max(writer.limit, may_hold(run, boundary, lane, cascade.ahead.longest + 1))
    if read:
        cascade.gate.note(boundary, sure_ones, read)
    return writer


def settle_lookups(run: Run) -> None:
    """The step is over: tell the controller which guesses gave a token."""
    controller = run.cascade.lookup
    made = right = depth = 0
    for lane in run.lanes:
        lookup = lane.lookup
        if lookup is None:
            continue
        depth = lane.sequence.rule.goal
        given = 0 if lane.ahead is None else len(lane.ahead.places) - 1
        lane.found = min(lookup.matched, given)
        lane.looked_up = len(lookup.guesses)
        if lane.found or not lookup.doubtful:
            ended = lookup.ended and given == lookup.matched
            controller.note(lookup.guesser, lookup.guesses, lane.found, ended=ended)
        made, right = made + lane.looked_up, right + lane.found
    if made:
        controller.note_pass(depth, len(run.lanes), made, right)
