"""Boundary states of whole conversations, as the engine that will serve the model computes them.

The engine runs each conversation as one prompt, in its own dtype and with its own kernels, quantized weights included;
a recorder on the decoder keeps what leaves each segment. So exit heads learn from, and are measured on, exactly the
states that they will meet, and the weights are in memory once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.loop import load_engine
from autoglm_phone.engine.request import EngineRequest, MediaItem, SamplingParams
from autoglm_phone.errors import EngineError
from autoglm_phone.graph.plan import GraphRequest
from autoglm_phone.runner.decoder import Decoder
from autoglm_phone.runner.spec import DecoderSpec

States = dict[int, Tensor]  # depth in layers → [N, H] in the engine's dtype


class BoundaryReader:
    """An engine whose decoder can be listened to. depths: layers at each exit and at the end."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.decoder: Decoder = engine.runner.decoder  # type: ignore[attr-defined]
        self.depths = tuple(end for _, end in self.decoder.spec.segments)
        self.device = self.decoder.backend.device
        self._count = 0

    def read(self, ids: Sequence[int], media: Sequence[MediaItem], where: Sequence[int]) -> States:
        """States at every boundary of the tokens at the indices `where`, which rise. Nothing else may be running.

        Raises:
            EngineError: the engine failed, or did not take every token through every layer.
        """
        sampling = SamplingParams(max_tokens=1, temperature=0.0)
        request = EngineRequest(
            f"read {self._count}",
            tuple(ids),
            sampling,
            tuple(media),
            prefix_caching=False,
            graph=GraphRequest(policy="full"),
        )
        self._count += 1
        with self._listening(where) as (passed, parts):
            self.engine.add_request(request)
            for step in run(self.engine):
                if step.error is not None:
                    raise EngineError(f"a conversation of {len(ids)} tokens failed: {step.error}")
        if passed != dict.fromkeys(self.depths, len(ids)):
            raise EngineError(f"of a conversation of {len(ids)} tokens the engine took {passed} through its segments")
        # Tensors of inference mode can't take part in training; these copies can.
        return {depth: torch.cat(some) for depth, some in parts.items()}

    def answer(self, items: Sequence[tuple[Sequence[int], Sequence[MediaItem]]], max_tokens: int) -> list[list[int]]:
        """Full depth's greedy answers to prompts (ids, media), the stop token included."""
        sampling = SamplingParams(max_tokens=max_tokens, temperature=0.0)
        out: dict[str, list[int]] = {}
        for ids, media in items:
            name = f"answer {self._count}"
            self._count += 1
            out[name] = []
            self.engine.add_request(EngineRequest(name, tuple(ids), sampling, tuple(media)))
        for step in run(self.engine):
            if step.error is not None:
                raise EngineError(f"a prompt could not be answered: {step.error}")
            out[step.request_id] += step.token_ids
            if step.stop_token_id is not None:
                out[step.request_id].append(step.stop_token_id)
        return list(out.values())

    @contextmanager
    def _listening(self, where: Sequence[int]) -> Iterator[tuple[dict[int, int], dict[int, list[Tensor]]]]:
        """(tokens that have passed, their states at `where`) by depth, of the one sequence that runs; its chunks come
        in order."""
        passed = dict.fromkeys(self.depths, 0)
        parts: dict[int, list[Tensor]] = {depth: [] for depth in self.depths}
        plain = self.decoder.run_segment

        def run_segment(index: int, hidden: Tensor, meta: Any) -> Tensor:
            hidden, depth = plain(index, hidden, meta), self.depths[index]
            start, end = passed[depth], passed[depth] + hidden.shape[0]
            rows = [at - start for at in where if start <= at < end]
            parts[depth].append(hidden[torch.tensor(rows, dtype=torch.long, device=hidden.device)])
            passed[depth] = end
            return hidden

        self.decoder.run_segment = run_segment  # type: ignore[method-assign]
        try:
            yield passed, parts
        finally:
            del self.decoder.run_segment


def run(engine: Engine) -> Iterator[Any]:
    """Steps the engine until it has no work."""
    while engine.has_work():
        yield from engine.step()


def open_reader(
    folder: Path, spec: DecoderSpec, exits: str, *, longest: int, batch: int, dtype: str, device: str
) -> BoundaryReader:
    """An engine of this model that runs every layer for every token.

    Args:
        exits: as for `graph_file.find_exits`. longest: tokens of a conversation, the answer to come included.
        batch: answers at a time.
    """
    width = 2 * spec.num_layers * spec.kv_heads * spec.head_dim * 4
    config = EngineConfig(
        dtype=dtype,
        device=device,
        max_num_seqs=batch,
        max_num_batched_tokens=2048,  # enough to keep a GPU busy, little enough to hold
        max_model_len=longest + 1,
        max_queue=1 << 20,
        enable_prefix_caching=False,
        # For unequal segments, whose pages are as large as the longest needs.
        kv_cache_memory=2 * width * (longest + 64) * batch,
        dynamic_graph=False,
        exits=exits,
    )
    return BoundaryReader(load_engine(folder, config))
