"""Benchmark: what is asked of a system by files of one's own, and results of it; answers are written and kept as `evaluate` does."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.data.benchmarks import Benchmark, Item
from tessera.exams import SCORER, Exam, Report
from tessera.system import System
from tessera.verbs.evaluate import Plan, sampling_facts
from tessera.verbs.machine import commit, machine, versions
from tessera.verbs.results import judged, parameters, parts_hash
from tessera.verbs.weights import weights_hash

SCHEMA = "benchmark 1"  # no results of the world, which have scenes and splits


@dataclass(frozen=True, eq=False)
class Files:
    """An exam, and the files it was made from. `judged_by` says how answers are read and compared, where there is a choice."""

    exam: Exam
    paths: tuple[Path, ...]
    rows: Benchmark[Any]
    judged_by: Mapping[str, Any] = field(default_factory=dict)


def about_files(system: System, files: Files, plan: Plan, longest: int) -> dict[str, Any]:
    """Who is asked what, and how it writes. How it is judged is left out: the same answers can be judged in several ways."""
    asked = {"format": files.exam.name, "files": [{"name": path.name, "sha256": sha256(path)} for path in files.paths]}
    return {
        "system": system.name,
        **getattr(system, "origin", {}),
        "weights": weights_hash(system),
        "benchmark": {**asked, "cases": len(files.exam.cases), "items": items_hash(files.rows.items)},
        "plan": {"seed": plan.seed, "longest": longest},
        "sampling": sampling_facts(system, plan),
    }


def asked_of_files(files: Files, about: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, and how it is judged: results of the same can be compared."""
    bad = [f"{row.file.name}, {row.where}: {row.reason}" for row in files.rows.bad]
    return {"benchmark": {**about["benchmark"], **files.judged_by, "bad": bad}, "plan": about["plan"], "scorer": SCORER}


def benchmark_results(
    system: System, files: Files, about: Mapping[str, Any], found: Report, *, training: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that is needed to understand the scores and to get them again, the rows that were left out among it."""
    return {
        "schema": SCHEMA,
        **about,
        **asked_of_files(files, about),
        **judged(found),
        "parts": parts_hash(system),
        "parameters": parameters(system),
        "training": dict(training),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
    }


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def items_hash(items: Sequence[Item]) -> str:
    """A short name for which items are asked, by their ids, and for the bytes of their pictures. Reads each picture's file once."""
    pictures = {picture: sha256(picture) for picture in dict.fromkeys(item.picture for item in items) if picture}
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.id}\0{pictures[item.picture] if item.picture else ''}\0".encode())
    return digest.hexdigest()[:12]
