"""LLaVA's conversation files: a JSON list of entries with pictures and turns of "human" and "gpt" by turns.

{"id": "7", "image": "a.png", "conversations": [{"from": "human", "value": "<image>\\nQ"}, {"from": "gpt", "value": "A"}]}
`image` is a path, a list of paths (for several <image> tags, in order), or absent: then the entry is text only.
Paths are relative to the folder of pictures that is named; without one, to the file's folder or a folder `images` beside it.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tessera.data.fields import attempt, field, kind, parsed, picture_at, text_of
from tessera.data.rows import BadRow, Conversation, Span
from tessera.document import Text

TAG = "<image>"
ROLES = ("human", "gpt")


def read_llava(file: Path, images: Path | None = None) -> Iterator[Conversation | BadRow]:
    """The entries of the file, which is read whole; pictures lie in `images`. Raises ValueError where it is no JSON list."""
    try:
        entries = parsed(file.read_bytes())
    except ValueError as fault:
        raise ValueError(f"data: {file}: {fault}; a LLaVA file is one JSON list of entries; mend the file") from fault
    if not isinstance(entries, list):
        raise ValueError(f"data: {file} is {kind(entries)}; a LLaVA file is one JSON list of entries; name another file")
    roots = [images] if images else [file.parent, file.parent / "images"]
    for number, entry in enumerate(entries, 1):
        name = f" (id {entry['id']!r})" if isinstance(entry, dict) and "id" in entry else ""
        where = f"entry {number}{name}"
        yield attempt(file, where, partial(conversation, file, where, entry, roots))


def conversation(file: Path, where: str, entry: object, roots: Sequence[Path]) -> Conversation:
    """One entry in reading order: pictures stand where their tags do, and every answer is learned."""
    turns = field(entry, "conversations")
    if not isinstance(turns, list) or not turns:
        raise ValueError(f"'conversations' is {'empty' if turns == [] else kind(turns)}; a list of turns is expected")
    named = field(entry, "image", needed=False)
    named = [] if named is None else named if isinstance(named, list) else [named]
    values = [value_of(turn, number) for number, turn in enumerate(turns)]
    if len(values) % 2:
        raise ValueError(f"turn {len(values)} is a question without an answer")
    tags = sum(value.count(TAG) for value in values)
    if tags != len(named):
        raise ValueError(f"{tags} {TAG} tags for {len(named)} pictures in 'image'")
    pictures = iter([picture_at(name, *roots) for name in named])
    parts = [part for number, value in enumerate(values) for part in parts_of(value, bool(number % 2), pictures)]
    return Conversation(file, where, tuple(parts))


def value_of(turn: object, number: int) -> str:
    """What is said in this turn (counted from 0), once its role is the one expected."""
    role, expected = field(turn, "from"), ROLES[number % 2]
    if role != expected:
        raise ValueError(f"turn {number + 1} is from {role!r}; the roles are 'human' and 'gpt' by turns, here {expected!r}")
    value = text_of(field(turn, "value"), f"value of turn {number + 1}")
    if role == "gpt" and TAG in value:
        raise ValueError(f"turn {number + 1} answers with a picture; answers are text (pairs teach drawing)")
    return value


def parts_of(value: str, learn: bool, pictures: Iterator[Span]) -> Iterator[Text | Span]:
    """The turn split at its tags, each piece without white space at its ends."""
    for number, piece in enumerate(value.split(TAG)):
        if number:
            yield next(pictures)
        if piece.strip():
            yield Text(piece.strip(), learn)
