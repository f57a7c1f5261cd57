"""What moves in a stage and how: frozen and trained parts, parameter groups, learning rates, averaged weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tessera.stages import Stage
from tessera.system import System

BETAS = (0.9, 0.95)  # what language models use: the second moment forgets within tens of steps
WARM_UP = 0.03  # share of a stage
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


def groups(stage: Stage) -> list[dict]:
    """Parameter groups: weight decay for matrices that multiply features, a factor on the rate where the stage says so."""
    factors: dict[nn.Parameter, float] = {}
    tables = {module.weight for top in stage.train for module in top.modules() if isinstance(module, nn.Embedding)}
    for module in stage.train:
        for parameter in module.parameters():
            factors.setdefault(parameter, 1.0)
    for module, factor in stage.rates.items():
        for parameter in module.parameters():
            factors[parameter] = factor
    sorted_out: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter, factor in factors.items():
        decays = parameter.ndim > 1 and parameter not in tables
        sorted_out.setdefault((factor, decays), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": stage.weight_decay if decays else 0.0}
        for (factor, decays), parameters in sorted_out.items()
    ]


def optimizer_for(stage: Stage) -> torch.optim.AdamW:
    """AdamW, fused."""
    return torch.optim.AdamW(groups(stage), lr=stage.lr, betas=BETAS, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, stage: Stage, progress: float) -> float:
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
