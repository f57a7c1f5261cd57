"""The world as an endless, seeded source of documents, prompts and questions."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from itertools import chain, count, repeat
from typing import ClassVar

import torch
from torch import Tensor

from tessera.document import Document, Image, Task, Text
from tessera.world.bias import NEUTRAL, Bias
from tessera.world.captions import caption
from tessera.world.chances import cooccurrence, popularity
from tessera.world.dice import Dice
from tessera.world.edits import Edit, EditKind, edit, edit_kinds
from tessera.world.entropy import Entropy, SceneLaw, caption_entropy
from tessera.world.heldout import HELD_OUT, names_pair, numbers, words
from tessera.world.prompts import Prompt, Skill, fitting, prompt, scenes_for, skills
from tessera.world.questions import Question, QuestionKind, aim, ask, question_kinds
from tessera.world.render import render
from tessera.world.sampling import SPLITS, belongs, program_hash, sample_scene
from tessera.world.scene import EASY, STANDARD, VERSION, Kind, Level, Scene
from tessera.world.wording import LANGUAGES, Language

STRIDE = 10**9  # from a scene that does not fit to the next one tried
CANONICAL = 0.5  # share of captions to learn from that are plain and in reading order; the others are in any wording and order
TURNS = 3  # questions about a picture in a document to learn from
ORDER = "places first"  # a question about a place, which others would often tell, comes before them
FULL = 0.4  # share of drawing prompts that are whole captions
EDITS = 20  # tries on one scene to end in the split it began in, before the next scene is tried
PATIENCE = 50  # scenes tried for one thing to ask of the split of what is held out, where none may fit
AIMS = 20  # things to ask that are tried there
ROUNDS = 4  # times that so many things are tried, each on further scenes: one in eight may fit, and of PATIENCE none


@dataclass(frozen=True)
class Shown:
    """A scene as a segment: its picture is given, or learned."""

    scene: Scene
    learn: bool = False


@dataclass(frozen=True)
class World:
    """A level of the world, told in English ("en"), in Chinese ("zh"), or each document in one of "both".

    Everything is a function of the index and the split, the same on every machine; any index is as fast as any other.
    `bias` makes scenes lean, in every split. `held_out`, one of HELD_OUT, keeps something out of train, val and test, and gives
    the world one more split, of that name, which has nothing else; `test` is its twin of the kind that was trained on.
    """

    level: Level
    language: str = "en"
    bias: Bias = NEUTRAL
    held_out: str | None = None

    tasks: ClassVar[tuple[Task, ...]] = (Task.DRAW, Task.CAPTION, Task.QUESTION, Task.TEXT, Task.EDIT, Task.STORY, Task.READ)
    mix: ClassVar[dict[Task, float]] = {Task.DRAW: 0.4, Task.CAPTION: 0.2, Task.QUESTION: 0.3, Task.TEXT: 0.1}

    def __post_init__(self):
        if self.language not in (*LANGUAGES, "both"):
            raise ValueError(f"world: language {self.language!r} was asked for; there are {', '.join(LANGUAGES)} and both")
        if self.held_out not in (None, *HELD_OUT):
            raise ValueError(f"world: held out {self.held_out!r} was asked for; there are {', '.join(HELD_OUT)} and None")

    @classmethod
    def easy(cls, language: str = "en") -> "World":
        """One to three things in four places."""
        return cls(EASY, language)

    @classmethod
    def standard(cls, language: str = "en") -> "World":
        """One to four things of two sizes in nine places, digits and relations."""
        return cls(STANDARD, language)

    @property
    def splits(self) -> tuple[str, ...]:
        """Train, val and test, and the split of what is held out."""
        return SPLITS if self.held_out is None else (*SPLITS, self.held_out)

    def hash(self) -> str:
        """A short name for everything that documents depend on: version, level, words and templates, bias and what is held out."""
        said = "".join(repr(language) for language in LANGUAGES.values())
        plain = self.bias == NEUTRAL and self.held_out is None
        knobs = "" if plain else f"{[float(knob) for knob in astuple(self.bias)]}{self.held_out}"
        return hashlib.sha256(f"{VERSION}{CANONICAL}{TURNS}{ORDER}{self.level}{self.language}{said}{knobs}".encode()).hexdigest()[:12]

    def document(self, task: Task, index: int, split: str = "train") -> Document:
        """Document number `index` of a task. Its id hashes what the pictures show and what the texts say, not the jitter."""
        dice = self.dice(task.value, index, split)
        language = self.told(dice, split)
        match task:
            case Task.DRAW:
                scene, prompted = self._drawn(index, split, language, dice)
                return self.written(task, Text(prompted.text), Shown(scene, learn=True))
            case Task.CAPTION:
                scene, wording = self.scene(index, split), None if dice.uniform() < CANONICAL else dice
                return self.written(task, Shown(scene), Text(caption(scene, self.level, language, wording), learn=True))
            case Task.QUESTION:
                scene, asked = self._conversation(index, split, language, dice)
                return self.written(task, Shown(scene), *_turns(asked))
            case Task.TEXT:
                return self.written(task, Text(self._told(index, split, language, dice), learn=True))
            case Task.EDIT:
                found = self._edited(None, index, split, language, dice)
                return self.written(task, Shown(found.before), Text(found.instruction), Shown(found.after, learn=True))
            case Task.STORY:
                return self.written(task, *self._story(index, split, language, dice))
            case Task.READ:
                scene, asked = self._conversation(index, split, language, dice)
                return self.written(task, Text(caption(scene, self.level, language, dice)), *_turns(asked))

    def scene(self, index: int, split: str = "train") -> Scene:
        """Scene number `index` of the split."""
        return sample_scene(self.level, split, index, bias=self.bias, held_out=self.held_out)

    def picture(self, scene: Scene) -> Tensor:
        """The picture of a scene: uint8 [3, height, width]."""
        return torch.from_numpy(render(scene, self.level))

    def prompt(self, skill: Skill, index: int, split: str = "test") -> Prompt:
        """Prompt number `index` for a skill, in plain words: one or two things as in GenEval, or those to count.

        Raises where the split has no scenes for the skill: nothing is counted, say, where all scenes show two kinds.
        """
        return self.prompted(skill, index, split)[1]

    def prompted(self, skill: Skill, index: int, split: str = "test") -> tuple[Scene, Prompt]:
        """The same prompt with the scene that it was made for."""
        if skill not in skills(self.level):
            known = ", ".join(skill.value for skill in skills(self.level))
            raise ValueError(f"world: skill {skill.value} was asked for; level {self.level.name!r} knows {known}")
        dice = self.dice(skill.value, index, split)
        found = self._prompted(skill, index, split, self.told(dice, split), dice, plain=True)
        if found is None:
            raise self._missing(f"skill {skill.value}", split)
        return found

    def question(self, kind: QuestionKind | None, index: int, split: str = "test") -> tuple[Tensor, Question]:
        """Question number `index` of a kind (None: of any) and the picture it is about; answers are balanced.

        They are balanced under every bias, because the answer is chosen before the scene; what is asked about leans as scenes do.
        """
        scene, asked = self.asked(kind, index, split)
        return self.picture(scene), asked

    def asked(self, kind: QuestionKind | None, index: int, split: str = "test") -> tuple[Scene, Question]:
        """The same question with its scene."""
        if kind is not None and kind not in question_kinds(self.level):
            known = ", ".join(kind.value for kind in question_kinds(self.level))
            raise ValueError(f"world: question kind {kind.value} was asked for; level {self.level.name!r} knows {known}")
        dice = self.dice(f"question {kind and kind.value}", index, split)
        return self._asked(kind, index, split, self.told(dice, split), dice)

    def edit(self, kind: EditKind | None, index: int, split: str = "test") -> Edit:
        """Edit number `index` of a kind (None: of any); the scene before and the scene after belong to the split."""
        if kind is not None and kind not in edit_kinds(self.level):
            known = ", ".join(kind.value for kind in edit_kinds(self.level))
            raise ValueError(f"world: edit kind {kind.value} was asked for; level {self.level.name!r} knows {known}")
        dice = self.dice(f"edit {kind and kind.value}", index, split)
        return self._edited(kind, index, split, self.told(dice, split), dice)

    def popularity(self) -> dict[Kind, float]:
        """The probability that a scene to learn from shows each kind of the level; see `chances`."""
        return self._popularity

    def cooccurrence(self) -> dict[Kind, dict[Kind, float]]:
        """The probability that a scene to learn from shows both of two kinds; see `chances`."""
        return self._cooccurrence

    def entropy(self) -> Entropy:
        """The nats that no model can save: of scenes before they are split, and of captions of a scene that is seen."""
        languages = tuple(LANGUAGES.values()) if self.language == "both" else (LANGUAGES[self.language],)
        told = [words(language, self.held_out, "train") for language in languages]
        most = numbers(self.level, self.held_out, "train")
        law = SceneLaw(self.level, self.bias, self.held_out)
        return Entropy(law.entropy(), caption_entropy(self.level, most, told, CANONICAL))

    @cached_property
    def _popularity(self) -> dict[Kind, float]:
        return popularity(self.level, self.bias, self.held_out)

    @cached_property
    def _cooccurrence(self) -> dict[Kind, dict[Kind, float]]:
        return cooccurrence(self.level, self.bias, self.held_out)

    def dice(self, what: str, index: int, split: str) -> Dice:
        """The dice that everything of this name and index is drawn with."""
        return Dice(VERSION, self.level.name, self.language, split, what, index)

    def told(self, dice: Dice, split: str) -> Language:
        """The language of one document, with the wordings that the split has."""
        language = dice.choose(tuple(LANGUAGES.values())) if self.language == "both" else LANGUAGES[self.language]
        return words(language, self.held_out, split)

    def scenes(self, index: int, split: str, things: int | None = None, alike: bool | None = None, *, later: int = 0) -> Iterator[Scene]:
        """Scenes to try in turn, the scene of the index first: without end, or PATIENCE of what is held out, where none may fit.

        There, the first `later` times PATIENCE are passed over. A split whose scenes all have many things, or two kinds, gives
        those instead of fewer, or of all alike.
        """
        things = things and max(things, numbers(self.level, self.held_out, split)[0])
        alike = False if split == self.held_out == "topic" else alike
        tries = range(later * PATIENCE, (later + 1) * PATIENCE)
        for attempt in tries if split == self.held_out != "template" else count():
            number = index + attempt * STRIDE
            yield sample_scene(self.level, split, number, things=things, alike=alike, bias=self.bias, held_out=self.held_out)

    def _level(self, split: str) -> Level:
        """The level with as many things as the split has at most."""
        return replace(self.level, most=numbers(self.level, self.held_out, split)[-1]) if self.held_out == "count" else self.level

    def _drawn(self, index: int, split: str, language: Language, dice: Dice) -> tuple[Scene, Prompt]:
        """A prompt to learn from, for a skill that scenes of the split fit; whole captions fit all."""
        others = [skill for skill in skills(self.level) if skill is not Skill.CAPTION]
        found = None
        while found is None:
            skill = Skill.CAPTION if dice.uniform() < FULL else dice.choose(others)
            found = self._prompted(skill, index, split, language, dice, plain=False)
        return found

    def _prompted(self, skill: Skill, index: int, split: str, language: Language, dice: Dice, plain: bool) -> tuple[Scene, Prompt] | None:
        """The skill first, then the first scene that it fits; to learn from, scenes are more varied than to be judged on."""
        scenes = self.scenes(index, split, *scenes_for(skill, self._level(split), dice, wide=not plain))
        scene = next((scene for scene in scenes if skill in fitting(scene, self.level)), None)
        return None if scene is None else (scene, prompt(scene, self.level, language, skill, dice, plain))

    def _asked(self, kind: QuestionKind | None, index: int, split: str, language: Language, dice: Dice) -> tuple[Scene, Question]:
        """The question first, then the first scene that can be asked so."""
        level = self._level(split)
        for later in chain.from_iterable(repeat(turn, AIMS) for turn in range(ROUNDS)):
            aimed = aim(level, dice, kind)
            for scene in self.scenes(index, split, *aimed.scenes(level, dice), later=later):
                asked = ask(scene, level, language, dice, aimed)
                if asked and self._may_ask(asked, split, language):
                    return scene, asked
        raise self._missing(f"question kind {kind and kind.value}", split)

    def _may_ask(self, question: Question, split: str, language: Language) -> bool:
        """No question outside the split of held-out pairs names one of them."""
        return not (self.held_out == "pairs" != split and names_pair(question.text, self.level, language))

    def _conversation(self, index: int, split: str, language: Language, dice: Dice) -> tuple[Scene, list[Question]]:
        """A scene sought for one question, whose answers are balanced, and further ones of other kinds, as the scene has them.

        A question about a place comes first: others before it would often tell the place, and nothing would need to be seen.
        """
        scene, first = self._asked(None, index, split, language, dice)
        level, asked = self._level(split), {first.kind: first}
        while len(asked) < TURNS:
            kind = dice.choose([kind for kind in question_kinds(level) if kind not in asked])
            another = ask(scene, level, language, dice, aim(level, dice, kind))
            if another and self._may_ask(another, split, language):
                asked[kind] = another
        return scene, sorted(asked.values(), key=lambda one: one.kind is not QuestionKind.POSITION)

    def _told(self, index: int, split: str, language: Language, dice: Dice) -> str:
        """A caption in any wording; half of the time with a question about it and the answer."""
        if dice.uniform() < 0.5:
            return caption(self.scene(index, split), self.level, language, dice)
        scene, asked = self._asked(None, index, split, language, dice)
        told = caption(scene, self.level, language, dice)
        return language.telling.format(caption=told, question=asked.text, answer=asked.answer)

    def _edited(self, kind: EditKind | None, index: int, split: str, language: Language, dice: Dice) -> Edit:
        level = self._level(split)
        for _ in range(AIMS if kind is None else 1):
            chosen = kind or dice.choose(edit_kinds(level))
            tries = (edit(before, level, language, chosen, dice) for before in self.scenes(index, split) for _ in range(EDITS))
            found = next((found for found in tries if found and belongs(found.after, self.level, split, self.held_out)), None)
            if found:
                return found
        raise self._missing(f"edit kind {kind and kind.value}", split)

    def _story(self, index: int, split: str, language: Language, dice: Dice) -> list[Text | Shown]:
        """A caption, its picture, a change in words, the picture after it, and a text that says nothing more."""
        found = self._edited(None, index, split, language, dice)
        opening = Text(caption(found.before, self.level, language, dice))
        change = Text(found.instruction, learn=True)
        return [opening, Shown(found.before, learn=True), change, Shown(found.after, learn=True), Text("", learn=True)]

    def _missing(self, what: str, split: str) -> ValueError:
        return ValueError(
            f"world: {what} was asked for; none of the scenes tried in split {split!r} fits; ask for another, or in another split"
        )

    def written(self, task: Task, *parts: Text | Shown) -> Document:
        """The document of these parts, pictures drawn."""
        names = [program_hash(part.scene, self.level) if isinstance(part, Shown) else str(part.content) for part in parts]
        segments = (Image(self.picture(part.scene), part.learn) if isinstance(part, Shown) else part for part in parts)
        digest = hashlib.sha256("\x1f".join((VERSION, self.level.name, task.value, *names)).encode())
        return Document(tuple(segments), task=task, id=digest.hexdigest())


def _turns(asked: Sequence[Question]) -> list[Text]:
    """Questions, and their answers to be learned."""
    return [part for one in asked for part in (Text(one.text), Text(one.answer, learn=True))]
