"""Describe: a system as tables, and a document as the trunk sees it: every place, who predicts what from where, the mask."""

from dataclasses import replace
from io import StringIO

import numpy as np
import torch
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text as Line
from torch import Tensor, nn

from tessera.codecs.base import PictureCodec
from tessera.codecs.text import Vocabulary
from tessera.document import Document, Image, Segment, Text
from tessera.draws import Draw
from tessera.orders import PartlyHidden
from tessera.pieces import Piece, leaves
from tessera.places import Places, View
from tessera.system import System, evaluating
from tessera.trunk import Trunk
from tessera.verbs.recipes import build, told
from tessera.world import World

NOTATION = "text and pictures separated by ' / '; `image` is a picture; a star behind a segment says that it is learned"


def parse_document(notation: str, world: World, pixels: int = 32) -> Document:
    """A document from words: "a red circle / image*" is a text, and a picture (of the world, at `pixels`) to be learned."""
    segments: list[Segment] = []
    for number, part in enumerate(notation.split(" / ")):
        words, learn = part.strip().removesuffix("*").strip(), part.strip().endswith("*")
        segments.append(Image(resized(world.picture(world.scene(number)), pixels), learn) if words == "image" else Text(words, learn))
    if not notation.strip():
        raise ValueError(f"describe: document {notation!r}; accepted are {NOTATION}; try 'a red circle / image*'")
    return Document(tuple(segments))


JOINT = ": what is given sees what is written; learned segment by segment"
NOTES = "<!-- notes -->"  # what stands behind it on a page is written by hand, and stays
PLACES = "## Place by place, at its tiny size"
EXAMPLES = ("a red dot / image*", "image / what is it / a dot*")


def page(name: str, notes: str = "") -> str:
    """A recipe's page in Markdown: what it says of itself, its parts, and documents place by place at its tiny size; then notes."""
    title, what, rest = told(name)
    with torch.device("meta"):
        parts = plain_text(describe(build(name)))
    tiny = build(name, preset="tiny")
    codec = next(port.codec for port in tiny.ports if port.kind is Image)
    assert isinstance(codec, PictureCodec)
    shown = [one for one in EXAMPLES if tiny.draws or not one.endswith("image*")]
    places = [plain_text(describe_document(tiny, parse_document(one, World.easy(), codec.pixels))) for one in shown]
    blocks = [f"`{one}`\n\n```\n{text}\n```" for one, text in zip(shown, places, strict=True)]
    head = [f"# {title}", what[0].upper() + what[1:], rest, "## Parts", f"```\n{parts}\n```", PLACES]
    return "\n\n".join([*head, *blocks, f"{NOTES}\n{notes}"])


def plain_text(shown: RenderableType) -> str:
    """As a terminal of 140 columns shows it, without colours."""
    console = Console(width=140, record=True, file=StringIO(), color_system=None)
    console.print(shown)
    return "\n".join(line.rstrip() for line in console.export_text().rstrip().splitlines())


def resized(picture: Tensor, pixels: int) -> Tensor:
    """The picture at another size, each pixel the nearest one."""
    at = torch.arange(pixels) * picture.shape[-1] // pixels
    return picture[:, at][:, :, at]


def describe(system: System) -> RenderableType:
    """What the system is made of: ports and their parts, trunk, rule, stages."""
    ports = Table("port", *(port.name for port in system.ports), title=f"{system.name}: {count(system):,} parameters", title_justify="left")
    ports.add_row("takes", *(f"{port.kind.__name__}, {port.takes.value}" for port in system.ports))
    for role in ("codec", "reader", "writer", "order", "law"):
        ports.add_row(role, *(part_name(getattr(port, role)) for port in system.ports))
    facts = Table.grid(padding=(0, 2))
    facts.add_row("trunk", f"{part_name(system.trunk)}, {len(system.trunk.blocks)} blocks, {count(system.trunk):,} parameters")
    facts.add_row("attention", str(system.attention) + (JOINT if system.joint else ""))
    for extra in system.extras:
        point = next(name for name, module in system.named_modules() if module is extra.point)
        facts.add_row(f"extra {extra.name}", f"of {extra.port.name}, at {point}: what {part_name(extra.teacher)} says")
    turns = "text and pictures in turn (interleaved), as asked" + (" or by its own decision" if system.decides else "")
    facts.add_row("writes", turns if system.draws else "text")
    facts.add_row("guidance", f"trained: {part_name(system.drop)} prompts" if system.drop else "not trained")
    for stage in system.stages:
        mix = ", ".join(f"{task.value} {share:g}" for task, share in stage.mix.items())
        trained = sum(count(module) for module in stage.train)
        facts.add_row(f"stage {stage.name}", f"{stage.documents:,} documents ({mix}), trains {trained:,} parameters, rate {stage.lr:g}")
    return Group(ports, facts)


def count(module: nn.Module | Trunk) -> int:
    """How many parameters a module has."""
    return sum(parameter.numel() for parameter in module.parameters())


def part_name(part: object) -> str:
    """The class of a part, with that of the part it wraps."""
    if part is None:
        return "-"
    inner = getattr(part, "codec", None) or getattr(part, "quantizer", None)
    return type(part).__name__ + (f"({part_name(inner)})" if inner is not None else "")


@torch.no_grad()
def describe_document(system: System, document: Document) -> RenderableType:
    """Every place of the document as it is learned, and the mask between them; pass by pass, where it is learned in several."""
    with evaluating(system):
        passes = list(system.arrange([document], [Draw(0)]))
        _, batch = system.hidden(passes)
    return Group(*(_pass(system, pieces, batch.places) for pieces in passes))


def _pass(system: System, pieces: list[Piece], places: Places) -> RenderableType:
    """One pass: its places in their row, and its mask."""
    count = pieces[-1].offset + pieces[-1].count
    places = Places(places.data[:, pieces[0].row, :count].cpu())
    table = Table(
        "place",
        "port",
        "segment",
        "view",
        "order",
        "row, column",
        "shows",
        "predicts",
        title=f"{system.name}: {count} places",
    )
    predicts = _predictions(pieces)
    for piece in pieces:
        for i in range(piece.count):
            at = piece.offset + i
            star = "*" if piece.goal or piece.again else ""
            row = (at, piece.port.name + star, int(places.segment[at]), View(int(places.view[at])).name.lower())
            grid = (
                f"{int(places.row[at])}, {int(places.column[at])}" if places.row[at] + places.column[at] or piece.port.kind is Image else ""
            )
            table.add_row(*map(str, row), str(int(places.order[at])), grid, _shows(piece, i), predicts.get(at, ""))
    return Group(table, Line("the mask: a row for each place that looks, a column for each it may look at"), _mask(system, places))


def _predictions(pieces: list[Piece]) -> dict[int, str]:
    """For each place, what it answers for."""
    said: dict[int, list[str]] = {}
    for piece, goal in ((piece, piece.goal) for piece in pieces if piece.goal):
        for element, at in enumerate(piece.answers().tolist()):
            if goal.where[element]:
                said.setdefault(at, []).append(f"{piece.port.name} {_value(piece, goal.target[element])}")
    return {at: ", ".join(what) for at, what in said.items()}


def _shows(piece: Piece, place: int) -> str:
    element = np.flatnonzero(piece.predicts == place)
    if not len(element):
        return "(added by the reader)"
    number = int(element[0])
    if isinstance(piece.visible, PartlyHidden) and piece.visible.hidden[number]:
        return "(hidden)"
    return _value(piece, leaves(piece.visible)[0][number])


def _value(piece: Piece, value: Tensor) -> str:
    """A token as text; any other element as its number, or the length of its features."""
    if value.is_floating_point():
        return f"{value.numel()} features" if value.numel() > 1 else f"{float(value):.3f}"
    if isinstance(piece.port.codec, Vocabulary):
        return repr(piece.port.codec.tokenizer.id_to_token(int(value)))
    return f"code {value.tolist()}"


def _mask(system: System, places: Places) -> Line:
    one = replace(places, data=places.data[:, None])
    mask = system.attention.dense(one, one)[0]
    width = len(str(len(mask)))
    return Line(
        "\n".join(f"{i:{width}} " + "".join("█" if seen else "·" for seen in row) for i, row in enumerate(mask.tolist())), no_wrap=True
    )
