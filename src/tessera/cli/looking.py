"""Commands that show: the systems there are, what one is made of, and the world."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.table import Table

from tessera.cli.app import (
    Arguments,
    LanguageName,
    LevelName,
    Preset,
    RunFolder,
    SystemName,
    app,
    arguments_of,
    console,
    picture_side,
    progress,
    say,
    ticker,
    world_of,
)
from tessera.system import System
from tessera.verbs import describe as describing
from tessera.verbs import recipes
from tessera.verbs.ladder import through_codec
from tessera.verbs.weights import load, shipped
from tessera.world import Level, save_sheet
from tessera.world.certify import ROWS, certify
from tessera.world.corruptions import Corruption
from tessera.world.export import export
from tessera.world.samples import samples


@app.command(epilog="Example: tessera systems")
def systems() -> None:
    """List the recipes, what each is, and for which levels trained weights come with the library."""
    table = Table("system", "what it is", "weights")
    for name in recipes.names():
        table.add_row(name, recipes.summary(name), ", ".join(level for system, level in shipped() if system == name) or "-")
    console.print(table)


@app.command(
    epilog='Examples: tessera describe chameleon --document "a red circle / image*" · tessera describe show_o --page docs/systems/show_o.md'
)
def describe(
    system: SystemName,
    document: Annotated[str, typer.Option(help=describing.NOTATION + ".")] = "",
    preset: Preset = "default",
    arguments: Arguments = None,
    run: RunFolder = None,
    level: LevelName = "easy",
    page: Annotated[Path | None, typer.Option(help="Write the recipe's page here (Markdown); notes at its end stay.")] = None,
) -> None:
    """Show what a system is made of, and with --document every place, who predicts what from where, and the mask."""
    if page:
        notes = page.read_text().partition(describing.NOTES + "\n")[2] if page.is_file() else ""
        page.write_text(describing.page(system, notes))
        return
    weightless = not run and not document  # sizes alone need no memory
    with torch.device("meta") if weightless else nullcontext():
        built = load(run) if run else recipes.build(system, preset=preset, arguments=arguments_of(arguments))
    shown = describing.parse_document(document, world_of(level, "en"), picture_side(built)) if document else None
    console.print(describing.describe(built))
    if shown:
        console.print(describing.describe_document(built, shown))


@app.command(
    epilog="Examples: tessera world --level standard --out sheet.png · tessera world --export data --format llava 1000 · "
    "tessera world --certify"
)
def world(
    n: Annotated[int, typer.Argument(min=0, help="How many documents (for --certify: scenes).")] = 0,
    level: LevelName = "easy",
    language: LanguageName = "en",
    out: Annotated[Path, typer.Option(help="Where the contact sheet goes.")] = Path("world.png"),
    export_to: Annotated[Path | None, typer.Option("--export", help="Write a data set into this folder instead.")] = None,
    format: Annotated[str, typer.Option(help="llava, webdataset or coco.")] = "llava",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    certificate: Annotated[bool, typer.Option("--certify", help="Measure how far the oracle can be trusted (2,000 scenes).")] = False,
) -> None:
    """Show the world: a contact sheet with captions and questions; or export data sets; or certify its oracle."""
    chosen = world_of(level, language)
    with progress() as bars:
        tick = ticker(bars)
        if certificate:
            extra = codecs_of(chosen.level)
            names = [*ROWS, *extra]
            found = certify(chosen.level, n or 2000, extra=extra, tick=lambda row: tick("certify", names.index(row), len(names)))
            bars.stop()
            say(found.markdown())
            raise typer.Exit(0 if found.passed else 1)
        if export_to:
            made = export(chosen, export_to, format, n or 1000, split, tick=lambda done, total: tick(format, done, total))
            say(f"{made.n} documents as {made.format} in {export_to}")
        else:
            save_sheet(out, samples(chosen, n or 24, split))
            say(f"{n or 24} documents of {level} in {out}")


def codecs_of(level: Level) -> dict[str, Corruption]:
    """What the picture codecs of shipped weights make of pictures of the level."""

    def through(system: System) -> Corruption:
        return lambda pictures, rng: torch.stack(through_codec(system, list(pictures)))

    return {f"through {name}'s codec": through(load(name, level=on)) for name, on in shipped() if on == level.name}
