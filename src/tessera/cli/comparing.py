"""Commands that set systems side by side."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tessera.cli.app import Device, HeldOut, LanguageName, Leaning, LevelName, app, console, say, world_of
from tessera.cli.training import the_world
from tessera.system import System
from tessera.verbs import recipes
from tessera.verbs.contest import Budget, Trained, contest
from tessera.verbs.parts import Parts
from tessera.verbs.results import read_results
from tessera.verbs.tables import budget_table, put, seeds_table
from tessera.verbs.train import Settings, train
from tessera.world import World

BUDGET = Budget()


@app.command("compare", epilog="Examples: tessera compare chameleon show_o · tessera compare janus mine:build --seeds 3 --out runs/mine")
def compare_command(
    systems: Annotated[list[str], typer.Argument(metavar="SYSTEM...", help="Names of recipes, or your own as module:function.")],
    out: Annotated[Path, typer.Option(help="Folder of all runs; what lies there already is not trained again.")] = Path("runs/compare"),
    scale: Annotated[float, typer.Option(help="Multiplies the documents of every recipe.")] = BUDGET.scale,
    sweep: Annotated[float, typer.Option(help="The same for the runs that try learning rates.")] = BUDGET.sweep,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="What to multiply a recipe's learning rate by; may be repeated. By default .5, 1 and 2 are tried; one is taken."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train with so many seeds.")] = 1,
    level: LevelName = "easy",
    language: LanguageName = "en",
    bias: Leaning = None,
    held_out: HeldOut = "",
    device: Device = "auto",
) -> None:
    """Train systems under one budget: the same documents, the best of the same learning rates. Ctrl-C stops; called again, it goes on.

    Then judge each with `tessera evaluate --run`, and set them side by side with `tessera table`.
    """
    world, budget = world_of(level, language, bias, held_out), Budget(scale, sweep, tuple(rate or BUDGET.rates))
    settings = [Settings(seed=seed, device=device) for seed in range(seeds)]
    built = {name: recipes.build(name) for name in systems}  # what cannot be built is said before anything is trained
    found = {}
    for name, system in built.items():
        found[name] = contest(partial(trained_in, name, world), system.stages[-1], out / name.replace(":", "."), budget, settings)
    show(found)


def trained_in(name: str, world: World, folder: Path, settings: Settings) -> System:
    """A system trained from its beginning, or from where the folder's run stands."""
    built = recipes.build(name, seed=settings.seed)
    source, look, notes, _ = the_world(built, world)
    notes |= {"only_stages": [], "start": "", "fresh": False}
    resume = (folder / "run.json").exists()
    return train(built, source, folder, settings=settings, resume=resume, glance=look, notes=notes, parts=Parts(world.hash()))


def show(found: dict[str, Trained]) -> None:
    """What the sweep found, and where the runs are."""
    rates = sorted({rate for one in found.values() for rate in one.losses})
    table = Table("system", *(f"loss at rate {rate:g}" for rate in rates), "rate taken", "runs")
    for name, one in found.items():
        losses = (f"{one.losses[rate]:.4f}" if rate in one.losses else "-" for rate in rates)
        table.add_row(name, *losses, f"{one.rate:g}", ", ".join(str(run) for run in one.runs))
    console.print(table)
    say("judge each: tessera evaluate --run RUN; then: tessera table RUN/results/*.json ...")


@app.command(
    "table",
    epilog="Examples: tessera table runs/compare/*/seed-0/results/*.json · tessera table --seeds runs/compare/janus/seed-*/results/*.json",
)
def table_command(
    results: Annotated[list[Path], typer.Argument(help="Files that `tessera evaluate` wrote, of systems that learned under one budget.")],
    into: Annotated[
        Path | None,
        typer.Option(help="A page to put it in, between a line <!-- table --> (or seeds) and a line <!-- end -->; else it is printed."),
    ] = None,
    seeds: Annotated[bool, typer.Option("--seeds", help="They are of one system with several seeds: mean and standard deviation.")] = False,
) -> None:
    """Scores of several systems side by side, with intervals, what bounds them, and what each may use: a Markdown table."""
    make, place, rows = (seeds_table, "seeds", "seeds") if seeds else (budget_table, "table", "systems")
    made = make([read_results(path) for path in results])
    if into:
        put(into, place, made)
        say(f"{into}: {len(results)} {rows}")
    else:
        print(made)
