"""A language as a value: its words, and its templates for captions, prompts, questions and edits."""

from dataclasses import dataclass

from tessera.world.description import Described, Side
from tessera.world.scene import Colour, Kind, Size


@dataclass(frozen=True)
class Noun:
    """A noun for one thing and for several."""

    one: str
    many: str


@dataclass(frozen=True)
class Listing:
    """How a row of things is said: each as an `item`, joined, inside a `frame`.

    An item may use {thing} ("a red circle"), {at} ("at the top left") and {place} ("top left"); a frame {list} and {count}.
    """

    item: str
    frame: str = "{list}"
    comma: str = ", "
    last: str = " and "


@dataclass(frozen=True)
class QuestionPhrases:
    """Ways to ask each question. Slots: {a}, {the}, {many}, {others}, {other}, {at}, {side}."""

    exist: tuple[str, ...]
    exist_at: tuple[str, ...]
    count: tuple[str, ...]
    colour: tuple[str, ...]
    shape: tuple[str, ...]
    position: tuple[str, ...]
    size: tuple[str, ...]
    relation: tuple[str, ...]
    digit: tuple[str, ...]
    more: tuple[str, ...]
    same_colour: tuple[str, ...]
    larger: tuple[str, ...]
    smaller: tuple[str, ...]


@dataclass(frozen=True)
class EditPhrases:
    """Ways to ask for each edit. Slots: {the}, {a}, {colour}, {size}, {at}, {to}."""

    recolour: tuple[str, ...]
    replace: tuple[str, ...]
    remove: tuple[str, ...]
    add: tuple[str, ...]
    move: tuple[str, ...]
    resize: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Language:
    """Words and templates. The first of several templates is the plain (for captions: the canonical) one.

    `articles` are those before a consonant and before one of `vowels`. `placed` joins {noun} and {at} in a name for one thing,
    `telling` a {caption}, a {question} about it and the {answer}.
    """

    name: str
    space: str
    articles: tuple[str, str]
    vowels: str
    the: str
    thing: Noun
    kinds: dict[Kind, Noun]
    colours: dict[Colour, str]
    sizes: dict[Size, str]
    places: dict[int, tuple[tuple[str, ...], ...]]
    at: str
    to: str
    placed: str
    numbers: tuple[str, ...]
    counts: tuple[str, ...]
    yes: str
    no: str
    sides: dict[Side, str]
    relation: str
    listing: Listing
    captions: tuple[Listing, ...]
    prompts: tuple[str, ...]
    questions: QuestionPhrases
    edits: EditPhrases
    telling: str

    def place(self, place: tuple[int, int], grid: int) -> str:
        """The name of a place: "top left"."""
        row, column = place
        return self.places[grid][row][column]

    def at_place(self, place: tuple[int, int], grid: int) -> str:
        """A place as part of a sentence: "at the top left"."""
        return self.at.format(place=self.place(place, grid))

    def to_place(self, place: tuple[int, int], grid: int) -> str:
        """A place as a goal: "to the top left"."""
        return self.to.format(place=self.place(place, grid))

    def bare(self, what: Described) -> str:
        """Size, colour and noun, without the place: "small red circle"."""
        return self._words(what, self._noun(what, many=False))

    def many(self, what: Described) -> str:
        """The same for several things: "red circles"."""
        return self._words(what, self._noun(what, many=True))

    def a(self, what: Described) -> str:
        """Any such thing, without the place: "an orange circle"."""
        bare = self.bare(what)
        return self.articles[bare[0] in self.vowels] + self.space + bare

    def one(self, what: Described, grid: int) -> str:
        """The thing that alone fits, with its place where said: "the circle at the top left"."""
        bare = self.bare(what)
        noun = self.the + self.space + bare if self.the else bare
        return self.placed.format(noun=noun, at=self.at_place(what.place, grid)) if what.place else noun

    def count(self, n: int, what: Described) -> str:
        """So many of them: "three red circles"."""
        return self.counts[n] + self.space + (self.bare(what) if n == 1 else self.many(what))

    def _noun(self, what: Described, many: bool) -> str:
        noun = self.kinds[what.kind] if what.kind else self.thing
        word = noun.many if many else noun.one
        return word + self.space + what.digit if what.digit else word

    def _words(self, what: Described, noun: str) -> str:
        words = (self.sizes[what.size] if what.size else "", self.colours[what.colour] if what.colour else "", noun)
        return self.space.join(word for word in words if word)
