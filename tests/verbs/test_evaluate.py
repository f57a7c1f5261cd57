from collections import Counter
from math import log
from pathlib import Path

import pytest
import torch
from PIL import Image as Picture

from tessera.codecs.base import Encoded
from tessera.data import schedule
from tessera.document import Document, Image, Text
from tessera.draws import Draw
from tessera.laws import Sampling
from tessera.scoring import wilson
from tessera.verbs import evaluate as module
from tessera.verbs.evaluate import GENEVAL, Judge, Plan, evaluate
from tessera.verbs.writing import Written
from tessera.world import LANGUAGES, Colour, Kind, Scene, Size, Thing, World, caption, question_kinds, skills
from tessera.world.render import render
from tessera.world.scene import BACKGROUND

EASY = World.easy()
PLAN = Plan(drawings=2, questions=3, captions=4, pictures=3, rows=5)
KINDS, SKILLS = question_kinds(EASY.level), skills(EASY.level)


# ---------------------------------------------------------------- systems that are played


def scene_of(prompt, *, more: int = 0) -> Scene:
    """The wanted things, red and in any free place where the prompt leaves that open; and `more` of a kind not wanted."""
    level = prompt.level
    taken = {what.place for what in prompt.wanted}
    free = iter([(row, column) for row in range(level.grid) for column in range(level.grid) if (row, column) not in taken])
    asked = [(what.kind, what.colour or Colour.RED, what.place or next(free)) for what in prompt.wanted]
    other = next(kind for kind in level.kinds if kind not in {kind for kind, _, _ in asked})
    asked += [(other, Colour.BLACK, next(free)) for _ in range(more)]
    centres = level.centres
    return Scene(tuple(Thing(kind, colour, Size.MEDIUM, *at, float(centres[at[1]]), float(centres[at[0]])) for kind, colour, at in asked))


class Truth:
    """Answers for a system, looked up in the world: pictures by their prompt, texts by the picture (and the question)."""

    def __init__(self, plan: Plan = PLAN, world: World = EASY, *, more: int = 0, language: str = "en"):
        name = lambda picture: picture.numpy().tobytes()
        level, split = world.level, plan.split
        prompts = [world.prompt(skill, i, split) for skill in skills(level) for i in range(plan.drawings)]
        self.pictures = {p.text: torch.from_numpy(render(scene_of(p, more=more), level)) for p in prompts}
        asked = [world.question(kind, i, split) for kind in question_kinds(level) for i in range(plan.questions)]
        self.texts = {(name(picture), question.text): question.answer for picture, question in asked}
        for scene in (world.scene(i, split) for i in range(plan.captions)):
            self.texts[name(world.picture(scene)),] = caption(scene, level, LANGUAGES[language])
        self.asked: list[Document] = []

    def __call__(self, document: Document) -> torch.Tensor | str:
        self.asked.append(document)
        if isinstance(document[-1], Image):
            return self.pictures[document.texts[0]]
        return self.texts.get((document.pictures[0].numpy().tobytes(), *document.texts), "I see nothing")


@pytest.fixture
def play(monkeypatch):
    """Puts a function from documents to what is written behind them in the place of the system's own writing."""

    def put(answer):
        def write(system, requests, *, rows, tick):
            tick(len(requests), len(requests))
            asked = [request.document for request in requests]
            return [Written(Document((type(d[-1])(answer(d), learn=True),)), ()) for d in asked]

        monkeypatch.setattr(module, "write", write)
        return answer

    return put


def nonsense(document: Document) -> torch.Tensor | str:
    """Pictures of noise, and words that answer nothing."""
    rng = torch.Generator().manual_seed(len(document.texts[0]) if document.texts else 0)
    return torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=rng) if isinstance(document[-1], Image) else "well"


@pytest.fixture
def system(tiny):
    return tiny(pixels=32, stride=8).eval()


def judged(system, plan: Plan = PLAN, world: World = EASY) -> Judge:
    return Judge(system, world, plan, lambda *_: None)


def values(scores) -> dict[str, float]:
    return {name: score.value for name, score in scores.items()}


def sheet(path: Path) -> Picture.Image:
    with Picture.open(path) as picture:
        return picture.convert("RGB")


# ---------------------------------------------------------------- known answers


def test_the_truth_scores_one(system, play):
    play(Truth())
    judge = judged(system)
    drawn, answered, told = judge.drawing(), judge.asking(), judge.captioning()
    assert drawn.keys() == {f"drawing.{name}" for name in (*(skill.value for skill in SKILLS), "overall", "geneval", "readable")}
    answers = {name: score for name, score in answered.items() if not name.startswith(("questions.blank", "questions.blind"))}
    assert answers.keys() == {f"questions.{name}" for name in (*(kind.value for kind in KINDS), "overall")}
    assert told.keys() == {f"captions.{name}" for name in ("exact", "parsed", "kind_f1", "colour_f1", "place_f1")}
    assert set(values(drawn | answers | told).values()) == {1.0}
    assert all(tile.right for tiles in judge.tiles.values() for tile in tiles)


def test_nonsense_scores_nothing(system, play):
    play(nonsense)
    judge = judged(system)
    drawn, answered, told = judge.drawing(), judge.asking(), judge.captioning()
    answers = {name: score for name, score in answered.items() if "blind" not in name}
    assert set(values(drawn | answers | told).values()) == {0.0}
    assert not any(tile.right for tiles in judge.tiles.values() for tile in tiles)


def test_scores_come_with_the_number_of_their_cases_and_intervals(system, play):
    play(Truth())
    judge = judged(system)
    scores = judge.drawing() | judge.asking() | judge.captioning()
    counts = {"drawing.counting": 2, "drawing.overall": 2 * len(SKILLS), "drawing.geneval": 2 * len(GENEVAL), "captions.exact": 4}
    counts |= {"questions.exist": 3, "questions.blank.exist": 3, "questions.overall": 3 * len(KINDS), "captions.kind_f1": 4}
    assert {name: scores[name].n for name in counts} == counts
    assert scores["drawing.counting"].ci95 == wilson(2, 2) and scores["captions.kind_f1"].ci95 == (1.0, 1.0)


def test_a_skill_counts_its_own_drawings(system, play):
    truth, noise = Truth(), nonsense
    wrong = EASY.prompt(SKILLS[2], 0, "test").text
    play(lambda document: noise(document) if document.texts == [wrong] else truth(document))
    drawn = values(judged(system).drawing())
    n = 2 * len(SKILLS)
    assert {name: value for name, value in drawn.items() if value < 1} == {
        f"drawing.{SKILLS[2].value}": 0.5,
        "drawing.overall": (n - 1) / n,
        "drawing.geneval": (2 * len(GENEVAL) - 1) / (2 * len(GENEVAL)),
        "drawing.readable": (n - 1) / n,
    }


def test_an_unwanted_thing_spoils_a_drawing_but_not_for_geneval(system, play):
    play(Truth(more=1))
    drawn = values(judged(system).drawing())
    assert drawn["drawing.overall"] == 0.0 and drawn["drawing.geneval"] == 1.0 and drawn["drawing.readable"] == 1.0


def test_white_space_around_an_answer_is_no_mistake_and_anything_else_is(system, play):
    truth = Truth()
    for around, value in ((lambda text: f" {text}\n", 1.0), (str.upper, 0.0), (lambda text: f"{text}.", 0.0)):
        play(lambda document, around=around: around(truth(document)))
        assert judged(system).asking()["questions.overall"].value == value


def test_a_caption_that_leaves_a_thing_out_is_no_exact_one(system, play):
    scenes = [EASY.scene(i, "test") for i in range(PLAN.captions)]
    short = {EASY.picture(s).numpy().tobytes(): caption(Scene(s.things[:1]), EASY.level, LANGUAGES["en"]) for s in scenes}
    play(lambda document: short[document.pictures[0].numpy().tobytes()])
    told = values(judged(system).captioning())
    true = sum(len(scene.things) for scene in scenes)
    assert told["captions.parsed"] == 1.0
    assert told["captions.exact"] == sum(len(scene.things) == 1 for scene in scenes) / len(scenes) < 1
    assert told["captions.kind_f1"] == pytest.approx(2 * len(scenes) / (len(scenes) + true))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_in_a_world_of_both_languages_a_caption_may_be_in_either(system, play, language):
    both = World.easy("both")
    play(Truth(world=both, language=language))
    assert set(values(judged(system, world=both).captioning()).values()) == {1.0}
    other = World.easy({"en": "zh", "zh": "en"}[language])
    assert judged(system, world=other).captioning()["captions.exact"].value == 0.0


# ---------------------------------------------------------------- baselines


def test_blank_questions_show_a_picture_with_nothing_in_it(system, play):
    truth = play(Truth())
    scores = judged(system).asking()
    n = len(KINDS) * PLAN.questions
    shown, blank = truth.asked[:n], truth.asked[n:]
    assert [d.texts for d in shown] == [d.texts for d in blank]
    ground = torch.tensor(BACKGROUND, dtype=torch.uint8)[:, None, None].expand(3, 32, 32)
    assert all(torch.equal(d.pictures[0], ground) for d in blank) and not any(torch.equal(d.pictures[0], ground) for d in shown)
    assert scores["questions.blank"].value == 0.0 and scores["questions.overall"].value == 1.0


def test_who_never_looks_is_as_good_with_a_blank_picture(system, play):
    play(lambda document: "no" if "can you see an" in document.texts[0] else "bottom left")
    scores = values(judged(system).asking())
    assert scores["questions.blank"] == scores["questions.overall"] > 0
    assert all(scores[f"questions.blank.{kind.value}"] == scores[f"questions.{kind.value}"] for kind in KINDS)


def test_blind_is_who_always_says_the_commonest_answer_of_a_kind(system, play):
    common = {}
    for kind in KINDS:
        answers = [EASY.question(kind, i, "train")[1].answer for i in range(PLAN.questions)]
        common |= {EASY.question(kind, i, "test")[1].text: max(answers, key=answers.count) for i in range(PLAN.questions)}
    play(lambda document: common[document.texts[0]])
    scores = values(judged(system).asking())
    assert scores["questions.blind"] == scores["questions.overall"] > 0
    assert all(scores[f"questions.blind.{kind.value}"] == scores[f"questions.{kind.value}"] for kind in KINDS)
    play(nonsense)
    again = values(judged(system).asking())
    assert all(again[name] == scores[name] for name in scores if "blind" in name), "it does not depend on the system"


# ---------------------------------------------------------------- the ladder


@torch.no_grad()
def test_what_a_codec_loses_bounds_drawings(system, monkeypatch):
    codec = system.by_name["image"].codec
    scores = judged(system).ladder()
    assert scores["codec.readable"].value == 0.0 and scores["oracle.readable"].value == 1.0  # a codec that has not learned
    monkeypatch.setattr(system, "losses", lambda documents, draws: {"text": (torch.tensor(0.0), 0)})
    monkeypatch.setattr(codec, "encode", lambda raws, draws: Encoded(list(raws)))
    monkeypatch.setattr(codec, "decode", torch.stack)
    scores = judged(system).ladder()
    assert scores["codec.readable"].value == 1.0 and scores["codec.readable"].n == PLAN.pictures
    assert scores.keys() == {"codec.readable", "oracle.readable"}, "a port with nothing to learn has no loss"


@torch.no_grad()
def test_losses_given_the_truth_are_those_of_all_documents_together(system):
    plan = Plan(drawings=0, questions=0, captions=0, pictures=12, seed=5)
    found = judged(system, plan).ladder()
    order = schedule(EASY, EASY.mix, plan.seed)
    documents = [EASY.document(*order[i], "test") for i in range(plan.pictures)]
    together = system.losses(documents, [Draw(plan.seed, i) for i in range(plan.pictures)])
    for port, (total, count) in together.items():
        score = found[f"teacher_forced.{port}"]
        assert score.value == pytest.approx(float(total) / count, rel=1e-4)
        assert score.ci95[0] <= score.value <= score.ci95[1] and 0 < score.n <= plan.pictures
    assert found["teacher_forced.text"].value == pytest.approx(log(system.text.codec.size + 9), rel=0.1)  # nothing is learned yet


# ---------------------------------------------------------------- the whole


def test_the_same_plan_gives_the_same_numbers_and_writes_sheets(system, tmp_path):
    plan = Plan(drawings=1, questions=1, captions=2, pictures=2, rows=4)
    ticks: list[tuple[str, int, int]] = []
    system.trunk.blocks[0].attention.dropout.p = 0.5
    system.train()
    system.by_name["image"].eval()
    scores = evaluate(system, EASY, plan, folder=tmp_path, tick=lambda *tick: ticks.append(tick))
    assert system.training and not system.by_name["image"].training, "every part is left in the mode it was in"
    assert evaluate(system.eval(), EASY, plan) == scores
    assert {name.split(".")[0] for name in scores} == {"drawing", "questions", "captions", "codec", "oracle", "teacher_forced"}
    last = {what: (done, total) for what, done, total in ticks}
    n = {"drawing": len(SKILLS), "questions": len(KINDS), "blank questions": len(KINDS), "captions": 2, "codec": 2}
    assert last == {what: (total, total) for what, total in n.items()}
    drawn = [done for what, done, _ in ticks if what == "drawing"]
    assert drawn == sorted(set(drawn)) and len(drawn) > 1
    sizes = {path.stem: sheet(path).size for path in tmp_path.glob("*.png")}
    assert sizes.keys() == {"drawing", "questions", "captions"}
    assert sizes["drawing"][0] > sizes["captions"][0] >= 2 * 5 * 32 and sizes["captions"][1] >= 5 * 32


def test_sheets_are_framed_by_what_is_right(system, play, tmp_path):
    truth = Truth()
    first = EASY.prompt(SKILLS[0], 0, "test").text
    plan = Plan(drawings=1, questions=1, captions=1, pictures=1)
    play(lambda document: nonsense(document) if document.texts == [first] else truth(document))
    evaluate(system, EASY, plan, folder=tmp_path)
    drawn = sheet(tmp_path / "drawing.png")
    frames = [drawn.getpixel((8 + i * (5 * 32 + 6 + 8), 8)) for i in range(6)]
    assert Counter("red" if red > green else "green" for red, green, _ in frames) == {"red": 1, "green": 5}
    assert frames[0][0] > frames[0][1]


def test_what_is_written_depends_on_the_seed_and_not_on_what_is_written_beside_it(system):
    documents = [(Text(f"a {kind.value}"), Image(learn=True)) for kind in (Kind.CIRCLE, Kind.STAR, Kind.RING)]
    drawn = lambda **changes: torch.stack(judged(system, Plan(**changes)).write("drawing", documents, kind=Image))
    pictures = drawn(seed=1, rows=64)
    assert torch.equal(pictures, drawn(seed=1, rows=64)) and torch.equal(pictures, drawn(seed=1, rows=2))
    assert not torch.equal(pictures, drawn(seed=2))


def test_a_plan_says_how_to_write(system):
    documents = [(Text("a circle"), Image(learn=True))] * 4
    likeliest = Plan(sampling={Image: Sampling(temperature=0.0)})
    pictures = judged(system, likeliest).write("drawing", documents, kind=Image)
    assert all(torch.equal(picture, pictures[0]) for picture in pictures)
    usual = judged(system, Plan()).write("drawing", documents, kind=Image)
    assert not all(torch.equal(picture, usual[0]) for picture in usual)


def test_the_split_of_a_plan_is_what_is_asked(system, play):
    plan = Plan(drawings=1, questions=1, captions=1, split="val")
    play(Truth(plan))
    judge = judged(system, plan)
    assert values(judge.drawing())["drawing.overall"] == values(judge.asking())["questions.overall"] == 1.0
    assert values(judge.captioning())["captions.exact"] == 1.0
    play(Truth(Plan(drawings=1, questions=1, captions=1, split="test")))
    assert values(judge.captioning())["captions.exact"] == 0.0


def test_a_share_of_a_plan_leaves_at_least_ten_cases_of_each():
    plan = Plan(drawings=500, questions=40, captions=301, pictures=96, seed=7, split="val", rows=3)
    assert plan.scaled(0.1) == Plan(drawings=50, questions=10, captions=30, pictures=10, seed=7, split="val", rows=3)
    assert plan.scaled(1.0) == plan
