"""The manners of a published system: how its makers put pictures and words to it."""

import json
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from tessera.document import Document, Image, Segment, Text
from tessera.hub.chat import Chat
from tessera.hub.folder import Folder
from tessera.hub.markers import tokenizer
from tessera.hub.pictures import Fit

DESCRIBE = "Describe the picture."


@dataclass(frozen=True)
class Published:
    """A chat template, a rule for pictures, and another rule for those to be drawn, where what draws is not what sees."""

    chat: Chat
    fit: Fit
    drawn: Fit | None = None

    def picture(self, picture: UInt8[Tensor, "3 height wide"]) -> UInt8[Tensor, "3 ..."]:
        """The picture scaled, cut or padded."""
        return self.fit(picture)

    def drawing(self, picture: UInt8[Tensor, "3 height wide"]) -> UInt8[Tensor, "3 ..."]:
        """The picture scaled and cut as those are that are drawn."""
        return (self.drawn or self.fit)(picture)

    def document(self, document: Document) -> Document:
        """The document in the template's words. Pictures with a text to follow, and nothing said, are asked to be described."""
        return self.chat.document(asked(document))


def asked(document: Document) -> Document:
    """The document with a request in front of each learned text that has pictures before it, and no word."""
    segments: list[Segment] = []
    turn: list[Segment] = []  # what is given since something was learned
    for segment in document:
        if isinstance(segment, Text) and segment.learn and turn and all(isinstance(one, Image) for one in turn):
            segments.append(Text(DESCRIBE))
        turn = [] if segment.learn else [*turn, segment]
        segments.append(segment)
    return replace(document, segments=tuple(segments))


def token(folder: Folder, name: str, usual: str = "") -> str:
    """A special token that the folder's tokenizer calls so."""
    said: Any = folder.read("tokenizer_config.json").get(name, usual)
    return (said.get("content", usual) if isinstance(said, dict) else said) or usual


def template(folder: Folder, usual: str) -> str:
    """The chat template of a folder, or the usual one of its kind where it has none."""
    plain = folder.path / "chat_template.jinja"
    if plain.is_file():
        return plain.read_text()
    for file in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        said = folder.read(file).get("chat_template")
        if isinstance(said, list):  # several, by name
            said = next((one["template"] for one in said if one.get("name") == "default"), None)
        if said:
            return said
    return usual


def chat(folder: Folder, usual: str, *, picture: str = "", preface: str = "", behind: str = "", plain: bool = False) -> Chat:
    """A folder's chat."""
    added = json.loads(tokenizer(folder).to_str()).get("added_tokens", [])
    special = frozenset(one["content"] for one in added if one["special"])
    begin, end = token(folder, "bos_token"), token(folder, "eos_token")
    return Chat(template(folder, usual), picture, special, begin, end, preface, behind=behind, drawn_plainly=plain, bare=not picture)
