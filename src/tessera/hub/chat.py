"""Chats: documents in the words that a published template puts around them."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tessera.document import Document, Image, Segment, Text

SAYS = ("user", "assistant")


class _Generation(Extension):
    """`{% generation %}` marks in templates what a model learns; here the document says that."""

    tags = {"generation"}  # noqa: RUF012  # as jinja wants it

    def parse(self, parser: Parser) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refused(reason: str) -> None:
    raise ValueError(f"chat: the template refuses this document: {reason}; another order of turns may be accepted")


def environment() -> jinja2.Environment:
    """Where templates are read: they come from strangers, so they are kept from everything but text."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False, **how)
    made.globals["raise_exception"] = _refused
    return made


@dataclass(frozen=True)
class Chat:
    """Documents as chats: what is given is the user's, what is learned the system's, who begins as the template lets it begin.

    `picture` is what the template says where a picture stands, `special` are tokens that only templates may say, `begin` is the one
    that the system's own marker puts in front, `end` the one that closes a turn. `preface` stands in front of chats that end in text;
    `ahead` and `behind` what a prompt of a picture begins and ends with, which is no chat where `drawn_plainly`, and `filled` makes it as
    long as it must be. `bare` messages are text, not lists of parts.
    """

    template: str
    picture: str
    special: frozenset[str]
    begin: str = ""
    end: str = ""
    preface: str = ""
    ahead: str = ""
    behind: str = ""
    drawn_plainly: bool = False
    filled: Callable[[str], str] = lambda text: text
    bare: bool = False

    def document(self, document: Document) -> Document:
        """The document in the template's words.

        Raises ValueError where a user's text holds a special token, and where the template does not speak of a picture that is shown.
        """
        for text in document.texts:
            held = sorted(token for token in self.special if token and token in text)
            if held:
                raise ValueError(f"chat: a text holds {', '.join(held)}, which only the template may say; words are accepted; take it out")
        segments: list[Segment] = []
        said, since = "", 0  # and where the answers behind it begin
        last = max((i for i, segment in enumerate(document) if segment.learn), default=0)
        shown = iter([segment for segment in document.segments[:last] if isinstance(segment, Image) and not segment.learn])
        for i, segment in enumerate(document):
            if segment.learn and not (i and document[i - 1].learn):  # what is learned goes on without another word
                now = self._until(document.segments[:i], segment)
                segments += self._apart(self._new(now, said, document.segments[since:i]), shown)
                said, since = now, i
                segment = self._answer(document.segments[:i], segment, now)
            segments += [segment] if segment.learn else []
        unsaid = len(list(shown))
        if unsaid:
            raise ValueError(
                f"chat: {unsaid} pictures are shown of which the template says nothing; words are accepted; ask a model that reads pictures"
            )
        return replace(document, segments=tuple(segments)) if segments else document

    def _until(self, before: Sequence[Segment], learned: Segment) -> str:
        """All that is said up to a learned segment."""
        if self.drawn_plainly and isinstance(learned, Image):
            asked = "".join(s.content or "" if isinstance(s, Text) else self.picture for s in before)
            return self.ahead + self.filled(asked) + self.behind
        return self._opened(learned) + self._said(before, asks=True)

    def _opened(self, learned: Segment) -> str:
        return self.preface if isinstance(learned, Text) else ""

    def _said(self, segments: Sequence[Segment], *, asks: bool) -> str:
        """These segments in the template's words; with `asks`, up to where an answer begins."""
        messages: list[dict[str, Any]] = []
        for segment in segments:
            role = SAYS[segment.learn]
            part = {"type": "image"} if isinstance(segment, Image) else {"type": "text", "text": segment.content or ""}
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"].append(part)
            else:
                messages.append({"role": role, "content": [part]})
        if self.bare:
            messages = [{**one, "content": "".join(part.get("text", "") for part in one["content"])} for one in messages]
        try:
            template = environment().from_string(self.template)
            said = template.render(messages=messages, add_generation_prompt=asks, bos_token=self.begin, eos_token=self.end)
        except jinja2.TemplateError as fault:
            raise ValueError(f"chat: the published template fails: {fault}; another order of turns may be accepted") from fault
        return said.removeprefix(self.begin) if self.begin else said

    def _answer(self, before: Sequence[Segment], segment: Segment, now: str) -> Segment:
        """A learned text with the white space that the template puts in front of answers, which is for the system to say."""
        if not isinstance(segment, Text) or not segment.content or not segment.content.strip():
            return segment
        said = self._opened(segment) + self._said([*before, segment], asks=False)
        front, found, _ = said.removeprefix(now).partition(segment.content.strip())
        begins = said.startswith(now) and found and not front.strip()
        return replace(segment, content=front + segment.content.lstrip()) if begins else segment

    def _new(self, now: str, said: str, behind: Sequence[Segment]) -> str:
        """What is said anew: what stands behind the answers of the turn before and what closed them, which are segments of their own."""
        if not said:
            return now
        answers, rest = [segment for segment in behind if segment.learn], now.removeprefix(said)
        blank = any(answer.content is None for answer in answers)
        for answer in answers:
            mark = self.picture if isinstance(answer, Image) else answer.content
            rest = rest.partition(mark)[2] if mark else rest
        if blank or not now.startswith(said) or not rest:
            raise ValueError(
                "chat: an answer before the last turn is blank, or the template rewrites what was said; ask one turn at a time"
            )
        return rest.lstrip(" ").removeprefix(self.end) if self.end else rest.lstrip(" ")

    def _apart(self, said: str, shown: Iterator[Image]) -> list[Segment]:
        """Texts, and the next picture wherever the template speaks of one."""
        first, *others = said.split(self.picture) if self.picture else [said]
        segments: list[Segment] = [Text(first)] if first else []
        for other in others:
            segments += [next(shown), *([Text(other)] if other else [])]
        return segments
