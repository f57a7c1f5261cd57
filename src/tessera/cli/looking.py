"""Commands that show: the systems there are, what one is made of, and the world."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.table import Table
from torch import Tensor

from tessera.cli.app import (
    Arguments,
    HeldOut,
    LanguageName,
    Leaning,
    LevelName,
    Preset,
    RunFolder,
    SystemName,
    app,
    arguments_of,
    console,
    picture_file,
    picture_side,
    progress,
    sampling_of_pictures,
    say,
    ticker,
    world_of,
)
from tessera.document import Document, Image, Text
from tessera.laws import Categorical
from tessera.system import System
from tessera.verbs import describe as describing
from tessera.verbs import recipes
from tessera.verbs.generate import requests_for, write
from tessera.verbs.ladder import through_codec
from tessera.verbs.weights import load, shipped
from tessera.world import Level, Scene, Skill, World, save_sheet
from tessera.world.certify import ROWS, Drawings, certify
from tessera.world.corruptions import Corruption
from tessera.world.export import export
from tessera.world.samples import samples

HOT = 2.0  # temperature of drawings that are to go wrong


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
    if run and (built.origin["recipe"] != system or arguments or preset != "default"):
        raise ValueError(
            f"describe: {system} with {len(arguments or [])} --set and --preset {preset} beside --run {run}, which is of "
            f"{built.origin['recipe']}, built as it was trained; name that, and leave --set and --preset out"
        )
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
    bias: Leaning = None,
    held_out: HeldOut = "",
    out: Annotated[Path, typer.Option(help="Where the contact sheet goes.")] = Path("world.png"),
    export_to: Annotated[Path | None, typer.Option("--export", help="Write a data set into this folder instead.")] = None,
    format: Annotated[str, typer.Option(help="llava, webdataset or coco.")] = "llava",
    split: Annotated[str, typer.Option(help="train, val, test, or the name of what is held out.")] = "train",
    certificate: Annotated[bool, typer.Option("--certify", help="Measure how far the oracle can be trusted (2,000 scenes).")] = False,
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", help="With --certify: what this draws is read too; a half-trained run, say."),
    ] = None,
) -> None:
    """Show the world: a contact sheet with captions and questions; or export data sets; or certify its oracle.

    Its certificate has pictures that were corrupted, garbage, and what shipped systems draw, as they do and too hot.
    """
    chosen = world_of(level, language, bias, held_out)
    with progress() as bars:
        tick = ticker(bars)
        if certificate:
            own = drawers(chosen.level)
            extra, drawn = codecs_of(own), drawings_of(chosen, own, runs or [])
            names = [*ROWS, *extra, *drawn]
            at = lambda row: tick("certify", names.index(row), len(names))
            found = certify(chosen.level, n or 2000, extra=extra, drawn=drawn, tick=at)
            bars.stop()
            say(found.markdown())
            raise typer.Exit(0 if found.passed else 1)
        if export_to:
            made = export(chosen, export_to, format, n or 1000, split, tick=lambda done, total: tick(format, done, total))
            say(f"{made.n} documents as {made.format} in {export_to}")
        else:
            written = save_sheet(picture_file(out), samples(chosen, n or 24, split))
            say(f"{n or 24} documents of {level} in {' with '.join(map(str, written))}")


def drawers(level: Level) -> dict[str, System]:
    """The systems that draw, with the weights shipped for a level."""
    there = {name: load(name, level=on) for name, on in shipped() if on == level.name}
    return {name: system for name, system in there.items() if system.draws}


def codecs_of(own: Mapping[str, System]) -> dict[str, Corruption]:
    """What the picture codecs of systems make of pictures of the level."""

    def through(system: System) -> Corruption:
        return lambda pictures, rng: torch.stack(through_codec(system, list(pictures)))

    return {f"through {name}'s codec": through(system) for name, system in own.items()}


def drawings_of(world: World, own: Mapping[str, System], runs: Sequence[Path]) -> dict[str, Drawings]:
    """What systems draw for whole captions: shipped ones, and too hot those that draw codes; and runs, as far as they have come.

    Drawn too hot, codes are wrong here and there, as those of a system are that has not learned enough.
    """
    hot = {f"{name}, temperature {HOT:g}": (system, HOT) for name, system in own.items() if draws_codes(system)}
    asked = {name: (system, None) for name, system in own.items()} | hot | {str(run): (load(run), None) for run in runs}
    return {name: partial(drawings, world, *one) for name, one in asked.items() if one[0].draws}


def draws_codes(system: System) -> bool:
    """Whether pictures are drawn code by code, at some temperature."""
    return system.draws and isinstance(system.port(Image(learn=True)).law, Categorical)


def drawings(world: World, system: System, temperature: float | None, n: int) -> tuple[Tensor, list[Scene]]:
    """What a system draws for so many captions of scenes, and these scenes."""
    asked = [world.prompted(Skill.CAPTION, i, "test") for i in range(n)]
    sampling = sampling_of_pictures(system, {"temperature": temperature})
    requests = requests_for([Document((Text(prompt.text), Image(learn=True))) for _, prompt in asked], seed=0, sampling=sampling)
    return torch.stack([one.pictures[0] for one in write(system, requests)]), [scene for scene, _ in asked]
