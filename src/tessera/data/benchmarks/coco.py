"""COCO: pictures with their reference captions and the categories of what is marked in them, as CHAIR wants them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tessera.data.benchmarks.gather import Benchmark, Entry, file_at, gather, id_of, json_of, named, root_of, table_of
from tessera.data.fields import field as value
from tessera.data.fields import picture_at, text_of

ACCEPTED = "a JSON file of COCO with the lists 'images' and 'annotations'"


@dataclass(frozen=True, slots=True)
class CocoPicture:
    """A picture, its reference captions, and the categories of everything marked in it, crowds too."""

    id: str
    picture: Path
    captions: tuple[str, ...]
    categories: frozenset[str]

    @property
    def cluster(self) -> str:
        return self.id


@dataclass(frozen=True)
class Table:
    """One file of COCO: its images in order, each with its annotations. `stray` are entries that can be put to no image."""

    file: Path
    images: dict[str, tuple[str, object]] = field(default_factory=dict)
    annotations: dict[str, list[tuple[str, object]]] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    stray: list[Entry] = field(default_factory=list)

    def take_image(self, where: str, entry: object) -> None:
        id = id_of(entry, "id")
        if id in self.images:
            raise ValueError(f"its id is that of {self.images[id][0]}")
        self.images[id] = where, entry

    def take_annotation(self, where: str, entry: object) -> None:
        id = id_of(entry, "image_id")
        if id not in self.images:
            raise ValueError(f"image_id {id} is none of the {len(self.images)} images")
        self.annotations.setdefault(id, []).append((where, entry))

    def take_category(self, where: str, entry: object) -> None:
        self.categories[id_of(entry, "id")] = text_of(value(entry, "name"), "name")

    def notes(self, id: str, read: Callable[[object], str]) -> list[str]:
        """What the annotations of an image say. A fault in one of them is said with its place: no image goes on half told."""
        found = []
        for where, entry in self.annotations.get(id, []):
            try:
                found.append(read(entry))
            except ValueError as fault:
                raise ValueError(f"{where} of {self.file.name}: {fault}") from fault
        return found

    def category(self, entry: object) -> str:
        """The name of the category that an annotation says."""
        id = id_of(entry, "category_id")
        if id not in self.categories:
            raise ValueError(f"category_id {id} is none of the {len(self.categories)} categories")
        return self.categories[id]


def read_coco(
    images: str | Path, *, captions: str | Path | None = None, instances: str | Path | None = None, skip_bad: bool = False
) -> Benchmark[CocoPicture]:
    """The pictures that `captions` lists, or without it `instances`, which lie in the folder `images`.

    With both files a picture must stand in both. An annotation with a fault makes its picture a bad row, as its truth would
    lack something. Raises ValueError where neither file is named.
    """
    said = None if captions is None else table(file_at(captions, ACCEPTED), ("images", "annotations"))
    marked = None if instances is None else table(file_at(instances, ACCEPTED), ("images", "annotations", "categories"))
    tables = [one for one in (said, marked) if one]
    if not tables:
        raise ValueError("data: neither captions nor instances of COCO; one or both are accepted; name a file")
    first, root = tables[0], root_of(images, tables[0].file)
    rows = [Entry(first.file, where, partial(coco_picture, id, root, said, marked)) for id, (where, _) in first.images.items()]
    return gather(first.file, [*(entry for one in tables for entry in one.stray), *rows], skip_bad=skip_bad)


def coco_picture(id: str, root: Path, said: Table | None, marked: Table | None) -> CocoPicture:
    """The image of this id with all that is said of it."""
    tables = [one for one in (said, marked) if one]
    for one in tables:
        if id not in one.images:
            raise ValueError(f"{one.file.name} lists no image of this id")
    names = [text_of(value(one.images[id][1], "file_name"), "file_name") for one in tables]
    if len(set(names)) > 1:
        raise ValueError(f"'file_name' is {names[0]!r} here and {names[1]!r} in {tables[1].file.name}")
    captions = said.notes(id, lambda entry: text_of(value(entry, "caption"), "caption")) if said else []
    if said and not captions:
        raise ValueError(f"{said.file.name} has no caption of it")
    categories = marked.notes(id, marked.category) if marked else []
    return CocoPicture(id, picture_at(names[0], root).file, tuple(captions), frozenset(categories))


def table(file: Path, lists: Sequence[str]) -> Table:
    """What the lists of these names in a file say, by id."""
    whole, made = json_of(file, ACCEPTED), Table(file)
    takers = {"images": made.take_image, "annotations": made.take_annotation, "categories": made.take_category}
    for name in lists:
        for number, entry in enumerate(table_of(file, whole, name, ACCEPTED), 1):
            where = named(f"{name} entry {number}", entry, "id")
            try:
                takers[name](where, entry)
            except ValueError as fault:
                made.stray.append(Entry(file, where, partial(_refuse, fault)))
    return made


def _refuse(fault: ValueError) -> None:
    raise fault
