"""The folder of a run: what was run, on what, and what happened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.stages import Stage
from tessera.system import System
from tessera.verbs.machine import commit, machine, versions
from tessera.verbs.whole import whole

FACTS = ("commit", "versions", "machine")  # what a run was begun with, which may be another when it goes on
WATCHING = ("checkpoint_seconds", "glances", "recompute")  # settings that change nothing that is learned


@dataclass(frozen=True)
class Diary:
    """A run's folder; `write` adds a line to metrics.jsonl. `about` is what run.json is to say, where that is not written yet."""

    folder: Path
    about: Mapping[str, Any] = field(default_factory=dict)

    def sign(self) -> None:
        """Write run.json, whole or not at all. It comes behind the first checkpoint: a folder that has one can be resumed."""
        whole(self.folder / "run.json", lambda file: file.write_text(json.dumps(self.about, indent=1)))

    def write(self, entry: Mapping[str, Any]) -> None:
        """One JSON object, one line."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def forget(self, step: int) -> None:
        """Drop what was written behind a step: the run goes on from there and writes it again."""
        file = self.folder / "metrics.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        file.write_text("".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step))


def start_diary(folder: Path, system: System, settings: Mapping[str, Any], *, resume: bool, notes: Mapping[str, Any] | None) -> Diary:
    """Open the folder of a run. A new run needs a folder without one, and is to be signed; resuming needs the same recipe and settings."""
    file = folder / "run.json"
    stages = [plain(stage) for stage in system.stages]
    about = {"system": system.name, **getattr(system, "origin", {}), "stages": stages, "settings": dict(settings), **(notes or {})}
    if resume:
        if not file.exists():
            raise ValueError(f"train: --resume in {folder}, where no run.json is; the folder of a run is accepted; check the path")
        known = json.loads(file.read_text())
        for facts in (about, known):
            facts["settings"] = {name: value for name, value in facts["settings"].items() if name not in WATCHING}
        asked = json.loads(json.dumps(about))
        changed = [key for key in {**asked, **known} if key not in FACTS and known.get(key) != asked.get(key)]
        if changed:
            was = {key: known.get(key) for key in changed}
            raise ValueError(
                f"train: --resume in {folder} with other {', '.join(changed)} than it began with; it began with {was}; use the same"
            )
    elif file.exists():
        raise ValueError(f"train: {folder} holds a run already; a new folder is accepted; add --resume to go on, or choose another")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        return Diary(folder, {**about, **dict(zip(FACTS, (commit(), versions(), machine()), strict=True))})
    return Diary(folder)


def plain(stage: Stage) -> dict[str, Any]:
    """What a stage says that can be written down: its numbers, not its modules."""
    numbers = ("name", "documents", "batch", "lr", "decay", "weight_decay", "average", "carry")
    by_task = {name: {task.value: share for task, share in getattr(stage, name).items()} for name in ("mix", "emphasis")}
    return {**{name: getattr(stage, name) for name in numbers}, **by_task, "weights": dict(stage.weights)}


def training_facts(folder: Path, checkpoint: Path) -> dict[str, Any]:
    """How a run came to its checkpoint, for results: documents per stage, seconds (by the clock and of all cores), data and machine.

    `parts` are those trained apart from it and shared, with their own documents and seconds.
    """
    about = json.loads((folder / "run.json").read_text())
    facts = json.loads((checkpoint / "facts.json").read_text())
    kept = {key: value for key, value in about.items() if key not in ("system", "recipe", "arguments")}
    parts = facts["parts"]
    read = {stage: number for stage, number in facts["documents"].items() if stage not in parts}
    seconds = {name: round(number) for name, number in facts["at"].items() if name in ("seconds", "core_seconds")}
    return {**kept, "documents": sum(read.values()), "documents_by_stage": read, **seconds, "parts": parts}
