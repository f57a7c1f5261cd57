"""Whether an edit did what was asked and left the rest alone."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import sqrt

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Slot = tuple[Hashable, str]  # a thing and one of its attributes
Atoms = Mapping[Slot, Hashable]  # what a picture shows; things that are not there have no slots


@dataclass(frozen=True)
class EditScore:
    """`done` of what was to change, `kept` of what was not, from 0 to 1 each."""

    done: float
    kept: float

    @property
    def overall(self) -> float:
        """The geometric mean, so that neither leaving all alone nor repainting all is worth anything."""
        return sqrt(self.done * self.kept)


def edit_score(
    source: Atoms, wanted: Atoms, found: Atoms, *, same: Callable[[Slot, Hashable, Hashable], bool] = lambda slot, a, b: a == b
) -> EditScore:
    """From what the source shows, what the edited picture should show, and what it is found to show.

    `done`: of the slots that differ between source and wanted (an added or removed thing differs in all of its), the share
    found as wanted. `kept`: of the slots of things that differ in none, the share found as in the source; 1 where there are
    no such things. `same` says when two values of a slot agree, for places that may shift a little; None is a missing one.
    A new thing that nobody asked for shows in `untouched_pixels` alone. Source: the geometric mean is GEdit-Bench's (Liu et al.
    2025, arXiv 2504.17761), of a judge's marks; the shares are ours.
    """
    slots = list(dict.fromkeys((*source, *wanted)))
    delta = [slot for slot in slots if source.get(slot) != wanted.get(slot)]
    if not delta:
        raise ValueError("edit_score: wanted equals the source; an edit changes something; leave out edits that ask for nothing")
    touched = {thing for thing, _ in delta}
    rest = [slot for slot in slots if slot[0] not in touched]
    right = [same(slot, wanted.get(slot), found.get(slot)) for slot in delta]
    left = [same(slot, source.get(slot), found.get(slot)) for slot in rest]
    return EditScore(sum(right) / len(right), sum(left) / len(left) if left else 1.0)


def untouched_pixels(
    source: Float[Tensor, "channel height wide"],
    edited: Float[Tensor, "channel height wide"],
    touched: Bool[Tensor, "height wide"],
    *,
    margin: int = 1,
) -> float:
    """1 minus the mean absolute difference of two pictures in [0, 1], outside `touched` grown by `margin` pixels each way.

    `touched` is where the thing was and where it is to be. Raises ValueError when nothing lies outside. Source: the difference is
    MagicBrush's L1 (Zhang et al. 2023, arXiv 2306.10012), which is over the whole picture.
    """
    grown = F.max_pool2d(touched[None, None].float(), 2 * margin + 1, stride=1, padding=margin)[0, 0].bool()
    if grown.all():
        raise ValueError(f"untouched_pixels: the mask covers all {grown.numel()} pixels; some outside; bring a smaller mask or margin")
    return 1 - float((source - edited).abs().double()[:, ~grown].mean())
