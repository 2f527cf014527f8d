"""Model folder and configuration → the planner and the rules of rewriting. Reads JSON only; no tensors."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from autoglm_phone.config import KV_BUILT, EngineConfig
from autoglm_phone.errors import ConfigError
from autoglm_phone.graph.graph_file import load_graph_file
from autoglm_phone.graph.plan import KVKind
from autoglm_phone.graph.planner import Planner, PlannerSettings

logger = logging.getLogger(__name__)

THINK = "<think>"


def planner_for(
    folder: Path,
    config: EngineConfig,
    ends: Iterable[int],
    exits: Iterable[int],
    kv_kinds: Iterable[KVKind] = KV_BUILT,
) -> Planner | None:
    """The planner of a model; None where the dynamic graph is off.

    Raises:
        ConfigError: the server is to exit by confidence, and nothing is certified for the risk that it states.

    Args:
        ends: layers at the end of each segment. exits: those of them that have an exit head.
        kv_kinds: KV policies that the runner can keep.
    """
    if not config.dynamic_graph:
        return None
    ends = tuple(ends)
    depths = (*sorted(set(exits) & set(ends[:-1])), ends[-1])
    calibration = load_graph_file(folder, config.exits)
    if calibration is not None and calibration.depths != depths:
        logger.warning("[DYNAMIC GRAPH] calibration not used: it knows exits %s, the model has %s",
                       calibration.depths, depths)  # fmt: skip
        calibration = None
    if config.exit_policy == "confidence" and (calibration is None or not calibration.certifies(config.exit_risk)):
        raise ConfigError(
            f"exit policy confidence: no exits of this model are certified for a risk of {config.exit_risk:g}; run "
            "`autoglm-phone exits calibrate`, or choose auto, lossless or full",
            param="exit_policy",
        )
    settings = PlannerSettings(
        depths=depths,
        policy=config.exit_policy,
        risk=config.exit_risk,
        kv=config.kv_policy,
        kv_kinds=frozenset(kv_kinds),
        think_ids=frozenset(_token_ids(folder, THINK)),
        calibration=calibration,
    )
    return Planner(settings)


def _token_ids(folder: Path, token: str) -> list[int]:
    """The id of a special token, if the tokenizer has it."""
    try:
        added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")).get("added_tokens", [])
        return [int(entry["id"]) for entry in added if entry.get("content") == token]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
