"""Evaluate: what a system draws, answers and says about the world, judged by the oracle, with intervals."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tessera.data import schedule
from tessera.document import Document, Image, Segment, Text
from tessera.draws import Draw, seed_of
from tessera.laws.base import Sampling
from tessera.scoring import Score, bootstrap, rate
from tessera.system import System, evaluating
from tessera.verbs.generate import write
from tessera.verbs.writing import Request
from tessera.world import LANGUAGES, Scene, Skill, Tile, World, caption_score, judge, question_kinds, save_sheet, skills
from tessera.world.captions import ATTRIBUTES, CaptionScore, Counts
from tessera.world.oracle import Oracle
from tessera.world.reading import same_scene
from tessera.world.scene import BACKGROUND

Tick = Callable[[str, int, int], None]  # what is measured, how many are done, of how many
GENEVAL = (Skill.SINGLE_OBJECT, Skill.TWO_OBJECTS, Skill.COUNTING, Skill.COLOURS, Skill.POSITION, Skill.COLOUR_BINDING)


@dataclass(frozen=True)
class Plan:
    """How much to measure and how to write. The same plan, seed and system give the same numbers."""

    drawings: int = 500  # per skill
    questions: int = 200  # per kind
    captions: int = 500
    pictures: int = 500  # for the codec's ceiling and the teacher-forced losses
    seed: int = 0
    split: str = "test"
    sampling: Mapping[type[Segment], Sampling] | None = None
    rows: int = 64
    controls: bool = True  # whether questions are also asked of a blank picture

    def scaled(self, share: float) -> "Plan":
        """The same with a share of the cases, at least 10 of each."""
        names = ("drawings", "questions", "captions", "pictures")
        return replace(self, **{name: max(10, round(getattr(self, name) * share)) for name in names})


def evaluate(
    system: System, world: World, plan: Plan = Plan(), *, folder: Path | None = None, tick: Tick | None = None
) -> dict[str, Score]:
    """All scores of a system by dotted name. With `folder`, contact sheets of drawings and answers are written there."""
    judge_of = Judge(system, world, plan, tick or (lambda *_: None))
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with evaluating(system), torch.no_grad():
        scores = {**judge_of.drawing(), **judge_of.asking(), **judge_of.captioning(), **judge_of.ladder()}
    if folder:
        for name, tiles in judge_of.tiles.items():
            save_sheet(folder / f"{name}.png", tiles)
    return scores


class Judge:
    """One evaluation: the system, the world's oracle, and tiles for the contact sheets."""

    def __init__(self, system: System, world: World, plan: Plan, tick: Tick):
        self.system, self.world, self.plan, self.tick = system, world, plan, tick
        self.oracle = Oracle(world.level)
        self.tiles: dict[str, list[Tile]] = {}

    def drawing(self) -> dict[str, Score]:
        """The oracle's verdicts on drawings, skill by skill; `geneval` lets unrequested things pass, the others do not."""
        prompts = [
            (skill, self.world.prompt(skill, i, self.plan.split)) for skill in skills(self.world.level) for i in range(self.plan.drawings)
        ]
        pictures = self.write("drawing", [(Text(prompt.text), Image(learn=True)) for _, prompt in prompts], kind=Image)
        readings = self.oracle.read(torch.stack(pictures))
        verdicts = [(skill, judge(prompt, reading)) for (skill, prompt), reading in zip(prompts, readings, strict=True)]
        scores = {f"drawing.{skill.value}": rate([v.strict for s, v in verdicts if s is skill]) for skill in skills(self.world.level)}
        scores["drawing.overall"] = rate([v.strict for _, v in verdicts])
        scores["drawing.geneval"] = rate([v.geneval for s, v in verdicts if s in GENEVAL])
        scores["drawing.readable"] = rate([v.readable for _, v in verdicts])
        shown = [
            i
            for s in range(len(skills(self.world.level)))
            for i in range(s * self.plan.drawings, s * self.plan.drawings + min(8, self.plan.drawings))
        ]
        self.tiles["drawing"] = [Tile(pictures[i], (prompts[i][1].text,), verdicts[i][1].strict) for i in shown]
        return scores

    def asking(self) -> dict[str, Score]:
        """Answers, exact match, by kind; `blank` sees a picture with nothing in it, `blind` is the commonest answer of the kind."""
        kinds, n = question_kinds(self.world.level), self.plan.questions
        asked = [(kind, *self.world.question(kind, i, self.plan.split)) for kind in kinds for i in range(n)]
        answers = self.write("questions", [(Image(p), Text(q.text), Text(learn=True)) for _, p, q in asked], kind=Text)
        common = {kind: Counter(self.world.question(kind, i, "train")[1].answer for i in range(n)).most_common(1)[0][0] for kind in kinds}
        said = {"": answers, "blind.": [common[kind] for kind, _, _ in asked]}
        if self.plan.controls:
            nothing = torch.tensor(BACKGROUND, dtype=torch.uint8)[:, None, None].expand_as(asked[0][1]).contiguous()
            said["blank."] = self.write(
                "blank questions", [(Image(nothing), Text(q.text), Text(learn=True)) for _, _, q in asked], kind=Text
            )
        scores: dict[str, Score] = {}
        for name, words in said.items():
            right = [(kind, word.strip() == q.answer) for (kind, _, q), word in zip(asked, words, strict=True)]
            scores |= {f"questions.{name}{kind.value}": rate([ok for k, ok in right if k is kind]) for kind in kinds}
            scores[f"questions.{name.rstrip('.') or 'overall'}"] = rate([ok for _, ok in right])
        shown = [i for k in range(len(kinds)) for i in range(k * n, k * n + min(6, n))]
        told = [(q.text, answer.strip()) for (_, _, q), answer in zip(asked, answers, strict=True)]
        self.tiles["questions"] = [Tile(asked[i][1], told[i], told[i][1] == asked[i][2].answer) for i in shown]
        return scores

    def captioning(self) -> dict[str, Score]:
        """Captions parsed back: exact when they name the scene's things and nothing else; F1 by attribute."""
        scenes = [self.world.scene(i, self.plan.split) for i in range(self.plan.captions)]
        pictures = [self.world.picture(scene) for scene in scenes]
        said = self.write("captions", [(Image(picture), Text(learn=True)) for picture in pictures], kind=Text)
        marks = [self._caption(text.strip(), scene) for text, scene in zip(said, scenes, strict=True)]
        f1 = lambda name: lambda cases: sum((case.counts[name] for case in cases), Counts()).f1
        used = [name for name in ATTRIBUTES if any(mark.counts[name].true for mark in marks)]
        self.tiles["captions"] = [Tile(p, (t.strip(),), m.exact) for p, t, m in zip(pictures[:48], said, marks, strict=False)]
        return {
            "captions.exact": rate([mark.exact for mark in marks]),
            "captions.parsed": rate([mark.parsed for mark in marks]),
            **{f"captions.{name}_f1": bootstrap(marks, f1(name)) for name in used},
        }

    def _caption(self, text: str, scene: Scene) -> CaptionScore:
        """In the world's language, or in whichever of its languages the caption is."""
        languages = LANGUAGES.values() if self.world.language == "both" else [LANGUAGES[self.world.language]]
        return max(
            (caption_score(text, scene, self.world.level, language) for language in languages), key=lambda mark: (mark.exact, mark.parsed)
        )

    def ladder(self) -> dict[str, Score]:
        """What bounds the rest: pictures through the codec and back, the same through the oracle alone, and losses given the truth."""
        scenes = [self.world.scene(i, self.plan.split) for i in range(self.plan.pictures)]
        pictures = [self.world.picture(scene) for scene in scenes]
        codec = self.system.port(Image(learn=True)).codec
        through = [
            picture
            for part in _parts(pictures, 64)
            for picture in codec.decode(codec.encode(part, [Draw(i) for i in range(len(part))]).clean)
        ]
        readable = lambda shown: rate([same_scene(r, s) for r, s in zip(self.oracle.read(torch.stack(shown)), scenes, strict=True)])
        self.tick("codec", len(scenes), len(scenes))
        return {"codec.readable": readable(through), "oracle.readable": readable(pictures), **self._teacher_forced()}

    def _teacher_forced(self) -> dict[str, Score]:
        """Loss per element of each port, given everything before it, over unseen documents of the world's mix."""
        each: dict[str, list[tuple[float, float]]] = {}
        order = schedule(self.world, self.world.mix, self.plan.seed)
        for i in range(self.plan.pictures):
            document = self.world.document(*order[i], self.plan.split)
            for port, (total, count) in self.system.losses([document], [Draw(self.plan.seed, i)]).items():
                if count:
                    each.setdefault(port, []).append((float(total), count))
        mean = lambda cases: sum(total for total, _ in cases) / sum(count for _, count in cases)
        return {f"teacher_forced.{port}": bootstrap(cases, mean) for port, cases in each.items()}

    def write(self, what: str, segments: Sequence[tuple[Segment, ...]], *, kind: type[Segment]) -> list:
        """What the system writes behind each prompt, `rows` side by side: pictures or texts."""
        sampling = self.plan.sampling or {}
        requests = [Request(Document(s), seed_of(self.plan.seed, i), sampling) for i, s in enumerate(segments)]
        written = write(self.system, requests, rows=self.plan.rows, tick=lambda done, total: self.tick(what, done, total))
        return [(one.pictures if kind is Image else one.texts)[0] for one in written]


def _parts(items: Sequence, size: int) -> list[Sequence]:
    return [items[i : i + size] for i in range(0, len(items), size)]
