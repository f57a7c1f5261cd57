"""A fair contest: every system learns from as many documents, at the best of the same few learning rates."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tessera.stages import Stage
from tessera.system import System
from tessera.verbs.train import Settings

END = 0.2  # share of a stage, at its end, over which the loss is taken
Train = Callable[[Path, Settings], System]  # train the system from its beginning in a folder, or go on there


@dataclass(frozen=True)
class Budget:
    """What every system may use: `scale` times the documents of its recipe, and before that `sweep` times them at each of the rates."""

    scale: float = 2.0
    sweep: float = 0.2
    rates: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __post_init__(self):
        if not self.rates or min(self.rates) <= 0 or self.scale <= 0 or self.sweep <= 0:
            rates = ", ".join(f"{rate:g}" for rate in self.rates) or "none"
            raise ValueError(
                f"compare: rates {rates}, scale {self.scale:g}, sweep {self.sweep:g}; one rate or more, and numbers above 0, are accepted; "
                "change the one outside"
            )


@dataclass(frozen=True)
class Trained:
    """A system after the contest: the run of each seed, and the losses that the sweep ended in (none where one rate was given)."""

    runs: Sequence[Path]
    rate: float
    losses: Mapping[float, float]


def contest(train: Train, stage: Stage, folder: Path, budget: Budget, settings: Sequence[Settings]) -> Trained:
    """Try all rates, take the one that ends `stage`, the system's last, in the least loss, and train with it, once for each of `settings`.

    The folder receives runs named rate-R and seed-S. What is there already is not trained again, and what was stopped goes on.
    """
    losses = {}
    for rate in budget.rates if len(budget.rates) > 1 else ():
        run = folder / f"rate-{rate:g}"
        train(run, replace(settings[0], scale=budget.sweep, rate=rate, glances=0))
        losses[rate] = end_loss(run, stage)
    best = min(losses, key=losses.__getitem__) if losses else budget.rates[0]
    runs = [folder / f"seed-{one.seed}" for one in settings]
    for run, one in zip(runs, settings, strict=True):
        train(run, replace(one, scale=budget.scale, rate=best))
    return Trained(runs, best, losses)


def end_loss(run: Path, stage: Stage) -> float:
    """The weighted loss that a run came to: the mean over the last `END` of this stage.

    No document comes twice, so it is that of documents never seen. Raises ValueError where the run tells of none.
    """
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    mine = [line for line in lines if line["stage"] == stage.name and "loss" in line]
    if not mine:
        raise ValueError(f"compare: {run} tells of no loss in stage {stage.name}; runs of `tessera train` do; remove it, and train anew")
    last = [line["loss"] for line in mine if line["documents"] >= (1 - END) * mine[-1]["documents"]]
    mean = lambda port: sum(losses.get(port, 0.0) for losses in last) / len(last)
    return sum(stage.weights.get(port, 1.0) * mean(port) for port in mine[-1]["loss"])
