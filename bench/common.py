"""What the benchmarks share: peak memory of a step, and the page that the figures go to."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tessera.verbs.tables import put

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
TITLE = "# Performance\n\nWritten by `make bench`, ratios within one process. Nothing else ran.\n"


def peak_memory(step: Callable[[], None]) -> int:
    """The most bytes that one step held in tensors it made (weights and what existed before it are not counted)."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    held = most = 0
    for event in sorted((e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def setting() -> str:
    """Versions and machine, in a line."""
    names = [name for name in ("torch", "transformers", "numpy") if importlib.util.find_spec(name)]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    flags = "bfloat16 in hardware" if torch.cpu._is_avx512_bf16_supported() else "no bfloat16 in hardware"
    return f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores, {platform.machine()}, {flags}."


def lines_to_page(key: str, title: str, lines: Sequence[str]) -> None:
    """Print a section, and put it in its place on the page of figures."""
    section = "\n".join([f"## {title}", "", *lines, "", setting()])
    print(section)
    page = PAGE.read_text() if PAGE.exists() else TITLE
    if f"<!-- {key} -->" not in page:
        PAGE.write_text(f"{page}\n<!-- {key} -->\n<!-- end -->\n")
    put(PAGE, key, section)
