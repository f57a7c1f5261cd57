"""Tables of several results side by side: the README's, and that of systems that learned under one budget."""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.exams import SCORER
from tessera.verbs.evaluate import world_of
from tessera.verbs.results import SCHEMA, parts_hash
from tessera.verbs.weights import load, shipped, weights_hash

HEADLINES = {
    "drawing.single_object": "one object",
    "drawing.two_objects": "two objects",
    "drawing.overall": "all drawing skills",
    "questions.overall": "questions",
    "questions.blind": "blind",
    "captions.exact": "captions exact",
    "codec.readable": "codec ceiling",
}
LADDER = {
    "drawing.overall": "all drawing skills",
    "drawing.readable": "readable drawings",
    "codec.readable": "codec ceiling",
    "questions.overall": "questions",
    "questions.blind": "blind",
    "questions.shuffled": "about another picture",
    "captions.exact": "captions exact",
}
COST = ("documents", "trained in", "shared parts")
APART = 0.05  # how far, as a share, the documents of two results may lie apart that are called of one budget


def readme_table(folder: Path) -> str:
    """The README's table of systems, from all results in a folder; rows that say nothing of what is here today are marked stale."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        found = json.loads(path.read_text())
        named = (found["system"] + (" (stale)" if stale(found) else ""), found["level"])
        size = f"{found['parameters']['total'] / 1e6:.1f} M"
        rows.append([*named, *cells(found, HEADLINES), size, *cost(found)])
    return table(["system", "level", *HEADLINES.values(), "parameters", *COST], rows)


def stale(found: Mapping[str, Any]) -> bool:
    """Whether results are of another version of the world, of results or of judging, or of other weights than come with the library."""
    if found["schema"] != SCHEMA or found["scorer"] != SCORER or world_of(found).hash() != found["world"]:
        return True
    if (found.get("recipe"), found["level"]) not in shipped():
        return False
    here = load(found["recipe"], level=found["level"], device="cpu")
    return here.origin["arguments"] == found["arguments"] and (weights_hash(here), parts_hash(here)) != (found["weights"], found["parts"])


def update_readme(readme: Path, folder: Path) -> None:
    """Put the table of a results folder in its place in the README."""
    put(readme, "results", readme_table(folder))


def budget_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Results of systems that learned from as many documents, the best drawer first: scores, their ladder, and what each may use.

    Raises ValueError where documents, judge or world differ: such results say nothing of each other.
    """
    told(found)
    least, most = min(found, key=documents), max(found, key=documents)
    foreign = [one for one in found if terms(one) != terms(found[0])]
    if foreign or documents(most) > documents(least) * (1 + APART):
        said = [
            f"{x['system']} learned from {documents(x):,} documents of world {x['world']} by {optimizer(x)}, judged by scorer {x['scorer']}"
            for x in ((found[0], foreign[0]) if foreign else (least, most))
        ]
        raise ValueError(
            f"table: {'; '.join(said)}; the same are accepted, documents within {APART:.0%}; leave one out, or train it anew with "
            "`tessera compare`"
        )
    rows = []
    for one in sorted(found, key=lambda one: -one["scores"].get("drawing.overall", {"value": -1})["value"]):
        active = f"{one['parameters']['trunk_active_per_place'] / 1e6:.2f} M"
        rows.append([one["system"], *cells(one, LADDER), active, f"{_rate(one):g}", *cost(one)])
    return table(["system", *LADDER.values(), "trunk, active a place", "rate", *COST], rows)


def seeds_table(found: Sequence[Mapping[str, Any]]) -> str:
    """One system trained with several seeds: a row of scores for each, their mean, and how far runs lie apart (standard deviation).

    Raises ValueError where anything else that decides what a run becomes differs (precision and commit may), or the seed does not.
    """
    told(found)
    seeds = [one["training"]["settings"]["seed"] for one in found]
    if len({made(one) for one in found}) != 1 or len(set(seeds)) != len(seeds) or len(seeds) < 2:
        raise ValueError(
            f"table: {len(seeds)} results of {', '.join(sorted({one['system'] for one in found})) or 'nothing'}, seeds "
            f"{', '.join(map(str, seeds)) or 'none'}; two or more of one system are accepted, trained alike but for the seed; train it "
            "with another --seed"
        )
    by_seed = sorted(zip(seeds, found, strict=True), key=lambda pair: pair[0])
    rows = [[str(seed), *cells(one, LADDER)] for seed, one in by_seed]
    for name, of in (("mean", statistics.mean), ("standard deviation", statistics.stdev)):
        rows.append([name, *(_among(of, [one["scores"].get(score) for one in found]) for score in LADDER)])
    return table([f"{found[0]['system']}, seed", *LADDER.values()], rows)


def told(found: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError where there are no results, or some do not say how their system learned."""
    if not found:
        raise ValueError("table: no results; those of two systems or more are accepted; name files that `tessera evaluate` wrote")
    silent = [one["system"] for one in found if not {"documents", "settings"} <= one["training"].keys()]
    if silent:
        raise ValueError(
            f"table: results of {', '.join(silent)} do not say how it learned; those of runs of `tessera train` do; leave them out"
        )


def made(found: Mapping[str, Any]) -> str:
    """What results of several seeds have in common: all that decides what a run becomes, but for the seed."""
    training = found["training"]
    facts = {"stages": training.get("stages"), "documents": documents(found), "rate": _rate(found), "terms": terms(found)}
    return json.dumps([facts, *(found.get(name) for name in ("system", "recipe", "arguments", "sampling"))], sort_keys=True)


def _rate(found: Mapping[str, Any]) -> float:
    return found["training"]["settings"]["rate"]


def _among(of: Callable[[Sequence[float]], float], scores: Sequence[Mapping[str, Any] | None]) -> str:
    values = [100 * score["value"] for score in scores if score is not None]
    return f"{of(values):.1f}" if len(values) == len(scores) else "-"


def terms(found: Mapping[str, Any]) -> tuple[str, int, str]:
    """What results must have in common to say something of each other: the world, who judged, and by what they learned."""
    return found["world"], found["scorer"], optimizer(found)


def optimizer(found: Mapping[str, Any]) -> str:
    """By what a system learned; results that do not say it are of a time when there was one."""
    return found["training"]["settings"].get("optimizer", "adamw")


def put(page: Path, name: str, text: str) -> None:
    """A generated text in its place on a page: between `<!-- name -->` and the next `<!-- end -->`. Raises ValueError without one."""
    begin, whole = f"<!-- {name} -->\n", page.read_text()
    if begin not in whole or "<!-- end -->" not in whole.split(begin, 1)[1]:
        raise ValueError(f"table: {page} has no place for it; a line {begin.strip()} and a line <!-- end --> behind it are; add them")
    head, rest = whole.split(begin, 1)
    page.write_text(f"{head}{begin}{text}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def trainings(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """How its weights were trained, and in front of that those which this began with."""
    runs = [found["training"]]
    while before := runs[-1].get("before"):
        runs.append(before)
    return runs


def documents(found: Mapping[str, Any]) -> int:
    """How many documents its weights have learned from, those of shared parts left out."""
    return sum(run.get("documents", 0) for run in trainings(found))


def cost(found: Mapping[str, Any]) -> tuple[str, str, str]:
    """The cells of COST: what training read, and took, of one core where that was written down, else by the clock; so of shared parts.

    What the weights that training began with had read and taken counts as well.
    """
    runs = trainings(found)
    seconds = sum(run.get("core_seconds", run.get("seconds", 0)) for run in runs)
    precision = runs[0].get("settings", {}).get("precision", "float32")
    parts = {part["part"]: part for run in runs for part in run.get("parts", {}).values()}.values()
    read, took = (sum(part[name] for part in parts) for name in ("documents", "seconds"))
    return f"{documents(found):,}", f"{seconds / 60:.0f} min, {precision}", f"{read:,} in {took / 60:.0f} min" if parts else "-"


def cells(found: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """The scores of these names."""
    return [cell(found["scores"].get(name)) for name in names]


def cell(score: Mapping[str, Any] | None) -> str:
    """A rate in percent, with its interval."""
    if score is None:
        return "-"
    low, high = score["ci95"]
    return f"{100 * score['value']:.1f} ({100 * low:.1f}-{100 * high:.1f})"
