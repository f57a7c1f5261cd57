import hashlib
from collections import Counter

import pytest
import torch

import tessera.world.world as module
from tessera.document import Image, Task, Text
from tessera.exams.captions import score_of
from tessera.world.captions import caption, parse_caption
from tessera.world.edits import edit_kinds
from tessera.world.prompts import Skill, skills
from tessera.world.questions import QuestionKind, question_kinds
from tessera.world.sampling import SPLITS, split_of
from tessera.world.scene import EASY, LEVELS
from tessera.world.wording import CHINESE, ENGLISH
from tessera.world.world import World

worlds = pytest.mark.parametrize("world", [World(level, "both") for level in LEVELS.values()], ids=LEVELS)

SHAPES = {
    Task.DRAW: [(Text, False), (Image, True)],
    Task.CAPTION: [(Image, False), (Text, True)],
    Task.QUESTION: [(Image, False), *[(Text, False), (Text, True)] * 3],
    Task.TEXT: [(Text, True)],
    Task.EDIT: [(Image, False), (Text, False), (Image, True)],
    Task.STORY: [(Text, False), (Image, True), (Text, True), (Image, True), (Text, True)],
    Task.READ: [(Text, False), *[(Text, False), (Text, True)] * 3],
}

GOLDEN = {
    "easy": "061d0d222f02f722",
    "standard": "41099d5166dbe385",
}


def texts(document):
    return [segment.content for segment in document if isinstance(segment, Text)]


def is_chinese(text):
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


@worlds
def test_a_thousand_documents_are_the_same_on_every_machine(world):
    digest = hashlib.sha256()
    for task in world.tasks:
        for index in range(200):
            document = world.document(task, index)
            digest.update("\n".join((document.id, *texts(document), "")).encode())
    assert digest.hexdigest()[:16] == GOLDEN[world.level.name]


@worlds
def test_documents_have_their_tasks_segments(world):
    assert set(world.tasks) == set(SHAPES)
    for task in world.tasks:
        for split in SPLITS:
            document = world.document(task, 3, split)
            assert document.task is task and len(document.id) == 64
            assert [(type(segment), segment.learn) for segment in document] == SHAPES[task]
            for segment in document:
                if isinstance(segment, Image):
                    assert segment.content.shape == (3, 32, 32) and segment.content.dtype == torch.uint8
                else:
                    assert bool(segment.content) == (task is not Task.STORY or segment is not document[-1])


@worlds
def test_a_document_depends_on_its_index_alone(world):
    for task in world.tasks:
        first, again = world.document(task, 10**12), world.document(task, 10**12)
        assert first.id == again.id and texts(first) == texts(again)
        for one, other in zip(first, again, strict=True):
            assert not isinstance(one, Image) or torch.equal(one.content, other.content)
        assert len({world.document(task, index).id for index in range(30)}) > 20


def test_ids_tell_tasks_splits_and_texts_apart():
    world = World.easy()
    ids = [world.document(task, index, split).id for task in world.tasks for index in range(20) for split in SPLITS]
    assert len(set(ids)) > 0.9 * len(ids)
    assert world.document(Task.CAPTION, 0).id != World.easy("zh").document(Task.CAPTION, 0).id


def test_the_mix_is_whole_and_of_its_tasks():
    assert sum(World.mix.values()) == pytest.approx(1) and set(World.mix) <= set(World.tasks)


@worlds
def test_every_picture_belongs_to_its_split(world, monkeypatch):
    shown = []
    monkeypatch.setattr(module, "render", lambda scene, level: shown.append(scene) or _BLANK)
    for split in SPLITS:
        for task in world.tasks:
            for index in range(6):
                world.document(task, index, split)
        for kind in question_kinds(world.level):
            world.question(kind, 1, split)
        assert len(shown) >= 35
        assert {split_of(scene, world.level) for scene in shown} == {split}
        shown.clear()


_BLANK = torch.zeros(3, 32, 32, dtype=torch.uint8).numpy()


@worlds
def test_both_languages_are_told_as_often_each_in_its_own_document(world):
    chinese = 0
    for index in range(300):
        said = {is_chinese(text) for text in texts(world.document(Task.QUESTION, index)) if not text.isdigit()}
        assert len(said) == 1
        chinese += said.pop()
    assert 110 < chinese < 190


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_captions_match_the_scene_and_more_than_half_are_canonical(language):
    world, canonical = World.standard(language.name), 0
    for index in range(300):
        (text,) = texts(world.document(Task.CAPTION, index))
        assert score_of(text, world.scene(index), world.level, language).exact
        canonical += text == caption(world.scene(index), world.level, language)
    assert 150 < canonical < 240  # a scene of one thing has few wordings


def test_two_prompts_of_five_are_whole_captions():
    world = World.easy()
    frames = [frame.removesuffix("{list}") for frame in ENGLISH.prompts[1:]]
    whole = 0
    for index in range(1000):
        (text,) = texts(world.document(Task.DRAW, index))
        bare = [text, *(text.removeprefix(frame) for frame in frames)]
        whole += any(parse_caption(said, world.level, ENGLISH) is not None for said in bare)
    assert 0.36 < whole / 1000 < 0.44


@worlds
def test_every_skill_has_prompts_in_plain_words(world):
    for skill in skills(world.level):
        prompts = [world.prompt(skill, index) for index in range(5)]
        assert [asked.skill for asked in prompts] == [skill] * 5
        assert all(1 <= len(asked.wanted) <= world.level.most for asked in prompts)
        assert prompts == [world.prompt(skill, index) for index in range(5)]
    assert World.easy().prompt(Skill.COLOURS, 0).text.startswith(("a ", "an "))


@worlds
def test_questions_and_edits_come_by_kind(world):
    for kind in question_kinds(world.level):
        picture, question = world.question(kind, 7)
        assert question.kind is kind and picture.shape == (3, 32, 32)
    kinds = Counter(world.question(None, index, "train")[1].kind for index in range(100))
    assert set(kinds) == set(question_kinds(world.level))
    for kind in edit_kinds(world.level):
        found = world.edit(kind, 7)
        assert found.kind is kind
        assert split_of(found.before, world.level) == split_of(found.after, world.level) == "test"


def test_half_of_the_texts_end_in_an_answer():
    ends = [texts(World.easy().document(Task.TEXT, index))[0] for index in range(400)]
    answered = sum(parse_caption(text, EASY, ENGLISH) is None for text in ends)
    assert 160 < answered < 240


def test_the_hash_names_level_language_and_words(monkeypatch):
    names = {World(level, language).hash() for level in LEVELS.values() for language in ("en", "zh", "both")}
    assert len(names) == 6 and World.easy().hash() == World.easy().hash() in names
    monkeypatch.setattr(module, "LANGUAGES", {"en": ENGLISH})
    assert World.easy().hash() not in names


def test_what_does_not_exist_is_named_with_what_does():
    with pytest.raises(ValueError, match="world: language 'fr' was asked for; there are en, zh and both"):
        World.easy("fr")
    with pytest.raises(ValueError, match="world: skill relation was asked for; level 'easy' knows single_object"):
        World.easy().prompt(Skill.RELATION, 0)
    with pytest.raises(ValueError, match="world: question kind size was asked for; level 'easy' knows exist"):
        World.easy().question(QuestionKind.SIZE, 0)
    with pytest.raises(ValueError, match="world: edit kind resize was asked for; level 'easy' knows recolour"):
        World.easy().edit(module.EditKind.RESIZE, 0)


@worlds
def test_a_question_about_a_place_comes_before_what_would_tell_the_place(world):
    places = {world.question(QuestionKind.POSITION, index)[1].answer for index in range(200)}
    told = [[answer in places for answer in texts(world.document(Task.QUESTION, index))[1::2]] for index in range(400)]
    assert sum(map(any, told)) > 50
    assert not any(any(later) for _, *later in told)
