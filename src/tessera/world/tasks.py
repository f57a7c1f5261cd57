"""Tasks of several pictures: questions after examples of their kind, and stories in which a scene changes."""

from dataclasses import dataclass, replace

from tessera.document import Document, Task, Text
from tessera.world.captions import caption
from tessera.world.edits import EditKind
from tessera.world.questions import Question, QuestionKind
from tessera.world.scene import Scene
from tessera.world.wording.language import Language
from tessera.world.world import Shown, World

SHOTS = (0, 1, 2, 4, 8)
APART = 10**8  # from a question to its first example, and from one example to the next


@dataclass(frozen=True, eq=False)
class FewShot:
    """Examples (picture, question, answer), then a picture, a question, and a blank where a model shall write the `answer`.

    `scenes` are those of the pictures, the one asked about last.
    """

    prompt: Document
    answer: str
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, eq=False)
class Story:
    """A caption, its picture, a change in words, and the picture after it; the pictures are learned.

    `scenes` are what they show, to judge drawn ones by; `kind` is what the change changes; `language` is what it is told in.
    """

    document: Document
    scenes: tuple[Scene, Scene]
    kind: EditKind
    language: Language


def few_shot(world: World, kind: QuestionKind, shots: int, index: int, split: str = "test") -> FewShot:
    """Question number `index` of a kind, after `shots` examples, any number up to the last of SHOTS, all in one language.

    The question is the same for every number of shots, and the examples of few are the last of those of many. Examples are
    questions of the same split with an index beyond APART, so they are none of those that are asked.
    """
    if not 0 <= shots <= SHOTS[-1]:
        raise ValueError(f"few shot: {shots} examples were asked for; there are 0 to {SHOTS[-1]}")
    told = world.told(world.dice("few shot", index, split), split).name
    world = replace(world, language=told)
    asked = [world.asked(kind, index + shot * APART, split) for shot in range(shots, -1, -1)]
    *examples, _ = (part for scene, question in asked for part in _shot(scene, question))
    prompt = world.written(Task.QUESTION, *examples, Text(learn=True))
    return FewShot(prompt, asked[-1][1].answer, tuple(scene for scene, _ in asked))


def _shot(scene: Scene, question: Question) -> tuple[Shown, Text, Text]:
    return Shown(scene), Text(question.text), Text(question.answer)


def story(world: World, kind: EditKind | None, index: int, split: str = "test") -> Story:
    """Story number `index` about a kind of change (None: any); both scenes belong to the split."""
    told = world.told(world.dice("story", index, split), split)
    found = replace(world, language=told.name).edit(kind, index, split)
    opening = Text(caption(found.before, world.level, told))
    parts = (opening, Shown(found.before, learn=True), Text(found.instruction), Shown(found.after, learn=True))
    return Story(world.written(Task.STORY, *parts), (found.before, found.after), found.kind, told)
