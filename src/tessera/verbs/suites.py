"""Suites: which exams are taken, with how many cases each."""

from collections.abc import Callable, Mapping

from tessera.exams import (
    Apart,
    Asking,
    Captions,
    Choices,
    Control,
    Counterfactuals,
    Drawing,
    Editing,
    Exam,
    FewShots,
    OwnStories,
    Pope,
    PopeControl,
    Stories,
)
from tessera.exams.likeness import LEAST, Likeness
from tessera.world import Skill, World
from tessera.world.hallucination import Scenes

# `each` is cases per skill, kind, or in all, as the exam says.
EXAMS: Mapping[str, Callable[[World, int, str], Exam]] = {
    "drawing": Drawing,
    "questions": Asking,
    "questions.blank": lambda world, each, split: Control(Asking(world, each, split), "blank"),
    "questions.shuffled": lambda world, each, split: Control(Asking(world, each, split), "shuffled"),
    "captions": Captions,
    "pope": Pope,
    "pope.blank": lambda world, each, split: PopeControl(Pope(world, each, split), "blank"),
    "pope.shuffled": lambda world, each, split: PopeControl(Pope(world, each, split), "shuffled"),
    "pope.long_tail": lambda world, each, split: Pope(world, each, split, scenes=Scenes.LONG_TAIL),
    "pope.decorrelated": lambda world, each, split: Pope(world, each, split, scenes=Scenes.DECORRELATED),
    "counterfactuals": Counterfactuals,
    "likeness": Likeness,
    "choices": Choices,
    "shots": FewShots,
    "editing": Editing,
    "stories": Stories,
    "stories.forced": lambda world, each, split: Stories(world, each, split, forced=True),
    "stories.own": OwnStories,
    "held_out.drawing": lambda world, each, split: Apart(Drawing(world, each, kept_out(world), only=(Skill.CAPTION,))),
    "held_out.questions": lambda world, each, split: Apart(Asking(world, each, kept_out(world))),
    "held_out.captions": lambda world, each, split: Apart(Captions(world, each, kept_out(world))),
    "held_out.pope": lambda world, each, split: Apart(Pope(world, each, kept_out(world))),
}
PICTURES = (
    "drawing",
    "likeness",
    "editing",
    "stories",
    "stories.forced",
    "stories.own",
    "held_out.drawing",
)  # where pictures are to be written
STANDARD = {
    "drawing": 500,
    "questions": 200,
    "questions.blank": 200,
    "questions.shuffled": 200,
    "captions": 500,
    "pope": 500,
    "counterfactuals": 500,
    "likeness": 500,
}
SPECIAL = {  # what not every system has learned, or needs a world that leans to say something
    "pope.blank": 500,
    "pope.shuffled": 500,
    "pope.long_tail": 500,
    "pope.decorrelated": 500,
    "choices": 50,
    "shots": 100,
    "editing": 100,
    "stories": 500,
    "stories.forced": 500,
    "stories.own": 500,
}
HELD_OUT = {
    "held_out.drawing": 500,
    "held_out.questions": 200,
    "held_out.captions": 500,
    "held_out.pope": 500,
}  # where the world holds something out
SUITES: Mapping[str, Mapping[str, int]] = {
    "smoke": {name: each // 10 for name, each in STANDARD.items()} | {"likeness": LEAST},
    "standard": STANDARD,
    "full": {name: 4 * each for name, each in (STANDARD | SPECIAL).items()},
    "held_out": HELD_OUT,
}


def chosen(names: list[str]) -> dict[str, int]:
    """Exams and their numbers of cases, from names of suites and of exams (which have as many cases as `standard` would have)."""
    cases: dict[str, int] = {}
    for name in names:
        if name not in SUITES and name not in EXAMS:
            raise ValueError(f"evaluate: suite {name!r}; suites {', '.join(SUITES)} and exams {', '.join(EXAMS)} are accepted; name one")
        cases |= SUITES[name] if name in SUITES else {name: (STANDARD | SPECIAL | HELD_OUT)[name]}
    return cases


def kept_out(world: World) -> str:
    """The split of what the world holds out."""
    if world.held_out is None:
        raise ValueError("evaluate: exams on what is held out; this world holds nothing out; train with --held-out and evaluate that run")
    return world.held_out
