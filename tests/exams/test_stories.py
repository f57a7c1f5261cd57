"""Stories told by whoever knows them, by who stumbles, and kept in a file."""

from dataclasses import replace

import pytest
import torch

from tessera.document import Document, Image, Text
from tessera.exams import OwnStories, Stories
from tessera.verbs.answers import documents_in, save_documents
from tessera.world import World

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
    assert values(exam, true_stories(exam)) == {f"stories.{what}": 1.0 for what in ("structure", "similarity", "told", "pictures")}


def test_a_story_that_ends_behind_its_first_picture_has_half_its_pictures(exam):
    short = [Document((*one.segments[:2], Text("", learn=True))) for one in true_stories(exam)]
    assert values(exam, short) == {"stories.structure": 0.0, "stories.similarity": 0.6, "stories.told": 0.0, "stories.pictures": 0.5}


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


def test_a_picture_too_many_or_words_of_no_edit_cost_what_they_touch(exam):
    wordy = [Document((*one.segments[:2], Text("well", True), *one.segments[3:])) for one in true_stories(exam)]
    assert values(exam, wordy) == {"stories.structure": 1.0, "stories.similarity": 1.0, "stories.told": 0.0, "stories.pictures": 0.5}
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
