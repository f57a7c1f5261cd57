"""The command line. It joins recipes, data and verbs, and holds nothing else."""

import ast
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from PIL import Image as Pillow
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from tessera.codecs.text import train_bpe
from tessera.data import Dataset, Source, open_data
from tessera.data.images import decode
from tessera.document import Document, Image, Segment, Text
from tessera.laws.base import Sampling
from tessera.stages import Stage
from tessera.system import System
from tessera.verbs import describe as describing
from tessera.verbs import recipes
from tessera.verbs.evaluate import Plan, evaluate, glance, glance_data
from tessera.verbs.generate import write
from tessera.verbs.results import results, save_results, update_readme
from tessera.verbs.runs import training_facts
from tessera.verbs.train import Glance, Settings, Stopped, train
from tessera.verbs.weights import find, latest, load, metadata, restore, save, shipped
from tessera.verbs.writing import Request, Written
from tessera.world import LANGUAGES, LEVELS, Tile, World, save_sheet
from tessera.world.certify import ROWS, certify
from tessera.world.export import export
from tessera.world.samples import samples, texts

app = typer.Typer(
    help="Train, draw with, ask, take apart and compare models that read and write text and pictures.",
    no_args_is_help=True,
    add_completion=False,
)
console = Console()

SystemName = Annotated[str, typer.Argument(metavar="SYSTEM", help="A recipe's name (see `tessera systems`), or package.module:function.")]
Trained = Annotated[str, typer.Option("--system", help="Whose shipped weights to use.")]
RunFolder = Annotated[
    Path | None, typer.Option("--run", help="The folder of a training run, or a weights file, instead of shipped weights.")
]
LevelName = Annotated[str, typer.Option("--level", help="Level of the world: " + ", ".join(LEVELS) + ".")]
LanguageName = Annotated[str, typer.Option("--language", help="en, zh or both.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same result.")]


def world_of(level: str, language: str) -> World:
    """The world of these names."""
    if level not in LEVELS:
        raise ValueError(f"world: level {level!r}; there are {', '.join(LEVELS)}; choose one")
    return World(LEVELS[level], language)


def trained(system: str, run: Path | None, level: str) -> System:
    """Shipped weights, or those of a run."""
    if run and not run.exists():
        raise ValueError(f"run: {run} does not exist; the folder of a training run or a weights file is accepted; check the path")
    return load(run if run else system, level=level)


def picture_side(system: System) -> int:
    """Pixels along the side of the pictures a system reads."""
    codec = system.port(Image(learn=True)).codec
    return codec.decode([codec.blank(None)])[0].shape[-1]


def open_picture(path: Path, system: System) -> Tensor:
    """A picture file, scaled and cropped to what the system reads."""
    if not path.is_file():
        raise ValueError(f"picture: {path} is no file; a picture file is accepted; check the path")
    side = picture_side(system)
    return decode(path.read_bytes(), (side, side))


@app.command(epilog="Example: tessera systems")
def systems() -> None:
    """List the recipes, what each is, and for which levels trained weights come with the library."""
    table = Table("system", "what it is", "weights")
    for name in recipes.names():
        table.add_row(name, recipes.summary(name), ", ".join(level for system, level in shipped() if system == name) or "-")
    console.print(table)


@app.command(epilog='Example: tessera describe chameleon --document "a red circle / image*"')
def describe(
    system: SystemName,
    document: Annotated[str, typer.Option(help=describing.NOTATION + ".")] = "",
    preset: Annotated[str, typer.Option(help="Which sizes: " + ", ".join(recipes.PRESETS) + ".")] = "default",
    level: LevelName = "easy",
) -> None:
    """Show what a system is made of, and with --document every place, who predicts what from where, and the mask."""
    built = recipes.build(system, preset=preset)
    console.print(describing.describe(built))
    if document:
        console.print(describing.describe_document(built, describing.parse_document(document, world_of(level, "en"))))


@app.command(
    epilog="Examples: tessera world --level standard --out sheet.png · tessera world --export data --format llava 1000 · "
    "tessera world --certify"
)
def world(
    n: Annotated[int, typer.Argument(help="How many documents (for --certify: scenes).")] = 0,
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
    with Progress(console=console, transient=True) as bars:
        tick = ticker(bars)
        if certificate:
            found = certify(chosen.level, n or 2000, tick=lambda row: tick("certify", ROWS.index(row), len(ROWS)))
            bars.stop()
            console.print(found.markdown(), soft_wrap=True)
            raise typer.Exit(0 if found.passed else 1)
        if export_to:
            made = export(chosen, export_to, format, n or 1000, split, tick=lambda done, total: tick(format, done, total))
            console.print(f"{made.n} documents as {made.format} in {export_to}")
        else:
            save_sheet(out, samples(chosen, n or 24, split))
            console.print(f"{n or 24} documents of {level} in {out}")


@app.command(
    "train", epilog="Examples: tessera train chameleon · tessera train chameleon --data my_pictures --run runs/mine · ... --resume"
)
def train_command(
    system: SystemName,
    run: Annotated[Path | None, typer.Option("--run", help="The run's folder; runs/SYSTEM by default.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Your own pictures and texts, instead of the world: a folder with a .jsonl, LLaVA .json, WebDataset .tar."),
    ] = None,
    format: Annotated[str | None, typer.Option(help="folder, llava or webdataset, where it is not plain from --data.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out, and list them at the end.")] = False,
    level: LevelName = "easy",
    language: LanguageName = "en",
    preset: Annotated[str, typer.Option(help="Which sizes: " + ", ".join(recipes.PRESETS) + ".")] = "default",
    arguments: Annotated[list[str] | None, typer.Option("--set", help="An argument of the recipe, as name=value; may be repeated.")] = None,
    start: Annotated[str | None, typer.Option(help="Begin with these weights: a system's shipped ones, a file or a run.")] = None,
    stages: Annotated[list[str] | None, typer.Option("--stage", help="Only this stage; may be repeated.")] = None,
    scale: Annotated[float, typer.Option(help="Multiplies the documents of every stage.")] = 1.0,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    compile: Annotated[bool, typer.Option("--compile", help="Compile the trunk.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's latest checkpoint.")] = False,
) -> None:
    """Train a system through its stages, on the world or on your own pairs. Ctrl-C stops with a checkpoint."""
    built = recipes.build(system, preset=preset, arguments=parse_arguments(arguments or []), seed=seed)
    if start:
        restore(built, find(start, level=level))
    built.stages = chosen_stages(built, stages or [])
    folder = run or Path("runs") / system.replace(":", ".")
    settings = Settings(seed=seed, scale=scale, device=device, precision=precision, compile=compile)
    source: Source
    look: Glance
    notes: dict[str, Any]
    if data:
        side = picture_side(built)
        with Progress(console=console, transient=True) as bars:
            tick = ticker(bars)
            rows = open_data(
                data, (side, side), seed, skip_bad=skip_bad, format=format, tick=lambda done, total: tick("checking", done, total)
            )
        notes = {"data": str(data.resolve()), "rows": len(rows), "bad": len(rows.bad)}
        source, look = rows, lambda one, where, name: glance_data(one, rows, where, name)
    else:
        chosen = world_of(level, language)
        notes = {"level": level, "language": language, "world": chosen.hash()}
        source, look = chosen, lambda one, where, name: glance(one, chosen, where, name)
    try:
        train(
            built,
            source,
            folder,
            settings=settings,
            resume=resume,
            glance=look,
            notes={**notes, "only_stages": stages or [], "start": start or ""},
        )
    finally:
        report_bad(source)
    console.print(f"trained: {folder}; try `tessera draw --run {folder} ...` and `tessera evaluate --run {folder}`")


def parse_arguments(pairs: list[str]) -> dict[str, Any]:
    """name=value pairs; values are Python literals, or else words."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set: {pair!r}; name=value is accepted; for example --set width=256")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def chosen_stages(system: System, names: list[str]) -> tuple[Stage, ...]:
    """The stages of these names, in the system's order; all where none is named."""
    known = [stage.name for stage in system.stages]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{system.name}: stage {', '.join(unknown)}; there are {', '.join(known)}; choose among them")
    return tuple(stage for stage in system.stages if not names or stage.name in names)


def report_bad(source: Source) -> None:
    """The rows that were left out, all of them."""
    if isinstance(source, Dataset) and source.bad:
        console.print(f"{len(source.bad)} bad rows were left out:")
        for row in source.bad:
            console.print(f"  {row}", highlight=False, soft_wrap=True)


@app.command(epilog='Example: tessera draw "a red circle and a blue star" -n 8 --out drawing.png')
def draw(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    n: Annotated[int, typer.Option("-n", help="How many pictures.")] = 4,
    out: Annotated[Path, typer.Option(help="Where the picture goes; several make a sheet.")] = Path("drawing.png"),
    system: Trained = "chameleon",
    run: RunFolder = None,
    level: LevelName = "easy",
    seed: Seed = 0,
    guidance: Annotated[float | None, typer.Option(help="How much to lean on the prompt; 1 is not at all.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among the likeliest only.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the fewest that hold this probability.")] = None,
    steps: Annotated[int | None, typer.Option(help="Passes, for orders that may choose.")] = None,
    scale: Annotated[int, typer.Option(help="Enlarges pixels.")] = 8,
) -> None:
    """Draw pictures of a prompt."""
    loaded = trained(system, run, level)
    usual = loaded.port(Image(learn=True)).law.sampling
    asked: dict[str, Any] = {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p, "steps": steps}
    sampling = replace(usual, **{name: value for name, value in asked.items() if value is not None})
    pictures = [
        done.pictures[0] for done in ask_for(loaded, [((Text(prompt), Image(learn=True)), seed + i) for i in range(n)], {Image: sampling})
    ]
    if n == 1:
        picture = Pillow.fromarray(pictures[0].permute(1, 2, 0).numpy())
        picture.resize((picture.width * scale, picture.height * scale), Pillow.Resampling.NEAREST).save(out)
    else:
        save_sheet(out, [Tile(picture, (f"seed {seed + i}",)) for i, picture in enumerate(pictures)], scale=scale)
    console.print(f"{n} of {prompt!r} in {out} ({sampling})", highlight=False)


def ask_for(system: System, asked: Sequence[tuple[tuple[Segment, ...], int]], sampling: Mapping[type[Segment], Sampling]) -> list[Written]:
    """What a system writes for prompts with their seeds."""
    return write(system, [Request(Document(segments), seed, sampling) for segments, seed in asked])


@app.command(epilog='Example: tessera ask drawing.png "what colour is the star?"')
def ask(
    picture: Annotated[Path, typer.Argument(help="A picture file.")],
    question: Annotated[str, typer.Argument(help="A question about it.")],
    system: Trained = "chameleon",
    run: RunFolder = None,
    level: LevelName = "easy",
    seed: Seed = 0,
) -> None:
    """Answer a question about a picture."""
    loaded = trained(system, run, level)
    (done,) = ask_for(loaded, [((Image(open_picture(picture, loaded)), Text(question), Text(learn=True)), seed)], {})
    console.print(done.texts[0].strip(), highlight=False)


@app.command(epilog="Example: tessera caption drawing.png")
def caption(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.")],
    system: Trained = "chameleon",
    run: RunFolder = None,
    level: LevelName = "easy",
    seed: Seed = 0,
) -> None:
    """Say what pictures show."""
    loaded = trained(system, run, level)
    asked = [((Image(open_picture(picture, loaded)), Text(learn=True)), seed) for picture in pictures]
    for picture, done in zip(pictures, ask_for(loaded, asked, {}), strict=True):
        console.print(
            f"{picture}: {done.texts[0].strip()}" if len(pictures) > 1 else done.texts[0].strip(), highlight=False, soft_wrap=True
        )


@app.command("evaluate", epilog="Examples: tessera evaluate chameleon · tessera evaluate --run runs/chameleon --share 0.1")
def evaluate_command(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="Whose shipped weights to judge.")] = "chameleon",
    run: RunFolder = None,
    level: Annotated[str, typer.Option(help="Level of the world; of a run, by default the one it was trained on.")] = "",
    language: Annotated[str, typer.Option(help="en, zh or both; by default what it was trained on.")] = "",
    share: Annotated[float, typer.Option(help="Share of the cases; a score is published with all of them (1).")] = 1.0,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for the JSON, the page and the contact sheets; of a run, RUN/results.")] = None,
) -> None:
    """Score a system on the world: drawings by the oracle, captions, questions, and the ladder of what bounds them.

    All cases of shipped weights go to results/, and their headlines to the table of the README beside it.
    """
    loaded = trained(system, run, level or "easy")
    folder = run if run and run.is_dir() else None
    training = training_facts(folder, latest(folder)) if folder else metadata(find(run or system, level=level or "easy"))["notes"]
    chosen = world_of(level or training.get("level", "easy"), language or training.get("language", "en"))
    plan = replace(Plan().scaled(share) if share != 1 else Plan(), seed=seed)
    usual = chosen.level.name == "easy" and chosen.language == "en"
    name = loaded.name if usual else f"{loaded.name}-{chosen.level.name}-{chosen.language}"
    out = out or (folder / "results" if folder else Path("results") if share == 1 else Path("results-of-a-share"))
    sheets = out / "sheets" / name
    sheets.mkdir(parents=True, exist_ok=True)
    with Progress(console=console, transient=True) as bars:
        scores = evaluate(loaded, chosen, plan, folder=sheets, tick=ticker(bars))
    found = results(loaded, chosen, plan, scores, training=training)
    save_results(found, out / f"{name}.json")
    readme = out.parent / "README.md"
    if run is None and share == 1 and readme.exists() and "<!-- results -->" in readme.read_text():
        update_readme(readme, out)
    table = Table("score", "value", "95 % interval", "n")
    for key, score in scores.items():
        table.add_row(key, f"{score.value:.3f}", f"{score.ci95[0]:.3f} to {score.ci95[1]:.3f}", str(score.n))
    console.print(table)
    console.print(f"{out / (name + '.json')}, its page beside it, contact sheets in {sheets}", highlight=False)


@app.command(epilog="Example: tessera weights runs/chameleon chameleon.safetensors --half")
def weights(
    run: Annotated[Path, typer.Argument(help="The folder of a training run.")],
    out: Annotated[Path, typer.Argument(help="The weights file to write.")],
    half: Annotated[bool, typer.Option("--half", help="Store 16 bits a number.")] = False,
) -> None:
    """Write a run's latest weights as one file, with how they were trained; --run, --start and tessera.load take it."""
    save(load(run), out, dtype=torch.float16 if half else None, notes=training_facts(run, latest(run)))
    console.print(f"{out}: {out.stat().st_size / 2**20:.1f} MB")


@app.command(epilog="Example: tessera tokenizer bpe.json")
def tokenizer(
    out: Annotated[Path, typer.Argument(help="The tokenizer.json to write.")],
    size: Annotated[int, typer.Option(help="How many ids.")] = 1024,
    n: Annotated[int, typer.Option("-n", help="Documents of each task, level and language to learn from.")] = 1500,
) -> None:
    """Train a BPE on the world's texts, as the one that comes with the library was trained."""
    words = (text for level in LEVELS.values() for language in LANGUAGES for text in texts(World(level, language), n))
    train_bpe(words, size).save(str(out))
    console.print(f"{out}: {size} ids")


def ticker(bars: Progress) -> Callable[[str, int, int], None]:
    """One bar for each thing that is measured."""
    tasks: dict[str, Any] = {}

    def tick(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done)

    return tick


def main() -> None:
    """Run; a user's mistake is one red line, not a traceback."""
    try:
        app(standalone_mode=True)
    except (ValueError, FloatingPointError) as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, ValueError) else 1)
    except Stopped as stopped:
        console.print(str(stopped), highlight=False, soft_wrap=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
