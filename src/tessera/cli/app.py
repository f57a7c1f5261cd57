"""What the commands share: the application, the options that several of them have, and what those stand for."""

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image as Pillow
from rich.console import Console
from rich.progress import Progress

from tessera.codecs.base import PictureCodec
from tessera.data import open_picture
from tessera.document import Document, Image, Segment
from tessera.hub import load_published
from tessera.laws.base import Sampling
from tessera.system import System
from tessera.verbs.machine import chosen_device
from tessera.verbs.recipes import PRESETS
from tessera.verbs.runs import training_facts
from tessera.verbs.train import Stopped
from tessera.verbs.weights import find, latest, load, metadata, shipped
from tessera.world import LEVELS, Level, World
from tessera.world.bias import Bias
from tessera.world.heldout import HELD_OUT

app = typer.Typer(
    help="Train, draw with, ask, take apart and compare models that read and write text and pictures.",
    no_args_is_help=True,
    add_completion=False,
)
console, errors = Console(), Console(stderr=True)

SystemName = Annotated[str, typer.Argument(metavar="SYSTEM", help="A recipe's name (see `tessera systems`), or package.module:function.")]
Trained = Annotated[str, typer.Option("--system", help="Whose shipped weights to use; by default the first that `tessera systems` lists.")]
RunFolder = Annotated[
    Path | None, typer.Option("--run", help="The folder of a training run, or a weights file, instead of shipped weights.")
]
HubModel = Annotated[str, typer.Option("--hub", help="A published model in place of ours: a folder, or owner/name on the hub.")]
TrustPickle = Annotated[bool, typer.Option("--trust-pickle", help="Open weights that are pickles; nothing but tensors is built of them.")]
LevelName = Annotated[str, typer.Option("--level", help="Level of the world: " + ", ".join(LEVELS) + ".")]
LanguageName = Annotated[str, typer.Option("--language", help="en, zh or both.")]
Leaning = Annotated[
    list[str] | None, typer.Option("--bias", help="Let the world lean: alpha=0.7, topic=0.9, affinity=0.5 or the like; may be repeated.")
]
HeldOut = Annotated[
    str, typer.Option("--held-out", help="Keep something out of training, to be tested apart: " + ", ".join(HELD_OUT) + ".")
]
Preset = Annotated[str, typer.Option(help="Which sizes: " + ", ".join(PRESETS) + ".")]
Arguments = Annotated[list[str] | None, typer.Option("--set", help="An argument of the recipe, as name=value; may be repeated.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same result.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Guidance = Annotated[float | None, typer.Option(help="How much a picture leans on the prompt: 1 as trained, more is more.")]
Temperature = Annotated[float | None, typer.Option(help="0 takes the likeliest.")]
TopK = Annotated[int | None, typer.Option(help="Draw among so many of the likeliest only.")]
TopP = Annotated[float | None, typer.Option(help="Draw among the fewest that hold this probability.")]
Steps = Annotated[int | None, typer.Option(help="Passes, for orders that may choose.")]
Denoising = Annotated[int | None, typer.Option(min=1, help="Steps from noise to each part of a picture, where parts are denoised.")]
Nats = Annotated[
    float | None, typer.Option(min=0, help="Nats that parts drawn in one pass may hold in common, where an order may choose: surest first.")
]
Longest = Annotated[int, typer.Option(help="The most ids a text may have.")]


def say(words: str, to: Console = console) -> None:
    """A line as it is: no markup is read out of it, and nothing is broken off."""
    to.print(words, highlight=False, markup=False, emoji=False, soft_wrap=True)


def world_of(level: str, language: str, bias: list[str] | None = None, held_out: str = "") -> World:
    """The world of these names and knobs."""
    if level not in LEVELS:
        raise ValueError(f"world: level {level!r}; there are {', '.join(LEVELS)}; choose one")
    knobs, known = arguments_of(bias, "--bias"), [field.name for field in fields(Bias)]
    for name, value in knobs.items():
        if name not in known or not isinstance(value, int | float):
            raise ValueError(f"--bias: {name}={value}; numbers for {', '.join(known)} are accepted; for example --bias topic=0.9")
    return World(LEVELS[level], language, Bias(**knobs), held_out or None)


def named(system: str) -> str:
    """The system asked for, or the first with weights in the library."""
    if not system and not shipped():
        raise ValueError("load: no weights come with this library; name a run with --run, or train one: `tessera train SYSTEM`")
    return system or shipped()[0][0]


def trained(system: str, run: Path | None, level: str, device: str, hub: str = "", trust_pickle: bool = False) -> System:
    """Shipped weights, or those of a run, or a published model."""
    given = {"--system": system, "--run": run, "--hub": hub}
    if sum(map(bool, given.values())) > 1:
        said = " and ".join(f"{option} {value}" for option, value in given.items() if value)
        raise ValueError(f"load: {said}; one of them is accepted; leave out the others")
    if hub:
        return load_published(hub, device=chosen_device(device), trust_pickle=trust_pickle)
    return load(run if run else named(system), level=level, device=device)


def how_trained(system: str, run: Path | None, level: str) -> Mapping[str, Any]:
    """How shipped weights, a run's or a file's came to be."""
    if run and run.is_dir():
        return training_facts(run, latest(run))
    return metadata(find(run or named(system), level=level))["notes"]


def shown(system: System, picture: Path) -> Image:
    """A picture file as the system wants it: by its own manners where it has some."""
    if system.manners:
        return Image(system.manners.picture(open_picture(picture)))
    return Image(open_picture(picture, picture_side(system)))


def put(system: System, document: Document) -> Document:
    """A document as the system is used to hearing it."""
    return system.manners.document(document) if system.manners else document


def picture_side(system: System) -> int:
    """Pixels along the side of the pictures a system takes."""
    codec = next((port.codec for port in system.ports if port.kind is Image), None)
    if codec is None:
        raise ValueError(f"{system.name}: a picture; it reads and writes text alone; leave pictures out")
    assert isinstance(codec, PictureCodec)
    return codec.pixels


def fits(system: System, level: Level) -> bool:
    """Whether a system's pictures, if it knows any, are of the level's size."""
    return not (system.looks or system.draws) or picture_side(system) == level.pixels


def fitting(system: System, level: Level) -> None:
    """Raises ValueError where a system's pictures are not of the level's size."""
    if not fits(system, level):
        side = picture_side(system)
        raise ValueError(
            f"{system.name}: pictures of {side} x {side} pixels; the world's level {level.name} has {level.pixels} x {level.pixels}; "
            f"build it so (--set pixels={level.pixels}), or train on data of your own (--data)"
        )


def picture_file(out: Path) -> Path:
    """The path, where a picture can be written under that name. Raises ValueError otherwise."""
    known = sorted(suffix for suffix, kind in Pillow.registered_extensions().items() if kind in Pillow.SAVE)
    if out.suffix.lower() not in known:
        raise ValueError(f"picture: {out} has the suffix {out.suffix!r}; accepted are {', '.join(known)}; name it drawing.png, say")
    return out


def sampling_of(usual: Sampling, asked: Mapping[str, Any]) -> Sampling:
    """The usual sampling with what was asked for in its place."""
    return replace(usual, **{name: value for name, value in asked.items() if value is not None})


def sampling_of_pictures(system: System, asked: Mapping[str, Any]) -> dict[type[Segment], Sampling]:
    """How pictures are written: as usual but for what was asked. Nothing, and nothing to ask for, where the system only reads them."""
    if system.draws:
        return {Image: sampling_of(system.port(Image(learn=True)).law.sampling, asked)}
    given = {name: value for name, value in asked.items() if value is not None}
    if given:
        raise ValueError(f"{system.name}: {given} for pictures; it writes none; leave these options out")
    return {}


def arguments_of(pairs: list[str] | None, option: str = "--set") -> dict[str, Any]:
    """name=value pairs; values are Python literals, or else words. Files are named from the root on: a run may be read from elsewhere."""
    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{option}: {pair!r}; name=value is accepted; for example {option} {name}=256")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = str(Path(value).resolve()) if Path(value).is_file() else value
    return found


def progress() -> Progress:
    """Bars that vanish when they are done; none where nobody looks."""
    return Progress(console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def going_on_from(answers: Path) -> Iterator[None]:
    """Says, when somebody stops what runs inside, that the same command goes on from there."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Stopped(f"stopped; what was written so far is kept in {answers}; the same command goes on from there") from stop


def ticker(bars: Progress) -> Callable[[str, int, int], None]:
    """One bar for each thing that is measured."""
    tasks: dict[str, Any] = {}

    def tick(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done)

    return tick
