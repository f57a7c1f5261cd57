from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exams.players import FEW, Truth, nonsense, values
from PIL import Image as Picture

from tessera.document import Document, Image, Text
from tessera.exams import Case, Report, rates
from tessera.laws import Sampling
from tessera.scoring import intervals
from tessera.verbs import evaluate as module
from tessera.verbs.evaluate import Plan, evaluate, judge_again, part_size
from tessera.verbs.suites import EXAMS, STANDARD
from tessera.verbs.weights import weights_hash
from tessera.verbs.writing import Written
from tessera.world import Kind, World, question_kinds, skills
from tessera.world.bias import Bias

EASY = World.easy()
PLAN = Plan(cases=FEW, pictures=2, rows=5)
KINDS, SKILLS = question_kinds(EASY.level), skills(EASY.level)
COUNTS = {"drawing": 2 * len(SKILLS), "questions": 3 * len(KINDS), "captions": 4}


def made_once(make):
    """The same exam for whoever asks for the same one."""
    made: dict = {}

    def get(world, each, split):
        key = world.hash(), each, split
        if key not in made:
            made[key] = make(world, each, split)
        return made[key]

    return get


MADE_ONCE = {name: made_once(make) for name, make in EXAMS.items()}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Most of the time of a small evaluation goes into making its exams, and into the 2,000 resamples of an interval."""
    monkeypatch.setattr(module, "EXAMS", dict(MADE_ONCE))
    monkeypatch.setattr(intervals, "RESAMPLES", 50)


@pytest.fixture(scope="module")
def truth():
    """Who knows all answers to the plan."""
    return Truth(EASY)


@pytest.fixture
def play(monkeypatch):
    """Puts a player in the place of the system's own writing; the documents it was asked are collected.

    The ladder, which asks the system itself, is then one rung high.
    """
    asked: list[Document] = []

    def put(player):
        def write(system, requests, *, rows, tick):
            done = []
            for i, request in enumerate(requests):
                *prompt, blank = request.document
                done.append(Written(Document((type(blank)(player(prompt, type(blank)), learn=True),)), ()))
                asked.append(request.document)
                tick(i + 1, len(requests))
            return done

        monkeypatch.setattr(module, "write", write)
        monkeypatch.setattr(module, "ladder", lambda system, world, pictures, *_: rates("ladder", [True] * pictures, ["codec"] * pictures))
        return asked

    return put


@pytest.fixture
def system(tiny):
    return tiny(pixels=32, stride=8).eval()


def same(one: Report, other: Report) -> bool:
    """All that is found, but for pictures."""
    return (one.scores, one.right, one.references) == (other.scores, other.right, other.references)


def sheet(path: Path) -> Picture.Image:
    with Picture.open(path) as picture:
        return picture.convert("RGB")


# ---------------------------------------------------------------- the whole


def test_every_exam_of_the_plan_is_taken_and_the_ladder_climbed(system, play, truth):
    asked = play(truth)
    found = evaluate(system, EASY, PLAN)
    assert {name.split(".")[0] for name in found.scores} == {"drawing", "questions", "captions", "ladder"}
    assert {values(found)[name] for name in ("drawing.overall", "questions.overall", "captions.exact")} == {1.0}
    assert found.scores["ladder.overall"].n == PLAN.pictures
    assert len(asked) == sum(COUNTS.values()) and found.tiles.keys() == FEW.keys()
    assert all(document[-1].content is None and document[-1].learn for document in asked)
    without = evaluate(system, EASY, replace(PLAN, pictures=0))
    assert found.scores.keys() - without.scores.keys() == {"ladder.codec", "ladder.overall"}


def test_the_same_plan_gives_the_same_numbers_and_writes_sheets(system, tmp_path):
    plan = Plan(cases={"drawing": 1, "questions": 1, "questions.blank": 1, "captions": 2}, pictures=2, rows=4)
    ticks: list[tuple[str, int, int]] = []
    system.trunk.blocks[0].attention.dropout.p = 0.5
    system.train()
    system.by_name["image"].eval()
    found = evaluate(system, EASY, plan, folder=tmp_path / "new", tick=lambda *tick: ticks.append(tick))
    assert system.training and not system.by_name["image"].training, "every part is left in the mode it was in"
    assert same(evaluate(system.eval(), EASY, plan), found)
    assert {"drawing", "questions", "captions", "codec", "oracle", "teacher_forced"} <= {name.split(".")[0] for name in found.scores}
    last = {what: (done, total) for what, done, total in ticks}
    n = {"drawing": len(SKILLS), "questions": len(KINDS), "questions.blank": len(KINDS), "captions": 2, "ladder": 2}
    assert last == {what: (total, total) for what, total in n.items()}
    drawn = [done for what, done, _ in ticks if what == "drawing"]
    assert drawn == sorted(drawn) and len(set(drawn)) > 1
    sizes = {path.stem: sheet(path).size for path in (tmp_path / "new").glob("*.png")}
    assert sizes.keys() == {"drawing", "questions", "captions"}
    assert sizes["drawing"][0] > sizes["captions"][0] >= 2 * 5 * 32 and sizes["captions"][1] >= 5 * 32


def test_sheets_are_framed_by_what_is_right(system, play, tmp_path, truth):
    first = EASY.prompt(SKILLS[0], 0, "test").text
    play(lambda prompt, want: (nonsense if prompt[0].content == first else truth)(prompt, want))
    evaluate(system, EASY, Plan(cases={"drawing": 1}, pictures=0), folder=tmp_path)
    drawn = sheet(tmp_path / "drawing.png")
    frames = [drawn.getpixel((8 + i * (5 * 32 + 6 + 8), 8)) for i in range(6)]
    assert Counter("red" if red > green else "green" for red, green, _ in frames) == {"red": 1, "green": 5}
    assert frames[0][0] > frames[0][1]


# ---------------------------------------------------------------- plans


@pytest.fixture
def draw(system, monkeypatch):
    """What the system draws for some prompts under a plan with these changes."""

    def drawn(*prompts: str, **changes) -> torch.Tensor:
        kept: list[torch.Tensor] = []

        class Prompts:
            name, want = "prompts", Image
            cases = tuple(Case((Text(prompt),), prompt) for prompt in prompts)

            def report(self, answers):
                kept.extend(answers)
                return Report()

        monkeypatch.setitem(module.EXAMS, "prompts", lambda *_: Prompts())
        evaluate(system, EASY, Plan(cases={"prompts": 1}, pictures=0, **changes))
        return torch.stack(kept)

    return drawn


def test_what_is_written_depends_on_the_seed_and_not_on_what_is_written_beside_it(draw, monkeypatch):
    prompts = [f"a {kind.value}" for kind in (Kind.CIRCLE, Kind.STAR, Kind.RING)]
    pictures = draw(*prompts, seed=1, rows=64)
    assert torch.equal(pictures, draw(*prompts, seed=1, rows=64)) and torch.equal(pictures, draw(*prompts, seed=1, rows=2))
    assert not torch.equal(pictures, draw(*prompts, seed=2))
    monkeypatch.setattr(module, "LEAST", 2)
    assert torch.equal(pictures, draw(*prompts, seed=1)), "nor on the part it is kept in"


def test_a_plan_says_how_to_write(draw):
    pictures = draw(*["a circle"] * 4, sampling={Image: Sampling(temperature=0.0)})
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    usual = draw(*["a circle"] * 4)
    assert not all(torch.equal(picture, usual[0]) for picture in usual)


def test_the_split_of_a_plan_is_what_is_asked(system, play):
    each = {"drawing": 1, "questions": 1, "captions": 1}
    plan = Plan(cases=each, pictures=0, split="val")
    play(Truth(EASY, each, "val"))
    found = values(evaluate(system, EASY, plan))
    assert found["drawing.overall"] == found["questions.overall"] == found["captions.exact"] == 1.0
    play(Truth(EASY, each, "test"))
    assert values(evaluate(system, EASY, replace(plan, cases={"captions": 1})))["captions.exact"] == 0.0


def test_a_share_of_a_plan_leaves_at_least_ten_cases_of_each_and_nothing_of_what_is_left_out():
    plan = Plan(cases={"drawing": 500, "questions": 40, "captions": 301}, pictures=96, seed=7, split="val", rows=3)
    assert plan.scaled(0.1) == replace(plan, cases={"drawing": 50, "questions": 10, "captions": 30}, pictures=10)
    assert plan.scaled(1.0) == plan
    assert replace(plan, pictures=0).scaled(0.1).pictures == 0


def test_a_plan_is_the_standard_suite_unless_it_says_otherwise():
    assert Plan().cases == STANDARD
    with pytest.raises(ValueError, match=r"^evaluate: exam 'draw', 'ask'; drawing, .* are accepted; choose of these$"):
        Plan(cases={"draw": 3, "drawing": 1, "ask": 1}).exams(EASY)
    with pytest.raises(ValueError, match=r"^evaluate: 0 cases of drawing, -1 cases of pope; 1 or more are accepted; leave out what"):
        Plan(cases={"drawing": 0, "captions": 1, "pope": -1}).exams(EASY)


# ---------------------------------------------------------------- answers that are kept


class Stopped(Exception):
    """Somebody stops the evaluation."""


@pytest.fixture
def parts(monkeypatch):
    """Parts of four cases, so that every exam but captions has several."""
    for name in ("LEAST", "MOST"):
        monkeypatch.setattr(module, name, 4)


def test_an_evaluation_that_was_stopped_goes_on_where_it_was(system, play, parts, tmp_path, truth):
    asked = play(truth)
    never_stopped = evaluate(system, EASY, PLAN)
    order = [document.texts for document in asked]
    asked.clear()

    def stop(what, done, total):
        if (what, done) == ("questions", 10):
            raise Stopped

    with pytest.raises(Stopped):
        evaluate(system, EASY, PLAN, answers=tmp_path, tick=stop)
    kept = COUNTS["drawing"] + 8
    assert len(asked) == kept + 2, "the part at work is lost"
    asked.clear()
    ticks: list[tuple[str, int, int]] = []
    found = evaluate(system, EASY, PLAN, answers=tmp_path, tick=lambda *tick: ticks.append(tick))
    assert [document.texts for document in asked] == order[kept:]
    assert same(found, never_stopped) and ticks[0] == ("drawing", COUNTS["drawing"], COUNTS["drawing"])
    for ours, theirs in zip(found.tiles["drawing"], never_stopped.tiles["drawing"], strict=True):
        assert torch.equal(ours.picture, theirs.picture) and ours.lines == theirs.lines


def test_a_finished_evaluation_is_not_written_again(system, play, parts, tmp_path, monkeypatch, truth):
    asked = play(truth)
    found = evaluate(system, EASY, PLAN, answers=tmp_path)
    asked.clear()
    monkeypatch.setattr(module, "ladder", lambda *_: pytest.fail("the ladder was climbed before"))
    assert same(evaluate(system, EASY, PLAN, answers=tmp_path), found) and not asked


def test_few_are_written_before_they_are_kept_where_they_take_long():
    sizes = {(64, 3.0): 64, (64, 0.5): 384, (512, 1.0): 512, (64, 30.0): 64, (384, 6.0): 192, (200, 0.0): 512}
    assert {took: part_size(*took) for took in sizes} == sizes


def test_parts_grow_where_they_are_quick_and_all_are_found_again(system, play, tmp_path, monkeypatch, truth):
    monkeypatch.setattr(module, "LEAST", 2)
    asked = play(truth)
    found = evaluate(system, EASY, PLAN, answers=tmp_path)
    assert [int(path.stem[-6:]) for path in sorted(tmp_path.glob("questions-*"))] == [0, 2]
    asked.clear()
    assert same(evaluate(system, EASY, PLAN, answers=tmp_path), found) and not asked


def test_answers_to_other_exams_lie_beside_and_are_not_asked_again(system, play, tmp_path, truth):
    asked = play(truth)
    both = evaluate(system, EASY, replace(PLAN, cases={name: FEW[name] for name in ("captions", "questions")}))
    asked.clear()
    evaluate(system, EASY, replace(PLAN, cases={"captions": FEW["captions"]}), answers=tmp_path)
    assert len(asked) == COUNTS["captions"]
    asked.clear()
    more = evaluate(system, EASY, replace(PLAN, cases={name: FEW[name] for name in ("captions", "questions")}), answers=tmp_path)
    assert len(asked) == COUNTS["questions"] and same(more, both)
    evaluate(system, EASY, replace(PLAN, cases={"captions": 3}), answers=tmp_path)
    assert len(asked) == COUNTS["questions"] + 3, "an exam of another length is another one"


@pytest.mark.parametrize(
    ("changed", "what"), [("plan", "plan"), ("sampling", "sampling"), ("world", "world"), ("system", "weights"), ("both", "weights, plan")]
)
def test_answers_to_something_else_are_not_taken(system, play, tmp_path, changed, what):
    play(nonsense)
    plan, world = Plan(cases={"captions": 1}, pictures=0), EASY
    evaluate(system, world, plan, answers=tmp_path)
    match changed:
        case "plan":
            plan = replace(plan, seed=1)
        case "sampling":
            plan = replace(plan, sampling={Image: Sampling(temperature=0.5)})
        case "world":
            world = World.easy("zh")
    if changed in ("system", "both"):
        torch.nn.init.zeros_(system.trunk.norm.weight)
        plan = replace(plan, split="val") if changed == "both" else plan
    said = f"answers: {tmp_path} holds answers with another {what}; an empty folder is accepted; remove it or name another"
    with pytest.raises(ValueError) as refused:
        evaluate(system, world, plan, answers=tmp_path)
    assert str(refused.value) == said


def test_the_number_of_rows_changes_nothing_that_is_kept(system, play, tmp_path):
    asked = play(nonsense)
    plan = Plan(cases={"captions": 1}, pictures=0, rows=2)
    found = evaluate(system, EASY, plan, answers=tmp_path)
    asked.clear()
    assert same(evaluate(system, EASY, replace(plan, rows=9), answers=tmp_path), found) and not asked


# ---------------------------------------------------------------- judged again


@pytest.fixture
def finished(system, play, parts, tmp_path, monkeypatch, truth):
    """A folder of answers, half of them right, and what was found of them; nothing more can be written."""
    turns = iter(range(1000))
    play(lambda prompt, want: (truth if next(turns) % 2 else nonsense)(prompt, want))
    found = evaluate(system, EASY, PLAN, answers=tmp_path)
    monkeypatch.setattr(module, "write", lambda *_, **__: pytest.fail("something is written"))
    return tmp_path, found


def test_answers_are_judged_again_without_a_system(finished):
    folder, found = finished
    world, plan, again = judge_again(folder, FEW, 2)
    assert world == EASY and plan == Plan(cases=FEW, pictures=2)
    assert same(again, found) and 0 < found.scores["drawing.overall"].value < 1
    assert [tile.lines for tile in again.tiles["drawing"]] == [tile.lines for tile in found.tiles["drawing"]]


def test_a_world_that_leans_is_known_again(system, play, tmp_path):
    play(nonsense)
    leaning = World(EASY.level, "zh", Bias(alpha=1.0, affinity=0.5), "pairs")
    found = evaluate(system, leaning, Plan(cases={"captions": 2}, pictures=0, split="pairs"), answers=tmp_path)
    world, plan, again = judge_again(tmp_path, {"captions": 2}, 0)
    assert world == leaning and plan.split == "pairs" and same(again, found)


def test_answers_about_another_version_of_the_world_are_not_judged(finished):
    folder, _ = finished
    about = (folder / "about.json").read_text()
    (folder / "about.json").write_text(about.replace(EASY.hash(), "0123456789ab"))
    with pytest.raises(ValueError, match=f"is about world 0123456789ab; this version makes {EASY.hash()}; write them anew"):
        judge_again(folder, FEW, 2)


@pytest.mark.parametrize(
    ("lost", "what"),
    [
        ("drawing-14-000004.safetensors", "some of drawing"),
        ("captions-4-000000.json", "some of captions"),
        ("ladder-2.json", "the ladder-2"),
    ],
)
def test_answers_that_are_not_all_there_are_not_judged(finished, lost, what):
    folder, _ = finished
    (folder / lost).unlink()
    with pytest.raises(ValueError, match=f"lacks {what}; a finished evaluation is accepted; run `evaluate` to its end"):
        judge_again(folder, FEW, 2)


def test_a_folder_of_something_else_is_not_judged(tmp_path):
    with pytest.raises(ValueError, match="a folder that `evaluate` wrote answers to is accepted; check the path"):
        judge_again(tmp_path / "nowhere", FEW, 2)


def test_answers_name_whose_they_are(finished, system):
    about = module.about_answers(finished[0])
    assert (about["system"], about["weights"]) == (system.name, weights_hash(system))
    assert about["plan"] == {"seed": 0, "split": "test"} and about["sampling"].keys() == {"text", "image"}
