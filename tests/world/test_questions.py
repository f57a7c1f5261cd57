"""Answers are checked by a reader that knows only English words and the scene, not how questions are made."""

from collections import Counter, defaultdict
from dataclasses import fields, replace
from functools import cache

import pytest

from tessera.world.dice import Dice
from tessera.world.questions import Aim, Form, QuestionKind, aim, ask, question_kinds
from tessera.world.sampling import sample_scene
from tessera.world.scene import EASY, LEVELS, STANDARD, Colour, Kind, Scene, Size, Thing
from tessera.world.wording import CHINESE, ENGLISH
from tessera.world.wording.language import QuestionPhrases
from tessera.world.world import World

levels = pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
worlds = pytest.mark.parametrize("world", [World.easy(), World.standard(), World.easy("zh")], ids=["easy", "standard", "easy-zh"])

SLOTS = {
    "exist": "a", "exist_at": "a at", "count": "many", "colour": "the", "shape": "the", "position": "the", "size": "the",
    "relation": "the side other", "digit": "the", "more": "many others", "same_colour": "the other", "larger": "the other",
    "smaller": "the other",
}  # fmt: skip
BARE = replace(
    ENGLISH,
    questions=QuestionPhrases(**{name: ("|".join([name, *(f"{{{slot}}}" for slot in slots.split())]),) for name, slots in SLOTS.items()}),
)


def named(phrase: str, scene: Scene, grid: int) -> list[Thing]:
    """The things a phrase can mean: those of which every word is true."""
    words, _, place = phrase.partition(" at the ")
    words = [word.removesuffix("es") if word == "crosses" else word for word in words.split()]

    def fits(thing: Thing) -> bool:
        facts = {thing.kind.value, thing.kind.value + "s", thing.colour.name.lower(), thing.size.value, thing.digit}
        facts |= {"the", "a", "an", "thing", "things"}
        here = ENGLISH.places[grid][thing.row][thing.column]
        return set(words) <= facts and place in ("", here)

    return [thing for thing in scene.things if fits(thing)]


def solve(text: str, scene: Scene, grid: int) -> str:
    form, *slots = text.split("|")
    if form == "count":
        return "zero one two three four".split()[len(named(slots[0], scene, grid))]
    if form in ("exist", "exist_at"):
        return "yes" if named(" ".join(slots), scene, grid) else "no"
    if form == "more":
        many, others = (len(named(slot, scene, grid)) for slot in slots)
        assert many != others and many and others
        return "yes" if many > others else "no"
    (thing,) = named(slots[0], scene, grid)
    if form in ("relation", "same_colour", "larger", "smaller"):
        (other,) = named(slots[-1], scene, grid)
        assert thing is not other
        dx, dy, order = thing.x - other.x, thing.y - other.y, ["small", "large"]
        by = order.index(thing.size.value) - order.index(other.size.value)
        if form == "relation":
            clear = {"left of": -dx, "right of": dx, "above": -dy, "below": dy}[slots[1]]
            assert abs(clear) >= 0.15 * 32
            return "yes" if clear > 0 else "no"
        assert by != 0 or form == "same_colour"
        truth = {"same_colour": thing.colour is other.colour, "larger": by > 0, "smaller": by < 0}[form]
        return "yes" if truth else "no"
    place = ENGLISH.places[grid][thing.row][thing.column]
    kind, size = thing.kind.value, thing.size.value
    return {"colour": thing.colour.name.lower(), "shape": kind, "position": place, "size": size, "digit": thing.digit}[form]


def some(world: World, kind: QuestionKind, number: int, language=None):
    """Questions of one kind with their scenes, as the world makes them."""
    for i in range(number):
        dice = Dice("some", kind.value, i)
        aimed = aim(world.level, dice, kind)
        for scene in world.scenes(i, "train", *aimed.scenes(world.level, dice)):
            if question := ask(scene, world.level, language or world.told(dice, "train"), dice, aimed):
                yield scene, question
                break


@cache
def many(name: str, language: str, kind: QuestionKind):
    """1,500 questions, made once for the tests that count."""
    return [question for _, question in some(World(LEVELS[name], language), kind, 1500)]


@pytest.mark.parametrize("world", [World.easy(), World.standard()], ids=["easy", "standard"])
def test_every_answer_is_true_and_every_name_unique(world):
    for kind in question_kinds(world.level):
        for scene, question in some(world, kind, 500, BARE):
            assert question.kind is kind
            assert question.answer == solve(question.text, scene, world.level.grid), (question, scene)


@worlds
def test_no_answer_is_much_likelier_than_another(world):
    for kind in question_kinds(world.level):
        answers = Counter(question.answer for question in many(world.level.name, world.language, kind))
        assert len(answers) == _possible(kind, world.level)
        assert max(answers.values()) < 1.5 * min(answers.values()) * 1.15, (kind, answers)  # and 15 % for chance


def _possible(kind: QuestionKind, level) -> int:
    return {
        QuestionKind.COUNT: level.most + 1,
        QuestionKind.COLOUR: len(level.colours),
        QuestionKind.SHAPE: len(level.kinds),
        QuestionKind.POSITION: level.grid**2,
        QuestionKind.DIGIT: len(level.digits),
    }.get(kind, 2)


@worlds
def test_the_words_of_a_question_tell_nothing_about_its_answer(world):
    """Guessing for each word the answer that goes with it most, on unseen questions, gains nearly nothing over chance."""
    for kind in question_kinds(world.level):
        questions = many(world.level.name, world.language, kind)
        seen = defaultdict(Counter)
        for question in questions[:1000]:
            for word in _words(question.text):
                seen[word][question.answer] += 1
        right = 0
        for question in questions[1000:]:
            votes = Counter()
            for word in _words(question.text):
                total = sum(seen[word].values())
                votes.update({answer: n / total for answer, n in seen[word].items()})
            right += bool(votes) and votes.most_common(1)[0][0] == question.answer
        assert right / 500 < 1.3 / _possible(kind, world.level) + 0.05, kind


def _words(text: str) -> list[str]:
    words = text.split() if " " in text else [text[i : i + 2] for i in range(len(text) - 1)]
    return [*words, text]


def test_no_question_is_answered_by_its_own_words():
    for world in (World.easy(), World.standard()):
        for kind in (QuestionKind.COLOUR, QuestionKind.SHAPE, QuestionKind.POSITION, QuestionKind.DIGIT):
            for _, question in some(world, kind, 200) if kind in question_kinds(world.level) else ():
                assert question.answer not in question.text


def thing(kind, colour, place, size=Size.MEDIUM, digit=""):
    return Thing(kind, colour, size, *place, 8.0 + 16 * place[1], 8.0 + 16 * place[0], digit)


def test_negatives_tempt():
    """A red circle and a blue star: what is not there is often a blue circle or a red star."""
    scene = Scene((thing(Kind.CIRCLE, Colour.RED, (0, 0)), thing(Kind.STAR, Colour.BLUE, (1, 1))))
    aimed = Aim(QuestionKind.EXIST, Form.PLAIN, ("kind", "colour"), False)
    asked = Counter(ask(scene, EASY, BARE, Dice("tempt", i), aimed).text for i in range(400))
    swapped = asked["exist|a blue circle"] + asked["exist|a red star"]
    assert 0.4 < swapped / 400 < 0.75
    assert "exist|a red circle" not in asked and "exist|a blue star" not in asked


def test_what_cannot_be_asked_is_not():
    alike = Scene((thing(Kind.STAR, Colour.RED, (0, 0)), thing(Kind.STAR, Colour.RED, (1, 1))))
    assert ask(alike, EASY, ENGLISH, Dice(0), Aim(QuestionKind.POSITION)) is None
    digit = Scene((thing(Kind.DIGIT, Colour.RED, (0, 0), Size.SMALL, "4"),))
    assert ask(digit, STANDARD, ENGLISH, Dice(0), Aim(QuestionKind.SHAPE)) is None
    assert ask(digit, STANDARD, BARE, Dice(0), Aim(QuestionKind.DIGIT)).answer == "4"


def test_without_an_aim_something_is_asked():
    for index in range(100):
        scene = sample_scene(STANDARD, "train", index)
        question = ask(scene, STANDARD, BARE, Dice("any", index))
        assert question.answer == solve(question.text, scene, STANDARD.grid)


def test_every_phrasing_is_used():
    for language in (ENGLISH, CHINESE):
        texts = {q.text for kind in QuestionKind for _, q in some(World.standard(language.name), kind, 150)}
        for field in fields(language.questions):
            for way in getattr(language.questions, field.name):
                parts = [part.split("}")[-1] for part in way.split("{")]
                assert any(all(part in text for part in parts) for text in texts), way


@levels
def test_easy_asks_less(level):
    assert (QuestionKind.RELATION in question_kinds(level)) == (level is STANDARD)
    assert len(question_kinds(level)) == (9 if level is STANDARD else 5)
