"""How much of a composed prompt a picture shows: T2I-CompBench's soft scores, and DPG-Bench's questions that depend on others."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from math import prod
from typing import Literal

from tessera.scoring.drawing import Box, Detection

MOST_OVERLAP = 0.1


def attribute_binding(phrases: Sequence[float]) -> float:
    """The product of the probabilities that the picture shows each noun phrase with its attributes.

    Source: Huang et al. 2023, arXiv 2307.06350, "disentangled BLIP-VQA".
    """
    return prod(phrases)


def spatial(first: Detection | None, second: Detection | None, relation: Literal["left of", "right of", "above", "below"]) -> float:
    """Half for two confident detections, half for `first` being `relation` of `second`; 0 below one half, or without either.

    The place counts fully where the offset along its axis is the larger one, less where the boxes overlap by more than 0.1.
    Source: Huang et al. 2023, arXiv 2307.06350, and the published `2D_spatial_eval.py`.
    """
    if first is None or second is None:
        return 0.0
    score = 0.25 * first.confidence + 0.25 * second.confidence + 0.5 * _placed(first.box, second.box, relation)
    return score if score >= 0.5 else 0.0


def _placed(a: Box, b: Box, relation: str) -> float:
    across, down = a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]
    main, other = (across, down) if relation in ("left of", "right of") else (down, across)
    if abs(main) <= abs(other) or (main < 0) != (relation in ("left of", "above")):
        return 0.0
    overlap = _overlap(a, b)
    return 1.0 if overlap < MOST_OVERLAP else MOST_OVERLAP / overlap


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    area = lambda box: max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
    shared = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return shared / (area(a) + area(b) - shared) if shared else 0.0


def numeracy(wanted: Mapping[str, int], found: Mapping[str, int]) -> float:
    """The mean over wanted kinds of half a point for being there and half for being there in the right number.

    Source: Huang et al. 2025, T2I-CompBench++, arXiv 2307.06350 version 3, "numeracy".
    """
    points = [0.5 * (found.get(kind, 0) > 0) + 0.5 * (found.get(kind, 0) == count) for kind, count in wanted.items()]
    return sum(points) / len(points)


@dataclass(frozen=True)
class DenseScore:
    """The score of one dense prompt, and each category's answers, to be averaged over all prompts."""

    value: float
    categories: dict[str, list[int | float]]


def dense_score(
    pictures: Sequence[Mapping[Hashable, int | float]],
    parents: Mapping[Hashable, Sequence[Hashable]],
    categories: Mapping[Hashable, str],
    *,
    convention: Literal["tessera", "official"] = "tessera",
) -> DenseScore:
    """The mean over pictures and questions, where a question counts only as far as those it depends on are answered with yes.

    `pictures` holds, for each picture of the prompt, how far each question is answered with yes, from 0 to 1. "official" is
    the published `compute_dpg_bench.py`: it zeroes in the order in which `parents` lists the questions, whatever depends on
    what, only behind a parent of exactly 0, and its categories see the last picture alone, before zeroing. Ours follows the
    dependencies, multiplies by the parents, and its categories are those of the prompt's score.
    Source: Hu et al. 2024, arXiv 2403.05135; dependency zeroing from Cho et al. 2024, arXiv 2310.18235.
    """
    zero = _multiplied if convention == "tessera" else _zeroed
    each = [zero(answers, parents) for answers in pictures]
    value = sum(sum(answers.values()) / len(answers) for answers in each) / len(each)
    grouped: dict[str, list[int | float]] = {}
    for answers in each if convention == "tessera" else pictures[-1:]:
        for question, answer in answers.items():
            grouped.setdefault(categories[question], []).append(answer)
    return DenseScore(value, grouped)


def _multiplied(answers: Mapping[Hashable, int | float], parents: Mapping[Hashable, Sequence[Hashable]]) -> dict[Hashable, int | float]:
    scores: dict[Hashable, int | float] = {}
    for question in TopologicalSorter({question: parents.get(question, ()) for question in answers}).static_order():
        scores[question] = answers[question] * prod(scores[parent] for parent in parents.get(question, ()))
    return scores


def _zeroed(answers: Mapping[Hashable, int | float], parents: Mapping[Hashable, Sequence[Hashable]]) -> dict[Hashable, int | float]:
    scores = dict(answers)
    for question, above in parents.items():
        if any(scores[parent] == 0 for parent in above):
            scores[question] = 0.0
    return scores
