"""Captions: what a system says of a picture, parsed back and compared with the scene."""

from collections import Counter
from collections.abc import Hashable, Sequence, Set
from functools import cached_property, partial

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, quotient, shares_of_mean
from tessera.exams.ceiling import readings
from tessera.scoring import bootstrap, rate
from tessera.scoring.captions import Attributes, CaptionScore, Counts, caption_score
from tessera.scoring.compare import Share
from tessera.scoring.hallucination import chair
from tessera.world import LANGUAGES, Kind, Level, Scene, Tile, World, caption, parse_caption
from tessera.world.description import Described, described
from tessera.world.instructions import scene_of
from tessera.world.wording.language import Language

ATTRIBUTES = ("kind", "colour", "size", "place")
SHOWN = 48
LEARNED = 1000  # training scenes whose captions references know


class Captions:
    """`each` pictures to be described. `exact` names the scene's things and nothing else; F1 is by attribute, over all things.

    CHAIR (Rohrbach et al. 2018, arXiv:1809.02156) is over kinds: the share of captions, and of mentions, that name one which is
    not there, beside the recall and the mean length, for saying little makes it low. What is no caption mentions nothing.

    References never look, or see all: `chance` says of each picture the caption of some training scene, `blind` of all the
    commonest caption of training, `ceiling` what the oracle reads.
    """

    name, want = "captions", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world = world
        self.scenes = [world.scene(i, split) for i in range(each)]
        self.pictures = [world.picture(scene) for scene in self.scenes]
        self.cases = [Case((Image(picture),), str(i)) for i, picture in enumerate(self.pictures)]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        marks, right, ratios = self._judged(answers)
        f1 = lambda name: lambda cases: sum((case.counts[name] for case in cases), Counts()).f1
        used = [name for name in ATTRIBUTES if any(mark.counts[name].true for mark in marks)]
        tiles = [Tile(p, (t.strip(),), m.exact) for p, t, m in zip(self.pictures[:SHOWN], answers, marks, strict=False)]
        true = {name: sum(mark.counts[name].true for mark in marks) for name in used}
        by_attribute = {f"captions.{name}_f1": bootstrap(marks, f1(name), share_of=true[name]) for name in used}
        rated = {name: rate(ok) for name, ok in right.items()}
        found = Report(rated | by_attribute, right=right, tiles={"captions": tiles}, ratios=ratios) | self._chair(answers)
        return found | Report(references=self._references)

    def _judged(self, answers: Sequence[str]) -> tuple[list[CaptionScore], dict[str, list[bool]], dict[str, list[Share]]]:
        marks = [self._mark(text.strip(), scene) for text, scene in zip(answers, self.scenes, strict=True)]
        used = [name for name in ATTRIBUTES if any(mark.counts[name].true for mark in marks)]
        right = {"captions.exact": [mark.exact for mark in marks], "captions.parsed": [mark.parsed for mark in marks]}
        return marks, right, {f"captions.{name}_f1": [mark.counts[name].share for mark in marks] for name in used}

    @cached_property
    def _references(self) -> dict[str, dict[str, float]]:
        """What those get who never look, and who reads by the oracle."""
        language = self._languages[0]
        learned = [caption(self.world.scene(i, "train"), self.world.level, language) for i in range(LEARNED)]
        common = max(sorted(set(learned)), key=Counter(learned).__getitem__)
        read = map(scene_of, readings(self.world, self.pictures))
        each = len(self.scenes)
        said = {
            "chance": [learned[i % LEARNED] for i in range(each)],
            "blind": [common] * each,
            "ceiling": [caption(scene, self.world.level, language) if scene else "" for scene in read],
        }
        found: dict[str, dict[str, float]] = {}
        for who, answers in said.items():
            _, right, ratios = self._judged(answers)
            ratios |= self._chair_ratios(answers) | {name: shares_of_mean(ok) for name, ok in right.items()}
            for name, cases in ratios.items():
                found.setdefault(name, {})[who] = quotient(cases)
        return found

    def _chair(self, answers: Sequence[str]) -> Report:
        return chair_report("captions.chair_", *self._named(answers), answers)

    def _chair_ratios(self, answers: Sequence[str]) -> dict[str, list[Share]]:
        return {f"captions.chair_{what}": cases for what, cases in chair_ratios(*self._named(answers), answers).items()}

    def _named(self, answers: Sequence[str]) -> tuple[list[list[Kind]], list[set[Kind]]]:
        """The kinds that each caption names, and those that are there."""
        said = [self._things(text.strip()) for text in answers]
        return [[thing.kind for thing in things if thing.kind] for things in said], [
            {t.kind for t in scene.things} for scene in self.scenes
        ]

    def _things(self, text: str) -> Sequence[Described]:
        parsed = (parse_caption(text, self.world.level, language) for language in self._languages)
        return next((things for things in parsed if things), ())

    @property
    def _languages(self) -> Sequence[Language]:
        """The world's language, or all of its languages."""
        return list(LANGUAGES.values()) if self.world.language == "both" else [LANGUAGES[self.world.language]]

    def _mark(self, text: str, scene: Scene) -> CaptionScore:
        """In the world's language, or in whichever of its languages the caption is."""
        marks = (score_of(text, scene, self.world.level, language) for language in self._languages)
        return max(marks, key=lambda mark: (mark.exact, mark.parsed))


def score_of(text: str, scene: Scene, level: Level, language: Language) -> CaptionScore:
    """A caption compared with the scene that it should describe."""
    things = parse_caption(text, level, language)
    said = None if things is None else [*map(attributes, things)]
    return caption_score(said, [attributes(described(thing, level)) for thing in scene.things])


def attributes(what: Described) -> Attributes:
    """What text says of a thing, by attribute. Of a digit, kind means also which digit."""
    return {"kind": what.kind and (what.kind, what.digit), "colour": what.colour, "size": what.size, "place": what.place}


def chair_report(prefix: str, named: Sequence[Sequence[Hashable]], there: Sequence[Set[Hashable]], answers: Sequence[str]) -> Report:
    """CHAIR's four numbers of captions, `prefix` before each: from what each names, what its picture shows, and its words."""
    cases = [(names, objects, len(text.split())) for names, objects, text in zip(named, there, answers, strict=True)]
    wrong = [any(name not in objects for name in names) for names, objects, _ in cases]
    mentions, objects = sum(len(names) for names in named), sum(map(len, there))
    share_of = {"instance": mentions, "recall": objects, "words": None}
    others = {f"{prefix}{what}": bootstrap(cases, partial(_chair, what=what), share_of=of) for what, of in share_of.items()}
    ratios = {f"{prefix}{what}": of for what, of in chair_ratios(named, there, answers).items()}
    return Report({f"{prefix}sentence": rate(wrong), **others}, ratios=ratios)


def chair_ratios(named: Sequence[Sequence[Hashable]], there: Sequence[Set[Hashable]], answers: Sequence[str]) -> dict[str, list[Share]]:
    """What each caption adds to the two sums that each of CHAIR's numbers is the quotient of."""
    cases = list(zip(named, there, answers, strict=True))
    wrong = [sum(name not in objects for name in names) for names, objects, _ in cases]
    return {
        "sentence": [(bool(count), 1) for count in wrong],
        "instance": [(count, len(names)) for count, names in zip(wrong, named, strict=True)],
        "recall": [(len(objects & {*names}), len(objects)) for names, objects, _ in cases],
        "words": [(len(text.split()), 1) for _, _, text in cases],
    }


def _chair(cases: Sequence[tuple[Sequence[Hashable], Set[Hashable], int]], what: str) -> float:
    names, there, lengths = zip(*cases, strict=True)
    return getattr(chair(names, there, lengths), what)
