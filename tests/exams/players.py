"""What tests of exams share: who answers in a system's place, and what was answered."""

from collections.abc import Callable, Mapping, Sequence

import torch

from tessera.document import Document, Image, Segment, Text
from tessera.exams import Exam, Report
from tessera.world import LANGUAGES, Colour, Scene, Size, Thing, World, caption, question_kinds, skills
from tessera.world.prompts import Prompt
from tessera.world.render import render

FEW = {"drawing": 2, "questions": 3, "captions": 4}
Answer = torch.Tensor | str | Document
Player = Callable[[Sequence[Segment], type[Segment] | None], Answer]


def scene_of(prompt: Prompt, *, more: int = 0) -> Scene:
    """The wanted things, red and in any free place where the prompt leaves that open; and `more` of a kind not wanted."""
    level = prompt.level
    taken = {what.place for what in prompt.wanted}
    free = iter([(row, column) for row in range(level.grid) for column in range(level.grid) if (row, column) not in taken])
    asked = [(what.kind, what.colour or Colour.RED, what.place or next(free)) for what in prompt.wanted]
    other = next(kind for kind in level.kinds if kind not in {kind for kind, _, _ in asked})
    asked += [(other, Colour.BLACK, next(free)) for _ in range(more)]
    centres = level.centres
    return Scene(tuple(Thing(kind, colour, Size.MEDIUM, *at, float(centres[at[1]]), float(centres[at[0]])) for kind, colour, at in asked))


class Truth:
    """Looks answers up in the world: pictures by their prompt, texts by the picture (and the question).

    What it does not know it says nothing of.
    """

    def __init__(self, world: World, each: Mapping[str, int] = FEW, split: str = "test", *, more: int = 0, language: str = "en"):
        level = world.level
        prompts = [world.prompt(skill, i, split) for skill in skills(level) for i in range(each.get("drawing", 0))]
        self.pictures = {prompt.text: torch.from_numpy(render(scene_of(prompt, more=more), level)) for prompt in prompts}
        asked = [world.question(kind, i, split) for kind in question_kinds(level) for i in range(each.get("questions", 0))]
        self.texts = {(name(picture), question.text): question.answer for picture, question in asked}
        for scene in (world.scene(i, split) for i in range(each.get("captions", 0))):
            self.texts[name(world.picture(scene)),] = caption(scene, level, LANGUAGES[language])

    def __call__(self, prompt: Sequence[Segment], want: type[Segment]) -> Answer:
        if want is Image:
            return self.pictures[prompt[-1].content]
        picture, *question = prompt
        return self.texts.get((name(picture.content), *(text.content for text in question)), "I see nothing")


def nonsense(prompt: Sequence[Segment], want: type[Segment] | None) -> Answer:
    """Pictures of noise, and words that answer nothing."""
    rng = torch.Generator().manual_seed(len(str(prompt[-1].content)))
    noise = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=rng)
    if want is None:
        return Document((*prompt[:-1], Image(noise, learn=True), Text("well", learn=True)))
    return noise if want is Image else "well"


def taken(exam: Exam, player: Player) -> Report:
    """What the exam finds of a player."""
    return exam.report([player(case.prompt, exam.want) for case in exam.cases])


def name(picture: torch.Tensor) -> bytes:
    """What a picture is looked up by."""
    return picture.numpy().tobytes()


def values(report: Report) -> dict[str, float]:
    """The scores without their intervals."""
    return {key: score.value for key, score in report.scores.items()}
