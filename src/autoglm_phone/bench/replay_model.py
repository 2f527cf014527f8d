"""A GLM-4.1V text decoder with random weights made on the device, exit heads included, and its check against a plain
pass. Speed and energy do not depend on what the weights say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autoglm_phone.backends.base import AttentionPlan, ChunkGroup, LayerWeights, SegmentMeta
from autoglm_phone.backends.cuda_graphs import DecodeRows, SegmentGraphs
from autoglm_phone.backends.graph_backend import GraphBackend
from autoglm_phone.backends.torch_backend import KVPages, Linear, TorchBackend
from autoglm_phone.bench.replay import Layout, Replay
from autoglm_phone.models.glm4v.shape import GLM_9B
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.offload import map_tensors
from autoglm_phone.runner.spec import DecoderSpec, cut_layers
from autoglm_phone.runner.weights import DecoderWeights, ExitWeights


@dataclass(frozen=True)
class Size:
    """The defaults are GLM-4.1V-9B's text decoder."""

    layers: int = GLM_9B.text.num_layers
    hidden: int = GLM_9B.text.hidden_size
    ffn: int = GLM_9B.text.intermediate_size
    heads: int = GLM_9B.text.num_heads
    kv_heads: int = GLM_9B.text.num_kv_heads
    vocab: int = GLM_9B.text.vocab_size
    exit_rank: int = 256

    def spec(self) -> DecoderSpec:
        text = GLM_9B.text
        head_dim = self.hidden // self.heads
        pairs = head_dim // 4
        time = pairs // 4
        section = (time, (pairs - time) // 2, pairs - time - (pairs - time) // 2)
        segments = cut_layers(self.layers)
        return DecoderSpec(
            family="glm4v",
            vocab_size=self.vocab,
            hidden_size=self.hidden,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=head_dim,
            eps=text.rms_norm_eps,
            rope_theta=text.rope_theta,
            rotary_dim=2 * pairs,
            mrope_section=section,
            max_position_embeddings=text.max_position_embeddings,
            tied=False,
            segments=segments,
            eos_token_ids=frozenset(),
            image_token_id=GLM_9B.image_token_id,
            exit_layers=tuple(end for _, end in segments[:-1]),
            intermediate_size=self.ffn,
        )


def random_decoder(
    size: Size, device: torch.device, dtype: torch.dtype, num_pages: int, page_size: int, seed: int = 0
) -> Decoder:
    """Weights of the usual scale, and pages full of keys and values that nobody computed."""
    spec = size.spec()
    backend = GraphBackend(
        device,
        dtype,
        **spec.backend_options,
    )
    generator = torch.Generator(device).manual_seed(seed)

    def matrix(rows: int, columns: int) -> Tensor:
        empty = torch.empty(rows, columns, dtype=dtype, device=device)
        return empty.normal_(0.0, 1 / math.sqrt(columns), generator=generator)

    def vector(length: int, mean: float, spread: float) -> Tensor:
        return torch.empty(length, dtype=dtype, device=device).normal_(mean, spread, generator=generator)

    hidden, q, kv = spec.hidden_size, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim

    def layer() -> LayerWeights:
        bias = vector(q + 2 * kv, 0.0, 0.1)
        input_norm, qkv = backend.pack_norm_linear(vector(hidden, 1.0, 0.1), matrix(q + 2 * kv, hidden), bias)
        mlp_norm, gate_up = backend.pack_norm_linear(vector(hidden, 1.0, 0.1), matrix(2 * size.ffn, hidden), None)
        return LayerWeights(
            input_norm=input_norm,
            qkv=qkv,
            out=backend.pack_linear(matrix(hidden, q), None),
            post_attention_norm=backend.pack_norm(vector(hidden, 0.3, 0.03)),
            mlp_norm=mlp_norm,
            gate_up=gate_up,
            down=backend.pack_linear(matrix(hidden, size.ffn), None),
            post_mlp_norm=backend.pack_norm(vector(hidden, 0.3, 0.03)),
        )

    rank = min(size.exit_rank, hidden)
    exits = {
        depth: ExitWeights(
            backend.pack_norm(vector(hidden, 1.0, 0.1)),
            backend.pack_linear(matrix(rank, hidden), None),
            backend.pack_linear(matrix(hidden, rank), None),
        )
        for depth in spec.exit_layers
    }
    weights = DecoderWeights(
        embedding=backend.pack_embedding(matrix(spec.vocab_size, hidden)),
        segments=[[layer() for _ in range(first, end)] for first, end in spec.segments],
        norm=backend.pack_norm(vector(hidden, 1.0, 0.1)),
        head=backend.pack_linear(matrix(spec.vocab_size, hidden), None),
        exits=exits,
        memory=None,
    )
    decoder = Decoder(spec, weights, backend, num_pages, page_size)
    decoder.pages.pages.normal_(0.0, 0.5, generator=generator)
    return decoder


def weight_bytes(decoder: Decoder) -> int:
    """That a static step reads: all layers and the output head."""
    total = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.nbytes
        return tensor

    map_tensors([list(decoder.weights.segments), decoder.weights.head], count)
    return total


class ShortHead:
    """Exit logits over the first `vocab` tokens alone: an exit that reads a part of the output head."""

    def __init__(self, decoder: Decoder, vocab: int):
        head = decoder.weights.head
        assert isinstance(head, Linear)  # internal: random_decoder made it
        self.decoder = decoder
        self.head = Linear(head.weight[:, :vocab], None)

    def __call__(self, states: Tensor, boundary: int) -> Tensor:
        backend, spec = self.decoder.backend, self.decoder.spec
        exit_ = self.decoder.weights.exits[spec.segments[boundary - 1][1]]
        states = backend.norm(states, exit_.norm)
        states = states + backend.linear(backend.linear(states, exit_.down), exit_.up)
        return backend.linear(states, self.head).float()


class Watched:
    """An executor that keeps the boundary state of every row, and which tokens came in.

    states: (first page of the sequence in segment 0, position, boundary) → [H]. tokens: (first page, position) → id.
    """

    def __init__(self, graphs: SegmentGraphs, layout: Layout):
        self.graphs = graphs
        self.lanes = {int(page): lane for segment in layout.tables.transpose(1, 0, 2) for lane, page in
                      enumerate(segment[:, 0])}  # fmt: skip
        self.states: dict[tuple[int, int, int], Tensor] = {}
        self.tokens: dict[int, dict[int, int]] = {}
        self.most_rows = 0

    def bucket(self, rows: int) -> int:
        return self.graphs.bucket(rows)

    def run(self, segment: int, rows: DecodeRows) -> list[int]:
        used = self.graphs.run(segment, rows)
        states = self.graphs.arena[torch.from_numpy(rows.places).to(self.graphs.arena.device)].clone()
        for row in range(len(rows)):
            lane, position = self.lanes[int(rows.tables[row, 0])], int(rows.lengths[row]) - 1
            self.states[lane, position, segment + 1] = states[row]
            if segment == 0:
                self.tokens.setdefault(lane, {})[position] = int(rows.sources[row])
        self.most_rows = max(self.most_rows, len(rows))
        return used

    def read(self, boundary: int, places: np.ndarray) -> tuple[list[int], list[float]]:
        return self.graphs.read(boundary, places)


@torch.inference_mode()
def plain_states(decoder: Decoder, layout: Layout, lane: int, start: int, ids: list[int], dtype: torch.dtype) -> Tensor:
    """Boundary states [segments, tokens, H] of tokens that follow `start` others of a lane: one causal pass through
    the whole decoder, layer by layer, with PyTorch's operators alone and in any precision. Reads the lane's pages and
    writes copies of them."""
    spec, device = decoder.spec, decoder.backend.device
    backend = TorchBackend(
        device,
        dtype,
        **spec.backend_options,
    )
    end, size = start + len(ids), layout.page_size
    position = torch.arange(start, end, device=device)
    rotary = backend.rotary(position.expand(3, -1))
    mask = torch.arange(end, device=device)[None] <= position[:, None]
    hidden = decoder.embed(torch.tensor(ids, device=device)).to(dtype)
    out = []
    for segment, layers in enumerate(decoder.weights.segments):
        table = torch.from_numpy(layout.tables[lane, segment]).to(device)
        slots = table[position // size] * size + position % size
        plan = AttentionPlan(segment, [], [ChunkGroup(0, len(ids), table[: -(-end // size)], end, mask)])
        meta = SegmentMeta(slots, plan, None, rotary)
        for index, layer in enumerate(layers):
            same: LayerWeights = map_tensors(layer, lambda t: t.to(dtype))
            store = decoder.pages.pages[index : index + 1].to(dtype, copy=True)
            pages = KVPages(store, None, decoder.pages.narrow)
            hidden = backend.run_segment([same], hidden, meta, pages, decoder.shape)
        out.append(hidden.clone())
    return torch.stack(out)


@dataclass(frozen=True)
class Check:
    """Relative L2 errors of boundary states against a plain float32 pass: of the replayed passes, and of a plain pass
    in the model's own precision. rows: states compared; largest_pass: rows of the pass with most riders."""

    graphs: float
    plain: float
    rows: int
    largest_pass: int

    @property
    def passed(self) -> bool:
        return math.isfinite(self.graphs) and self.graphs <= 2 * self.plain + 1e-4


# Tokens that leave early and later ride along, lanes out of step; the last of each goes through everything.
CHECK_DEPTHS = ((1, 1, 2, 4, 1, 3, 1, 4), (4, 1, 1, 1, 1, 1, 4), (1, 2, 1, 2, 3, 4))
FILLER = 64  # shallow tokens behind them: a lane that is done may not begin another request


def check(decoder: Decoder, graphs: SegmentGraphs, layout: Layout, hold: float = 0.0, seed: int = 0) -> Check:
    """Replay a few tokens of several lanes, and compare every boundary state with a plain causal pass."""
    lanes = min(3, layout.tables.shape[0])
    watched = Watched(graphs, layout)
    whole = layout.num_segments
    depths = [tuple(min(n, whole) for n in some) for some in CHECK_DEPTHS]
    programs = [tuple((n, 1) for n in (*some, *[1] * FILLER)) for some in depths]
    replay = Replay(watched, layout, programs, lanes, hold=hold, seed=seed)
    starts = [lane.frontiers[0] for lane in replay.lanes]
    while any(lane.step < len(depths[lane.index]) for lane in replay.lanes):
        replay.turn()
    errors, errors_plain, size, count = 0.0, 0.0, 0.0, 0
    for lane in range(lanes):
        tokens = watched.tokens[lane]
        ids = [tokens[starts[lane] + n] for n in range(len(tokens))]
        truth = plain_states(decoder, layout, lane, starts[lane], ids, torch.float32)
        plain = plain_states(decoder, layout, lane, starts[lane], ids, decoder.backend.dtype).float()
        for n in range(len(ids)):
            for boundary in range(1, layout.num_segments + 1):
                state = watched.states.get((lane, starts[lane] + n, boundary))
                if state is None:
                    continue
                exact = truth[boundary - 1, n]
                errors += float((state.float() - exact).square().sum())
                errors_plain += float((plain[boundary - 1, n] - exact).square().sum())
                size += float(exact.square().sum())
                count += 1
    return Check(math.sqrt(errors / size), math.sqrt(errors_plain / size), count, watched.most_rows)
