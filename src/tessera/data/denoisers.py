"""Mixtures of denoisers: part of what a document teaches is hidden from what it gives, and asked for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Generator

from tessera.document import Document, Image, Segment, Text
from tessera.draws import Draw

GAP = "_"  # stands for a span that is left out, and in front of it where it is learned
HIDDEN = (255, 0, 255)  # the colour of squares that are left out: none of the world's
ALONE = "\u3040-\u30ff\u3400-\u9fff"  # kana and Chinese characters
UNITS = re.compile(rf"\s*(?:[{ALONE}]|[^\s{ALONE}]+)")


class Spans(NamedTuple):
    """How spans are left out of a text: their mean length in words, and the share of the words that is left out."""

    length: float
    rate: float


REGULAR = (Spans(3, 0.15), Spans(8, 0.15))
EXTREME = (Spans(3, 0.5), Spans(8, 0.5), Spans(64, 0.15), Spans(64, 0.5))


@dataclass(frozen=True)
class Denoisers:
    """A transform: documents that teach one thing are learned in one of several ways, those that teach more as they are.

    A text is `regular` [R] (short spans of it are left out), `extreme` [X] (long ones, or many), or sequential: learned from
    some word on, or where the document gives something else, whole. A picture is `regular` (shown with a share `hidden` of its
    squares, of `square` pixels a side, covered; those are learned), or learned whole. What remains of the shares is sequential.
    Source: UL2 (Tay et al. 2022, arXiv:2205.05131, section 3.1 and table 1); for pictures Unified-IO 2 (Lu et al. 2023,
    arXiv:2312.17172, section 3.3), with MAE's share. Differs: spans are of words, and of characters of scripts without spaces; gaps are
    not numbered; the sequential mode has no sign; a text that itself holds the sign of a gap is learned whole.
    """

    square: int
    regular: float = 0.25
    extreme: float = 0.25
    hidden: float = 0.75

    def __post_init__(self):
        if min(self.regular, self.extreme) < 0 or self.regular + self.extreme > 1 or not 0 < self.hidden <= 1:
            raise ValueError(
                f"denoisers: regular {self.regular:g}, extreme {self.extreme:g}, hidden {self.hidden:g}; shares from 0 on, the first two "
                "together 1 at most, the last above 0, are accepted; change them"
            )

    def __call__(self, document: Document, draw: Draw) -> Document:
        """The document as it is learned this time."""
        learned = [i for i, segment in enumerate(document) if segment.learn]
        if len(learned) != 1 or learned[0] != len(document) - 1:
            return document
        *before, last = document
        if isinstance(last, Text) and last.content:
            parts = self._text(last, before, draw.rng)
        elif isinstance(last, Image) and last.content is not None and last.keep is None:
            parts = self._picture(last, draw.rng)
        else:
            return document
        return replace(document, segments=(*before, *parts))

    def _text(self, text: Text, before: Sequence[Segment], rng: Generator) -> tuple[Segment, ...]:
        assert text.content is not None
        units = UNITS.findall(text.content)
        if len(units) < 2 or GAP in text.content:
            return (text,)
        mode = torch.rand((), generator=rng).item()  # what remains of it falls into one of the shares, or behind them
        for sign, share, kinds in (("[R]", self.regular, REGULAR), ("[X]", self.extreme, EXTREME)):
            if mode < share:
                spans = kinds[_below(len(kinds), rng)]
                given, learned = blanked(units, left_out(len(units), spans, rng))
                return Text(f"{sign} {given}"), replace(text, content=learned)
            mode -= share
        start = 0 if before else _below(len(units), rng)
        return (Text("".join(units[:start])), replace(text, content="".join(units[start:]))) if start else (text,)

    def _picture(self, picture: Image, rng: Generator) -> tuple[Segment, ...]:
        assert picture.content is not None
        if torch.rand((), generator=rng).item() >= self.regular:
            return (picture,)
        _, height, wide = picture.content.shape
        if height % self.square or wide % self.square:
            raise ValueError(
                f"denoisers: a picture of {height} x {wide} pixels, squares of {self.square}; whole squares are accepted; resize it"
            )
        rows, columns = height // self.square, wide // self.square
        covered = torch.zeros(rows * columns, dtype=torch.bool)
        covered[torch.randperm(len(covered), generator=rng)[: round(self.hidden * len(covered))]] = True
        mask = covered.view(rows, columns).repeat_interleave(self.square, 0).repeat_interleave(self.square, 1)
        colour = torch.tensor(HIDDEN, dtype=torch.uint8)[:, None, None]
        return Image(torch.where(mask, colour, picture.content)), replace(picture, keep=~mask)


def left_out(units: int, spans: Spans, rng: Generator) -> list[slice]:
    """Which of so many units are left out: as many as the rate says, at least one and not all, in spans that do not touch.

    Every way to cut them into so many spans, and to put those among the others, is equally likely.
    """
    count = min(max(round(units * spans.rate), 1), units - 1)
    number = min(max(round(count / spans.length), 1), count, units - count + 1)
    lengths = _cut(count, number, rng)
    between = _cut(units - count + 2, number + 1, rng)  # the first and the last may be none
    found, at = [], -1
    for gap, length in zip(between, lengths, strict=False):
        at += gap
        found.append(slice(at, at + length))
        at += length
    return found


def _cut(total: int, parts: int, rng: Generator) -> list[int]:
    """A whole number as so many others of at least 1."""
    places = sorted((torch.randperm(total - 1, generator=rng)[: parts - 1] + 1).tolist())
    return [end - start for start, end in zip([0, *places], [*places, total], strict=True)]


def _below(number: int, rng: Generator) -> int:
    return int(torch.randint(number, (), generator=rng))


def blanked(units: Sequence[str], spans: Sequence[slice]) -> tuple[str, str]:
    """The text with gaps, and what stood there, span by span behind the sign of its gap."""
    units, given, at = [f" {units[0]}", *units[1:]], "", 0
    for span in spans:
        given += "".join(units[at : span.start]) + f" {GAP}"
        at = span.stop
    learned = "".join(f" {GAP}" + "".join(units[span]) for span in spans)
    return (given + "".join(units[at:])).lstrip(), learned.lstrip()
