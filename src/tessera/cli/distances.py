"""The command that holds sets of pictures against each other: folders, the world's, and what a system draws."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tessera.cli.app import (
    Denoising,
    Device,
    Guidance,
    LevelName,
    Nats,
    RunFolder,
    Seed,
    Steps,
    Temperature,
    TopK,
    TopP,
    Trained,
    going_on_from,
    progress,
    say,
    ticker,
    world_of,
)
from tessera.cli.benchmarks import Out, Sitting, SkipBad, benchmark, say_bad, sitting
from tessera.cli.scoring import Place, asked_about
from tessera.data.benchmarks import read_image_folder
from tessera.data.benchmarks.gather import file_at
from tessera.exams.distance import USUAL, Distance
from tessera.exams.extractors import NAMES, extractor
from tessera.exams.pictures import Drawings, Folder, PictureSet, Scenes
from tessera.scoring.sets import least
from tessera.verbs.answers import Answers, named_after
from tessera.verbs.distance import about_drawings, distance_results, drawn_by
from tessera.verbs.evaluate import Plan, Tick, answered
from tessera.verbs.machine import chosen_device
from tessera.world import Skill, World


@benchmark.command("distance", epilog="Example: tessera benchmark distance drawings val2014 --features inception --n 5000")
def distance_command(
    pictures: Annotated[Path | None, typer.Argument(help="A folder of pictures to judge.")] = None,
    other: Annotated[
        Path | None, typer.Argument(help="A folder of real pictures to hold them against; by default the world's of the test split.")
    ] = None,
    features: Annotated[str, typer.Option(help=f"What pictures are compared in, FID being inception's: {', '.join(NAMES)}.")] = "world",
    pixels: Annotated[
        int | None, typer.Option(min=1, help="Scale and crop all pictures to so many pixels a side, as for training.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=1, help=f"How many of each set; by default all of a folder, and of the others as many, or {USUAL}."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="What a system draws, a prompt a line; by default captions of the world's test scenes.")
    ] = None,
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    out: Out = None,
    skip_bad: SkipBad = False,
    guidance: Guidance = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    steps: Steps = None,
    denoising: Denoising = None,
    nats: Nats = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Two sets of pictures: the Fréchet distance (FID), KID, precision, recall, density and coverage.

    With --run or --system what it draws is judged, and the one folder is what it is held against.
    """
    paths = [folder for folder in (pictures, other) if folder]
    asked = dict(guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p, steps=steps, denoising=denoising, nats=nats)
    draws = bool(system or run)
    check(len(paths), draws, [name for name, value in {"prompts": prompts, **asked}.items() if value is not None])
    rows = [read_image_folder(folder, skip_bad=skip_bad) for folder in paths]
    folders = [Folder(path.resolve().name, row.items, pixels, seed) for path, row in zip(paths, rows, strict=True)]
    sat = sitting(system, run, level, out, seed, device, asked=asked) if draws else None
    world = asked_about(sat.training, "", "", None, "") if sat else world_of(level, "en")
    told = prompts_of(prompts, world, n or (folders[0].count if folders else USUAL)) if sat else []
    drawings = [Drawings(sat.name, told, sat.pixels, pixels)] if sat else []
    sets: list[PictureSet] = [*drawings, *folders, Scenes(world, pixels=pixels, first=len(told))]
    with progress() as bars:
        exam = Distance(extractor(features, chosen_device(device)), sets[0], sets[1], n, tick=ticker(bars))
        by, answers = drawn(sat, exam, ticker(bars)) if sat else ({}, [])
        report = exam.report(answers)
    found = distance_results(exam, report, [bad for row in rows for bad in row.bad], by)
    suffix = "" if features == "world" else f"-{features}"
    Place(out or (sat.out if sat else Path("benchmarks")), f"{sets[0].name}-distance-{sets[1].name}{suffix}").save(found, report)
    say_bad([bad for row in rows for bad in row.bad])
    if not exam.numbers.half:
        enough = least(exam.extractor.dim)
        say(f"There is no ceiling: halves of {sets[1].name} need {enough} pictures each, and it has {sets[1].count}.")


def check(folders: int, draws: bool, drawing: list[str]) -> None:
    """Raises ValueError for fewer or more than two sets, and for options of drawing where nothing is drawn."""
    if not 1 <= draws + folders <= 2:
        raise ValueError(
            f"distance: {draws + folders} sets of pictures were named; one folder, two, or a system's drawings and at most one are "
            "accepted; for example tessera benchmark distance drawings val2014"
        )
    if drawing and not draws:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in drawing)
        raise ValueError(f"distance: {named} without a system that draws; name one with --run or --system, or leave out {named}")


def prompts_of(file: Path | None, world: World, n: int) -> list[str]:
    """What is to be drawn: the lines of a file that are not empty, or captions of the world's test scenes."""
    if file is None:
        return [world.prompt(Skill.CAPTION, i, "test").text for i in range(n)]
    told = [line.strip() for line in file_at(file, "a file with a prompt in each line").read_text(encoding="utf-8").splitlines()]
    if not any(told):
        raise ValueError(f"data: {file} holds no prompts; a prompt a line is accepted; name another file")
    return [line for line in told if line]


def drawn(sat: Sitting, exam: Distance, tick: Tick) -> tuple[dict[str, Any], list]:
    """Who draws, and the drawings; what was drawn before is taken from where it is kept."""
    plan = Plan(cases={}, pictures=0, seed=sat.seed, sampling=sat.sampling)
    about = about_drawings(sat.system, exam.prompts, plan)
    folder = sat.out / "answers" / named_after(f"{sat.name}-distance", about)
    with going_on_from(folder):
        return drawn_by(sat.system, about, sat.training), answered(sat.system, exam, plan, Answers(folder, about), tick)
