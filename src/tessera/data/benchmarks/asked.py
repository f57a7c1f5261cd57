"""Questions with a reference answer, in LLaVA's format: a JSON list of entries, or one entry a line.

{"id": "7", "image": "a.png", "conversations": [{"from": "human", "value": "<image>\\nQ"}, {"from": "gpt", "value": "A"}]}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tessera.data.benchmarks.gather import Benchmark, Entry, file_at, gather, id_of, json_of, lines_of, named, root_of
from tessera.data.fields import kind, parsed
from tessera.data.llava import conversation
from tessera.data.rows import Span

ACCEPTED = "LLaVA's format, a JSON list of entries (.json) or one a line (.jsonl),"


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question, about a picture or about none, and the answer it is compared with. `cluster` is the picture's path, or the id."""

    id: str
    cluster: str
    picture: Path | None
    question: str
    answer: str


def read_questions(path: str | Path, images: str | Path | None = None, *, skip_bad: bool = False) -> Benchmark[AskedQuestion]:
    """One question for each entry, which has one question, one answer, and one picture or none; in `images`, or beside the file.

    An entry without an id is called by its number.
    """
    file = file_at(path, ACCEPTED)
    root = root_of(images, file)
    return gather(file, entries_of(file, root), skip_bad=skip_bad)


def entries_of(file: Path, root: Path) -> Iterator[Entry]:
    """The entries of a list, or of lines."""
    if file.suffix.lower() == ".jsonl":
        for number, (where, line) in enumerate(lines_of(file), 1):
            yield Entry(file, where, partial(_asked_on, line, file, where, number, root))
        return
    whole = json_of(file, ACCEPTED)
    if not isinstance(whole, list):
        raise ValueError(f"data: {file} is {kind(whole)}; {ACCEPTED} is accepted; name another file")
    for number, entry in enumerate(whole, 1):
        where = named(f"entry {number}", entry, "id")
        yield Entry(file, where, partial(asked, entry, file, where, number, root))


def _asked_on(line: bytes, file: Path, where: str, number: int, root: Path) -> AskedQuestion:
    return asked(parsed(line), file, where, number, root)


def asked(entry: object, file: Path, where: str, number: int, root: Path) -> AskedQuestion:
    """The question of one entry."""
    parts = conversation(file, where, entry, [root]).parts
    pictures = [part.file for part in parts if isinstance(part, Span)]
    texts = [part for part in parts if not isinstance(part, Span)]
    if [text.learn for text in texts] != [False, True] or len(pictures) > 1:
        answers = sum(text.learn for text in texts)
        raise ValueError(
            f"{len(texts) - answers} pieces of question, {answers} answers and {len(pictures)} pictures; "
            "one question in one piece, one answer, and one picture or none are expected"
        )
    question, answer = (str(text.content) for text in texts)
    id = id_of(entry, "id") if isinstance(entry, dict) and "id" in entry else str(number)
    return AskedQuestion(id, str(pictures[0]) if pictures else id, pictures[0] if pictures else None, question, answer)
