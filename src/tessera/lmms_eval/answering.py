"""What lmms-eval is answered: texts, and pictures in files that it reads, of many requests at once."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

from PIL import Image as Pillow
from torch import Tensor

from tessera.cli.app import picture_side, progress
from tessera.document import Document, Image, Segment, Text
from tessera.draws import seed_of
from tessera.lmms_eval.asking import Asked, Read, cut, longest_of, picture_of, sampling_of
from tessera.system import System
from tessera.verbs.generate import write
from tessera.verbs.writing import Request, Written

WANTS: dict[str, tuple[type[Segment], ...]] = {"text": (Text,), "picture": (Image,), "both": (Text, Image)}
CHUNK = 512  # requests whose pictures are held at a time


@dataclass(frozen=True, eq=False)
class Answers:
    """A system that answers requests: with text, a picture, or text and then a picture.

    Pictures go into the folder `out` and are named in the answer, which then is JSON, {"text": ..., "images": [path]}. How text is
    written is the task's choice (see `sampling_of`); pictures are drawn as the system usually draws. `rows` requests run side by side.
    Each has a seed of its own, from `seed`, the task's document and how often that was asked before, so that no answer depends on the
    batch or on which other documents are asked.
    """

    system: System
    want: str = "text"
    out: Path | None = None
    seed: int = 0
    rows: int = 64

    def __post_init__(self):
        if self.want not in WANTS:
            raise ValueError(f"lmms_eval: want {self.want!r}; {', '.join(WANTS)} are accepted; choose one")
        if (self.want == "text") != (self.out is None):
            raise ValueError(f"lmms_eval: want {self.want!r} and out {self.out}; a folder `out` is accepted, and needed, for pictures only")

    def __call__(self, requests: Sequence[tuple], read: Read, documents: Mapping[str, Any]) -> list[str]:
        """The answers to these requests, in their order. `read` knows the tuples, `documents` are by task, split and number."""
        see = partial(picture_of, pixels=picture_side(self.system))
        before: Counter[tuple] = Counter()
        said: list[str] = []
        with progress() as bars:
            bar = bars.add_task("answers", total=len(requests))
            for start in range(0, len(requests), CHUNK):
                asked = [read(one, documents, see) for one in requests[start : start + CHUNK]]
                names = [self._name(one, before) for one in asked]
                tick = lambda done, _, first=start: bars.update(bar, completed=first + done)
                jobs = [self.request(*pair) for pair in zip(asked, names, strict=True)]
                written = write(self.system, jobs, rows=self.rows, tick=tick)
                said += [self.answer(*triple) for triple in zip(asked, names, written, strict=True)]
        return said

    def _name(self, asked: Asked, before: Counter[tuple]) -> tuple[str, str, int, int]:
        """Task, split, document, and how often it was asked before: some tasks ask several times."""
        before[asked.key] += 1
        return (*asked.key, before[asked.key] - 1)

    def request(self, asked: Asked, name: tuple[str, str, int, int]) -> Request:
        """What is asked, with blanks for what is wanted."""
        task, split, number, again = name
        blanks = tuple(kind(learn=True) for kind in WANTS[self.want])
        seed = seed_of(self.seed, crc32(f"{task}/{split}".encode()), number, again)
        text = sampling_of(self.system.text.law.sampling, asked.settings)
        return Request(Document((*asked.segments, *blanks)), seed, {Text: text}, longest_of(asked.settings))

    def answer(self, asked: Asked, name: tuple[str, str, int, int], written: Written) -> str:
        """What was written, as the task wants it."""
        text = cut("".join(written.texts), asked.settings.get("until"))
        if self.out is None:
            return text
        file = "-".join(map(str, name)).replace("/", "_") + ".png"
        paths = [str(saved(picture, self.out.absolute() / file)) for picture in written.pictures]
        return json.dumps({"text": text, "images": paths}, ensure_ascii=False)


def saved(picture: Tensor, path: Path) -> Path:
    """The path of the file that now holds the picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(picture.permute(1, 2, 0).cpu().numpy()).save(path)
    return path


def rows_of(batch_size: int | str) -> int:
    """How many requests run side by side, for lmms-eval's --batch_size: a number, or "auto" for as many as is usual here."""
    words = str(batch_size)
    if words.partition(":")[0] == "auto":
        return Answers.rows
    if not words.isdecimal() or int(words) < 1:
        raise ValueError(f"lmms_eval: batch_size {batch_size!r}; a whole number from 1 and auto are accepted; name one of them")
    return int(words)
