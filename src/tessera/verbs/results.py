"""Results: what `evaluate` found, as results/<system>.json."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from tessera.codecs.text import Vocabulary
from tessera.exams import SCORER, Report
from tessera.scoring import Score
from tessera.scoring.compare import Share, spread
from tessera.system import System
from tessera.verbs.evaluate import Plan, sampling_facts, world_facts
from tessera.verbs.machine import commit, machine, versions
from tessera.verbs.page import html, markdown
from tessera.verbs.weights import weights_hash
from tessera.verbs.whole import whole
from tessera.world import Tile, World

SCHEMA = 2


def results(
    system: System, world: World, plan: Plan, found: Report, *, training: Mapping[str, Any] | None = None, seeds: Sequence[Report] = ()
) -> dict[str, Any]:
    """Everything that is needed to understand the scores, to get them again, and to compare them case by case.

    `seeds` are reports of the same plan under other seeds, `found` among them: their spread is given beside the scores.
    """
    return {
        "schema": SCHEMA,
        "system": system.name,
        **getattr(system, "origin", {}),
        **asked_of(world, plan),
        **judged(found, seeds),
        "sampling": sampling_facts(system, plan),
        "parts": parts_hash(system),
        "weights": weights_hash(system),
        "parameters": parameters(system),
        "training": dict(training or {}),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
    }


def asked_of(world: World, plan: Plan) -> dict[str, Any]:
    """What was asked, and by whom it is judged: results of the same can be compared."""
    return {**world_facts(world), "world": world.hash(), "plan": plan.facts(), "scorer": SCORER}


def judged(found: Report, seeds: Sequence[Report] = ()) -> dict[str, Any]:
    """What the judging adds to results: scores, references, cases, the spread over seeds, and the scorer's version.

    A score that some seed lacks has no spread: with few documents a port may have had nothing to learn in one of them.
    """
    shared = [name for name in found.scores if len(seeds) > 1 and all(name in one.scores for one in seeds)]
    over = {name: asdict(spread([one.scores[name].value for one in seeds])) for name in shared}
    return {
        "scorer": SCORER,
        "scores": {name: _score(score) for name, score in found.scores.items()},
        "references": {name: dict(values) for name, values in found.references.items()},
        "right": {name: "".join("01"[bool(ok)] for ok in cases) for name, cases in found.right.items()},
        "ratios": {name: " ".join(map(share_written, cases)) for name, cases in found.ratios.items()},
        "clusters": {name: list(numbers) for name, numbers in found.clusters.items()},
        "seeds": over,
    }


def share_written(share: Share) -> str:
    """What a case adds to two sums, as results hold it: 3/4, or 3 where the second is 1."""
    over, by = (f"{number:.9g}" for number in share)
    return over if by == "1" else f"{over}/{by}"


def shares_read(written: str) -> list[Share]:
    """The same of all cases of a score, read again."""
    pairs = (one.partition("/") for one in written.split())
    return [(float(over), float(by or 1)) for over, _, by in pairs]


def _score(score: Score) -> dict[str, Any]:
    """As JSON; what is none of a score's business is left out."""
    return {key: list(value) if key == "ci95" else value for key, value in asdict(score).items() if value is not None}


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


def save_results(
    found: Mapping[str, Any], path: Path, tiles: Mapping[str, Sequence[Tile]] | None = None, *, sheets: Sequence[Path] = ()
) -> None:
    """The JSON, and beside it the page; given `tiles` of cases, a page with their pictures too, and with these `sheets` of others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole(path.with_suffix(".md"), lambda page: page.write_text(markdown(found)))
    if tiles is not None:
        whole(path.with_suffix(".html"), lambda page: page.write_text(html(found, tiles, sheets)))
    whole(path, lambda file: file.write_text(json.dumps(found, indent=1) + "\n"))


def read_results(path: Path, schema: int | str = SCHEMA) -> dict[str, Any]:
    """Results that were saved before. Raises ValueError where a file is none, or of another schema."""
    try:
        found = json.loads(path.read_text())
        has = found["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"results: {path}: {error!r}; a JSON file written by `evaluate` is accepted; check the path") from error
    if has != schema:
        raise ValueError(f"results: {path} has schema {has!r}; here {schema!r} is read; evaluate anew, or name other results")
    return found
