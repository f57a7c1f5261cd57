"""Commands that write: pictures of a prompt, pictures changed, stories, answers about a picture, captions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image as Pillow
from torch import Tensor

from tessera.cli.app import (
    Denoising,
    Device,
    Guidance,
    HubModel,
    LevelName,
    Longest,
    Nats,
    RunFolder,
    Seed,
    Steps,
    Temperature,
    TopK,
    TopP,
    Trained,
    TrustPickle,
    app,
    picture_file,
    picture_side,
    put,
    sampling_of,
    say,
    shown,
    trained,
)
from tessera.data import open_picture
from tessera.document import Document, Image, Text
from tessera.system import System
from tessera.verbs.generate import write
from tessera.verbs.writing import Request
from tessera.world import Tile, save_sheet

Scale = Annotated[int | None, typer.Option(min=1, help="Enlarges pixels; by default small pictures to 256.")]


@app.command(
    epilog='Examples: tessera draw "a red circle and a blue star" --out drawing.png · tessera draw "a red circle" -n 8 --out sheet.png · '
    'tessera draw "a red circle and a blue star" --over drawing.png --keep 0,0,16,32 --out other.png'
)
def draw(
    prompt: Annotated[str, typer.Argument(help="What to draw.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 1,
    out: Annotated[Path, typer.Option(help="Where the picture goes; several make a sheet.")] = Path("drawing.png"),
    over: Annotated[Path | None, typer.Option(help="A picture of which --keep stays as it is, and the rest is drawn.")] = None,
    keep: Annotated[str, typer.Option(help="What stays: left,top,right,bottom in pixels of the system's pictures.")] = "",
    system: Trained = "",
    run: RunFolder = None,
    hub: HubModel = "",
    trust_pickle: TrustPickle = False,
    level: LevelName = "easy",
    seed: Seed = 0,
    guidance: Guidance = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    steps: Steps = None,
    denoising: Denoising = None,
    nats: Nats = None,
    scale: Scale = None,
    device: Device = "auto",
) -> None:
    """Draw pictures of a prompt. With --over and --keep, draw what is missing of one."""
    picture_file(out)
    loaded = trained(system, run, level, device, hub, trust_pickle)
    usual = loaded.port(Image(learn=True)).law.sampling
    asked = dict(guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p, steps=steps, denoising=denoising, nats=nats)
    sampling = sampling_of(usual, asked)
    document = put(loaded, Document((Text(prompt), blank(over, keep, picture_side(loaded)))))
    pictures = [done.pictures[0] for done in write(loaded, [Request(document, seed + i, {Image: sampling}) for i in range(n)])]
    if n == 1:
        save_picture(pictures[0], out, scale or enlargement(loaded))
    else:
        tiles = [Tile(picture, (f"seed {seed + i}",)) for i, picture in enumerate(pictures)]
        save_sheet(out, tiles, scale=scale or enlargement(loaded))
    say(f"{out}: {prompt!r}, {n} time{'s' * (n > 1)}; {sampling}")


def enlargement(system: System) -> int:
    """How many times small pictures are enlarged."""
    return max(1, 256 // picture_side(system))


def blank(over: Path | None, keep: str, side: int) -> Image:
    """A picture to be drawn, of which part may be given."""
    if (over is None) != (not keep):
        raise ValueError(f"draw: --over {over} and --keep {keep!r}; both or neither are accepted; name a picture and what stays of it")
    if over is None:
        return Image(learn=True)
    try:
        left, top, right, bottom = map(int, keep.split(","))
    except ValueError as error:
        raise ValueError(f"draw: --keep {keep!r}; left,top,right,bottom is accepted; for example --keep 0,0,{side // 2},{side}") from error
    if not (0 <= left < right <= side and 0 <= top < bottom <= side):
        raise ValueError(f"draw: --keep {keep!r}; a box inside 0,0,{side},{side} is accepted; mend it")
    mask = torch.zeros(side, side, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return Image(open_picture(over, side), learn=True, keep=mask)


def save_picture(picture: Tensor, out: Path, scale: int) -> None:
    """A picture as a file, each pixel as a square."""
    file = Pillow.fromarray(picture.permute(1, 2, 0).numpy())
    file.resize((file.width * scale, file.height * scale), Pillow.Resampling.NEAREST).save(out)


@app.command(epilog='Example: tessera edit drawing.png "make the circle blue" --out edited.png')
def edit(
    picture: Annotated[Path, typer.Argument(help="A picture file.")],
    instruction: Annotated[str, typer.Argument(help="What to change.")],
    out: Annotated[Path, typer.Option(help="Where the changed picture goes.")] = Path("edited.png"),
    system: Trained = "",
    run: RunFolder = None,
    hub: HubModel = "",
    trust_pickle: TrustPickle = False,
    level: LevelName = "easy",
    seed: Seed = 0,
    guidance: Guidance = None,
    temperature: Temperature = None,
    steps: Steps = None,
    scale: Scale = None,
    device: Device = "auto",
) -> None:
    """Draw a picture anew, changed as asked; for systems that have learned edits (`tessera train SYSTEM --mix edit=0.5 ...`)."""
    loaded = trained(system, run, level, device, hub, trust_pickle)
    sampling = sampling_of(loaded.port(Image(learn=True)).law.sampling, {"guidance": guidance, "temperature": temperature, "steps": steps})
    document = put(loaded, Document((shown(loaded, picture), Text(instruction), Image(learn=True))))
    (done,) = write(loaded, [Request(document, seed, {Image: sampling})])
    save_picture(done.pictures[0], out, scale or enlargement(loaded))
    say(f"{out}: {picture}, {instruction!r}; {sampling}")


@app.command(epilog='Example: tessera story "a red circle at the top left" --out story')
def story(
    opening: Annotated[str, typer.Argument(help="What the first picture shows.")],
    out: Annotated[Path, typer.Option(help="A folder for the pictures.")] = Path("story"),
    more: Annotated[int, typer.Option(min=1, help="How many texts and pictures may follow the first picture, at most.")] = 8,
    system: Trained = "",
    run: RunFolder = None,
    level: LevelName = "easy",
    seed: Seed = 0,
    longest: Longest = 64,
    scale: Scale = None,
    device: Device = "auto",
) -> None:
    """Let a system go on by itself, in words and pictures; for those that have learned stories (`tessera train SYSTEM --mix story=0.5`)."""
    loaded = trained(system, run, level, device)
    (done,) = write(loaded, [Request(Document((Text(opening), Image(learn=True))), seed, longest=longest, more=more)])
    out.mkdir(parents=True, exist_ok=True)
    number = 0
    for segment in done.document:
        if isinstance(segment, Text):
            say((segment.content or "").strip() or "(no more)")
        elif segment.content is not None:
            number += 1
            save_picture(segment.content, out / f"{number}.png", scale or enlargement(loaded))
            say(f"  {out / f'{number}.png'}")


@app.command(epilog='Example: tessera ask drawing.png "what colour is the star?"')
def ask(
    picture: Annotated[Path, typer.Argument(help="A picture file.")],
    question: Annotated[str, typer.Argument(help="A question about it.")],
    system: Trained = "",
    run: RunFolder = None,
    hub: HubModel = "",
    trust_pickle: TrustPickle = False,
    level: LevelName = "easy",
    seed: Seed = 0,
    temperature: Temperature = None,
    longest: Longest = 64,
    device: Device = "auto",
) -> None:
    """Answer a question about a picture."""
    loaded = trained(system, run, level, device, hub, trust_pickle)
    (said,) = replies(loaded, [picture], (Text(question),), seed, temperature, longest)
    say(said)


@app.command(epilog="Example: tessera caption drawing.png")
def caption(
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.")],
    system: Trained = "",
    run: RunFolder = None,
    hub: HubModel = "",
    trust_pickle: TrustPickle = False,
    level: LevelName = "easy",
    seed: Seed = 0,
    temperature: Temperature = None,
    longest: Longest = 64,
    device: Device = "auto",
) -> None:
    """Say what pictures show. Published models are asked to."""
    loaded = trained(system, run, level, device, hub, trust_pickle)
    for picture, said in zip(pictures, replies(loaded, pictures, (), seed, temperature, longest), strict=True):
        say(f"{picture}: {said}" if len(pictures) > 1 else said)


def replies(
    system: System, pictures: Sequence[Path], asked: tuple[Text, ...], seed: int, temperature: float | None, longest: int
) -> list[str]:
    """What a system says behind each picture and what is asked of it."""
    sampling = sampling_of(system.text.law.sampling, {"temperature": temperature})
    documents = [put(system, Document((shown(system, picture), *asked, Text(learn=True)))) for picture in pictures]
    return [done.texts[0].strip() for done in write(system, [Request(one, seed, {Text: sampling}, longest) for one in documents])]
