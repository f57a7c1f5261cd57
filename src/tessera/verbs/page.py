"""Pages: results as Markdown, and as one HTML file with the pictures in it."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from PIL import Image as Picture
from torch import Tensor

from tessera.world import Tile

SETTINGS = (
    *("benchmark", "sampling", "plan", "world", "parts", "weights", "parameters", "training"),
    *("scorer", "commit", "versions", "machine", "date", "earlier"),
)
BESIDE = ("chance", "majority", "blind", "untouched", "uniform", "unseen", "labels", "ceiling")  # in the order of columns
COUNTED, OVER_SEEDS = ("unparsed", "unreadable"), "over seeds"
VERDICTS = {True: "right", False: "wrong", None: ""}


def markdown(found: Mapping[str, Any]) -> str:
    """The scores as a page."""
    head = heads(found)
    lines = [f"# {title(found)}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows(found)]
    return "\n".join([*lines, "", "```json", settings(found), "```", ""])


def html(found: Mapping[str, Any], tiles: Mapping[str, Sequence[Tile]], sheets: Sequence[Path] = ()) -> str:
    """The same with the cases: what was asked, the picture, what was read or said, right or wrong. It needs no other file.

    `sheets` are contact sheets of exams that were taken before, to be shown as they are.
    """
    cases = {
        name: [{"lines": one.lines, "png": png(one.picture), "verdict": VERDICTS[one.right]} for one in shown]
        for name, shown in tiles.items()
    }
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("page.html")
    before = {sheet.stem: base64.b64encode(sheet.read_bytes()).decode() for sheet in sheets}
    return page.render(title=title(found), head=heads(found), rows=rows(found), cases=cases, sheets=before, settings=settings(found))


def title(found: Mapping[str, Any]) -> str:
    """Which results these are: on the world, or on files of one's own."""
    asked = found.get("benchmark")
    on = f"{asked['format']}, {', '.join(file['name'] for file in asked['files'])}" if asked else f"{found['level']} ({found['language']})"
    return f"{found['system']} on {on}"


def compared(found: Mapping[str, Any]) -> list[str]:
    """What scores are compared with: chance first, the ceiling last, behind it what is not known here."""
    names = dict.fromkeys(name for values in found["references"].values() for name in values)
    return sorted(names, key=lambda name: (*BESIDE, name).index(name))


def heads(found: Mapping[str, Any]) -> list[str]:
    """The names of the columns: what was not understood or not readable, and the spread over seeds, where there is any."""
    counted = [name for name in COUNTED if any(score.get(name) for score in found["scores"].values())]
    return ["score", "value", "95 % interval", "n", *compared(found), *counted, *([OVER_SEEDS] if found.get("seeds") else [])]


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """A row of cells for each score."""
    names, head, table = compared(found), heads(found), []
    for name, score in sorted(found["scores"].items()):
        low, high = score["ci95"]
        beside = found["references"].get(name, {})
        others = [f"{beside[other]:.3f}" if other in beside else "" for other in names]
        others += [str(score.get(count) or "") for count in COUNTED if count in head]
        if OVER_SEEDS in head:
            spread = found["seeds"].get(name)
            others.append(f"{spread['least']:.3f} to {spread['most']:.3f}" if spread else "")
        table.append([name, f"{score['value']:.3f}", f"{low:.3f} to {high:.3f}", str(score["n"]), *others])
    return table


def settings(found: Mapping[str, Any]) -> str:
    """All that decides the numbers."""
    return json.dumps({key: found[key] for key in SETTINGS if key in found}, indent=1)


def png(picture: Tensor) -> str:
    """A uint8 picture as base64."""
    stream = io.BytesIO()
    Picture.fromarray(picture.permute(1, 2, 0).cpu().numpy()).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
