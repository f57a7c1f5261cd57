"""What moves in a stage and how: frozen and trained parts, parameter groups, learning rates, averaged weights."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tessera.stages import Stage
from tessera.system import System
from tessera.trunk.headwise import CosineNorm, HeadwiseLayerNorm
from tessera.verbs.muon import Muon

BETAS = (0.9, 0.95)  # what language models use: the second moment forgets within tens of steps
WARM_UP = 0.03  # share of a stage
SPARED = (nn.Embedding, HeadwiseLayerNorm, CosineNorm)  # by weight decay, though they have rows
FLOOR = 0.02  # where the learning rate ends, as a share of its peak


def rate(progress: float, decay: str) -> float:
    """The learning rate at `progress` (0 to 1) through a stage, as a share of its peak: warm-up, then decay.

    "cosine" falls all the way; "trapezoid" stays at the peak and falls in a straight line over the last fifth; "constant"
    stays, for a later stage to fall.
    """
    if decay not in ("cosine", "trapezoid", "constant"):
        raise ValueError(f"stage: decay {decay!r}; there are cosine, trapezoid and constant; choose one")
    if progress < WARM_UP:
        return max(progress / WARM_UP, 1e-2)
    if decay == "constant":
        return 1.0
    if decay == "cosine":
        return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
    return FLOOR + (1 - FLOOR) * min(1.0, (1 - progress) / 0.2)


def thaw(system: System, stage: Stage) -> None:
    """Freeze everything but what the stage trains: frozen parts take no gradient and are in eval mode."""
    for learner in (system, stage.learner or system):
        learner.eval().requires_grad_(False)
    for module in stage.train:
        module.train().requires_grad_(True)


def matrices(system: System, stage: Stage) -> set[Tensor]:
    """The weights of linear layers that a stage trains in the trunk of what learns, all of it or some of its parts."""
    learner, trained = stage.learner or system, {part for module in stage.train for part in module.modules()}
    trunk = learner.trunk if isinstance(learner, System) else None
    inside: set[nn.Module] = set(trunk.modules()) & trained if isinstance(trunk, nn.Module) else set()
    return {part.weight for part in inside if isinstance(part, nn.Linear)}


def groups(stage: Stage, parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """Parameters in groups: weight decay for matrices that multiply features, a factor on the rate where the stage says so."""
    factors = {parameter: factor for module, factor in stage.rates.items() for parameter in module.parameters()}
    parts = [module for top in stage.train for module in top.modules()]
    spared = {parameter for module in parts if isinstance(module, SPARED) for parameter in module.parameters(recurse=False)}
    sorted_out: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in parameters:
        decays = parameter.ndim > 1 and parameter not in spared
        sorted_out.setdefault((factors.get(parameter, 1.0), decays), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": stage.weight_decay if decays else 0.0}
        for (factor, decays), parameters in sorted_out.items()
    ]


class Optimizers:
    """Optimizers as one, each of which moves parameters of its own; they keep their state in one place."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]):
        self.parts, self.state = parts, defaultdict[Tensor, Any](dict)
        for part in parts:
            part.state = self.state

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of all."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """Move everything."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad()

    def rehearse(self) -> None:
        """Take a step that moves nothing, so that it can be timed, with gradients of 0; all that was kept is forgotten."""
        for group in self.param_groups:
            group["lr"] = 0.0
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.zero_()
        self.step()
        self.state.clear()


def optimizer_for(system: System, stage: Stage, kind: str = "muon", *, precision: str = "float32") -> Optimizers:
    """Muon for the matrices of the trunk and AdamW for all else, or ("adamw") AdamW alone; both move at the stage's rate.

    Projections that stand in one matrix move as one. In `precision` "bfloat16" Muon rounds what it turns.
    """
    turned = matrices(system, stage) if kind == "muon" else set()
    parameters = dict.fromkeys(parameter for module in [*stage.train, *stage.rates] for parameter in module.parameters())
    parts: list[torch.optim.Optimizer] = []
    if mine := groups(stage, (parameter for parameter in parameters if parameter in turned)):
        parts.append(Muon(mine, lr=stage.lr, rounded=precision == "bfloat16"))
    if mine := groups(stage, (parameter for parameter in parameters if parameter not in turned)):
        parts.append(torch.optim.AdamW(mine, lr=stage.lr, betas=BETAS, fused=True))
    return Optimizers(parts)


def set_rate(optimizer: Optimizers, stage: Stage, progress: float) -> float:
    """Set the learning rates for this moment; returns that of the unscaled group."""
    lr = stage.lr * rate(progress, stage.decay)
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]
    return lr


class Average:
    """Exponential moving average of what a stage trains; `finish` puts it in place of the weights."""

    def __init__(self, parameters: Sequence[Tensor], decay: float):
        self.parameters, self.decay = list(parameters), decay
        self.shadow = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def follow(self) -> None:
        """One step towards the present weights."""
        torch._foreach_lerp_(self.shadow, self.parameters, 1 - self.decay)

    @torch.no_grad()
    def finish(self) -> None:
        """The weights become their average."""
        torch._foreach_copy_(self.parameters, self.shadow)
