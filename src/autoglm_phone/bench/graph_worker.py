"""One engine in a process of its own, answering the samples that `bench graph` names, one at a time.

Its own process, so that resident memory is its own. Requests come as JSON lines on standard input, measurements go back
as JSON lines on what was standard output; everything else that is printed goes to standard error.

    python -m autoglm_phone.bench.graph_worker '{"model": …, "arm": "static", "threads": 1, …}'
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from autoglm_phone.bench.energy import energy_meter
from autoglm_phone.bench.graph_live import watch
from autoglm_phone.bench.world import messages
from autoglm_phone.chat.load import load_service
from autoglm_phone.chat.service import Answer, ChoiceStream, Generation
from autoglm_phone.config import EngineConfig
from autoglm_phone.engine.core import Engine
from autoglm_phone.engine.planning import Planning
from autoglm_phone.engine.request import EngineRequest, SamplingParams
from autoglm_phone.errors import AutoGLMError, ConfigError, EngineError
from autoglm_phone.graph.kv import NARROW
from autoglm_phone.graph.plan import KV_KINDS, GraphRequest
from autoglm_phone.graph.planner import Planner, PlannerSettings
from autoglm_phone.media.load import MediaLimits
from autoglm_phone.models.registry import locate
from autoglm_phone.runner.model_runner import ModelRunner
from autoglm_phone.runner.weights import weight_bytes
from autoglm_phone.train.world import registry, scoring
from autoglm_phone.train.world.sample import Sample

PAGE = os.sysconf("SC_PAGE_SIZE")


class GraphArm:
    """Args:
    model: folder. arm: static (dynamic graph off, towers loaded at start), dynamic, or lean (dynamic with low_memory).
    threads: fixed. tower_memory: bytes of towers that the dynamic arm may keep; None: all.
    Caches of prompts and tower outputs are off: the same request comes again in every mode, and each mode must pay for
    all of it.
    """

    def __init__(self, model: str, arm: str, threads: int, risk: float, tower_memory: int | None, max_tokens: int):
        dynamic = arm != "static"
        self.config = EngineConfig(
            threads=threads,
            dynamic_graph=dynamic,
            exit_risk=risk,
            enable_prefix_caching=False,
            tower_cache_memory=0,
            tower_memory=tower_memory if arm == "dynamic" else None,
            low_memory=arm == "lean",
        )
        self.max_tokens = max_tokens
        self.folder = locate(model)
        limits = MediaLimits(max_images=256, max_audios=256, max_seconds=3600.0)
        held = _Held()
        self.service = load_service(self.folder, self.config, wrap=held.take, media_limits=limits, trusted_media=True)
        self.engine: Engine = held.engine
        runner = self.engine.runner
        if not isinstance(runner, ModelRunner):
            raise ConfigError("bench graph measures our own runner only")
        self.runner = runner
        self.plannings = self._plannings() if dynamic else {"served": self.engine.planning}
        for kind in sorted(runner.towers.kinds):
            with runner.towers.store.use(kind):
                pass
            if dynamic:
                runner.towers.store.drop(kind)
        self.meter = energy_meter(runner.decoder.backend.device.type)
        self._next = 0

    def _plannings(self) -> dict[str, Planning]:
        """By name, see bench.graph_modes.Mode."""
        settings = self.settings
        plannings = {"served": self.engine.planning}
        if settings is not None and settings.calibration is not None:
            alone = replace(settings, drafts=False, calibration=replace(settings.calibration, thresholds={}))
            plannings["planned"] = Planning(self.config, Planner(alone))
        return plannings

    @property
    def settings(self) -> PlannerSettings | None:
        planner = self.engine.planning.planner
        return planner.settings if isinstance(planner, Planner) else None

    def facts(self) -> dict[str, Any]:
        """For bench.graph_modes.Facts, and what the report says of the machine."""
        import torch

        settings = self.settings
        calibration = settings.calibration if settings is not None else None
        layout = self.runner.layout
        return {
            "depths": [*sorted(layout.exits), layout.ends[-1]],
            "risks": [r for r, t in sorted(calibration.thresholds.items()) if t] if calibration else [],
            "probe": calibration is not None and bool(calibration.bars) and self.runner.probes,
            "kv": sorted(settings.kv_kinds if settings is not None else {KV_KINDS[0]}),
            "decoder_bytes": weight_bytes(self.runner.decoder.weights),
            "device": str(self.runner.decoder.backend.device),
            "dtype": str(self.runner.decoder.backend.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "energy": self.meter.source,
        }

    def answer(self, sample: Sample, mode: dict[str, Any]) -> dict[str, Any]:
        """Answer greedily and measure: milliseconds, bytes, layers, joules, and how right it was."""
        self.engine.planning = self.plannings[mode["planner"]]
        asked = messages(sample)
        joules = self.meter.joules
        before = joules() if joules is not None else 0.0
        cpu, start = time.process_time(), time.perf_counter()
        prompt = self.service.prompts.chat(asked, tools=(), enable_thinking=True)
        prepared = time.perf_counter()
        left = self.service.info.max_model_len - len(prompt.ids)
        sampling = SamplingParams(temperature=0.0, max_tokens=min(self.max_tokens, left))
        request_id, self._next = f"b{self._next}", self._next + 1
        stream = ChoiceStream(self.service.tokenizer, Generation(request_id, prompt, sampling), 0)
        graph = GraphRequest(**mode["graph"], trace=True)
        self.engine.add_request(EngineRequest(request_id, prompt.ids, sampling, prompt.media, graph=graph))
        answer, first = Answer(0), None
        trace: dict[str, Any] = {}
        tokens: list[int] = []
        with watch(self.engine, self.runner, narrow=mode["graph"].get("kv") in NARROW) as seen:
            while self.engine.has_work():
                for step in self.engine.step():
                    if step.finish_reason == "error":
                        raise EngineError(step.error or "the engine failed on this request")
                    answer.add(stream.push(step))
                    tokens += step.token_ids
                    if first is None and (step.token_ids or step.finish_reason):
                        first = time.perf_counter()
                    trace = step.graph or trace
        end, cpu = time.perf_counter(), time.process_time() - cpu
        spent = joules() - before if joules is not None else None
        depths: Counter[int] = Counter(trace.get("depths", ()))
        text = answer.content + "".join(f"<tool_call>{c.name}\n{c.arguments}</tool_call>" for c in answer.calls)
        judged = scoring.score(sample, text, answer.reasoning)
        fullest = max(seen, key=sum)
        return {
            "ms": 1000 * (end - start),
            "first_ms": 1000 * ((first or end) - start),
            "prepare_ms": 1000 * (prepared - start),
            "cpu_ms": 1000 * cpu,
            "tokens": sum(depths.values()) or len(tokens),
            "prompt": len(prompt.ids),
            "depths": {str(depth): count for depth, count in sorted(depths.items())},
            "caught_up": trace.get("caught_up", {}),
            "drafted": trace.get("drafted", 0),
            "accepted": trace.get("accepted", 0),
            "kv_bytes": fullest.pages,
            "decoder_bytes": fullest.decoder,
            "tower_bytes": fullest.towers,
            "cold": any(entry["cold"] for entry in trace.get("towers", ())),
            "rss": _resident(),
            "joules": spent,
            "media": sorted({item.kind for item in prompt.media}),
            "correct": judged.correct,
            "value": judged.value,
            "digest": hashlib.sha256(json.dumps(tokens).encode()).hexdigest()[:16],
            "reasons": trace.get("reasons", []),
        }

    def answer_together(self, samples: Sequence[Sample], concurrency: int, mode: dict[str, Any]) -> dict[str, Any]:
        """Answer all of them, so many at a time, and look at memory at the fullest moment of every step."""
        self.engine.planning = self.plannings[mode["planner"]]
        waiting = list(reversed(samples))
        running, tokens, text = 0, 0, 0
        start = time.perf_counter()
        with watch(self.engine, self.runner, narrow=mode["graph"].get("kv") in NARROW) as live:
            while waiting or self.engine.has_work():
                while waiting and running < concurrency:
                    prompt = self.service.prompts.chat(messages(waiting.pop()), tools=(), enable_thinking=True)
                    left = self.service.info.max_model_len - len(prompt.ids)
                    sampling = SamplingParams(temperature=0.0, max_tokens=min(self.max_tokens, left))
                    name, self._next = f"b{self._next}", self._next + 1
                    graph = GraphRequest(**mode["graph"])
                    self.engine.add_request(EngineRequest(name, prompt.ids, sampling, prompt.media, graph=graph))
                    running, text = running + 1, text + (not prompt.media)
                for step in self.engine.step():
                    if step.finish_reason == "error":
                        raise EngineError(step.error or "the engine failed on a request")
                    tokens += len(step.token_ids)
                    running -= step.finish_reason is not None
        peak = max(live, key=sum)
        return {
            "requests": len(samples),
            "text": text,
            "tokens": tokens,
            "seconds": time.perf_counter() - start,
            "moments": len(live),
            "peak": sum(peak),
            "decoder_bytes": peak.decoder,
            "tower_bytes": peak.towers,
            "kv_bytes": peak.pages,
            "mean": sum(map(sum, live)) / len(live),
        }


class _Held:
    """Stands where a server has its client, and keeps the engine for us to step."""

    engine: Engine

    def take(self, engine: Engine) -> Any:
        self.engine = engine
        return self

    def start(self) -> None: ...

    def shutdown(self) -> None: ...


def _resident() -> int:
    """Resident bytes now; the peak where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _sample(where: list[Any], fixed: dict[tuple[str, int], Sample]) -> Sample:
    suite, category, index = where
    if suite == "world-100":
        return fixed[category, index]
    return registry.generate(category, "test", index)


def serve(settings: dict[str, Any], requests: IO[str], replies: IO[str]) -> None:
    """Answer until the input ends."""
    from autoglm_phone.bench import fixed

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message, ensure_ascii=False) + "\n")
        replies.flush()

    try:
        arm = GraphArm(**settings)
        known: dict[tuple[str, int], Sample] = {}
        reply(arm.facts())
    except AutoGLMError as error:
        reply({"error": error.message})
        return
    last: tuple[list[Any], Sample] | None = None
    for line in requests:
        task = json.loads(line)
        try:
            wanted = task["mix"] if "mix" in task else [task["sample"]]
            if not known and any(where[0] == "world-100" for where in wanted):
                known = {(s.category, s.index): s for s in fixed.load(fixed.FOLDER)}
            if "mix" in task:
                samples = [_sample(where, known) for where in wanted]
                reply(arm.answer_together(samples, task["concurrency"], task["mode"]))
                continue
            if last is None or last[0] != task["sample"]:
                last = task["sample"], _sample(task["sample"], known)
            reply(arm.answer(last[1], task["mode"]))
        except AutoGLMError as error:
            reply({"error": error.message})


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(json.loads(sys.argv[1]), sys.stdin, replies)


if __name__ == "__main__":
    main()
