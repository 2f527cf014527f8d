"""Trains exit heads onto a finished checkpoint of either family, whose weights stay as they are, bit by bit.

The engine loads the checkpoint once, in the dtype in which it will serve, and one pass a conversation gives the states
at all exits (train.boundary_states); only the heads learn from them (train.exit_heads). Because the backbone stays, a
state never changes: those that fit a budget are computed once and kept. The batches of step n follow from the seed and
n alone, so a run that was stopped goes on to the same bits.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from autoglm_phone.compress import calibrate
from autoglm_phone.compress.calibrate import Calibration, Sample
from autoglm_phone.errors import CheckpointError, ConfigError
from autoglm_phone.graph.graph_file import NO_EXITS, backbone_digest
from autoglm_phone.models import registry
from autoglm_phone.runner.exit_addon import ExitAddon, check_layers, read_addon, save_addon
from autoglm_phone.runner.spec import DecoderSpec, read_spec
from autoglm_phone.train.boundary_states import BoundaryReader, States, open_reader
from autoglm_phone.train.exit_heads import ExitHeads, Losses, Project, Tally, pass_over
from autoglm_phone.train.frozen_head import final_norm, head_of

MIX = {"text": 0.4, "picture": 0.35, "speech": 0.25}
HELD_OUT = 8  # one conversation in so many is for measuring
RANK_SHARE = 4  # hidden size / default rank; logits cost far more than any rank does
WIDTH = 128  # inputs of a matrix for which `lr` is meant
TIMED = 8  # steps after which --minutes becomes a number of steps
STATE = ".state"
Say = Callable[[str], None]


@dataclass(frozen=True)
class TuneConfig:
    """layers: exits after them; empty: where the engine cuts this model. rank: of the adapters; None: H / 4.

    minutes: instead of steps. batch: conversations a step. path: a JSONL file instead of the world. own: learn from
    the model's own answers to these conversations instead of the given ones. chunk: tokens whose logits exist at once.
    cache: bytes of states that are kept.
    """

    layers: tuple[int, ...] = ()
    rank: int | None = None
    steps: int = 400
    minutes: float | None = None
    batch: int = 8
    samples: int = 512
    path: Path | None = None
    own: bool = True
    max_tokens: int = 1024
    max_answer: int = 256
    losses: Losses = field(default_factory=Losses)
    lr: float = 1e-2  # of norms; of matrices with more than WIDTH inputs as much less as they have more
    warmup: int = 20
    chunk: int = 128
    cache: int = 4 << 30
    dtype: str = "auto"
    device: str = "auto"
    workers: int = 1
    seed: int = 0
    save_every: float = 60.0  # seconds
    say_every: float = 10.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "samples", "max_tokens", "max_answer", "chunk", "workers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least 1", param=name)
        if self.samples < 2:
            raise ConfigError("--samples must be at least 2: one of them is held out", param="samples")
        if self.rank is not None and self.rank < 1:
            raise ConfigError("--rank must be at least 1", param="rank")
        if self.lr <= 0 or (self.minutes is not None and self.minutes <= 0):
            raise ConfigError("--lr and --minutes must be above 0", param="lr")
        if min(self.losses.ce, self.losses.kl) < 0 or self.losses.ce + self.losses.kl == 0:
            raise ConfigError("--ce and --kl must not be negative, and one of them above 0", param="kl")

    def facts(self) -> dict[str, Any]:
        """What the trained bits depend on."""
        calibration = self.calibration().digest()
        kept = ("batch", "own", "max_answer", "lr", "warmup", "chunk", "dtype", "seed")
        return {**{name: getattr(self, name) for name in kept}, **asdict(self.losses), "data": calibration}

    def calibration(self) -> Calibration:
        return Calibration(self.samples, self.max_tokens, MIX, seed=self.seed, path=self.path)


@dataclass(frozen=True)
class Tuned:
    """before, after: held-out means by depth (see Tally). seconds: of this call."""

    addon: ExitAddon
    steps: int
    before: Mapping[int, Mapping[str, float]]
    after: Mapping[int, Mapping[str, float]]
    seconds: float


def tune(model: str | Path, out: Path, config: TuneConfig, *, resume: bool = False, say: Say = print) -> Tuned:
    """Train exit heads for a model folder and write them to `out`.

    Raises:
        ConfigError: options that do not fit the model, no usable data, or a run to resume that was another.
        CheckpointError: the model can't be loaded, or layers that it does not have.
    """
    began = time.monotonic()
    folder = registry.locate(model)
    _check_out(out, folder, resume)
    spec = read_spec(folder, NO_EXITS)
    layers = config.layers or spec.exit_layers or tuple(end for _, end in spec.segments[:-1])
    check_layers(layers, spec.num_layers)
    config = replace(config, layers=layers, rank=config.rank or max(1, spec.hidden_size // RANK_SHARE))
    samples = calibrate.load(folder, config.calibration(), workers=config.workers)
    say(f"{len(samples)} conversations, exits after layers {', '.join(map(str, layers))}, rank {config.rank}")
    run = Tuning(folder, out, spec, config, samples, say)
    if resume and run.state_path.exists():
        run.load()
    return run.finish(began)


class Tuning:
    """One run. See `tune`."""

    def __init__(self, folder: Path, out: Path, spec: DecoderSpec, config: TuneConfig, samples: list[Sample], say: Say):
        if len(samples) < 2:
            raise ConfigError("tuning needs at least two conversations: one of them is held out", param="data")
        self.folder, self.out, self.spec, self.config, self.say = folder, out, spec, config, say
        self.backbone = backbone_digest(folder)
        self.state_path = out.with_name(out.name + STATE)
        assert config.rank is not None  # internal: resolved by `tune`
        self.heads = ExitHeads(config.layers, final_norm(folder, spec), config.rank, spec.eps, config.seed)
        # The engine cuts the decoder at the exits of an add-on: this one, not yet trained.
        start = save_addon(out.with_name(out.name + ".start"), self.backbone, self.heads.tensors(), {})
        longest = max(len(sample.ids) for sample in samples) + config.max_answer
        try:
            self.reader: BoundaryReader = open_reader(
                folder,
                spec,
                str(start.path),
                longest=longest,
                batch=min(16, config.batch),
                dtype=config.dtype,
                device=config.device,
            )
        finally:
            start.path.unlink()
        self.heads.to(self.reader.device)
        self.project: Project = head_of(self.reader.decoder, folder)
        # A step of Adam moves a matrix's outputs in proportion to its inputs (Yang et al. 2022, arXiv 2203.03466).
        self.rates = [
            config.lr * min(1.0, WIDTH / p.shape[-1] if p.dim() > 1 else 1.0) for p in self.heads.parameters()
        ]
        groups = [{"params": [p], "lr": rate} for p, rate in zip(self.heads.parameters(), self.rates, strict=True)]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
        self.steps: int | None = config.steps if config.minutes is None else None
        self.done, self.elapsed = 0, 0.0
        self.before: dict[int, dict[str, float]] = {}
        order = list(range(len(samples)))
        random.Random(f"held out/{config.seed}").shuffle(order)
        held = max(1, len(order) // HELD_OUT)
        self.samples = self._answered(samples) if config.own else samples
        self.held, self.learned = order[:held], order[held:]
        self.kept: dict[int, tuple[States, Tensor]] = {}
        self._room = config.cache

    def finish(self, began: float) -> Tuned:
        """Train what is left, write the add-on, forget the run's state."""
        if not self.before:
            self.before = self.measure()
            self._tell("held out, before", self.before)
        said = saved = time.monotonic()
        while self.steps is None or self.done < self.steps:
            start = time.monotonic()
            tallies = self.step()
            now = time.monotonic()
            self.elapsed += now - start
            if self.steps is None and self.done >= TIMED and self.config.minutes is not None:
                each = self.elapsed / self.done
                self.steps = max(self.done, round(60 * self.config.minutes / each))
            if now - said > self.config.say_every and self.steps is not None:
                said = now
                self._progress(tallies)
            if now - saved > self.config.save_every:
                saved = now
                self.save()
        after = self.measure()
        self._tell("held out, after", after)
        facts = {**self.config.facts(), "steps": self.done, "minutes": self.config.minutes}
        facts |= {"before": self.before, "after": after, "held_out": len(self.held)}
        addon = save_addon(self.out, self.backbone, self.heads.tensors(), facts)
        self.state_path.unlink(missing_ok=True)
        return Tuned(addon, self.done, self.before, after, time.monotonic() - began)

    def step(self) -> dict[int, Tally]:
        """One update; its batch follows from the seed and the number of the step."""
        config = self.config
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * self._schedule()
        parts = [self._states(index) for index in self._batch(self.done)]
        states = {depth: torch.cat([part[0][depth] for part in parts]).to(self.reader.device) for depth in parts[0][0]}
        targets = torch.cat([part[1] for part in parts]).to(self.reader.device)
        self.optimizer.zero_grad()
        tallies = self._look(states, targets, config.losses)
        torch.nn.utils.clip_grad_norm_(self.heads.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        return tallies

    def measure(self) -> dict[int, dict[str, float]]:
        """Means over the held-out conversations' tokens, by depth."""
        total: dict[int, Tally] = {}
        for index in self.held:
            states, targets = self._states(index)
            here = {depth: state.to(self.reader.device) for depth, state in states.items()}
            for depth, tally in self._look(here, targets.to(self.reader.device), None).items():
                sums = total.setdefault(depth, Tally())
                for name, value in vars(tally).items():
                    setattr(sums, name, getattr(sums, name) + value)
        return {depth: tally.means() for depth, tally in sorted(total.items())}

    def _look(self, states: States, targets: Tensor, losses: Losses | None) -> dict[int, Tally]:
        decoder = self.reader.decoder
        return pass_over(
            self.heads, states, targets, self.project, decoder.logits, chunk=self.config.chunk, losses=losses
        )

    def _schedule(self) -> float:
        """Warm-up, then linear to zero; flat while nobody knows how many steps there will be."""
        warm = min(1.0, (self.done + 1) / self.config.warmup)
        return warm if self.steps is None else warm * (1 - self.done / self.steps)

    def _batch(self, step: int) -> list[int]:
        """Conversations of a step: each once an epoch, in an order of the epoch's own."""
        size, count = self.config.batch, len(self.learned)
        chosen = []
        for place in range(step * size, (step + 1) * size):
            epoch, at = divmod(place, count)
            order = self.learned.copy()
            random.Random(f"{self.config.seed}/{epoch}").shuffle(order)
            chosen.append(order[at])
        return chosen

    def _states(self, index: int) -> tuple[States, Tensor]:
        """Boundary states on the CPU at each token before one of the reply, and the reply's tokens."""
        if index in self.kept:
            return self.kept[index]
        sample = self.samples[index]
        places = [at for at in sample.answer_positions if at > 0]
        found = self.reader.read(sample.ids, sample.media, [at - 1 for at in places])
        states = {depth: state.cpu() for depth, state in found.items()}
        made = states, torch.tensor([sample.ids[at] for at in places])
        size = sum(state.nbytes for state in states.values())
        if size <= self._room:
            self._room -= size
            self.kept[index] = made
        return made

    def _answered(self, samples: list[Sample]) -> list[Sample]:
        """The conversations with the model's own greedy answers, which is what its exits will have to draft."""
        made: list[Sample] = []
        began = said = time.monotonic()
        size = min(16, self.config.batch)
        for start in range(0, len(samples), size):
            some = samples[start : start + size]
            cuts = [sample.answer_positions[0] for sample in some]
            prompts = [(sample.ids[:cut], sample.media) for sample, cut in zip(some, cuts, strict=True)]
            answers = self.reader.answer(prompts, self.config.max_answer)
            for sample, cut, answer in zip(some, cuts, answers, strict=True):
                ids = (*sample.ids[:cut], *answer)
                made.append(replace(sample, ids=ids, answer_positions=tuple(range(cut, len(ids)))))
            if time.monotonic() - said > self.config.say_every:
                said = time.monotonic()
                left = (said - began) / len(made) * (len(samples) - len(made))
                self.say(f"answered {len(made)} of {len(samples)} conversations, {duration(left)} left")
        return made

    # Saying and saving

    def _progress(self, tallies: Mapping[int, Tally]) -> None:
        assert self.steps is not None  # internal: the caller looks
        left = self.elapsed / self.done * (self.steps - self.done)
        shown = "  ".join(f"{d}: {t.means()['kl']:.3f}/{t.means()['agrees']:.2f}" for d, t in self._exits(tallies))
        self.say(f"step {self.done}/{self.steps}, KL/agreement by exit  {shown}, {duration(left)} left")

    def _tell(self, title: str, means: Mapping[int, Mapping[str, float]]) -> None:
        for depth, row in means.items():
            exit_only = "" if depth == self.spec.num_layers else f"KL {row['kl']:.4f}, agrees {row['agrees']:.4f}, "
            self.say(f"{title}: {depth:>3} layers  {exit_only}loss {row['ce']:.4f}")

    def _exits(self, tallies: Mapping[int, Tally]) -> list[tuple[int, Tally]]:
        return [(depth, tally) for depth, tally in sorted(tallies.items()) if depth != self.spec.num_layers]

    def save(self) -> None:
        """The run so far, beside the file to come."""
        tensors = {f"heads.{name}": tensor for name, tensor in self.heads.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        facts = {"done": self.done, "steps": self.steps, "elapsed": self.elapsed, "before": self.before}
        header = {"run": json.dumps(self._identity(), sort_keys=True), "progress": json.dumps(facts)}
        part = self.state_path.with_name(self.state_path.name + ".part")
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, part, header)
        os.replace(part, self.state_path)

    def load(self) -> None:
        """Go on from what `save` wrote.

        Raises:
            ConfigError: it is of another run. CheckpointError: it can't be read.
        """
        try:
            with safe_open(self.state_path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            before, facts = json.loads(header["run"]), json.loads(header["progress"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise CheckpointError(f"{self.state_path} can't be resumed from: {error}; delete it") from error
        if before != json.loads(json.dumps(self._identity())):
            raise ConfigError(
                f"{self.state_path} is of a run with other options, data or weights: give the same ones, or start "
                "without --resume",
                param="resume",
            )
        self.heads.load_state_dict({n.removeprefix("heads."): t for n, t in tensors.items() if n.startswith("heads.")})
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                moments.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.done, self.steps, self.elapsed = int(facts["done"]), facts["steps"], float(facts["elapsed"])
        self.before = {int(depth): row for depth, row in facts["before"].items()}
        self.say(f"going on after step {self.done}")

    def _identity(self) -> dict[str, Any]:
        config = self.config
        length = {"steps": config.steps} if config.minutes is None else {"minutes": config.minutes}
        return {
            "backbone": self.backbone, "layers": list(config.layers), "rank": config.rank, **length, **config.facts()
        }  # fmt: skip


def duration(seconds: float) -> str:
    """As people say it: 42 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _check_out(out: Path, folder: Path, resume: bool) -> None:
    if out.exists():
        made = "finished; " if resume and read_addon(out) else ""
        raise ConfigError(f"{out} exists already ({made}delete it, or choose another --out)", param="out")
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out} must be a file that ends in .safetensors", param="out")
    if out.resolve().parent == folder:
        raise ConfigError(
            f"--out {out} would lie among the model's own weights; use {folder / 'graph' / out.name}", param="out"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
