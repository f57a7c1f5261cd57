"""Stories told by whoever knows them, by who stumbles, and kept in a file."""

from dataclasses import replace

import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.exams import OwnStories, Stories
from tessera.verbs.answers import documents_in, save_documents
from tessera.world import Colour, Scene, World

FEW = 6


@pytest.fixture(scope="module", params=["en", "zh"])
def exam(request):
    return OwnStories(World.easy(request.param), FEW)


def true_stories(exam):
    """The documents as the world has them, with the empty text that says no more."""
    return [replace(one.document, segments=(*one.document.segments, Text("", learn=True))) for one in exam.stories]


def values(exam, documents):
    return {name: score.value for name, score in exam.report(documents).scores.items()}


def test_a_true_story_is_right_in_all(exam):
    whats = ("structure", "similarity", "told", "pictures", "blocks", "same")
    assert values(exam, true_stories(exam)) == {f"stories.{what}": 1.0 for what in whats}


def test_a_story_that_ends_behind_its_first_picture_has_half_its_pictures(exam):
    short = [Document((*one.segments[:2], Text("", learn=True))) for one in true_stories(exam)]
    half = {"stories.pictures": 0.5, "stories.blocks": 0.5}
    assert values(exam, short) == {"stories.structure": 0.0, "stories.similarity": 0.6, "stories.told": 0.0, **half}


def test_the_second_picture_is_judged_by_the_words_the_model_said(exam):
    """Another edit of the first picture's scene than the world's own is as good, if the picture follows it."""
    world = exam.world
    told = []
    for i, one in enumerate(exam.stories):
        other = world.edit(one.kind, 1000 + i)
        before, after = world.picture(other.before), world.picture(other.after)
        told.append(Document((one.document[0], Image(before, True), Text(other.instruction, True), Image(after, True), Text("", True))))
    report = exam.report(told)
    first, second = report.right["stories.pictures"][::2], report.right["stories.pictures"][1::2]
    assert all(report.right["stories.told"]) and all(report.right["stories.structure"])
    assert sum(first) <= 1 and all(second)  # the first shows another opening, but for chance


def test_a_thing_that_was_left_alone_and_is_another_is_not_the_same(exam):
    """Of a thing's slots (kind, colour, size, digit) its colour is wrong: a quarter of it."""
    told, same, blocks = [], [], []
    for one, story in zip(true_stories(exam), exam.stories, strict=True):
        before, after = story.scenes
        stays = [thing for thing in after.things if thing in before.things]
        changed = Scene(tuple(replace(t, colour=other(t.colour)) if t in stays[:1] else t for t in after.things))
        told.append(replace(one, segments=(*one.segments[:3], Image(exam.world.picture(changed), learn=True), one.segments[4])))
        same += [i > 0 for i in range(len(stays))]
        blocks += [1.0, 1 - bool(stays) / (4 * len(after.things))]
    found = values(exam, told)
    assert found["stories.same"] == pytest.approx(sum(same) / len(same)) and found["stories.told"] == 1
    assert found["stories.blocks"] == pytest.approx(sum(blocks) / len(blocks))


def other(colour: Colour) -> Colour:
    return Colour.RED if colour is not Colour.RED else Colour.BLUE


def test_a_picture_too_many_or_words_of_no_edit_cost_what_they_touch(exam):
    wordy = [Document((*one.segments[:2], Text("well", True), *one.segments[3:])) for one in true_stories(exam)]
    half = {"stories.pictures": 0.5, "stories.blocks": 0.5}
    assert values(exam, wordy) == {"stories.structure": 1.0, "stories.similarity": 1.0, "stories.told": 0.0, **half}
    still = [Document((*one.segments[:4], Text("and so on", True))) for one in true_stories(exam)]
    assert values(exam, still)["stories.structure"] == 0


def test_stories_as_asked_for_are_judged_by_their_last_picture():
    world = World.easy()
    for forced in (False, True):
        exam = Stories(world, FEW, forced=forced)
        right = [world.picture(one.scenes[1]) for one in exam.stories]
        wrong = [world.picture(one.scenes[0]) for one in exam.stories]
        assert exam.report(right).scores[exam.name].value == 1 and exam.report(wrong).scores[exam.name].value == 0


def test_documents_come_back_from_their_file(exam, tmp_path):
    documents = true_stories(exam)
    save_documents(documents, tmp_path / "a.safetensors")
    for one, other in zip(documents, documents_in(tmp_path / "a.safetensors"), strict=True):
        assert one.texts == other.texts and [s.learn for s in one] == [s.learn for s in other]
        assert all(torch.equal(a, b) for a, b in zip(one.pictures, other.pictures, strict=True))
