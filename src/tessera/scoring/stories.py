"""Scores of documents that tell with several pictures: order of parts, state by state, drift, the same thing staying the same.

The levels are ISG-Bench's (Chen et al. 2024, arXiv 2411.17188), answered from what is read in the pictures and not by a judge.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from tessera.scoring.edits import Atoms


def structure_similarity(written: Sequence[Hashable], wanted: Sequence[Hashable]) -> float:
    """1 minus the edit distance of two sequences of parts (text, image, ...) over the longer one's length: 1 where equal.

    Source: Levenshtein 1966; ISG-Bench asks for equality alone.
    """
    row = list(range(len(wanted) + 1))
    for i, part in enumerate(written, 1):
        before, row = row, [i]
        for j, other in enumerate(wanted, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (part != other)))
    longest = max(len(written), len(wanted))
    return 1 - row[-1] / longest if longest else 1.0


def block_scores(found: Sequence[Atoms], states: Sequence[Atoms]) -> list[float]:
    """For each state of the story, the share of slots that its picture shows as they are; 0 where its picture was not written.

    Slots of the state and of the picture count, so that what is there without being told is wrong too. Pictures beyond
    the states are left to `structure_similarity`.
    """
    shown = [*found, *[{}] * (len(states) - len(found))]
    return [_agreement(seen, state) for seen, state in zip(shown, states, strict=False)]


def _agreement(seen: Atoms, state: Atoms) -> float:
    slots = {*seen, *state}
    return sum(slot in seen and slot in state and seen[slot] == state[slot] for slot in slots) / len(slots) if slots else 1.0


def drift(blocks: Sequence[float]) -> float:
    """The slope of the block scores over the pictures: below 0 where a story loses its thread. Raises ValueError for one picture."""
    if len(blocks) < 2:
        raise ValueError(f"drift: {len(blocks)} pictures; a slope needs two; leave out stories with fewer")
    return float(np.polynomial.polynomial.polyfit(range(len(blocks)), blocks, 1)[1])


def identity(looks: Sequence[Mapping[Hashable, Hashable]]) -> list[bool]:
    """For each thing seen in two or more pictures, whether it looks the same (kind, colour and size) in all of them.

    `looks` holds each picture's things and how they look. Things seen once say nothing. Pool over stories with `rate`.
    """
    seen: dict[Hashable, list[Hashable]] = {}
    for picture in looks:
        for thing, look in picture.items():
            seen.setdefault(thing, []).append(look)
    return [len(set(each)) == 1 for each in seen.values() if len(each) > 1]


def exposure_gap(teacher_forced: Sequence[float], free_running: Sequence[float]) -> float:
    """How much better the blocks are with the true history than with the model's own: the mean difference over the same blocks.

    For its interval see `compare.paired`. Source of the idea: Ranzato et al. 2016, arXiv 1511.06732, exposure bias.
    """
    return sum(a - b for a, b in zip(teacher_forced, free_running, strict=True)) / len(teacher_forced)
