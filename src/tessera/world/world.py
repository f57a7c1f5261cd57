"""The world as an endless, seeded source of documents, prompts and questions."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor

from tessera.document import Document, Image, Task, Text
from tessera.world.captions import caption
from tessera.world.dice import Dice
from tessera.world.edits import Edit, EditKind, edit, edit_kinds
from tessera.world.prompts import Prompt, Skill, fitting, prompt, scenes_for, skills
from tessera.world.questions import Question, QuestionKind, aim, ask, question_kinds
from tessera.world.render import render
from tessera.world.sampling import program_hash, sample_scene, split_of
from tessera.world.scene import EASY, STANDARD, VERSION, Level, Scene
from tessera.world.wording import LANGUAGES, Language

STRIDE = 10**9  # from a scene that does not fit to the next one tried
CANONICAL = 0.5  # share of captions to learn from that are plain and in reading order; the others are in any wording and order
TURNS = 3  # questions about a picture in a document to learn from
FULL = 0.4  # share of drawing prompts that are whole captions
EDITS = 20  # tries on one scene to end in the split it began in, before the next scene is tried


@dataclass(frozen=True)
class Shown:
    """A scene as a segment: its picture is given, or learned."""

    scene: Scene
    learn: bool = False


@dataclass(frozen=True)
class World:
    """A level of the world, told in English ("en"), in Chinese ("zh"), or each document in one of "both".

    Everything is a function of the index and the split, the same on every machine; any index is as fast as any other.
    """

    level: Level
    language: str = "en"

    tasks: ClassVar[tuple[Task, ...]] = (Task.DRAW, Task.CAPTION, Task.QUESTION, Task.TEXT, Task.EDIT)
    mix: ClassVar[dict[Task, float]] = {Task.DRAW: 0.4, Task.CAPTION: 0.2, Task.QUESTION: 0.3, Task.TEXT: 0.1}

    def __post_init__(self):
        if self.language not in (*LANGUAGES, "both"):
            raise ValueError(f"world: language {self.language!r} was asked for; there are {', '.join(LANGUAGES)} and both")

    @classmethod
    def easy(cls, language: str = "en") -> "World":
        """One to three things in four places."""
        return cls(EASY, language)

    @classmethod
    def standard(cls, language: str = "en") -> "World":
        """One to four things of two sizes in nine places, digits and relations."""
        return cls(STANDARD, language)

    def hash(self) -> str:
        """A short name for everything that documents depend on: version, level, words and templates."""
        words = "".join(repr(language) for language in LANGUAGES.values())
        return hashlib.sha256(f"{VERSION}{CANONICAL}{TURNS}{self.level}{self.language}{words}".encode()).hexdigest()[:12]

    def document(self, task: Task, index: int, split: str = "train") -> Document:
        """Document number `index` of a task. Its id hashes what the pictures show and what the texts say, not the jitter."""
        dice = self._dice(task.value, index, split)
        language = self._language(dice)
        match task:
            case Task.DRAW:
                others = [skill for skill in skills(self.level) if skill is not Skill.CAPTION]
                skill = Skill.CAPTION if dice.uniform() < FULL else dice.choose(others)
                scene, prompted = self._prompted(skill, index, split, language, dice, plain=False)
                return self._written(task, Text(prompted.text), Shown(scene, learn=True))
            case Task.CAPTION:
                scene, wording = self.scene(index, split), None if dice.uniform() < CANONICAL else dice
                return self._written(task, Shown(scene), Text(caption(scene, self.level, language, wording), learn=True))
            case Task.QUESTION:
                scene, asked = self._conversation(index, split, language, dice)
                turns = [part for one in asked for part in (Text(one.text), Text(one.answer, learn=True))]
                return self._written(task, Shown(scene), *turns)
            case Task.TEXT:
                return self._written(task, Text(self._told(index, split, language, dice), learn=True))
            case Task.EDIT:
                found = self._edited(None, index, split, language, dice)
                return self._written(task, Shown(found.before), Text(found.instruction), Shown(found.after, learn=True))
            case _:
                raise ValueError(f"world: task {task.value} was asked for; there are {', '.join(task.value for task in self.tasks)}")

    def scene(self, index: int, split: str = "train") -> Scene:
        """Scene number `index` of the split."""
        return sample_scene(self.level, split, index)

    def picture(self, scene: Scene) -> Tensor:
        """The picture of a scene: uint8 [3, height, width]."""
        return torch.from_numpy(render(scene, self.level))

    def prompt(self, skill: Skill, index: int, split: str = "test") -> Prompt:
        """Prompt number `index` for a skill, in plain words: one or two things as in GenEval, or those to count."""
        if skill not in skills(self.level):
            known = ", ".join(skill.value for skill in skills(self.level))
            raise ValueError(f"world: skill {skill.value} was asked for; level {self.level.name!r} knows {known}")
        dice = self._dice(skill.value, index, split)
        return self._prompted(skill, index, split, self._language(dice), dice, plain=True)[1]

    def question(self, kind: QuestionKind | None, index: int, split: str = "test") -> tuple[Tensor, Question]:
        """Question number `index` of a kind (None: of any) and the picture it is about; answers are balanced."""
        if kind is not None and kind not in question_kinds(self.level):
            known = ", ".join(kind.value for kind in question_kinds(self.level))
            raise ValueError(f"world: question kind {kind.value} was asked for; level {self.level.name!r} knows {known}")
        dice = self._dice(f"question {kind and kind.value}", index, split)
        scene, asked = self._asked(kind, index, split, self._language(dice), dice)
        return self.picture(scene), asked

    def edit(self, kind: EditKind | None, index: int, split: str = "test") -> Edit:
        """Edit number `index` of a kind (None: of any); the scene before and the scene after belong to the split."""
        if kind is not None and kind not in edit_kinds(self.level):
            known = ", ".join(kind.value for kind in edit_kinds(self.level))
            raise ValueError(f"world: edit kind {kind.value} was asked for; level {self.level.name!r} knows {known}")
        dice = self._dice(f"edit {kind and kind.value}", index, split)
        return self._edited(kind, index, split, self._language(dice), dice)

    def _dice(self, what: str, index: int, split: str) -> Dice:
        return Dice(VERSION, self.level.name, self.language, split, what, index)

    def _language(self, dice: Dice) -> Language:
        return dice.choose(tuple(LANGUAGES.values())) if self.language == "both" else LANGUAGES[self.language]

    def _scenes(self, index: int, split: str, things: int | None = None, alike: bool | None = None) -> Iterator[Scene]:
        """Scenes to try in turn, the scene of the index first."""
        for attempt in count():
            yield sample_scene(self.level, split, index + attempt * STRIDE, things=things, alike=alike)

    def _prompted(self, skill: Skill, index: int, split: str, language: Language, dice: Dice, plain: bool) -> tuple[Scene, Prompt]:
        """The skill first, then the first scene that it fits; to learn from, scenes are more varied than to be judged on."""
        scenes = self._scenes(index, split, *scenes_for(skill, self.level, dice, wide=not plain))
        scene = next(scene for scene in scenes if skill in fitting(scene, self.level))
        return scene, prompt(scene, self.level, language, skill, dice, plain)

    def _asked(self, kind: QuestionKind | None, index: int, split: str, language: Language, dice: Dice) -> tuple[Scene, Question]:
        """The question first, then the first scene that can be asked so."""
        aimed = aim(self.level, dice, kind)
        scenes = self._scenes(index, split, *aimed.scenes(self.level, dice))
        asked = ((scene, ask(scene, self.level, language, dice, aimed)) for scene in scenes)
        return next((scene, question) for scene, question in asked if question)

    def _conversation(self, index: int, split: str, language: Language, dice: Dice) -> tuple[Scene, list[Question]]:
        """A scene sought for a first question, whose answers are balanced, and further ones of other kinds, as the scene has them."""
        scene, first = self._asked(None, index, split, language, dice)
        asked = {first.kind: first}
        while len(asked) < TURNS:
            kind = dice.choose([kind for kind in question_kinds(self.level) if kind not in asked])
            another = ask(scene, self.level, language, dice, aim(self.level, dice, kind))
            if another:
                asked[kind] = another
        return scene, list(asked.values())

    def _told(self, index: int, split: str, language: Language, dice: Dice) -> str:
        """A caption in any wording; half of the time with a question about it and the answer."""
        if dice.uniform() < 0.5:
            return caption(self.scene(index, split), self.level, language, dice)
        scene, asked = self._asked(None, index, split, language, dice)
        told = caption(scene, self.level, language, dice)
        return language.telling.format(caption=told, question=asked.text, answer=asked.answer)

    def _edited(self, kind: EditKind | None, index: int, split: str, language: Language, dice: Dice) -> Edit:
        kind = kind or dice.choose(edit_kinds(self.level))
        tries = (edit(before, self.level, language, kind, dice) for before in self._scenes(index, split) for _ in range(EDITS))
        return next(found for found in tries if found and split_of(found.after, self.level) == split)

    def _written(self, task: Task, *parts: Text | Shown) -> Document:
        """The document of these parts, pictures drawn."""
        names = [program_hash(part.scene, self.level) if isinstance(part, Shown) else str(part.content) for part in parts]
        segments = (Image(self.picture(part.scene), part.learn) if isinstance(part, Shown) else part for part in parts)
        digest = hashlib.sha256("\x1f".join((VERSION, self.level.name, task.value, *names)).encode())
        return Document(tuple(segments), task=task, id=digest.hexdigest())
