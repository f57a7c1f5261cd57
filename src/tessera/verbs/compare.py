"""Compare: what two results say of each other, case by case where they were asked the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessera.scoring.compare import Difference, detectable, holm, paired

SAME = ("level", "language", "world", "scorer")
SAME_PLAN = ("seed", "split")


@dataclass(frozen=True)
class Compared:
    """How much better one result is than another in a score, and whether that stands among all that were compared.

    `adjusted` is the p value for comparing several scores at once; `detectable` the smallest difference so many cases show.
    """

    difference: Difference
    adjusted: float
    detectable: float


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Compared]:
    """Second minus first for every rate that both measured on the same cases. Raises ValueError where they were asked different things."""
    alike(first, second)
    shared = [name for name, right in first["right"].items() if len(second["right"].get(name, "")) == len(right)]
    if not shared:
        raise ValueError("compare: no score was measured on as many cases in both; evaluate both with one suite")
    found = {name: paired(_cases(first["right"][name]), _cases(second["right"][name]), clusters=_clusters(first, name)) for name in shared}
    adjusted = holm({name: difference.p for name, difference in found.items()})
    return {name: Compared(one, adjusted[name], detectable(one.n)) for name, one in found.items()}


def alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Raises ValueError unless both are about the same world, or the same files of one's own, judged by the same scorer."""
    files = [one.get("benchmark", {}) for one in (first, second)]
    for one, other, keys in ((first, second, SAME), (first["plan"], second["plan"], SAME_PLAN), (*files, {**files[0], **files[1]})):
        for key in keys:
            if one.get(key) != other.get(key):
                raise ValueError(f"compare: {key} {one.get(key)!r} against {other.get(key)!r}; the same is accepted; evaluate both alike")


def _clusters(found: Mapping[str, Any], name: str) -> dict[int, int] | None:
    return dict(enumerate(found["clusters"][name])) if name in found["clusters"] else None


def _cases(right: str) -> dict[int, int]:
    return {i: int(mark) for i, mark in enumerate(right)}
