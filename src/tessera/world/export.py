"""Writes the world as data sets in formats that users have: LLaVA conversations, WebDataset shards, COCO annotations."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image as Pillow
from torch import Tensor

from tessera.document import Document, Image, Task
from tessera.world.render import render
from tessera.world.scene import BACKGROUND, Kind, Level, Scene, Thing
from tessera.world.world import World

SHARD = 1000  # samples in a tar
MARK = ".tessera-export"  # the file that says what a directory holds
CATEGORIES = {kind: number for number, kind in enumerate(Kind, 1)}

Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Export:
    """What was written. `world` is the world's hash; the same export always has the same bytes under the same Pillow."""

    format: str
    n: int
    split: str
    level: str
    language: str
    world: str


def export(world: World, directory: str | Path, format: str, n: int, split: str = "train", tick: Tick | None = None) -> Export:
    """Write documents 0 to n - 1 of a split as a data set; `format` is "llava", "webdataset" or "coco".

    The directory is made, or is empty, or holds this same export, which is then written again; any other is refused.
    `tick(done, n)` is called after each document.
    """
    if format not in WRITERS:
        raise ValueError(f"export: format {format!r} was asked for; there are {', '.join(WRITERS)}")
    if n < 1:
        raise ValueError(f"export: {n} documents were asked for; at least one is needed")
    made = Export(format, n, split, world.level.name, world.language, world.hash())
    claim(Path(directory), made)
    WRITERS[format](world, Path(directory), split, counted(n, tick))
    return made


def claim(directory: Path, made: Export) -> None:
    """Mark the directory as holding this export. Nothing that is there is ever deleted."""
    mark = directory / MARK
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"export: {directory} is a file; a directory is needed; name another")
    if directory.exists() and any(directory.iterdir()):
        held = mark.read_text("utf-8") if mark.exists() else ""
        if held != json.dumps(asdict(made)):
            content = f"another export ({held})" if held else "files that are no export"
            raise ValueError(f"export: {directory} holds {content}; name an empty or a new directory, or remove this one first")
    directory.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps(asdict(made)), "utf-8")


def counted(n: int, tick: Tick | None) -> Iterator[int]:
    """The numbers below n, each reported once it is done with."""
    for index in range(n):
        yield index
        if tick:
            tick(index + 1, n)


def write_llava(world: World, directory: Path, split: str, indices: Iterator[int]) -> None:
    """llava.json and images/: captions at even indices, questions at odd ones. To ask for a caption is to show the picture."""
    entries = []
    for index in indices:
        document = world.document((Task.CAPTION, Task.QUESTION)[index % 2], index, split)
        file = Path("images") / f"{index:09}.png"
        write(directory / file, png(picture_of(document)))
        entries.append({"id": document.id, "image": file.as_posix(), "conversations": turns(document)})
    write(directory / "llava.json", as_json(entries))


def turns(document: Document) -> list[dict[str, str]]:
    """A document about one picture as LLaVA writes it: what is given is said by "human", what is learned by "gpt", by turns."""
    said = [("<image>" if isinstance(part, Image) else str(part.content), part.learn) for part in document]
    roles = {False: "human", True: "gpt"}
    return [{"from": roles[learn], "value": "\n".join(words for words, _ in turn)} for learn, turn in groupby(said, key=itemgetter(1))]


def write_webdataset(world: World, directory: Path, split: str, indices: Iterator[int]) -> None:
    """000000.tar and so on, each with up to 1,000 captioned pictures as `.png`, `.txt` and `.json`."""
    for shard, members in groupby(indices, key=lambda index: index // SHARD):
        with tarfile.open(directory / f"{shard:06}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for index in members:
                for name, data in sample(index, world.document(Task.CAPTION, index, split)).items():
                    info = tarfile.TarInfo(name)  # no time, no owner: the same bytes every time
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def sample(index: int, document: Document) -> dict[str, bytes]:
    """The files of one WebDataset sample by their names."""
    key, picture, text = f"{index:09}", picture_of(document), text_of(document)
    facts = {"key": key, "id": document.id, "caption": text, "width": picture.shape[2], "height": picture.shape[1]}
    return {f"{key}.png": png(picture), f"{key}.txt": text.encode(), f"{key}.json": as_json(facts)}


def write_coco(world: World, directory: Path, split: str, indices: Iterator[int]) -> None:
    """captions.json, instances.json and images/.

    A box holds every pixel that its thing touches; its area counts those that are at least half covered.
    """
    images: list[dict] = []
    captions: list[dict] = []
    instances: list[dict] = []
    for index in indices:
        document = world.document(Task.CAPTION, index, split)
        picture, file = picture_of(document), f"{index:09}.png"
        write(directory / "images" / file, png(picture))
        images.append({"id": index, "file_name": file, "width": picture.shape[2], "height": picture.shape[1]})
        captions.append({"id": index + 1, "image_id": index, "caption": text_of(document)})
        for thing in world.scene(index, split).things:
            instances.append({"id": len(instances) + 1, "image_id": index, **extent(thing, world.level)})
    categories = [{"id": number, "name": kind.value, "supercategory": "thing"} for kind, number in CATEGORIES.items()]
    write(directory / "captions.json", as_json({"images": images, "annotations": captions}))
    write(directory / "instances.json", as_json({"images": images, "annotations": instances, "categories": categories}))


def extent(thing: Thing, level: Level) -> dict:
    """What COCO says of an instance; the box is [x, y, width, height] in pixels from the upper left corner."""
    ground = np.array(BACKGROUND)[:, None, None]
    change = abs(render(Scene((thing,)), level) - ground).sum(0)
    covered = 2 * change >= abs(np.array(thing.colour.value) - BACKGROUND).sum()
    rows, columns = (np.flatnonzero(change.any(axis)) for axis in (1, 0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    category = CATEGORIES[thing.kind]
    return {"category_id": category, "bbox": [int(side) for side in box], "area": int(covered.sum()), "iscrowd": 0}


def picture_of(document: Document) -> UInt8[Tensor, "3 height wide"]:
    """The one picture of a document."""
    (picture,) = document.pictures
    return picture


def text_of(document: Document) -> str:
    """The one text of a document."""
    (text,) = document.texts
    return text


def png(picture: UInt8[Tensor, "3 height wide"]) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    Pillow.fromarray(picture.permute(1, 2, 0).numpy()).save(file, "PNG")
    return file.getvalue()


def as_json(value: object) -> bytes:
    """JSON that people can read: one line for each entry of a list, letters of every language as they are."""
    if isinstance(value, list):
        return b"[\n" + b",\n".join(map(as_json, value)) + b"\n]\n"
    return json.dumps(value, ensure_ascii=False).encode()


def write(path: Path, data: bytes) -> None:
    """A file with these bytes, in a folder that is made if need be."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


WRITERS = {"llava": write_llava, "webdataset": write_webdataset, "coco": write_coco}
