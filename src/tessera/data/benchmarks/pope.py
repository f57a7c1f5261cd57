"""POPE: yes-or-no questions about objects, the object lists they are made from, and what a model answered.

Source: Li et al. 2023, arXiv:2305.10355; the files of its repository are JSON Lines, whatever their suffix says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tessera.data.benchmarks.gather import Benchmark, Entry, Item, file_at, gather, id_of, lines_of, list_of, root_of
from tessera.data.fields import field, kind, parsed, picture_at, text_of
from tessera.data.rows import BadRow

ANSWERS = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class YesNoQuestion:
    """A question about a picture, whether its answer is yes, and in `cluster` the picture's name."""

    id: str
    cluster: str
    picture: Path
    question: str
    answer: bool


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A picture and the names of the objects in it, in the order they were given: what POPE's questions are made from."""

    id: str
    picture: Path
    objects: tuple[str, ...]

    @property
    def cluster(self) -> str:
        return self.id


def read_pope(path: str | Path, images: str | Path | None = None, *, skip_bad: bool = False) -> Benchmark[YesNoQuestion]:
    """The questions of a file with lines {"question_id": 1, "image": "a.jpg", "text": "Is there a dog in the image?", "label": "yes"}.

    Pictures lie in `images`, or beside the file.
    """
    file = file_at(path, "a file of POPE's questions, one JSON object a line,")
    root = root_of(images, file)
    return gather(file, [Entry(file, where, partial(question, line, root)) for where, line in lines_of(file)], skip_bad=skip_bad)


def question(line: bytes, root: Path) -> YesNoQuestion:
    """The question written on one line."""
    entry = parsed(line)
    label = field(entry, "label")
    if not isinstance(label, str) or label not in ANSWERS:
        raise ValueError(f"'label' is {label!r}; 'yes' and 'no' are accepted")
    picture = picture_at(field(entry, "image"), root).file
    name = text_of(field(entry, "image"), "image")
    return YesNoQuestion(id_of(entry, "question_id"), name, picture, text_of(field(entry, "text"), "text"), ANSWERS[label])


def read_pope_objects(path: str | Path, images: str | Path | None = None, *, skip_bad: bool = False) -> Benchmark[ObjectList]:
    """The rows of a file with lines {"image": "a.jpg", "objects": ["dog", "chair"]}. Their ids are the names of the pictures."""
    file = file_at(path, "a file of pictures and their objects, one JSON object a line,")
    root = root_of(images, file)
    return gather(file, [Entry(file, where, partial(object_list, line, root)) for where, line in lines_of(file)], skip_bad=skip_bad)


def object_list(line: bytes, root: Path) -> ObjectList:
    """The row written on one line."""
    entry = parsed(line)
    picture = picture_at(field(entry, "image"), root).file
    objects = [text_of(name, f"objects[{i}]") for i, name in enumerate(list_of(field(entry, "objects"), "objects"))]
    return ObjectList(text_of(field(entry, "image"), "image"), picture, tuple(objects))


# ---------------------------------------------------------------- what a model answered


def read_predictions(path: str | Path) -> dict[str, str]:
    """What a model said, by question id, from lines {"question_id": 1, "text": "Yes"}; where there is an "answer", that is it.

    POPE's own answer files have no ids and are matched by their order, which goes wrong unseen; they are refused.
    Raises ValueError at the first bad line: a prediction that is left out would be scored as if it were none.
    """
    file = file_at(path, "a file of predictions, one JSON object a line,")
    said: dict[str, str] = {}
    for where, line in lines_of(file):
        try:
            entry = parsed(line)
            id, name = id_of(entry, "question_id"), "answer" if isinstance(entry, dict) and "answer" in entry else "text"
            words = field(entry, name)
            if not isinstance(words, str):
                raise ValueError(f"'{name}' is {kind(words)}, not text")
            if id in said:
                raise ValueError(f"question_id {id!r} stands in the file twice")
        except ValueError as fault:
            raise ValueError(f"data: {BadRow(file, where, str(fault))}; one line for each question is accepted; mend the line") from fault
        said[id] = words
    return said


def match(items: Iterable[Item], predictions: Mapping[str, str]) -> list[str]:
    """What was said to each item, found by id. Raises ValueError unless there is one prediction for each item, and no other."""
    items = list(items)
    ids = {item.id for item in items}
    missing, unknown = [item.id for item in items if item.id not in predictions], [id for id in predictions if id not in ids]
    for what, some in (("questions without a prediction", missing), ("predictions for no question", unknown)):
        if some:
            raise ValueError(
                f"predictions: {len(some)} {what}, the first with id {some[0]!r}; one for each of {len(ids)} questions is accepted; "
                "check that both files belong together"
            )
    return [predictions[item.id] for item in items]
