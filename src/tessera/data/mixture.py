"""Which document comes when: several sources as one, and the order in which training asks for tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tessera.data.source import Source, listed
from tessera.document import Document, Task
from tessera.world.dice import Dice


class Mixture:
    """Several sources as one: each document comes from one of those that offer its task, as likely as its weight.

    A weight is a number, or one for each task (`Dataset.counts`: then every row is as likely as any other of its task). A source is asked
    for the mixture's index, so it gives only its share of each pass over its rows.
    """

    def __init__(self, sources: Sequence[Source], weights: Sequence[float | Mapping[Task, float]] | None = None, *, seed: int = 0):
        weights = [1.0] * len(sources) if weights is None else list(weights)
        by_task = [one if isinstance(one, Mapping) else dict.fromkeys(Task, one) for one in weights]
        if not sources or len(weights) != len(sources) or min(min(one.values(), default=0) for one in by_task) <= 0:
            raise ValueError(f"mixture: {len(sources)} sources with weights {weights}; give each source one weight above 0")
        self._weighted, self._seed = list(zip(sources, by_task, strict=True)), seed

    @property
    def tasks(self) -> frozenset[Task]:
        return frozenset().union(*(source.tasks for source, _ in self._weighted))

    def document(self, task: Task, index: int) -> Document:
        offers = [(source, weights[task]) for source, weights in self._weighted if task in source.tasks]
        if not offers:
            raise ValueError(f"mixture: no source offers {task.value}; offered are {listed(self.tasks)}; ask for one of these")
        return Dice(self._seed, "mixture", task.value, index).weighted(*zip(*offers, strict=True)).document(task, index)


@dataclass(frozen=True)
class Schedule:
    """Which document comes at each step of training: `task, index = schedule[number]`, for any number from 0 on.

    Each number is drawn by itself, so training resumes anywhere, and index is number: over as many documents as a data set
    has rows, one pass shows every row once, under one of its tasks. `shares` add up to 1. `note` says, for people, which
    tasks of the mix nobody offers; it is empty where all are offered.
    """

    shares: dict[Task, float]
    seed: int
    note: str = ""

    def __getitem__(self, number: int) -> tuple[Task, int]:
        return Dice(self.seed, "schedule", number).weighted(list(self.shares), list(self.shares.values())), number


def schedule(source: Source, mix: Mapping[Task, float], seed: int = 0) -> Schedule:
    """The schedule of this mix over what the source offers; what nobody offers leaves its weight to the others."""
    if any(weight < 0 for weight in mix.values()):
        raise ValueError(f"schedule: weights {shown(mix)}; a weight is 0 or more; mend the mix")
    asked = {task: mix[task] for task in Task if mix.get(task)}
    offered = {task: weight for task, weight in asked.items() if task in source.tasks}
    if not offered:
        raise ValueError(f"schedule: the mix asks for {listed(asked)}; the source offers {listed(source.tasks)}; name one of these")
    shares = {task: weight / sum(offered.values()) for task, weight in offered.items()}
    missing = asked.keys() - offered.keys()
    note = f"the source does not offer {listed(missing)}; the mix is {shown(shares)}" if missing else ""
    return Schedule(shares, seed, note)


def shown(weights: Mapping[Task, float]) -> str:
    """Tasks with their weights for a message."""
    return ", ".join(f"{task.value} {weight:.3g}" for task, weight in weights.items())
