"""Evaluate: what a system draws, answers and says about the world, in two steps that can be taken apart: writing and judging."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import torch

from tessera.document import Document, Image, Segment
from tessera.draws import seed_of
from tessera.exams import Exam, Report, joined
from tessera.laws.base import Sampling
from tessera.ports import Port
from tessera.system import System, evaluating
from tessera.verbs.answers import Answers, about_answers
from tessera.verbs.generate import write
from tessera.verbs.ladder import ladder
from tessera.verbs.suites import EXAMS, PICTURES, STANDARD
from tessera.verbs.weights import weights_hash
from tessera.verbs.writing import Request, Written
from tessera.world import LEVELS, World, save_sheet
from tessera.world.bias import Bias

LEAST, MOST, LONG = 64, 512, 3.0  # cases that are written before they are kept, and the seconds that they should take

Tick = Callable[[str, int, int], None]  # what is measured, how many are done, of how many


@dataclass(frozen=True)
class Plan:
    """What to measure and how to write. The same plan, seed and system give the same numbers.

    `cases` says how many of each exam: per skill, per kind, or in all. `pictures` are for the ladder; 0 leaves it out.
    """

    cases: Mapping[str, int] = field(default_factory=lambda: dict(STANDARD))
    pictures: int = 500
    seed: int = 0
    split: str = "test"
    sampling: Mapping[type[Segment], Sampling] = field(default_factory=dict)
    rows: int = 64

    def scaled(self, share: float) -> "Plan":
        """The same with a share of the cases, at least 10 of each."""
        some = lambda number: max(10, round(number * share)) if number else 0
        return replace(self, cases={name: some(number) for name, number in self.cases.items()}, pictures=some(self.pictures))

    def within(self, system: System) -> "Plan":
        """The same without exams that want pictures of a system that only reads them."""
        return self if system.draws else replace(self, cases={name: each for name, each in self.cases.items() if name not in PICTURES})

    def covers(self, other: "Plan") -> bool:
        """Whether it measures all that the other does, in the same way, and maybe more."""
        return replace(self, cases=other.cases) == other and other.cases.items() <= self.cases.items()

    def exams(self, world: World) -> list[Exam]:
        """The exams, made for a world."""
        unknown = [name for name in self.cases if name not in EXAMS]
        if unknown:
            raise ValueError(f"evaluate: exam {', '.join(map(repr, unknown))}; {', '.join(EXAMS)} are accepted; choose of these")
        if empty := [f"{each} cases of {name}" for name, each in self.cases.items() if each < 1]:
            raise ValueError(f"evaluate: {', '.join(empty)}; 1 or more are accepted; leave out what is not to be asked")
        return [EXAMS[name](world, each, self.split) for name, each in self.cases.items()]

    def facts(self) -> dict[str, Any]:
        """What was asked, as JSON can say it."""
        return {"cases": dict(self.cases), "pictures": self.pictures, "seed": self.seed, "split": self.split}


def evaluate(
    system: System, world: World, plan: Plan = Plan(), *, folder: Path | None = None, answers: Path | None = None, tick: Tick | None = None
) -> Report:
    """All scores of a system by dotted name, with what they are compared to.

    `folder` receives contact sheets of drawings and answers. `answers`, another folder, keeps what was written, as it comes:
    called again with the same system, seed and sampling, it goes on where it was stopped, whatever the exams, and
    `judge_again` needs no system.
    """
    tick = tick or (lambda *_: None)
    kept = Answers(answers, about(system, world, plan) if answers else {})
    with evaluating(system), torch.no_grad():
        reports = [exam.report(answered(system, exam, plan, kept, tick)) for exam in plan.exams(world)]
        if plan.pictures:
            tick("ladder", 0, plan.pictures)
            reports.append(kept.once(ladder_of(plan), lambda: ladder(system, world, plan.pictures, plan.split, plan.seed)))
            tick("ladder", plan.pictures, plan.pictures)
    found = joined(reports)
    if folder:
        save_sheets(found, folder)
    return found


def judge_again(answers: Path, cases: Mapping[str, int], pictures: int) -> tuple[World, Plan, Report]:
    """The world, the plan and the report of answers that were written before, by today's scorer; no system is needed."""
    facts = about_answers(answers)
    asked = facts["world"]
    world = world_of(asked)
    if world.hash() != asked["hash"]:
        raise ValueError(f"answers: {answers} is about world {asked['hash']}; this version makes {world.hash()}; write them anew")
    plan = Plan(cases, pictures, **facts["plan"])
    kept = Answers(answers, facts)
    reports = []
    for exam in plan.exams(world):
        said = kept.all(exam)
        if len(said) < len(exam.cases):
            raise ValueError(f"answers: {answers} lacks some of {exam.name}; a finished evaluation is accepted; run `evaluate` to its end")
        reports.append(exam.report(said))
    if plan.pictures:
        reports.append(kept.once(ladder_of(plan), None))
    return world, plan, joined(reports)


def ladder_of(plan: Plan) -> str:
    """What the ladder's report is kept as: one of more pictures is another one."""
    return f"ladder-{plan.pictures}"


def about(system: System, world: World, plan: Plan) -> dict[str, Any]:
    """Who answers, about which world, and how it writes; not which exams: answers to more of them lie beside the others."""
    return {
        "system": system.name,
        **getattr(system, "origin", {}),
        "weights": weights_hash(system),
        "world": {**world_facts(world), "hash": world.hash()},
        "plan": {"seed": plan.seed, "split": plan.split},
        "sampling": sampling_facts(system, plan),
    }


def world_facts(world: World) -> dict[str, Any]:
    """Which world this is; `world_of` makes it again."""
    return {"level": world.level.name, "language": world.language, "bias": asdict(world.bias), "held_out": world.held_out}


def world_of(facts: Mapping[str, Any]) -> World:
    """The world of such facts."""
    return World(LEVELS[facts["level"]], facts["language"], Bias(**facts["bias"]), facts["held_out"])


def sampling_facts(system: System, plan: Plan) -> dict[str, Any]:
    """How each port writes, in full."""
    return {port.name: asdict(in_full(port, plan.sampling.get(port.kind, port.law.sampling))) for port in system.ports if port.writes}


@runtime_checkable
class InSteps(Protocol):
    """An order or a law that takes so many steps where no other number is asked for."""

    steps: int


def in_full(port: Port, sampling: Sampling) -> Sampling:
    """The sampling with the steps that the port's order and law then take."""
    own = lambda part: part.steps if isinstance(part, InSteps) else None
    return replace(sampling, steps=sampling.steps or own(port.order), denoising=sampling.denoising or own(port.law))


def save_sheets(found: Report, folder: Path) -> None:
    """The contact sheet of each exam."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, tiles in found.tiles.items():
        save_sheet(folder / f"{name}.png", tiles)


def _moved(tick: Tick, name: str, before: int, total: int, done: int, _: int) -> None:
    tick(name, before + done, total)


def answer_of(written: Written, want: type[Segment] | None) -> Any:
    """The document that was written, or its last picture or text: a prompt may have blanks of its own."""
    if want is None:
        return written.document
    return (written.pictures if want is Image else written.texts)[-1]


def answered(system: System, exam: Exam, plan: Plan, kept: Answers, tick: Tick, *, longest: int = Request.longest) -> list:
    """One answer per case, `rows` side by side; what was written before is taken from there. `longest` bounds each text, in ids."""
    answers, total, size = kept.all(exam), len(exam.cases), LEAST
    tick(exam.name, len(answers), total)
    while (start := len(answers)) < total:
        began = perf_counter()
        cases = enumerate(exam.cases[start : start + size], start)
        blank = () if exam.want is None else (exam.want(learn=True),)
        requests = [
            Request(Document((*case.prompt, *blank)), seed_of(plan.seed, i), plan.sampling, longest, case.more) for i, case in cases
        ]
        done = write(system, requests, rows=plan.rows, tick=partial(_moved, tick, exam.name, start, total))
        part = [answer_of(one, exam.want) for one in done]
        kept.put(exam, start, part)
        answers += part
        tick(exam.name, len(answers), total)
        size = part_size(len(part), perf_counter() - began)
    return answers


def part_size(cases: int, seconds: float) -> int:
    """How many cases to write before they are kept, when so many took so long.

    Few, so that who stops loses a few seconds of work; but not fewer than are written side by side, which would be slower.
    """
    return max(LEAST, min(MOST, int(cases * LONG / max(seconds, 1e-6))))
