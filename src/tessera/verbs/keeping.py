"""Keeping: results that lie there already are joined with new ones of the same, or set aside; nothing measured is lost."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What both must have alike to be results of one thing: who answered, how, about what, and who judged.
SAME = (
    *("schema", "system", "recipe", "arguments", "weights", "parts", "sampling", "scorer"),
    *("level", "language", "bias", "held_out", "world", "benchmark"),
)
BY_SCORE = ("scores", "references", "right", "ratios", "clusters", "seeds")
CIRCUMSTANCES = ("commit", "versions", "machine", "date")  # which should move no score
ASIDE = "earlier"  # the folder, beside results, of those that others have taken the place of


def kept_with(path: Path, new: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What to save at a path: the new results, joined with those that lie there where they are of one thing.

    Also why those are to be set aside, because the file to come would not hold all of them; "" where it does.
    """
    found = json.loads(json.dumps(new))  # as it will be read
    if not path.exists():
        return found, ""
    try:
        old = json.loads(path.read_text())
        others = differing(old, found)
        both = found if others else united(old, found)
        changed = [name for name, score in old["scores"].items() if both["scores"].get(name) != score]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return found, "they cannot be read"
    if others:
        return found, f"they are of another {', '.join(others)}"
    return both, f"other values were found of {', '.join(changed)}" if changed else ""


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What two results differ in that are not of one thing. Exams of both must have as many cases; exams of one may be any."""
    names = [key for key in SAME if old.get(key) != new.get(key)]
    one, other = (dict(found.get("plan", {})) for found in (old, new))
    cases, others = ({**plan.pop("cases", {}), "the ladder": plan.pop("pictures", 0)} for plan in (one, other))
    names += [key for key in {**one, **other} if one.get(key) != other.get(key)]
    shared = [name for name in cases if cases[name] and others.get(name)]
    return names + [f"number of cases of {name}" for name in shared if cases[name] != others[name]]


def united(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The exams of both, of results that are of one thing. What both measured is the new one's, the spread that of more seeds.

    `earlier` says which scores were measured under other circumstances than the rest: on another day, or from another commit.
    """
    both = {key: {**old.get(key, {}), **new.get(key, {})} for key in BY_SCORE if key in old or key in new}
    both["seeds"] |= {name: one for name, one in old.get("seeds", {}).items() if one["seeds"] > both["seeds"][name]["seeds"]}
    plan = new.get("plan", {})
    if "cases" in plan:
        plan = plan | {"cases": {**old["plan"]["cases"], **plan["cases"]}, "pictures": max(old["plan"]["pictures"], plan["pictures"])}
    told = earlier(old, new)
    return {**new, "plan": plan, **both, **({"earlier": told} if told else {})}


def earlier(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The old results' scores that are not measured anew, under the circumstances they were measured in, where those are others."""
    before = old.get("earlier", [])
    told = {name for one in before for name in one["scores"]}
    latest = {"scores": [name for name in old["scores"] if name not in told], **{key: old[key] for key in CIRCUMSTANCES}}
    left = [{**one, "scores": [name for name in one["scores"] if name not in new["scores"]]} for one in (*before, latest)]
    return [one for one in left if one["scores"] and any(one[key] != new[key] for key in CIRCUMSTANCES)]


def set_aside(path: Path) -> Path:
    """Move results, their pages and their sheets to a folder beside them that is named after what they say: that folder."""
    folder = path.parent / ASIDE / f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    sheets = folder / "sheets" / path.stem
    if sheets.exists():  # the very same results were set aside before
        shutil.rmtree(sheets)
    if sheets_of(path).exists():
        sheets.parent.mkdir(exist_ok=True)
        sheets_of(path).replace(sheets)
    for page in (path.with_suffix(".md"), path.with_suffix(".html"), path):
        if page.exists():
            page.replace(folder / page.name)
    return folder


def sheets_of(path: Path) -> Path:
    """The folder of the contact sheets of results."""
    return path.parent / "sheets" / path.stem
