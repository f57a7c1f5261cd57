"""Compare: what two results say of each other, case by case where they were asked the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessera.scoring.compare import Difference, Share, detectable, detectable_within, holm, paired, paired_ratios
from tessera.verbs.results import shares_read

SAME = ("level", "language", "world", "scorer")
SAME_PLAN = ("seed", "split")
LOSSES = "teacher_forced."  # are of elements, which other codecs and tokenizers cut otherwise
LESS = (
    *("chair_sentence", "chair_instance", "chair.sentence", "chair.instance", "unparsed"),
    *("excess.caption", "codec.perceptual", "likelihood.bits", "likelihood.alone", LOSSES),
)
CONTROLS = ("questions.blank", "questions.shuffled", "pope.blank", "pope.shuffled")  # what is right there was not seen
NEITHER = ("words", "yes_ratio", "likeness.nearest", *CONTROLS)  # more is no better and no worse


@dataclass(frozen=True)
class Compared:
    """How much more one result has than another of a score, and whether that stands among all that were compared.

    `adjusted` is the p value for comparing several scores at once; `detectable` the smallest difference so many cases show.
    """

    difference: Difference
    adjusted: float
    detectable: float


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Compared]:
    """Second minus first for every score that both measured on the same cases; `uncompared` says why others are left out.

    Raises ValueError where they were asked different things.
    """
    alike(first, second)
    left = uncompared(first, second)
    shared = [name for name in first["scores"] if name in second["scores"] and name not in left]
    if not shared:
        raise ValueError("compare: no score was measured on as many cases in both; evaluate both with one suite")
    found = {name: difference(first, second, name) for name in shared}
    adjusted = holm({name: one.p for name, one in found.items()})
    least = lambda name, one: detectable(one.n) if name in first["right"] else detectable_within(one.ci95)
    return {name: Compared(one, adjusted[name], least(name, one)) for name, one in found.items()}


def difference(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> Difference:
    """Of a score that both have, over the same cases: of rates and means as `paired` has it, of other ratios as `paired_ratios`."""
    one, other = (dict(enumerate(cases_of(found, name))) for found in (first, second))
    numbers = first["clusters"].get(name, second["clusters"].get(name))
    clusters = None if numbers is None else dict(enumerate(numbers))
    if any(by != 1 for shares in (one, other) for _, by in shares.values()):
        return paired_ratios(one, other, clusters=clusters)
    values = ({i: over for i, (over, _) in shares.items()} for shares in (one, other))
    return paired(*values, clusters=clusters)


def cases_of(found: Mapping[str, Any], name: str) -> list[Share]:
    """The cases of a score: what each adds to the two sums that it is the quotient of. Nothing where results hold none."""
    if name in found["right"]:
        return [(int(mark), 1) for mark in found["right"][name]]
    return shares_read(found.get("ratios", {}).get(name, ""))


def uncompared(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, str]:
    """Which scores cannot be compared case by case, and why."""
    reasons = {name: _reason(first, second, name) for name in (*first["scores"], *second["scores"])}
    return {name: reason for name, reason in reasons.items() if reason}


def _reason(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> str:
    if name not in first["scores"] or name not in second["scores"]:
        return "only one of the two has it"
    one, other = cases_of(first, name), cases_of(second, name)
    if not one and not other:
        return "it is of a set as a whole, or of cases of each system's own"
    if not one or not other:
        return "one of the two is from before its cases were kept; evaluate or judge it anew"
    scenes = [found["clusters"][name] for found in (first, second) if name in found["clusters"]]
    if len(one) != len(other) or any(numbers != scenes[0] for numbers in scenes):
        return "it was measured on other cases"
    if name.startswith(LOSSES) and first.get("parts") != second.get("parts"):
        return "it is of elements of other codecs or tokenizers"
    return ""


def better(name: str) -> str:
    """Which way a score gets better: "more", "less", or "" where neither is."""
    ends = lambda names: any(name == one or name.startswith(one) or name.endswith((f".{one}", f"_{one}")) for one in names)
    return "" if ends(NEITHER) else "less" if ends(LESS) else "more"


def alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Raises ValueError unless both are about the same world, or the same files of one's own, judged by the same scorer."""
    files = [one.get("benchmark", {}) for one in (first, second)]
    for one, other, keys in ((first, second, SAME), (first["plan"], second["plan"], SAME_PLAN), (*files, {**files[0], **files[1]})):
        for key in keys:
            if one.get(key) != other.get(key):
                raise ValueError(f"compare: {key} {one.get(key)!r} against {other.get(key)!r}; the same is accepted; evaluate both alike")


def in_common(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Raises ValueError unless two plans share an exam, or the ladder, with as many cases."""
    one, other = ({**plan["cases"], "the ladder": plan["pictures"]} for plan in (first, second))
    if not any(number and other.get(name) == number for name, number in one.items()):
        said = " against ".join(", ".join(f"{number} of {name}" for name, number in asked.items() if number) for asked in (one, other))
        raise ValueError(f"compare: {said}; one exam with as many cases in both is accepted; evaluate both with one suite")
