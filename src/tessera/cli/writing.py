"""Commands that write: pictures of a prompt, answers about a picture, captions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image as Pillow

from tessera.cli.app import (
    Denoising,
    Device,
    Guidance,
    LevelName,
    Longest,
    RunFolder,
    Seed,
    Steps,
    Temperature,
    TopK,
    TopP,
    Trained,
    app,
    picture_side,
    sampling_of,
    say,
    trained,
)
from tessera.data import open_picture
from tessera.document import Document, Image, Text
from tessera.system import System
from tessera.verbs.generate import write
from tessera.verbs.writing import Request
from tessera.world import Tile, save_sheet


@app.command(epilog='Example: tessera draw "a red circle and a blue star" -n 8 --out drawing.png')
def draw(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 1,
    out: Annotated[Path, typer.Option(help="Where the picture goes; several make a sheet.")] = Path("drawing.png"),
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    seed: Seed = 0,
    guidance: Guidance = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    steps: Steps = None,
    denoising: Denoising = None,
    scale: Annotated[int, typer.Option(min=1, help="Enlarges pixels.")] = 8,
    device: Device = "auto",
) -> None:
    """Draw pictures of a prompt."""
    loaded = trained(system, run, level, device)
    usual = loaded.port(Image(learn=True)).law.sampling
    asked = {"guidance": guidance, "temperature": temperature, "top_k": top_k, "top_p": top_p, "steps": steps, "denoising": denoising}
    sampling = sampling_of(usual, asked)
    document = Document((Text(prompt), Image(learn=True)))
    pictures = [done.pictures[0] for done in write(loaded, [Request(document, seed + i, {Image: sampling}) for i in range(n)])]
    if n == 1:
        picture = Pillow.fromarray(pictures[0].permute(1, 2, 0).numpy())
        picture.resize((picture.width * scale, picture.height * scale), Pillow.Resampling.NEAREST).save(out)
    else:
        save_sheet(out, [Tile(picture, (f"seed {seed + i}",)) for i, picture in enumerate(pictures)], scale=scale)
    say(f"{out}: {prompt!r}, {n} time{'s' * (n > 1)}; {sampling}")


@app.command(epilog='Example: tessera ask drawing.png "what colour is the star?"')
def ask(
    picture: Annotated[Path, typer.Argument(help="A picture file.")],
    question: Annotated[str, typer.Argument(help="A question about it.")],
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    seed: Seed = 0,
    temperature: Temperature = None,
    longest: Longest = 64,
    device: Device = "auto",
) -> None:
    """Answer a question about a picture."""
    loaded = trained(system, run, level, device)
    (said,) = replies(loaded, [picture], (Text(question),), seed, temperature, longest)
    say(said)


@app.command(epilog="Example: tessera caption drawing.png")
def caption(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.")],
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    seed: Seed = 0,
    temperature: Temperature = None,
    longest: Longest = 64,
    device: Device = "auto",
) -> None:
    """Say what pictures show."""
    loaded = trained(system, run, level, device)
    for picture, said in zip(pictures, replies(loaded, pictures, (), seed, temperature, longest), strict=True):
        say(f"{picture}: {said}" if len(pictures) > 1 else said)


def replies(
    system: System, pictures: Sequence[Path], asked: tuple[Text, ...], seed: int, temperature: float | None, longest: int
) -> list[str]:
    """What a system says behind each picture and what is asked of it."""
    sampling = sampling_of(system.text.law.sampling, {"temperature": temperature})
    shown = [Document((Image(open_picture(picture, picture_side(system))), *asked, Text(learn=True))) for picture in pictures]
    return [done.texts[0].strip() for done in write(system, [Request(one, seed, {Text: sampling}, longest) for one in shown])]
