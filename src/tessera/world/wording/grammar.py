"""Rows of things into text by a listing, and the same text back into what it says."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from tessera.world.description import Described
from tessera.world.wording.language import Language, Listing

ANYTHING = Described()


def write(things: Sequence[Described], listing: Listing, language: Language, grid: int) -> str:
    """The text of a listing. An item that names a place needs things with places."""
    items = [_write_item(what, listing.item, language, grid) for what in things]
    row = listing.comma.join(items[:-1]) + listing.last + items[-1] if len(items) > 1 else items[0]
    return listing.frame.format(list=row, count=language.count(len(items), ANYTHING))


def _write_item(what: Described, item: str, language: Language, grid: int) -> str:
    if what.place is None:
        return item.format(thing=language.a(what))
    return item.format(thing=language.a(what), at=language.at_place(what.place, grid), place=language.place(what.place, grid))


def read(text: str, listing: Listing, language: Language, grid: int) -> tuple[Described, ...] | None:
    """What a text made by `write` says, or None where the listing could not have made it.

    Forgives only upper case, spaces at the ends, a full stop, and the wrong one of two articles.
    """
    whole, item = _patterns(listing, language, grid)
    match = whole.fullmatch(text.strip().rstrip(".。").lower())
    if match is None:
        return None
    things = tuple(_described(found, language, grid) for found in item.finditer(match["list"]))
    if "count" in match.groupdict() and match["count"] != language.count(len(things), ANYTHING):
        return None
    return things


@cache
def _patterns(listing: Listing, language: Language, grid: int) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of the whole text, and of one item with its parts named."""
    item = _item_pattern(listing.item, language, grid)
    nameless = re.sub(r"\(\?P<\w+>", "(?:", item)
    row = f"{nameless}(?:(?:{re.escape(listing.comma)}{nameless})*{re.escape(listing.last)}{nameless})?"
    frame = re.escape(listing.frame).replace(r"\{list\}", f"(?P<list>{row})").replace(r"\{count\}", "(?P<count>.+?)")
    return re.compile(frame), re.compile(item)


def _item_pattern(item: str, language: Language, grid: int) -> str:
    places = [place for row in language.places[grid] for place in row]
    noun = f"(?P<kind>{_any(noun.one for noun in language.kinds.values())})(?:{language.space}(?P<digit>[0-9]))?"
    size = f"(?:(?P<size>{_any(language.sizes.values())}){language.space})?"
    colour = f"(?P<colour>{_any(language.colours.values())}){language.space}"
    place = f"(?P<place>{_any(places)})"
    pattern = re.escape(item).replace(r"\{thing\}", f"(?:{_any(language.articles)}){language.space}{size}{colour}{noun}")
    return pattern.replace(r"\{at\}", re.escape(language.at).replace(r"\{place\}", place)).replace(r"\{place\}", place)


def _any(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, words))


def _described(match: re.Match[str], language: Language, grid: int) -> Described:
    words = _meanings(language, grid)
    return Described(
        kind=words[match["kind"]],
        colour=words[match["colour"]],
        size=words[match["size"]] if match["size"] else None,
        place=words[match["place"]],
        digit=match["digit"] or "",
    )


@cache
def _meanings(language: Language, grid: int) -> dict[str, Any]:
    """What each word of a caption stands for."""
    places = {word: (r, c) for r, row in enumerate(language.places[grid]) for c, word in enumerate(row)}
    kinds = {noun.one: kind for kind, noun in language.kinds.items()}
    colours = {word: colour for colour, word in language.colours.items()}
    sizes = {word: size for size, word in language.sizes.items()}
    return {**places, **kinds, **colours, **sizes}
