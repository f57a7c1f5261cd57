"""VQAv2: questions about pictures, each answered by ten people.

Source: Goyal et al. 2017, arXiv:1612.00837; the files of visualqa.org.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tessera.data.benchmarks.gather import (
    Benchmark,
    Entry,
    file_at,
    gather,
    id_of,
    json_of,
    list_of,
    named,
    root_of,
    table_of,
    whole_of,
)
from tessera.data.fields import field, kind, picture_at, text_of

QUESTIONS = "a JSON file of VQAv2 with the list 'questions'"
ANNOTATIONS = "a JSON file of VQAv2 with the list 'annotations'"
PEOPLE = 10


@dataclass(frozen=True, slots=True)
class VqaQuestion:
    """A question about a picture, what ten people answered, and in `cluster` the picture's id."""

    id: str
    cluster: str
    picture: Path
    question: str
    answers: tuple[str, ...]
    answer_type: str


def read_vqa(
    questions: str | Path,
    annotations: str | Path,
    images: str | Path,
    *,
    name: str = "COCO_val2014_{:012d}.jpg",
    skip_bad: bool = False,
) -> Benchmark[VqaQuestion]:
    """The questions of one file with the answers of another, found by question id. Answers without a question are no rows.

    `name` says what the picture of an image id is called in the folder `images`.
    """
    file, answers = file_at(questions, QUESTIONS), file_at(annotations, ANNOTATIONS)
    try:
        name.format(0)
    except (KeyError, IndexError, ValueError) as fault:
        raise ValueError(f"data: pictures named {name!r}; one place for the id, as in COCO_val2014_{{:012d}}.jpg, is accepted") from fault
    root, answered = root_of(images, file), answers_by_id(answers)
    asked = table_of(file, json_of(file, QUESTIONS), "questions", QUESTIONS)
    rows = [
        Entry(file, named(f"question {n}", entry, "question_id"), partial(vqa_question, entry, root / name, answered, answers.name))
        for n, entry in enumerate(asked, 1)
    ]
    return gather(file, rows, skip_bad=skip_bad)


def answers_by_id(file: Path) -> dict[str, tuple[str, object]]:
    """Where the annotation of each question id stands, and the annotation."""
    found: dict[str, tuple[str, object]] = {}
    for number, entry in enumerate(table_of(file, json_of(file, ANNOTATIONS), "annotations", ANNOTATIONS), 1):
        where = f"annotation {number}"
        try:
            id = id_of(entry, "question_id")
            if id in found:
                raise ValueError(f"its question_id {id} is that of {found[id][0]}")
        except ValueError as fault:
            raise ValueError(f"data: {file}, {where}: {fault}; {ANNOTATIONS} is accepted; mend the file") from fault
        found[id] = where, entry
    return found


def vqa_question(entry: object, pattern: Path, answered: dict[str, tuple[str, object]], source: str) -> VqaQuestion:
    """One question with its answers, which stand in the file named `source`."""
    id, image = id_of(entry, "question_id"), whole_of(field(entry, "image_id"), "image_id")
    if id not in answered:
        raise ValueError(f"{source} has no answers to it")
    where, annotation = answered[id]
    try:
        answers, answer_type = answers_of(annotation), text_of(field(annotation, "answer_type"), "answer_type")
    except ValueError as fault:
        raise ValueError(f"{where} of {source}: {fault}") from fault
    picture = picture_at(pattern.name.format(image), pattern.parent).file
    return VqaQuestion(id, str(image), picture, text_of(field(entry, "question"), "question"), answers, answer_type)


def answers_of(annotation: object) -> tuple[str, ...]:
    """What each of ten people said, which may be nothing."""
    entries = list_of(field(annotation, "answers"), "answers")
    if len(entries) != PEOPLE:
        raise ValueError(f"{len(entries)} answers; {PEOPLE} are expected")
    said = [field(one, "answer") for one in entries]
    for number, words in enumerate(said, 1):
        if not isinstance(words, str):
            raise ValueError(f"answer {number} is {kind(words)}, not text")
    return tuple(map(str, said))
