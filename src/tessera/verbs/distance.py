"""Distance: results of two sets of pictures: what each holds, who drew it, and how far they are apart."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tessera.data.rows import BadRow
from tessera.exams import Report
from tessera.exams.distance import Distance
from tessera.exams.extractors import Extractor
from tessera.exams.pictures import Drawings, Folder, PictureSet, Scenes
from tessera.system import System
from tessera.verbs.benchmark import SCHEMA, items_hash
from tessera.verbs.evaluate import Plan, sampling_facts, world_facts
from tessera.verbs.machine import commit, machine, versions
from tessera.verbs.results import judged, parameters, parts_hash
from tessera.verbs.weights import weights_hash


def about_drawings(system: System, prompts: Sequence[str], plan: Plan) -> dict[str, Any]:
    """Who draws what, and how. What the drawings are held against is left out: the same can be held against several sets."""
    return {
        "system": system.name,
        **getattr(system, "origin", {}),
        "weights": weights_hash(system),
        "benchmark": {"format": "distance", "prompts": prompts_hash(prompts), "cases": len(prompts)},
        "plan": {"seed": plan.seed},
        "sampling": sampling_facts(system, plan),
    }


def drawn_by(system: System, about: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """What results of drawings say besides: who drew them, and how large it is and was trained."""
    return {**about, "parts": parts_hash(system), "parameters": parameters(system), "training": dict(training)}


def distance_results(exam: Distance, found: Report, bad: Sequence[BadRow], by: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that is needed to understand the scores and to get them again. `by` says who drew, where a system did."""
    numbers = exam.numbers._asdict()
    asked = {
        "format": exam.name,
        "files": [{"name": exam.real.name}],
        "made": set_facts(exam.made),
        "real": set_facts(exam.real),
        "features": extractor_facts(exam.extractor),
        "pixels": list(exam.made.size),
        "pictures": numbers,
        "bad": [f"{row.file.name}, {row.where}: {row.reason}" for row in bad],
    }
    return {
        "schema": SCHEMA,
        "system": exam.made.name,
        **by,
        "benchmark": asked,
        **judged(found),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
    }


def set_facts(pictures: PictureSet) -> dict[str, Any]:
    """Which pictures these are."""
    match pictures:
        case Folder():
            return {"folder": pictures.name, "pictures": pictures.count, "hash": items_hash(pictures.items), "seed": pictures.seed}
        case Scenes():
            facts = world_facts(pictures.world)
            return {**facts, "world": pictures.world.hash(), "split": pictures.split, "first": pictures.first}
        case Drawings():
            return {"prompts": prompts_hash(pictures.prompts), "drawn": pictures.count}
    raise AssertionError(pictures)


def extractor_facts(extractor: Extractor) -> dict[str, Any]:
    """Which features they are compared in."""
    facts = {"name": extractor.name, "dimensions": extractor.dim, "weights": weights_hash(extractor.network)}
    return facts | ({"package": extractor.package} if extractor.package else {})


def prompts_hash(prompts: Sequence[str]) -> str:
    """A short name for prompts in their order."""
    return hashlib.sha256("\0".join(prompts).encode()).hexdigest()[:12]
