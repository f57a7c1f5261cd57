"""The command for parts that systems share."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.table import Table

from tessera.cli.app import Device, HeldOut, LanguageName, Leaning, LevelName, Seed, app, console, world_of
from tessera.stages import Stage
from tessera.system import System
from tessera.verbs import recipes
from tessera.verbs.parts import SHIPPED, Parts, cache, is_part
from tessera.verbs.train import Settings, train


@app.command(epilog="Examples: tessera parts · tessera parts --make · tessera parts codec --make --level standard")
def parts(
    names: Annotated[list[str] | None, typer.Argument(metavar="[STAGE]...", help="Only parts of these stages.")] = None,
    make: Annotated[bool, typer.Option("--make", help="Train those that are missing, each once.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where to keep what is trained, instead of the cache.")] = None,
    level: LevelName = "easy",
    language: LanguageName = "en",
    bias: Leaning = None,
    held_out: HeldOut = "",
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """List the parts that are trained apart from systems and shared (codecs, eyes, decoders): whose they are, and what they cost."""
    world = world_of(level, language, bias, held_out)
    kept, systems = Parts(world.hash(), folder=out or cache()), [recipes.build(name) for name in recipes.names()]
    known = sorted({stage.name for system in systems for stage in apart(system)})
    if unknown := set(names or ()) - set(known):
        raise ValueError(f"parts: {', '.join(sorted(unknown))}; there are {', '.join(known)}; name one of these")
    if make:
        for system in systems:
            system.stages = tuple(apart(system, names or known))
            if system.stages and not all(kept.find(stage, system.stages[:i]) for i, stage in enumerate(system.stages)):
                with TemporaryDirectory() as folder:
                    train(system, world, Path(folder) / "run", settings=Settings(seed=seed, device=device, glances=0), parts=kept)
    console.print(table(kept, systems, names or known))


def apart(system: System, names: Sequence[str] | None = None) -> list[Stage]:
    """The stages that train a part: those of these names, and any before them that train something inside theirs."""
    stages = [stage for stage in system.stages if is_part(stage)]
    last = max((i for i, stage in enumerate(stages) if names is None or stage.name in names), default=-1)
    return stages[: last + 1]


def table(kept: Parts, systems: Sequence[System], names: Sequence[str]) -> Table:
    """One line for each part."""
    shared: dict[str, tuple[Stage, Sequence[Stage], list[str]]] = {}
    for system in systems:
        stages = apart(system)
        for i, stage in enumerate(stages):
            if stage.name in names:
                shared.setdefault(kept.name(stage, stages[:i]), (stage, stages[:i], []))[2].append(system.name)
    shown = Table("part", "systems", "documents", "minutes", "where")
    for name, (stage, before, users) in sorted(shared.items()):
        found = kept.find(stage, before)
        minutes = f"{found.facts['seconds'] / 60:.1f}" if found else "-"
        where = "missing: --make" if found is None else "library" if found.path.parent == SHIPPED else str(found.path.parent)
        shown.add_row(name, ", ".join(users), f"{stage.documents:,}", minutes, where)
    return shown
