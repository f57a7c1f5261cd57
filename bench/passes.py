"""How well systems draw by how many passes of the trunk a picture takes, those for guidance among them, on the easy level.

Systems that take steps are asked for several numbers of them; those that write in any order also for several bounds on the nats that
elements of one pass may hold in common, which a picture then takes as many passes for as it needs.

Run: python bench/passes.py, for all shipped systems that draw: writes a section of docs/performance.md and docs/passes.svg. With names
or runs (python bench/passes.py runs/chameleon-64 runs/show_o-64) it compares those alone, in another section and docs/passes_of_runs.svg.
"""

import sys
from collections import Counter
from dataclasses import asdict, replace
from itertools import cycle
from pathlib import Path

import matplotlib
from common import PAGE, lines_to_page
from matplotlib import pyplot

from tessera.document import Document, Image
from tessera.exams.drawing import Drawing
from tessera.laws import Weighing
from tessera.orders import Masked, Next
from tessera.verbs.evaluate import Plan, evaluate
from tessera.verbs.generate import write
from tessera.verbs.runs import training_facts
from tessera.verbs.tables import cell, table
from tessera.verbs.weights import find, latest, load, metadata, shipped
from tessera.verbs.writing import Request
from tessera.world import World

STEPS, NATS, EACH = (1, 2, 4, 8, 16, 32), (0.1, 0.25, 0.5, 1.0, 2.0), 60  # pictures of each drawing skill
COUNTED = 4  # pictures of each skill of which passes are counted


def passes_of(system, sampling):
    """Passes of the trunk a picture takes: the prompt's, one for each step, and as many without the prompt."""
    seen, cases = Counter(), Drawing(World.easy(), COUNTED).cases
    requests = [Request(Document((*case.prompt, Image(learn=True))), i, {Image: sampling}) for i, case in enumerate(cases)]
    write(system, requests, watch=lambda step, hidden: seen.update(["passes"]))
    return seen["passes"] / len(cases)


def ways(port):
    """How a port may be asked to write: the name of the way and a sampling. One, where the order fixes how many passes it takes."""
    usual = port.law.sampling
    if isinstance(port.order, Next):
        return [("-", usual)]
    counted = [(f"{steps} steps", replace(usual, steps=steps)) for steps in STEPS]
    if not (isinstance(port.order, Masked) and isinstance(port.law, Weighing)):
        return counted
    every = len(port.codec.blank())
    return counted + [(f"{nats:g} nats", replace(usual, steps=every, nats=nats)) for nats in NATS]


def curve(name, system):
    """(way, passes, score) of each way that a system may be asked to write."""
    points = []
    for way, sampling in ways(system.port(Image(learn=True))):
        found = evaluate(system, World.easy(), Plan(cases={"drawing": EACH}, pictures=0, sampling={Image: sampling}))
        points.append((way, passes_of(system, sampling), found.scores["drawing.overall"]))
        print(name, way, f"{points[-1][1]:.1f} passes", f"{points[-1][2].value:.3f}", flush=True)
    return points


def plot(curves, path):
    """Score against passes, with intervals: lines for numbers of steps, dashed ones for bounds in nats, diamonds where nothing is asked."""
    matplotlib.rcParams["svg.hashsalt"] = "tessera"  # the same figure is the same file
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for colour, (name, points) in zip(cycle(pyplot.get_cmap("tab20").colors), curves.items(), strict=False):
        for unit, style in {"-": "D", "steps": "o-", "nats": "s--"}.items():
            mine = [(passes, score) for way, passes, score in points if way.endswith(unit)]
            if mine:
                x, y = [passes for passes, _ in mine], [100 * score.value for _, score in mine]
                error = [[100 * (s.value - s.ci95[0]) for _, s in mine], [100 * (s.ci95[1] - s.value) for _, s in mine]]
                axes.errorbar(x, y, error, fmt=style, label=name if unit != "nats" else f"{name}, by nats", color=colour, capsize=2)
    axes.set(xlabel="passes of the trunk a picture, guidance counted", ylabel="drawings right, %", ylim=(0, 100))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def spared(curves, places):
    """In words, for each system that may be asked: in how many passes it draws as well as one of as many places that may not."""
    fixed = {name: points[0] for name, points in curves.items() if points[0][0] == "-"}
    for name, points in curves.items():
        for other, (_, most, score) in fixed.items():
            if name in fixed or places[name] != places[other]:
                continue
            enough = [(passes, one) for _, passes, one in points if one.value >= score.value]
            if not enough:
                yield f"{name} draws as well as {other} ({100 * score.value:.1f} %) in none of these numbers of passes."
                continue
            least, found = min(enough, key=lambda point: point[0])
            yield (
                f"{name} draws {100 * found.value:.1f} % right ({other}: {100 * score.value:.1f}) in {least:.1f} passes, "
                f"{most / least:.1f} times fewer than {other}'s {most:.1f}."
            )


def main(names):
    key = "passes_of_runs" if names else "passes"
    systems = {Path(name).name: load(name) for name in names or easy()}
    drawers = {name: system for name, system in systems.items() if system.draws}
    curves = {name: curve(name, system) for name, system in drawers.items()}
    plot(curves, PAGE.parent / f"{key}.svg")
    places = {name: len(system.port(Image(learn=True)).codec.blank()) for name, system in drawers.items()}
    rows = [
        (name, str(places[name]), way, f"{passes:.1f}", cell(asdict(score)))
        for name, points in curves.items()
        for way, passes, score in points
    ]
    made = table(["system", "places a picture", "asked for", "passes a picture", "drawings right, %"], rows)
    note = f"{EACH} pictures of each skill; passes count the prompt's and those of guidance. ![Score against passes]({key}.svg)"
    title = "How well systems draw by how many passes they take"
    said = [*learned(names), *spared(curves, places), ""] if names else []
    lines_to_page(key, f"{title}: runs" if names else title, [note, "", *said, made])


def learned(names):
    """In words, what runs are of and from how much they learned."""
    for run in filter(Path.is_dir, map(Path, names)):
        origin, facts = metadata(find(run))["origin"], training_facts(run, latest(run))
        changed = ", ".join(f"{name}={value}" for name, value in origin["arguments"].items())
        yield f"{run.name}: {origin['recipe']} ({changed or 'as it is'}), {facts['documents']:,} documents."


def easy():
    """The names of the systems whose weights on the easy level come with the library."""
    return [name for name, level in shipped() if level == "easy"]


if __name__ == "__main__":
    main(sys.argv[1:])
