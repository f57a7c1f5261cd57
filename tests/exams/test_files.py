import json

import pytest
import torch
from PIL import Image as Pillow

from tessera.data import open_picture
from tessera.data.benchmarks import AskedQuestion, CocoPicture, VqaQuestion, YesNoQuestion, read_geneval
from tessera.document import Image, Text
from tessera.exams import Exam
from tessera.exams.files import ChairFile, GenEvalFile, PopeFile, QuestionsFile, VqaFile
from tessera.world import World

SYNONYMS = {"circle": "circle", "disc": "circle", "star": "star", "ring": "ring"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files of three of the world's pictures."""
    folder, world = tmp_path_factory.mktemp("pictures"), World.easy()
    paths = [folder / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Pillow.fromarray(world.picture(world.scene(i, "test")).permute(1, 2, 0).numpy()).save(path)
    return paths


def yes_no_questions(pictures, truths=(True, False, True)):
    """One about the first picture, the others about the second, so that these are no independent cases."""
    return [
        YesNoQuestion(str(i), path.name, path, f"is there a star {i}?", truth)
        for i, (path, truth) in enumerate(zip((pictures[0], pictures[1], pictures[1]), truths, strict=True))
    ]


def vqa_question(path, answers, kind="other"):
    return VqaQuestion(path.stem, path.stem, path, "what is it?", answers, kind)


def values(report):
    return {name: score.value for name, score in report.scores.items()}


# ---------------------------------------------------------------- cases


def test_a_case_is_the_picture_at_the_systems_size_and_the_question(pictures):
    cases = PopeFile(yes_no_questions(pictures), 16).cases
    shown, asked = cases[1].prompt
    assert torch.equal(shown.content, open_picture(pictures[1], 16)) and shown.content.shape == (3, 16, 16)
    assert asked.content == "is there a star 1?" and [case.scene for case in cases] == ["0.png", "1.png", "1.png"]
    assert len(cases) == 3 and [case.prompt[1].content for case in cases[1:]] == ["is there a star 1?", "is there a star 2?"]


def test_pictures_are_opened_only_when_a_case_is_looked_at(pictures, tmp_path):
    lost = YesNoQuestion("9", "lost.png", tmp_path / "lost.png", "is there a star?", True)
    exam = PopeFile([*yes_no_questions(pictures), lost], 8)
    assert len(exam.cases) == 4 and len(exam.cases[:3]) == 3
    with pytest.raises(ValueError, match=r"lost.png is no file"):
        exam.cases[3]


def test_a_question_without_a_picture_is_asked_alone():
    exam = QuestionsFile([AskedQuestion("1", "1", None, "what is two and two?", "four")], 8)
    (asked,) = exam.cases[0].prompt
    assert asked.content == "what is two and two?"
    assert exam.report(["four"]).tiles == {"questions": []}


def test_pictures_are_captioned_without_a_word_and_drawn_as_often_as_asked(pictures, prompts):
    (picture,) = ChairFile([CocoPicture("0", pictures[0], ("a star",), frozenset())], 8, SYNONYMS).cases[0].prompt
    assert isinstance(picture, Image)
    assert [case.prompt[0].content for case in GenEvalFile(prompts, 2).cases] == ["a star", "a star", "one star", "one star"]


def test_all_are_exams(pictures, prompts):
    coco = CocoPicture("0", pictures[0], ("a star",), frozenset())
    asked = AskedQuestion("1", "1", None, "why?", "so")
    exams = [
        PopeFile(yes_no_questions(pictures), 8),
        VqaFile([vqa_question(pictures[0], ("a",) * 10)], 8),
        QuestionsFile([asked], 8),
        ChairFile([coco], 8, SYNONYMS),
        GenEvalFile(prompts),
    ]
    assert all(isinstance(exam, Exam) for exam in exams)
    assert [exam.name for exam in exams] == ["pope", "vqa", "questions", "chair", "geneval"]
    assert [exam.want for exam in exams] == [Text, Text, Text, Text, Image]


# ---------------------------------------------------------------- POPE


def test_popes_scores_of_known_answers(pictures):
    found = PopeFile(yes_no_questions(pictures), 8).report(["yes", "Yes.", "perhaps"])
    known = {"accuracy": 1 / 3, "precision": 1 / 2, "recall": 1, "f1": 2 / 3, "yes_ratio": 2 / 3, "unparsed": 1 / 3}
    assert values(found) == pytest.approx({f"pope.{name}": value for name, value in known.items()})
    assert found.right == {"pope.accuracy": [True, False, False]}
    assert found.references["pope.accuracy"] == {"chance": 0.5, "majority": pytest.approx(2 / 3)}
    assert found.references["pope.yes_ratio"] == {"chance": 0.5, "majority": 1.0, "labels": pytest.approx(2 / 3)}
    always = values(PopeFile(yes_no_questions(pictures), 8).report(["yes"] * 3))
    assert all(found.references[f"pope.{what}"]["majority"] == always[f"pope.{what}"] for what in ("precision", "recall", "f1"))
    assert found.references["pope.f1"]["chance"] == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert found.scores["pope.accuracy"].unparsed == 1


def test_intervals_are_over_pictures(pictures):
    found = PopeFile(yes_no_questions(pictures), 8).report(["yes", "no", "yes"])
    assert {score.clusters for score in found.scores.values()} == {2} and {score.n for score in found.scores.values()} == {3}


def test_one_answer_has_the_score_of_its_convention(pictures):
    said = ["Yes, there is one", "NO", "yes"]
    accuracy = lambda convention: values(PopeFile(yes_no_questions(pictures), 8, convention).report(said))["pope.accuracy"]
    assert accuracy("strict") == 1 and accuracy("official") == accuracy("lmms_eval") == pytest.approx(2 / 3)


def test_an_unknown_convention_is_refused_before_anything_is_asked(pictures):
    with pytest.raises(ValueError, match="convention 'lenient'; strict, official"):
        PopeFile(yes_no_questions(pictures), 8, "lenient")


def test_tiles_tell_what_was_said_and_what_is_true(pictures):
    (first, second, _) = PopeFile(yes_no_questions(pictures), 8).report(["yes ", "yes", "yes"]).tiles["pope"]
    assert (first.lines, first.right) == (("is there a star 0?", "yes"), True)
    assert (second.lines, second.right) == (("is there a star 1?", "yes [no]"), False)


# ---------------------------------------------------------------- other questions


def test_vqas_soft_accuracy_over_all_and_by_type(pictures):
    items = [
        vqa_question(pictures[0], ("red",) * 10),
        vqa_question(pictures[1], (*("red",) * 3, *("blue",) * 7)),
        vqa_question(pictures[2], ("2",) * 10, "number"),
    ]
    found = VqaFile(items, 8).report(["Red.", "red", "three"])
    assert values(found) == pytest.approx({"vqa.other": 0.95, "vqa.number": 0, "vqa.overall": 1.9 / 3})
    majority = {name: reference["majority"] for name, reference in found.references.items()}
    assert majority == pytest.approx({"vqa.other": 0.95, "vqa.number": 1, "vqa.overall": 1.9 / 3})
    assert [tile.right for tile in found.tiles["vqa"]] == [True, None, False]
    assert found.tiles["vqa"][1].lines[1] == "red [blue]"


def test_questions_are_judged_exactly_and_by_gqas_rule(pictures):
    items = [AskedQuestion(str(i), str(path), path, "which?", truth) for i, (path, truth) in enumerate(zip(pictures, "aab", strict=True))]
    found = QuestionsFile(items, 8).report([" a\n", "A.", "a"])
    assert found.right == {"questions.exact": [True, False, False], "questions.gqa": [True, True, False]}
    assert [reference["majority"] for reference in found.references.values()] == pytest.approx([2 / 3, 2 / 3])


# ---------------------------------------------------------------- CHAIR


def test_chair_counts_what_neither_captions_nor_marks_have(pictures):
    items = [
        CocoPicture("0", pictures[0], ("a red disc",), frozenset({"star"})),
        CocoPicture("1", pictures[1], ("a ring",), frozenset()),
    ]
    found = ChairFile(items, 8, SYNONYMS).report(["a circle and stars", "a ring and a disc"])
    assert values(found) == {"chair.sentence": 0.5, "chair.instance": 0.25, "chair.recall": 1, "chair.words": 4.5}
    assert [tile.lines for tile in found.tiles["chair"]] == [("a circle and stars",), ("a ring and a disc", "[not there: circle]")]
    blind = {name: beside["blind"] for name, beside in found.references.items()}
    assert blind == pytest.approx({"chair.sentence": 0.5, "chair.instance": 0.5, "chair.recall": 1 / 3}), "a circle, always: first by name"


def test_a_category_that_no_words_name_is_refused(pictures):
    with pytest.raises(ValueError, match="the category 'cross' of picture 0 names 0 objects of the synonyms; one is needed"):
        ChairFile([CocoPicture("0", pictures[0], (), frozenset({"cross"}))], 8, SYNONYMS)


# ---------------------------------------------------------------- GenEval


@pytest.fixture
def prompts(tmp_path):
    lines = [{"tag": "single_object", "include": [{"class": "star", "count": 1}], "prompt": words} for words in ("a star", "one star")]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return read_geneval(tmp_path / "prompts.jsonl").items


def test_drawings_go_back_to_their_prompts_and_have_no_scores(prompts):
    exam, drawn = GenEvalFile(prompts, 3), list(torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 3, 2, 2))
    assert [[int(picture[0, 0, 0]) for picture in group] for group in exam.drawn(drawn)] == [[0, 1, 2], [3, 4, 5]]
    found = exam.report(drawn)
    assert not found.scores and [(int(t.picture[0, 0, 0]), t.lines) for t in found.tiles["geneval"]] == [
        (0, ("a star",)),
        (3, ("one star",)),
    ]
    with pytest.raises(ValueError, match="0 pictures of each prompt; at least 1"):
        GenEvalFile(prompts, 0)
