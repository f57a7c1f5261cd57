"""Captions: what a system says of a picture, parsed back and compared with the scene."""

from collections.abc import Hashable, Sequence, Set
from functools import partial

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, shares_of_mean
from tessera.scoring import bootstrap, rate
from tessera.scoring.compare import Share
from tessera.scoring.hallucination import chair
from tessera.world import LANGUAGES, Scene, Tile, World, caption_score
from tessera.world.captions import ATTRIBUTES, CaptionScore, Counts, parse_caption
from tessera.world.description import Described
from tessera.world.wording.language import Language

SHOWN = 48


class Captions:
    """`each` pictures to be described. `exact` names the scene's things and nothing else; F1 is by attribute, over all things.

    CHAIR (Rohrbach et al. 2018, arXiv:1809.02156) is over kinds: the share of captions, and of mentions, that name one which is
    not there, beside the recall and the mean length, for saying little makes it low. What is no caption mentions nothing.
    """

    name, want = "captions", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        self.world = world
        self.scenes = [world.scene(i, split) for i in range(each)]
        self.pictures = [world.picture(scene) for scene in self.scenes]
        self.cases = [Case((Image(picture),), str(i)) for i, picture in enumerate(self.pictures)]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        marks = [self._mark(text.strip(), scene) for text, scene in zip(answers, self.scenes, strict=True)]
        f1 = lambda name: lambda cases: sum((case.counts[name] for case in cases), Counts()).f1
        used = [name for name in ATTRIBUTES if any(mark.counts[name].true for mark in marks)]
        cases = {"captions.exact": [mark.exact for mark in marks], "captions.parsed": [mark.parsed for mark in marks]}
        tiles = [Tile(p, (t.strip(),), m.exact) for p, t, m in zip(self.pictures[:SHOWN], answers, marks, strict=False)]
        true = {name: sum(mark.counts[name].true for mark in marks) for name in used}
        by_attribute = {f"captions.{name}_f1": bootstrap(marks, f1(name), share_of=true[name]) for name in used}
        rated = {name: rate(ok) for name, ok in cases.items()}
        ratios = {f"captions.{name}_f1": [mark.counts[name].share for mark in marks] for name in used}
        return Report(rated | by_attribute, right=cases, tiles={"captions": tiles}, ratios=ratios) | self._chair(answers)

    def _chair(self, answers: Sequence[str]) -> Report:
        said = [self._things(text.strip()) for text in answers]
        named = [[thing.kind for thing in things] for things in said]
        there = [{thing.kind for thing in scene.things} for scene in self.scenes]
        return chair_report("captions.chair_", named, there, answers)

    def _things(self, text: str) -> Sequence[Described]:
        parsed = (parse_caption(text, self.world.level, language) for language in self._languages)
        return next((things for things in parsed if things), ())

    @property
    def _languages(self) -> Sequence[Language]:
        """The world's language, or all of its languages."""
        return list(LANGUAGES.values()) if self.world.language == "both" else [LANGUAGES[self.world.language]]

    def _mark(self, text: str, scene: Scene) -> CaptionScore:
        """In the world's language, or in whichever of its languages the caption is."""
        marks = (caption_score(text, scene, self.world.level, language) for language in self._languages)
        return max(marks, key=lambda mark: (mark.exact, mark.parsed))


def chair_report(prefix: str, named: Sequence[Sequence[Hashable]], there: Sequence[Set[Hashable]], answers: Sequence[str]) -> Report:
    """CHAIR's four numbers of captions, `prefix` before each: from what each names, what its picture shows, and its words."""
    cases = [(names, objects, len(text.split())) for names, objects, text in zip(named, there, answers, strict=True)]
    wrong = [any(name not in objects for name in names) for names, objects, _ in cases]
    mentions, objects = sum(len(names) for names in named), sum(map(len, there))
    share_of = {"instance": mentions, "recall": objects, "words": None}
    others = {f"{prefix}{what}": bootstrap(cases, partial(_chair, what=what), share_of=of) for what, of in share_of.items()}
    ratios: dict[str, Sequence[Share]] = {
        "sentence": shares_of_mean(wrong),
        "instance": [(sum(name not in objects for name in names), len(names)) for names, objects, _ in cases],
        "recall": [(len(objects & {*names}), len(objects)) for names, objects, _ in cases],
        "words": shares_of_mean([words for *_, words in cases]),
    }
    return Report({f"{prefix}sentence": rate(wrong), **others}, ratios={f"{prefix}{what}": of for what, of in ratios.items()})


def _chair(cases: Sequence[tuple[Sequence[Hashable], Set[Hashable], int]], what: str) -> float:
    names, there, lengths = zip(*cases, strict=True)
    return getattr(chair(names, there, lengths), what)
