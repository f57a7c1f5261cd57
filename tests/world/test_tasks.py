import pytest
import torch

from tessera.document import Image, Task, Text
from tessera.exams.captions import score_of
from tessera.world.edits import edit_kinds
from tessera.world.questions import QuestionKind, question_kinds
from tessera.world.sampling import program, split_of
from tessera.world.scene import EASY, STANDARD
from tessera.world.tasks import SHOTS, few_shot, story
from tessera.world.wording import ENGLISH
from tessera.world.world import World


@pytest.mark.parametrize("shots", SHOTS)
def test_examples_come_before_the_question(shots):
    world = World.easy()
    made = few_shot(world, QuestionKind.COLOUR, shots, 4)
    parts = [(Image, Text, Text)[place % 3] for place in range(3 * shots + 3)]
    assert [type(segment) for segment in made.prompt] == parts
    assert [segment.learn for segment in made.prompt] == [False] * (len(parts) - 1) + [True]
    assert made.prompt[-1].content is None and made.prompt.task is Task.QUESTION
    scene, question = world.asked(QuestionKind.COLOUR, 4)
    assert made.answer == question.answer and made.scenes[-1] == scene and made.prompt.texts[-1] == question.text
    assert len(made.scenes) == shots + 1
    for picture, shown in zip(made.prompt.pictures, made.scenes, strict=True):
        assert torch.equal(picture, world.picture(shown)) and split_of(shown, EASY) == "test"


@pytest.mark.parametrize("world", [World.easy("zh"), World.standard("both")], ids=["easy", "standard"])
def test_fewer_examples_are_the_last_of_more_in_one_language(world):
    for kind in question_kinds(world.level)[::3]:
        texts = few_shot(world, kind, 4, 9).prompt.texts
        assert len(texts) == 9 and few_shot(world, kind, 2, 9).prompt.texts == texts[-5:]
        assert few_shot(world, kind, 0, 9).prompt.texts == texts[-1:]
        chinese = ["\u4e00" <= text[0] <= "\u9fff" for text in texts[::2]]
        assert len(set(chinese)) == 1


def test_no_example_is_a_question_that_is_asked():
    asked = {few_shot(World.standard(), QuestionKind.SHAPE, 0, index).prompt.id for index in range(20)}
    made = few_shot(World.standard(), QuestionKind.SHAPE, 8, 0)
    assert len(set(made.scenes)) == 9 and len(asked) == 20
    assert made.prompt.id == few_shot(World.standard(), QuestionKind.SHAPE, 8, 0).prompt.id
    with pytest.raises(ValueError, match="few shot: 9 examples were asked for; there are 0 to 8"):
        few_shot(World.easy(), QuestionKind.COUNT, 9, 0)


@pytest.mark.parametrize("world", [World.easy(), World.standard()], ids=["easy", "standard"])
def test_a_story_tells_a_scene_and_its_change(world):
    for kind in (None, *edit_kinds(world.level)):
        made = story(world, kind, 2)
        assert [(type(part), part.learn) for part in made.document] == [(Text, False), (Image, True)] * 2
        before, after = made.scenes
        assert program(before, world.level) != program(after, world.level)
        assert score_of(made.document.texts[0], before, world.level, ENGLISH).exact
        assert kind in (None, made.kind) and made.document.task is Task.STORY
        for picture, scene in zip(made.document.pictures, made.scenes, strict=True):
            assert torch.equal(picture, world.picture(scene)) and split_of(scene, world.level) == "test"
        assert story(world, kind, 2).document.id == made.document.id


def test_stories_of_both_languages_are_each_in_one():
    chinese = lambda text: any("\u4e00" <= letter <= "\u9fff" for letter in text)
    told = [story(World(STANDARD, "both"), None, index).document.texts for index in range(12)]
    assert all(chinese(opening) == chinese(change) for opening, change in told)
    assert {chinese(opening) for opening, _ in told} == {True, False}
