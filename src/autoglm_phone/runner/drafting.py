"""`lossless`: the first segments write a few tokens ahead, the rest of the decoder checks them in one pass.

The verifier draws every token itself, from its own logits and with the request's random number for that place; a draft
counts only where it is the very token drawn. So the output is that of the whole decoder, sampled or greedy, whatever is
drafted. (Rejection sampling, arXiv 2211.17192, accepts more drafts but gives equal output in distribution alone.)
Drafts are drawn with the same random numbers, which makes equal tokens likely where the distributions are alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autoglm_phone.engine.interface import RowResult
from autoglm_phone.engine.request import TokenLogprob
from autoglm_phone.graph.costs import SegmentCosts
from autoglm_phone.graph.lookup import Guess, Guesser, chances_of
from autoglm_phone.runner.batch import Batch
from autoglm_phone.runner.exits import confidences
from autoglm_phone.runner.lane import Lane, Reading
from autoglm_phone.runner.pending import joined
from autoglm_phone.runner.placed import place, token_ids
from autoglm_phone.runner.sampler import GREEDY_BELOW, Sampler

if TYPE_CHECKING:
    from autoglm_phone.runner.cascade import Cascade


def draft(cascade: Cascade, boundary: int, lanes: Sequence[Lane], hidden: Tensor) -> None:
    """Write tokens ahead for these lanes, up to what their rows allow; their states become the lanes' tails.

    hidden: states of the pass that ended at `boundary`, the newest token of each lane among them. Stops a lane where it
    would end the request, or where the controller expects no gain (unless the client set the length).
    """
    if len(lanes) == 1 and cascade.draft_lookup.on(1):
        draft_alone(cascade, boundary, lanes[0], hidden)
        return
    controller = cascade.drafting
    chances = dict.fromkeys(map(id, lanes), 1.0)
    tails: dict[int, list[Tensor]] = {id(lane): [] for lane in lanes}
    alive = list(lanes)
    rows = [lane.last for lane in alive]
    while alive:
        states = hidden if rows == list(range(hidden.shape[0])) else hidden.index_select(0, _index(rows, hidden))
        logits = cascade.head(states, boundary)
        sure = confidences(logits)
        results = cascade.sampler.sample(logits, [lane.state.sampling for lane in alive], logprobs=False)
        kept = []
        for lane, confidence in zip(alive, sure, strict=True):
            chances[id(lane)] *= controller.chance(boundary, confidence)
        worth = controller.worth(boundary, len(lanes), [chances[id(lane)] for lane in alive])
        for lane, confidence, result, useful in zip(alive, sure, results, worth, strict=True):
            if result.error is not None or cascade.ends_request(lane, result.token_ids[0]):
                continue
            if not useful and lane.sequence.rule.draft_length == 0:
                continue
            lane.state.drafts.append(result.token_ids[0])
            lane.state.sampling.push(result.token_ids[0])
            lane.confidences.append(confidence)
            lane.drafted += 1
            kept.append(lane)
        if not kept:
            break
        hidden = shallow_pass(cascade, boundary, kept)
        for row, lane in enumerate(kept):
            tails[id(lane)].append(hidden[row : row + 1])
        rows = [row for row, lane in enumerate(kept) if lane.drafted < lane.row.drafts]
        alive = [kept[row] for row in rows]
    for lane in lanes:
        lane.state.sampling.restore()
        if tails[id(lane)]:
            lane.tail = joined(tails[id(lane)])


def draft_alone(cascade: Cascade, boundary: int, lane: Lane, hidden: Tensor) -> None:
    """`draft` for one lane, with tokens guessed from n-grams (graph.lookup) as further rows of its shallow passes.

    A draft that is the guess has been through the first segments already, so the next one is read without a pass; at
    the first other one the rows behind it never were. The drafts are those without guesses.
    """
    lookup, state, rule = cascade.draft_lookup, lane.state, lane.sequence.rule
    if state.draft_guesser is None:
        state.draft_guesser = lookup.guesser(state.kind)
    guesser, known = state.draft_guesser, len(lane.sequence.tokens)
    tails: list[Tensor] = []
    states, guesses, chance = hidden[lane.last : lane.last + 1], list[Guess](), 1.0
    passes = 0
    while True:
        before, right, token = lane.drafted, 0, None
        logits = cascade.head(states, boundary)
        for row, confidence in enumerate(confidences(logits)):
            chance *= cascade.drafting.chance(boundary, confidence)
            (result,) = cascade.sampler.sample(logits[row : row + 1], [state.sampling], logprobs=False)
            if result.error is not None or cascade.ends_request(lane, result.token_ids[0]):
                break
            if rule.draft_length == 0 and not cascade.drafting.worth(boundary, 1, [chance])[0]:
                break
            state.sampling.push(result.token_ids[0])
            lane.confidences.append(confidence)
            lane.drafted += 1
            if row == len(guesses) or guesses[row].token != result.token_ids[0]:
                token = result.token_ids[0]  # whose state is not there yet
                break
            right += 1
            if lane.drafted == lane.row.drafts:
                break
        tails.append(states[1 : right + 1])
        if guesses:
            del state.drafts[before + right :]
            judged = token is not None and right < len(guesses)
            lookup.note(guesser, guesses, right, ended=not judged)
            lookup.note_pass(boundary, 1, len(guesses), right)
            lane.looked_up += len(guesses)
            lane.found += right
            if right < len(guesses):
                state.retract(known + before + right)
        if token is None:
            break
        state.drafts.append(token)
        guesses = _guesses(cascade, boundary, lane, guesser, chance)
        state.drafts += [guess.token for guess in guesses]
        states = shallow_pass(cascade, boundary, [lane], len(guesses))
        tails.append(states[:1])
        passes += 1
        if lane.drafted == lane.row.drafts:
            break
    state.sampling.restore()
    if lane.drafted:
        lane.tail = joined([tail for tail in tails if tail.shape[0]])
        cascade.drafting.note_passes(lane.drafted, passes)


def _guesses(cascade: Cascade, boundary: int, lane: Lane, guesser: Guesser, chance: float) -> list[Guess]:
    """What goes behind the newest draft into its pass. chance: that the drafts so far are right."""
    lookup, most = cascade.draft_lookup, lane.row.drafts - lane.drafted
    if most < 1:
        return []
    guesses = lookup.guess(guesser, lane.sequence.tokens, min(most, lookup.longest), chance, lane.state.drafts)
    guesses = cascade.before_end(lane, guesses)
    return guesses[: lookup.choose(boundary, 1, [chances_of(guesses, chance * guesser.trust)])[0]] if guesses else []


def shallow_pass(cascade: Cascade, boundary: int, lanes: Sequence[Lane], more: int = 0) -> Tensor:
    """The newest draft of each lane through the first segments: states [lanes, H]. more: of a lane alone, so many
    drafts before its newest one too; states [1 + more, H]."""
    decoder = cascade.decoder
    ends = [len(lane.sequence.tokens) + len(lane.state.drafts) for lane in lanes]
    placed, order = place([(lane.state, end - 1 - more, end) for lane, end in zip(lanes, ends, strict=True)])
    batch = Batch(placed, decoder.spec, decoder.backend, cascade.page_size)
    hidden = decoder.embed(torch.from_numpy(token_ids(placed)).to(decoder.backend.device))
    for segment in range(boundary):
        start, cost = time.perf_counter(), cascade.clock()
        hidden = decoder.run_batch(segment, hidden, batch)
        cascade.note((SegmentCosts.VERIFY if more else 0) + segment, hidden.shape[0], cascade.clock() - cost)
        seconds = time.perf_counter() - start
        for lane, end in zip(lanes, ends, strict=True):
            lane.frontiers[segment] = end
            lane.seconds[segment] += seconds / len(lanes)
    if order == sorted(order):
        return hidden
    back = [0] * len(order)
    for row, index in enumerate(order):
        back[index] = row
    return hidden.index_select(0, _index(back, hidden))


def sample_all(cascade: Cascade, readings: Sequence[Reading]) -> dict[str, RowResult]:
    """Tokens of everything that was read in a step, by request: one each, or as many as drafts proved right and one."""
    lanes = [lane for reading in readings for lane in reading.lanes]
    logits = joined([reading.logits for reading in readings])
    sampler = cascade.sampler
    if not any(lane.drafted for lane in lanes):
        results = sampler.sample(logits, [lane.state.sampling for lane in lanes])
        return {lane.sequence.request_id: result for lane, result in zip(lanes, results, strict=True)}
    first, offsets = 0, {}
    for lane in lanes:
        offsets[id(lane)] = first
        first += lane.drafted + 1
    tokens: dict[int, list[int]] = {id(lane): [] for lane in lanes}
    logprobs: dict[int, list[TokenLogprob]] = {id(lane): [] for lane in lanes}
    errors: dict[int, str | None] = {}
    alive = _take_plain(cascade, lanes, offsets, tokens, logits)
    nth = 0
    while alive:
        rows = [offsets[id(lane)] + nth for lane in alive]
        for lane, row in zip(alive, rows, strict=True):
            _show(cascade, lane, nth, logits[row])
        # A copy, as the sampler overwrites what it is given.
        results = sampler.sample(logits.index_select(0, _index(rows, logits)), [lane.state.sampling for lane in alive])
        going = []
        for lane, result in zip(alive, results, strict=True):
            errors[id(lane)] = result.error
            tokens[id(lane)] += result.token_ids
            logprobs[id(lane)] += result.logprobs
            if nth < lane.drafted and result.token_ids == (lane.state.drafts[nth],):
                lane.state.sampling.push(result.token_ids[0])
                going.append(lane)
        alive = going
        nth += 1
    out = {}
    for lane in lanes:
        lane.state.sampling.restore()
        if lane.drafted:
            _settle(cascade, lane, len(tokens[id(lane)]) - 1)
        out[lane.sequence.request_id] = RowResult(
            tuple(tokens[id(lane)]), tuple(logprobs[id(lane)]), error=errors.get(id(lane))
        )
    return out


def _take_plain(
    cascade: Cascade, lanes: Sequence[Lane], offsets: dict[int, int], tokens: dict[int, list[int]], logits: Tensor
) -> list[Lane]:
    """Tokens of the lanes for which these are the most likely ones and nothing else; returns the other lanes."""
    plain = [lane for lane in lanes if is_plain(lane, cascade.sampler, lane.drafted)]
    if not plain:
        return list(lanes)
    best = logits.argmax(dim=-1).tolist()
    for lane in plain:
        for nth in range(lane.drafted + 1):
            row = offsets[id(lane)] + nth
            _show(cascade, lane, nth, logits[row])
            tokens[id(lane)].append(best[row])
            if nth < lane.drafted and best[row] != lane.state.drafts[nth]:
                break
    return [lane for lane in lanes if lane not in plain]


def is_plain(lane: Lane, sampler: Sampler, ahead: int) -> bool:
    """Its tokens, up to one behind so many ahead, are the most likely ones and nothing else."""
    state, params = lane.state.sampling, lane.sequence.sampling
    return (
        params.temperature < GREEDY_BELOW
        and params.logprobs is None
        and not params.logit_bias
        and not state.penalizes_all
        and not state.penalizes_output
        and lane.sequence.matcher is None
        and (state.thought is None or state.thought.is_free(ahead + 1))
        and state.num_output >= params.min_tokens
    )


def _show(cascade: Cascade, lane: Lane, nth: int, logits: Tensor) -> None:
    if lane.drafted:
        cascade.read(lane, lane.left, lane.end - 1 - lane.drafted + nth, logits)


def _settle(cascade: Cascade, lane: Lane, accepted: int) -> None:
    """Keep what was right."""
    lane.accepted = accepted
    end = len(lane.sequence.tokens) + accepted
    lane.frontiers = [min(frontier, end) for frontier in lane.frontiers]
    if accepted < lane.drafted:
        lane.state.retract(end)
    lane.state.drafts.clear()
    cascade.drafting.note(lane.sequence.rule.draft, lane.confidences, accepted)


def _index(rows: list[int], like: Tensor) -> Tensor:
    return torch.tensor(rows, device=like.device)
