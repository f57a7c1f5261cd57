import pytest
import torch
from exams.players import FEW, nonsense, taken, values

from tessera.document import Text
from tessera.exams import Asking, Control
from tessera.exams import asking as module
from tessera.exams.asking import LEARNED
from tessera.world import World, question_kinds
from tessera.world.scene import BACKGROUND

EASY = World.easy()
KINDS = question_kinds(EASY.level)
EACH = FEW["questions"]
GROUND = torch.tensor(BACKGROUND, dtype=torch.uint8)[:, None, None].expand(3, 32, 32)


@pytest.fixture(scope="module")
def exam():
    """Three questions of every kind."""
    return Asking(EASY, EACH)


def guess(prompt, want):
    """One who never looks at the picture."""
    return "no" if "can you see an" in prompt[1].content else "bottom left"


def answers(report) -> dict[str, float]:
    """The values that depend on who answers."""
    return {name: value for name, value in values(report).items() if "blind" not in name}


# ---------------------------------------------------------------- known answers


def test_every_kind_is_asked_about_its_picture(exam):
    asked = [EASY.question(kind, i, "test") for kind in KINDS for i in range(EACH)]
    assert exam.want is Text and len(exam.cases) == len(asked)
    for case, (picture, question) in zip(exam.cases, asked, strict=True):
        assert torch.equal(case.prompt[0].content, picture) and case.prompt[1].content == question.text
    assert len({case.scene for case in exam.cases}) == len(asked)


def test_the_truth_scores_one(exam, truth):
    found = taken(exam, truth)
    assert answers(found).keys() == {f"questions.{name}" for name in (*(kind.value for kind in KINDS), "overall")}
    assert set(answers(found).values()) == {1.0}
    assert all(tile.right for tile in found.tiles["questions"])


def test_nonsense_scores_nothing(exam):
    found = taken(exam, nonsense)
    assert set(answers(found).values()) == {0.0}
    assert not any(tile.right for tile in found.tiles["questions"])


def test_scores_come_with_the_number_of_their_cases(exam, truth):
    scores = taken(exam, truth).scores
    assert scores["questions.exist"].n == scores["questions.blind.exist"].n == EACH
    assert scores["questions.overall"].n == scores["questions.blind"].n == EACH * len(KINDS)


@pytest.mark.parametrize(("around", "value"), [(lambda text: f" {text}\n", 1.0), (str.upper, 0.0), (lambda text: f"{text}.", 0.0)])
def test_white_space_around_an_answer_is_no_mistake_and_anything_else_is(exam, around, value, truth):
    assert values(taken(exam, lambda *asked: around(truth(*asked))))["questions.overall"] == value


def test_a_kind_counts_its_own_questions(exam, truth):
    _, wrong = EASY.question(KINDS[1], 2, "test")
    found = taken(exam, lambda prompt, want: "well" if prompt[1].content == wrong.text else truth(prompt, want))
    missed = found.right["questions.overall"].count(False)
    assert missed >= 1 and found.right[f"questions.{KINDS[1].value}"][2] is False
    assert found.scores["questions.overall"].value == 1 - missed / (EACH * len(KINDS))


def test_tiles_say_what_was_asked_and_answered_and_what_is_right_where_it_was_not(exam, truth, monkeypatch):
    monkeypatch.setattr(module, "SHOWN", 2)
    asked = [EASY.question(kind, i, "test") for kind in KINDS for i in range(2)]
    right = taken(exam, lambda *asked: f" {truth(*asked)} ").tiles["questions"]
    assert [tile.lines for tile in right] == [(question.text, question.answer) for _, question in asked]
    assert all(torch.equal(tile.picture, picture) for tile, (picture, _) in zip(right, asked, strict=True))
    wrong = taken(exam, nonsense).tiles["questions"]
    assert [tile.lines for tile in wrong] == [(question.text, f"well [{question.answer}]") for _, question in asked]


# ---------------------------------------------------------------- references


def test_blind_is_who_always_says_the_commonest_answer_of_a_kind(exam):
    common = {}
    for kind in KINDS:
        said = [EASY.question(kind, i, "train")[1].answer for i in range(LEARNED)]
        common |= {EASY.question(kind, i, "test")[1].text: max(said, key=said.count) for i in range(EACH)}
    scores = values(taken(exam, lambda prompt, want: common[prompt[1].content]))
    assert scores["questions.blind"] == scores["questions.overall"] > 0
    assert all(scores[f"questions.blind.{kind.value}"] == scores[f"questions.{kind.value}"] for kind in KINDS)
    again = values(taken(exam, nonsense))
    assert all(again[name] == scores[name] for name in scores if "blind" in name), "it does not depend on the system"


def test_every_kind_is_held_against_chance_and_blind(exam):
    found = taken(exam, nonsense)
    assert found.references.keys() == answers(found).keys()
    blind = values(found)
    for kind in KINDS:
        said = {EASY.question(kind, i, "train")[1].answer for i in range(LEARNED)}
        beside = found.references[f"questions.{kind.value}"]
        assert beside == {"chance": 1 / len(said), "blind": blind[f"questions.blind.{kind.value}"], "ceiling": 1.0}
    overall = found.references["questions.overall"]
    chances = [found.references[f"questions.{kind.value}"]["chance"] for kind in KINDS]
    assert overall == {"chance": pytest.approx(sum(chances) / len(chances)), "blind": blind["questions.blind"], "ceiling": 1.0}


def test_what_is_no_answer_of_the_system_is_no_case_of_it(exam):
    assert taken(exam, nonsense).right.keys() == answers(taken(exam, nonsense)).keys()


# ---------------------------------------------------------------- controls


@pytest.mark.parametrize("name", ["blank", "shuffled"])
def test_a_control_asks_the_same_with_a_picture_that_is_not_that_of_the_question(exam, name):
    control = Control(exam, name)
    assert control.name == f"questions.{name}" and control.want is Text
    for case, own in zip(control.cases, exam.cases, strict=True):
        assert case.prompt[1].content == own.prompt[1].content and case.scene == own.scene
        assert not torch.equal(case.prompt[0].content, own.prompt[0].content)


def test_blank_questions_show_a_picture_with_nothing_in_it(exam):
    assert all(torch.equal(case.prompt[0].content, GROUND) for case in Control(exam, "blank").cases)
    assert not any(torch.equal(case.prompt[0].content, GROUND) for case in exam.cases)


def test_shuffled_questions_show_each_picture_once(exam):
    name = lambda cases: sorted(case.prompt[0].content.numpy().tobytes() for case in cases)
    assert name(Control(exam, "shuffled").cases) == name(exam.cases)


@pytest.mark.parametrize("name", ["blank", "shuffled"])
def test_who_looks_is_lost_without_the_picture(exam, name, truth):
    found = taken(Control(exam, name), truth)
    assert found.scores.keys() == {f"questions.{name}", *(f"questions.{name}.{kind.value}" for kind in KINDS)}
    assert set(values(found).values()) == {0.0} and found.scores[f"questions.{name}"].n == EACH * len(KINDS)


@pytest.mark.parametrize("name", ["blank", "shuffled"])
def test_who_never_looks_is_as_good_with_a_picture_that_cannot_help(exam, name):
    own, controlled = taken(exam, guess), taken(Control(exam, name), guess)
    assert values(controlled)[f"questions.{name}"] == values(own)["questions.overall"] > 0
    assert all(values(controlled)[f"questions.{name}.{kind.value}"] == values(own)[f"questions.{kind.value}"] for kind in KINDS)
    renamed = lambda key: key.replace("questions", f"questions.{name}").removesuffix(".overall")
    assert controlled.right == {renamed(key): right for key, right in own.right.items()}
    unseen = {renamed(key): {who: each[who] for who in ("chance", "blind")} for key, each in own.references.items()}
    assert controlled.references == unseen
