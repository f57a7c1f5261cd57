"""Commands that score."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from tessera.cli.app import (
    Denoising,
    Device,
    Guidance,
    HeldOut,
    Leaning,
    Nats,
    RunFolder,
    Seed,
    Steps,
    Temperature,
    TopK,
    TopP,
    app,
    console,
    fitting,
    going_on_from,
    how_trained,
    progress,
    sampling_of_pictures,
    say,
    ticker,
    trained,
    world_of,
)
from tessera.exams import Report
from tessera.system import System
from tessera.verbs.answers import about_answers, named_after
from tessera.verbs.compare import alike, better, compare, in_common, uncompared
from tessera.verbs.evaluate import Plan, about, evaluate, judge_again, save_sheets
from tessera.verbs.keeping import kept_with, set_aside, sheets_of
from tessera.verbs.results import asked_of, judged, read_results, results, save_results
from tessera.verbs.suites import EXAMS, SUITES, chosen
from tessera.verbs.tables import update_readme
from tessera.world import World
from tessera.world.sampling import SPLITS

PUBLISHED = Path("results")


@app.command("evaluate", epilog="Examples: tessera evaluate chameleon · tessera evaluate --run runs/chameleon --suite smoke --seeds 3")
def evaluate_command(
    system: Annotated[str, typer.Argument(metavar="[SYSTEM]", help="Whose shipped weights to judge.")] = "",
    run: RunFolder = None,
    suite: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(SUITES)}, or an exam: {', '.join(EXAMS)}; may be repeated. By default standard.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Write everything under so many seeds, and give the spread.")] = 1,
    level: Annotated[str, typer.Option(help="Level of the world; by default the one it was trained on, or easy.")] = "",
    language: Annotated[str, typer.Option(help="en, zh or both; by default what it was trained on.")] = "",
    bias: Leaning = None,
    held_out: HeldOut = "",
    share: Annotated[float, typer.Option(help="Share of the cases; a score is published with all of them (1).")] = 1.0,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    seed: Seed = 0,
    guidance: Guidance = None,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    steps: Steps = None,
    denoising: Denoising = None,
    nats: Nats = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results, pages and contact sheets; of a run, RUN/results.")] = None,
    against: Annotated[Path | None, typer.Option(help="Other results (.json): differences case by case, with intervals.")] = None,
    device: Device = "auto",
) -> None:
    """Score a system on the world: drawings by the oracle, captions, questions, and the ladder of what bounds them.

    The standard suite (and more) on shipped weights goes to results/, and its headlines to the table of the README beside it.
    What the system wrote is kept in OUT/answers: a stopped evaluation goes on where it was, and `tessera judge` scores it anew.
    Guidance, temperature, top-k, top-p, steps and denoising are those of pictures; texts are written as the recipe says.
    """
    other = read_results(against) if against else None
    plan = plan_of(suite or ["standard"], share, split, seed, seeds)
    loaded = trained(system, run, level or "easy", device)
    folder = run if run and run.is_dir() else None
    training = how_trained(system, run, level or "easy")
    world = asked_about(training, level, language, bias, held_out)
    fitting(loaded, world.level)
    if other is not None:
        alike(other, asked_of(world, plan))
        in_common(other["plan"], plan.facts())
    asked = dict(guidance=guidance, temperature=temperature, top_k=top_k, top_p=top_p, steps=steps, denoising=denoising, nats=nats)
    plan = replace(reading_plan(loaded, plan), sampling=sampling_of_pictures(loaded, asked))
    published = plan.covers(Plan(seed=seed, sampling=sampling_of_pictures(loaded, {})).within(loaded)) and run is None
    place = Place(
        out or (folder / "results" if folder else PUBLISHED if published else Path("results-unpublished")), file_name(loaded, world)
    )
    reports = [taken(loaded, world, replace(plan, seed=seed + i), place) for i in range(seeds)]
    found = results(loaded, world, plan, reports[0], training=training, seeds=reports)
    place.save(found, reports[0])
    if published:
        place.publish()
    if other is not None:
        show_differences(other, found, str(against))


@app.command(
    "judge", epilog="Example: tessera judge runs/chameleon/results/answers/chameleon-0a1b2c3d --into runs/chameleon/results/chameleon.json"
)
def judge_command(
    answers: Annotated[Path, typer.Argument(help="A folder of answers that `tessera evaluate` kept.")],
    into: Annotated[Path, typer.Option(help="The results (.json) they belong to: their scores are replaced.")],
) -> None:
    """Score answers anew that were written before: no system is loaded and nothing is written by one.

    Of results over several seeds these are the answers of the first; the spread over the others is left out.
    """
    old, asked = read_results(into), about_answers(answers)
    theirs = {"weights": asked["weights"], "sampling": asked["sampling"], "world": asked["world"]["hash"], **asked["plan"]}
    foreign = [key for key, value in theirs.items() if value != {**old, **old["plan"]}.get(key)]
    if foreign:
        raise ValueError(
            f"judge: {answers} and {into} differ in {', '.join(foreign)}; the answers that these results are about are accepted; name them"
        )
    *_, found = judge_again(answers, old["plan"]["cases"], old["plan"]["pictures"])
    place = Place(into.parent, into.stem)
    place.save(old | judged(found), found)
    if into.parent.resolve() == PUBLISHED.resolve():
        place.publish()


@dataclass(frozen=True)
class Place:
    """Where the results of one evaluation go."""

    out: Path
    name: str

    def save(self, found: Mapping[str, Any], report: Report) -> None:
        """Results, pages and contact sheets; and the scores, where there are any, as a table.

        Results of other exams that lie there stay in the file; those that are of something else are set aside, which is said.
        """
        path = self.out / f"{self.name}.json"
        both, reason = kept_with(path, found)
        if reason:
            say(f"the results that were in {path} are now in {set_aside(path)}: {reason}")
        sheets = sheets_of(path)
        save_sheets(report, sheets)
        before = sorted(sheet for sheet in sheets.glob("*.png") if sheet.stem not in report.tiles)
        save_results(both, path, report.tiles, sheets=before)
        if report.scores:
            show_scores(found)
        say(f"{path}, its pages beside it (.md, and .html with pictures), contact sheets in {sheets}")

    def publish(self) -> None:
        """The headlines to the table of the README beside the results, where there is one."""
        readme = self.out.parent / "README.md"
        if readme.exists() and "<!-- results -->" in readme.read_text():
            update_readme(readme, self.out)


def asked_about(training: Mapping[str, Any], level: str, language: str, bias: list[str] | None, held_out: str) -> World:
    """The world a system was trained on, with what is asked for in its place."""
    leaning = bias if bias is not None else [f"{name}={value}" for name, value in training.get("bias", {}).items()]
    held = held_out or training.get("held_out") or ""
    return world_of(level or training.get("level", "easy"), language or training.get("language", "en"), leaning, held)


def plan_of(suites: list[str], share: float, split: str, seed: int, seeds: int) -> Plan:
    """The plan asked for. Raises ValueError for what nobody could measure."""
    if split not in SPLITS or not 0 < share <= 1 or seeds < 1:
        raise ValueError(
            f"evaluate: split {split!r}, share {share:g}, seeds {seeds}; {', '.join(SPLITS)}, shares above 0 up to 1, and seeds from 1 on; "
            "change it"
        )
    return replace(Plan(chosen(suites)).scaled(share), seed=seed, split=split)


def reading_plan(system: System, plan: Plan) -> Plan:
    """The plan without exams of pictures where the system writes none, which is said."""
    within = plan.within(system)
    left = ", ".join(sorted(plan.cases.keys() - within.cases.keys()))
    if left and not within.cases:
        raise ValueError(f"evaluate: {left} of {system.name}; it writes no pictures; name exams of what it says")
    if left:
        say(f"{system.name} writes no pictures; left out: {left}")
    return within


def file_name(system: System, world: World) -> str:
    """What results are called: as the system, in every world but the easy English one with that world."""
    leans = [f"{name}{value:g}" for name, value in asdict(world.bias).items() if value]
    about_world = [world.level.name, world.language, *leans, *([world.held_out] if world.held_out else [])]
    return system.name if about_world == ["easy", "en"] else "-".join((system.name, *about_world))


def taken(system: System, world: World, plan: Plan, place: Place) -> Report:
    """One evaluation, its answers kept beside the results."""
    answers = place.out / "answers" / named_after(place.name, about(system, world, plan))
    with progress() as bars, going_on_from(answers):
        return evaluate(system, world, plan, answers=answers, tick=ticker(bars))


def show_scores(found: Mapping[str, Any]) -> None:
    """The scores as a table, beside what they are compared with, and their spread where there were several seeds."""
    seeds = found["seeds"]
    names = Column("score", overflow="fold")  # shortened, it could be the name of several
    table = Table(names, "value", "95 % interval", "n", "beside", *(["over seeds"] if seeds else []))
    for key, score in found["scores"].items():
        low, high = score["ci95"]
        beside = ", ".join(f"{name} {value:.3f}" for name, value in found["references"].get(key, {}).items())
        spread = [f"{seeds[key]['least']:.3f} to {seeds[key]['most']:.3f}" if key in seeds else ""] if seeds else []
        table.add_row(key, f"{score['value']:.3f}", f"{low:.3f} to {high:.3f}", str(score["n"]), beside, *spread)
    console.print(table)


def show_differences(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> None:
    """How much more the second results have of each score than the first, which are called so; what is not compared, and why."""
    head = (Column("score", overflow="fold"), "better is", f"more than {name} by", "95 % interval", "p (Holm)", "shows from", "n")
    table, left = Table(*head), uncompared(first, second)
    for key, one in compare(first, second).items():
        low, high = one.difference.ci95
        cells = (f"{one.difference.value:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{one.adjusted:.3g}", f"{one.detectable:.3f}")
        table.add_row(key, better(key), *cells, str(one.difference.n))
    console.print(table)
    for reason in dict.fromkeys(left.values()):
        say(f"not compared, as {reason}: {', '.join(name for name, why in left.items() if why == reason)}")
