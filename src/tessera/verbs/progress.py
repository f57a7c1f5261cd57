"""What a person sees of training: a live view on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from tessera.stages import Stage
from tessera.verbs.estimate import Estimate

PATIENCE = 15.0  # seconds between lines where there is no terminal


class Progress:
    """The view of one run: stage, documents, speed, time left, loss per port, and the latest scores."""

    def __init__(self, title: str):
        self.console, self.title = Console(), title
        speed = TextColumn("{task.fields[speed]}")
        self._bars = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), speed, TimeElapsedColumn(), TimeRemainingColumn()
        )
        self._losses: Mapping[str, float] = {}
        self._scores: Mapping[str, float] = {}
        self._begun = self._told = time.monotonic()
        self._live = Live(console=self.console, get_renderable=self._view, refresh_per_second=2) if self.console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, words: str) -> None:
        """A line that stays."""
        self.console.print(f"{self.title}: {words}", highlight=False, markup=False, soft_wrap=True)

    def begin(self, stage: Stage, first: int, estimate: Estimate) -> None:
        """A stage begins (or goes on from document `first`)."""
        self.say(f"stage {stage.name}, {stage.documents:,} documents: {estimate}")
        for task in self._bars.tasks:
            self._bars.update(task.id, completed=task.total)
        self._task = self._bars.add_task(stage.name, total=stage.documents, completed=first, speed="")
        self._losses, self._begun, self._first, self._total = {}, time.monotonic(), first, stage.documents

    def update(self, documents: int, losses: Mapping[str, float]) -> None:
        """Where the stage stands now."""
        self._losses = dict(losses)
        speed = (documents - self._first) / max(time.monotonic() - self._begun, 1e-9)
        self._bars.update(self._task, completed=documents, speed=f"{speed:,.0f} documents/s")
        if not self._live and (time.monotonic() - self._told > PATIENCE or documents == self._total):
            self._told = time.monotonic()
            left = (self._total - documents) / speed
            numbers = ", ".join(f"{port} {value:.4f}" for port, value in losses.items())
            self.say(f"{documents:,} of {self._total:,} documents, {speed:,.0f}/s, {left:.0f} s left; loss: {numbers}")

    def score(self, scores: Mapping[str, float]) -> None:
        """The latest scores."""
        self._scores = dict(scores)
        if not self._live and scores:
            self.say("scores: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items()))

    def _view(self) -> Group:
        table = Table.grid(padding=(0, 2))
        if self._losses:
            table.add_row("loss", *(f"{port} {value:.4f}" for port, value in self._losses.items()))
        if self._scores:
            table.add_row("scores", *(f"{name} {value:.2f}" for name, value in self._scores.items()))
        return Group(self._bars, table)
