"""Structured pruning: MLP channels and key-value groups of heads that matter least for their layer's output go.

A channel's importance is the energy that it brings to the output, H_jj ‖w_j‖² with H the second moment of the inputs of
the projection that ends the block: Wanda's metric (Sun et al. 2023) summed over outputs, on activations as Minitron
(Muralidharan et al. 2024) gathers them. What remains takes over, by least squares on the same H, what was taken away:
W' = W H[:, k] (H[k, k] + λ)⁻¹, the joint form of the optimal brain surgeon's update. Layers stream one at a time
through the pruned model's own states.

`pattern: "2:4"` instead zeroes two of four neighbouring columns by |w| √H_jj (Wanda) and keeps every shape: it saves no
bytes by itself, and only hardware with 2:4 kernels can use it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoglm_phone.compress.files import write_text
from autoglm_phone.compress.recipe import Recipe, Step
from autoglm_phone.compress.statistics import matrices, observe
from autoglm_phone.compress.task import Task
from autoglm_phone.compress.units import Unit
from autoglm_phone.compress.walk import Visit

DOWN, GATE_UP, OUT = "mlp.down_proj", "mlp.gate_up_proj", "self_attn.o_proj"


def width_after(width: int, share: float, multiple: int = 0) -> int:
    """The width that is left of an MLP: the nearest multiple, 256 for large models (K-quants need it) and 32 below."""
    step = _multiple(width, multiple)
    return max(step, round(width * (1 - share) / step) * step) if share else width


def _multiple(width: int, multiple: int) -> int:
    return multiple or (256 if width >= 2048 else 32)


def _narrowed(width: int, option: str, step: Step, recipe: Recipe) -> int:
    """The width that an option leaves. Raises ConfigError if that is all there was, or none."""
    share, multiple = step.options[option], _multiple(width, step.options["multiple"])
    made = width_after(width, share, multiple)
    if share and made >= width:
        raise recipe.error(
            step.line_of(option),
            f"{option}: {share} takes none of the {width} channels away, for their number stays a multiple of "
            f"{multiple}; ask for more, or give a smaller multiple",
        )
    if share and round(width * (1 - share) / multiple) < 1:
        raise recipe.error(
            step.line_of(option),
            f"{option}: {share} leaves {width * (1 - share):.1f} of the {width} channels, not even the {multiple} that "
            "their number is a multiple of; ask for less, or give a smaller multiple",
        )
    return made


def pruned_config(raw: Mapping[str, Any], step: Step, recipe: Recipe) -> dict[str, Any]:
    """config.json after the step, uniform widths.

    Raises:
        ConfigError: the family's format can't say what the step makes; names the line.
    """
    config = copy.deepcopy(dict(raw))
    options = step.options
    if raw.get("model_type") == "glm4v":
        for name in ("heads", "towers"):
            if options[name]:
                why = "derives a head's size from hidden_size / heads" if name == "heads" else "ties the widths"
                raise recipe.error(step.line_of(name), f"prune {name}: GLM-4.1V's config.json {why}; prune mlp instead")
        if options["allocate"] != "uniform":
            raise recipe.error(step.line_of("allocate"), "GLM-4.1V's config.json holds one width for all layers")
        text = config.get("text_config") or config
        text["intermediate_size"] = _narrowed(text["intermediate_size"], "mlp", step, recipe)
        return config
    config["intermediate_size"] = _narrowed(raw["intermediate_size"], "mlp", step, recipe)
    groups = raw["num_key_value_heads"]
    kept = round(groups * (1 - options["heads"]))
    if options["heads"] and kept in (0, groups):
        which = "all" if kept == 0 else "none"
        raise recipe.error(
            step.line_of("heads"), f"heads: {options['heads']} takes {which} of the {groups} key-value groups away"
        )
    config["num_attention_heads"] = raw["num_attention_heads"] // groups * kept
    config["num_key_value_heads"] = kept
    for tower in ("vision_config", "audio_config"):
        width = raw[tower]["intermediate_size"]
        config[tower]["intermediate_size"] = _narrowed(width, "towers", step, recipe)
    return config


def prune(task: Task) -> Path:
    """Write the pruned checkpoint to the task's folder.

    Returns:
        the model's folder; report.json beside it holds each layer's relative output error.
    """
    raw = task.config()
    config = pruned_config(raw, task.step, task.recipe)
    widths = _allocate(task, config, raw)
    if widths is not None:
        config["intermediate_sizes"] = widths
    errors: dict[str, float] = {}
    for visit in task.walk():
        tensors, losses = task.unit(visit.unit, partial(_prune_unit, visit, task.step, config, widths))
        install(visit.module, tensors)
        for name, loss in losses.items():
            errors[visit.unit.prefix + name] = loss
            task.say(f"prune {visit.unit.prefix}{name}: output error {loss:.2e}")
    return task.write(config, {"errors": errors})


def install(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put pruned tensors, whatever their shapes, into a unit's module; heads are counted anew."""
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        holder = module.get_submodule(owner)
        old = holder.get_parameter(leaf)
        setattr(holder, leaf, nn.Parameter(tensor.to(old), requires_grad=False))
    attention: Any = getattr(module, "self_attn", None)
    if attention is not None:
        attention.heads = attention.q_proj.weight.shape[0] // attention.head_dim
        attention.kv_heads = attention.k_proj.weight.shape[0] // attention.head_dim


def _prune_unit(
    visit: Visit, step: Step, config: Mapping[str, Any], widths: Sequence[int] | None
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Changed tensors by name in the unit, and relative output errors of the projections that lost inputs."""
    made: dict[str, Tensor] = {}
    losses: dict[str, float] = {}
    unit, module, options = visit.unit, visit.module, step.options
    if options["pattern"]:
        return _sparse(visit)
    if options["heads"] and unit.name.startswith("model.layers."):
        attention: Any = module.get_submodule("self_attn")
        moments = _moments(visit, OUT)
        dim, repeat = attention.head_dim, attention.heads // attention.kv_heads
        energy = energies(attention.o_proj.weight, moments).view(attention.kv_heads, repeat * dim).sum(-1)
        groups = _best(energy, config["num_key_value_heads"])
        columns = _spread(groups, repeat * dim)
        weight, losses[OUT] = absorb(attention.o_proj.weight, moments, columns, options)
        made[OUT + ".weight"] = weight
        for name, rows in (("q_proj", columns), ("k_proj", _spread(groups, dim)), ("v_proj", _spread(groups, dim))):
            for part, tensor in attention.get_submodule(name).named_parameters():
                made[f"self_attn.{name}.{part}"] = tensor[rows]
        install(module, made)
    width = _width(unit, config, widths)
    if width is not None and width < matrices(module)[DOWN].weight.shape[1]:
        linears = matrices(module)
        moments = _moments(visit, DOWN)
        old = linears[DOWN].weight.shape[1]
        keep = _best(energies(linears[DOWN].weight, moments), width)
        weight, losses[DOWN] = absorb(linears[DOWN].weight, moments, keep, options)
        made[DOWN + ".weight"] = weight
        made[GATE_UP + ".weight"] = linears[GATE_UP].weight[torch.cat([keep, keep + old])]
    return made, losses


def _width(unit: Unit, config: Mapping[str, Any], widths: Sequence[int] | None) -> int | None:
    """The MLP width of a unit after pruning; None where it has no MLP that is pruned."""
    kind, _, index = unit.name.removeprefix("model.").partition(".")
    if kind == "layers":
        if widths is not None:
            return widths[int(index)]
        return int((config.get("text_config") or config)["intermediate_size"])
    if config.get("model_type") != "glm4v" and kind in ("vision", "audio") and index.startswith("blocks."):
        return int(config[f"{kind}_config"]["intermediate_size"])
    return None


def _moments(visit: Visit, name: str) -> Tensor:
    seen = observe(visit.unit, visit.module, visit.states, [name], visit.device).moments.get(name)
    columns = matrices(visit.module)[name].weight.shape[1]
    return torch.eye(columns, device=visit.device) if seen is None else seen.hessian


def energies(weight: Tensor, hessian: Tensor) -> Tensor:
    """Energy that each input [C] of a projection [R, C] brings to its output."""
    return weight.float().square().sum(0) * hessian.diagonal()


def absorb(weight: Tensor, hessian: Tensor, keep: Tensor, options: Mapping[str, Any]) -> tuple[Tensor, float]:
    """(the projection on the inputs that stay [R, K], relative output error tr(E H Eᵀ) / tr(W H Wᵀ))."""
    made = weight[:, keep]
    if options["compensate"]:
        inner = hessian[keep][:, keep].clone()
        inner.diagonal().add_(options["damping"] * hessian.diagonal().mean())
        factor = torch.linalg.cholesky(inner)
        # A ridge towards the weights there are: W' = W_k + W_rest H[rest, k] (H[k, k] + λ)⁻¹.
        rest = torch.ones(weight.shape[1], dtype=torch.bool, device=weight.device)
        rest[keep] = False
        made = made + torch.cholesky_solve((weight[:, rest] @ hessian[rest][:, keep]).T, factor).T
    error = weight.clone()
    error[:, keep] -= made
    base = (weight @ hessian * weight).sum().clamp_min(1e-30)
    return made, float((error @ hessian * error).sum() / base)


def two_of_four(weight: Tensor, hessian: Tensor) -> Tensor:
    """The weight with the two least of every four neighbouring columns zeroed."""
    score = (weight.abs() * hessian.diagonal().clamp_min(0).sqrt()).view(weight.shape[0], -1, 4)
    keep = torch.zeros_like(score, dtype=torch.bool).scatter_(-1, score.topk(2, -1).indices, True)
    return weight * keep.view_as(weight)


def _sparse(visit: Visit) -> tuple[dict[str, Tensor], dict[str, float]]:
    if not visit.unit.name.startswith("model.layers."):
        return {}, {}
    linears = {n: c for n, c in matrices(visit.module).items() if n.split(".")[0] in ("self_attn", "mlp")}
    seen = observe(visit.unit, visit.module, visit.states, linears, visit.device).moments
    made, losses = {}, {}
    for name, child in linears.items():
        weight = child.weight.float()
        if weight.shape[1] % 4 == 0:
            zeroed = two_of_four(weight, seen[name].hessian)
            error, hessian = weight - zeroed, seen[name].hessian
            made[name + ".weight"] = zeroed
            losses[name] = float((error @ hessian * error).sum() / (weight @ hessian * weight).sum().clamp_min(1e-30))
    return made, losses


def _best(score: Tensor, count: int) -> Tensor:
    """Indices of the largest, in their old order."""
    return score.topk(count).indices.sort().values


def _spread(groups: Tensor, size: int) -> Tensor:
    return (groups[:, None] * size + torch.arange(size, device=groups.device)).flatten()


def _allocate(task: Task, config: Mapping[str, Any], raw: Mapping[str, Any]) -> list[int] | None:
    """Widths by layer where the recipe asks for `allocate: sensitivity`, from one pass of the float model."""
    options = task.step.options
    if options["allocate"] == "uniform" or not options["mlp"]:
        return None
    path = task.folder / "widths.json"
    if not path.exists():
        gains: list[Tensor] = []
        for visit in task.walk():
            if visit.unit.name.startswith("model.layers."):
                energy = energies(matrices(visit.module)[DOWN].weight, _moments(visit, DOWN))
                gains.append((energy / energy.sum()).sort(descending=True).values.cpu())
        multiple = _multiple(raw["intermediate_size"], options["multiple"])
        write_text(path, json.dumps(spend(gains, config["intermediate_size"] * len(gains), multiple)))
    widths = json.loads(path.read_text())
    task.say(f"widths by layer: {widths}")
    return [int(width) for width in widths]


def spend(gains: Sequence[Tensor], total: int, multiple: int) -> list[int]:
    """Widths, multiples that add up to `total`, which keep the most energy; gains: each layer's, falling."""
    blocks = sorted(
        (
            (float(gain[i : i + multiple].sum()), layer)
            for layer, gain in enumerate(gains)
            for i in range(multiple, len(gain) - multiple + 1, multiple)
        ),
        reverse=True,
    )
    widths = [multiple] * len(gains)
    for _, layer in blocks[: (total - sum(widths)) // multiple]:  # falling gains: a layer's blocks come in order
        widths[layer] += multiple
    return widths
