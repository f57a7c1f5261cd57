"""Results: what `evaluate` found, as results/<system>.json, as a page, and as the README's table."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from tessera.codecs.text import Vocabulary
from tessera.document import Segment
from tessera.laws.base import Sampling
from tessera.scoring import Score
from tessera.system import System
from tessera.verbs.evaluate import Plan
from tessera.verbs.machine import commit, machine, versions
from tessera.world import LEVELS, World

SCHEMA = 1
HEADLINES = {
    "drawing.single_object": "one object",
    "drawing.two_objects": "two objects",
    "drawing.overall": "all drawing skills",
    "questions.overall": "questions",
    "questions.blind": "blind",
    "captions.exact": "captions exact",
    "codec.readable": "codec ceiling",
}


def results(
    system: System, world: World, plan: Plan, scores: Mapping[str, Score], *, training: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything that is needed to understand the scores and to get them again."""
    return {
        "schema": SCHEMA,
        "system": system.name,
        **getattr(system, "origin", {}),
        "level": world.level.name,
        "language": world.language,
        "scores": {name: {"value": score.value, "ci95": list(score.ci95), "n": score.n} for name, score in scores.items()},
        "sampling": {port.name: asdict(_sampling(plan, port.kind, port.law.sampling)) for port in system.ports if port.writes},
        "plan": {key: value for key, value in asdict(plan).items() if key != "sampling"},
        "world": world.hash(),
        "parts": parts_hash(system),
        "parameters": parameters(system),
        "training": dict(training or {}),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _sampling(plan: Plan, kind: type[Segment], usual: Sampling) -> Sampling:
    return (plan.sampling or {}).get(kind, usual)


def parameters(system: System) -> dict[str, int]:
    """How large it is: all parameters, those that some stage trains, those of the trunk, and those of it that work on one place."""
    count = lambda module: sum(parameter.numel() for parameter in module.parameters())
    trained = {parameter for stage in system.stages for module in stage.train for parameter in module.parameters()}
    return {
        "total": count(system),
        "trained": sum(parameter.numel() for parameter in trained),
        "trunk": count(system.trunk),
        "trunk_active_per_place": system.trunk.active_parameters,
    }


def parts_hash(system: System) -> str:
    """A short name for the codecs' weights and tokenizers: results made with other parts are not comparable."""
    digest = hashlib.sha256()
    for port in system.ports:
        if isinstance(port.codec, Vocabulary):
            digest.update(port.codec.tokenizer.to_str().encode())
        if isinstance(port.codec, nn.Module):
            digest.update(repr(port.codec).encode())
            for name, tensor in sorted(port.codec.state_dict().items()):
                digest.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def markdown(found: Mapping[str, Any]) -> str:
    """The scores as a page."""
    lines = [f"# {found['system']} on {found['level']}", "", "| score | value | 95 % interval | n |", "|---|---|---|---|"]
    for name, score in sorted(found["scores"].items()):
        low, high = score["ci95"]
        lines.append(f"| {name} | {score['value']:.3f} | {low:.3f} to {high:.3f} | {score['n']} |")
    settings = {
        key: found[key] for key in ("sampling", "plan", "world", "parts", "parameters", "training", "commit", "versions", "machine", "date")
    }
    lines += ["", "```json", json.dumps(settings, indent=1), "```", ""]
    return "\n".join(lines)


def save_results(found: Mapping[str, Any], path: Path) -> None:
    """The JSON, and beside it the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(found))


def readme_table(folder: Path) -> str:
    """The README's table of systems, from all results in a folder; a row made in another version of the world is marked stale."""
    head = ["system", "level", *HEADLINES.values(), "parameters", "documents", "trained in"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for path in sorted(folder.glob("*.json")):
        found = json.loads(path.read_text())
        stale = "" if World(LEVELS[found["level"]], found["language"]).hash() == found["world"] else " (stale)"
        training = found["training"]
        cells = [found["system"] + stale, found["level"], *(_cell(found["scores"].get(name)) for name in HEADLINES)]
        cells += [
            f"{found['parameters']['total'] / 1e6:.1f} M",
            f"{training.get('documents', 0):,}",
            f"{training.get('seconds', 0) / 60:.0f} min",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def update_readme(readme: Path, folder: Path) -> None:
    """Put the table of a results folder in its place in the README."""
    head, rest = readme.read_text().split("<!-- results -->\n", 1)
    readme.write_text(f"{head}<!-- results -->\n{readme_table(folder)}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}")


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "-"
    low, high = score["ci95"]
    return f"{100 * score['value']:.1f} ({100 * low:.1f}-{100 * high:.1f})"
