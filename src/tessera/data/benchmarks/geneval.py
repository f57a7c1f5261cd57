"""GenEval: prompts with what a picture of them must hold, and pictures laid out in folders as its detector reads them.

Source: Ghosh et al. 2023, arXiv:2310.11513; prompts/evaluation_metadata.jsonl and evaluation/evaluate_images.py of its repository.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image as Pillow
from torch import Tensor

from tessera.data.benchmarks.gather import Benchmark, Entry, file_at, gather, lines_of, list_of, whole_of
from tessera.data.fields import field, parsed, text_of


@dataclass(frozen=True, slots=True)
class Objects:
    """So many objects of a class. `position` is a relation, such as "left of", to the object list of that index before it."""

    name: str
    count: int
    colour: str | None = None
    position: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class GenEvalPrompt:
    """A prompt, its task (`tag`), and what a picture of it must hold and must not. `metadata` is its line as it was."""

    id: str
    tag: str
    prompt: str
    include: tuple[Objects, ...]
    exclude: tuple[Objects, ...]
    metadata: str

    @property
    def cluster(self) -> str:
        return self.id

    @property
    def picture(self) -> None:
        return None


def read_geneval(path: str | Path, *, skip_bad: bool = False) -> Benchmark[GenEvalPrompt]:
    """The prompts of a file with lines {"tag": "counting", "include": [{"class": "dog", "count": 2}], "prompt": "two dogs"}.

    A prompt's id is the number of its line, from "00000" on and without empty ones, as in GenEval's folders.
    """
    file = file_at(path, "a file of GenEval's prompts, one JSON object a line,")
    rows = [Entry(file, where, partial(geneval_prompt, number, line)) for number, (where, line) in enumerate(lines_of(file))]
    return gather(file, rows, skip_bad=skip_bad)


def geneval_prompt(number: int, line: bytes) -> GenEvalPrompt:
    """The prompt written on one line."""
    entry = parsed(line)
    include = objects_of(field(entry, "include"), "include")
    if not include:
        raise ValueError("'include' is empty")
    exclude = objects_of(field(entry, "exclude", needed=False) or [], "exclude")
    tag, prompt = (text_of(field(entry, name), name) for name in ("tag", "prompt"))
    return GenEvalPrompt(f"{number:05d}", tag, prompt, include, exclude, line.decode("utf-8-sig").strip())


def objects_of(value: object, name: str) -> tuple[Objects, ...]:
    """The object lists of a clause."""
    found: list[Objects] = []
    for i, entry in enumerate(list_of(value, name)):
        count, colour, position = (field(entry, key, needed=key == "count") for key in ("count", "color", "position"))
        if position is not None:
            relation = list_of(position, f"position of {name}[{i}]")
            if len(relation) != 2 or whole_of(relation[1], f"position of {name}[{i}]") not in range(i):
                raise ValueError(f"position of {name}[{i}] is {relation}; a relation and the index of objects before it are expected")
            position = text_of(relation[0], f"position of {name}[{i}]"), relation[1]
        found.append(
            Objects(
                text_of(field(entry, "class"), f"class of {name}[{i}]"),
                whole_of(count, f"count of {name}[{i}]"),
                None if colour is None else text_of(colour, f"color of {name}[{i}]"),
                position,
            )
        )
    return tuple(found)


def write_geneval(
    folder: str | Path, prompts: Iterable[GenEvalPrompt], pictures: Iterable[Sequence[UInt8[Tensor, "3 height wide"]]]
) -> None:
    """Pictures of each prompt as GenEval's detector reads them: <folder>/00000/metadata.jsonl and .../00000/samples/00000.png, ...

    The benchmark draws four of each. `pictures` may be drawn as they are asked for. Raises ValueError where the folder has
    something in it, which the detector would score too, and where prompts and pictures are not equally many.
    """
    folder = Path(os.path.abspath(folder))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"geneval: {folder} exists and is no empty folder; a new or empty folder is accepted; name another")
    for prompt, drawn in zip(prompts, pictures, strict=True):
        samples = folder / prompt.id / "samples"
        samples.mkdir(parents=True)
        (folder / prompt.id / "metadata.jsonl").write_text(prompt.metadata + "\n", encoding="utf-8")
        for number, picture in enumerate(drawn):
            Pillow.fromarray(picture.permute(1, 2, 0).cpu().numpy()).save(samples / f"{number:05d}.png")
