"""Whether the oracle can be believed on pictures of any origin: what a second, differently built reader says of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from tessera.world.auditor import Auditor
from tessera.world.oracle import Oracle
from tessera.world.rates import Rate
from tessera.world.reading import Reading, facts, legible, same_scene
from tessera.world.scene import Level, Scene

SHARED = ("kind", "colour", "size", "digit")
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Agreement:
    """How far two readers agree on the same pictures.

    `verdict` counts the pictures that both find legible or neither does; `scene` those read as one and the same scene,
    of the pictures legible to both; `place` the things that both see in a place, of those that either sees there;
    `attributes` those of them given the same kind, colour, size and (where either sees one) digit.
    """

    verdict: Rate
    scene: Rate
    place: Rate
    attributes: dict[str, Rate]


def agreement(one: Sequence[Reading], other: Sequence[Reading]) -> Agreement:
    """How far the readings of the same pictures by two readers agree. Which comes first does not matter."""
    pairs = list(zip(one, other, strict=True))
    legible_to_both = [(a, b) for a, b in pairs if legible(a) and legible(b)]
    same = sum(Counter(map(facts, a.things)) == Counter(map(facts, b.things)) for a, b in legible_to_both)
    places, met = 0, []
    for a, b in pairs:
        here, there = ({(thing.row, thing.column): thing for thing in reading.things} for reading in (a, b))
        places += len(here.keys() | there.keys())
        met += [(here[place], there[place]) for place in here.keys() & there.keys()]
    attributes = {}
    for name in SHARED:
        values = [(getattr(a, name), getattr(b, name)) for a, b in met if name != "digit" or a.digit or b.digit]
        attributes[name] = Rate(sum(a == b for a, b in values), len(values))
    return Agreement(
        Rate(sum(legible(a) == legible(b) for a, b in pairs), len(pairs)),
        Rate(same, len(legible_to_both)),
        Rate(len(met), places),
        {name: rate for name, rate in attributes.items() if rate.of},
    )


@dataclass(frozen=True)
class Audit:
    """What two readers say of some pictures: the oracle, whose word counts, and the auditor, who is asked as well.

    `readable` and `audited` count pictures legible to either; `confidence` are the QUANTILES of the oracle's confidence
    in the things it sees. Where the scenes wanted are known, `right` counts the pictures that the oracle reads as
    theirs, and `confirmed` those of them that the auditor reads so too.
    """

    readable: Rate
    audited: Rate
    agreement: Agreement
    confidence: tuple[float, float, float]
    right: Rate | None = None
    confirmed: Rate | None = None

    def markdown(self) -> str:
        """A table, with 95 % Wilson intervals."""
        rows: dict[str, object] = {
            "legible to the oracle": self.readable,
            "legible to the auditor": self.audited,
            "both or neither": self.agreement.verdict,
            "same scene, where legible to both": self.agreement.scene,
            "things seen by both, of those seen by either": self.agreement.place,
            **{f"same {name}": rate for name, rate in self.agreement.attributes.items()},
            "confidence in a thing (5 %, median, 95 %)": ", ".join(f"{value:.3f}" for value in self.confidence),
        }
        if self.right is not None and self.confirmed is not None:
            rows |= {"the scene asked for": self.right, "of these, confirmed by the auditor": self.confirmed}
        return "\n".join(("| pictures | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items()), ""))


def audit(level: Level, pictures: UInt8[Tensor, "batch 3 height wide"], scenes: Sequence[Scene] | None = None) -> Audit:
    """Read pictures of any origin (a model's, say) by oracle and auditor; `scenes` are those wanted, one a picture."""
    if scenes is not None and len(scenes) != len(pictures):
        raise ValueError(f"audit: {len(pictures)} pictures came with {len(scenes)} scenes; give one scene a picture, or none")
    told, checked = Oracle(level).read(pictures), Auditor(level).read(pictures)
    confidence = [thing.confidence for reading in told for thing in reading.things]
    low, middle, high = np.quantile(confidence, QUANTILES).tolist() if confidence else (0.0, 0.0, 0.0)
    found = Audit(
        Rate(sum(map(legible, told)), len(told)),
        Rate(sum(map(legible, checked)), len(checked)),
        agreement(told, checked),
        (low, middle, high),
    )
    if scenes is None:
        return found
    right = [same_scene(reading, scene) for reading, scene in zip(told, scenes, strict=True)]
    confirmed = [same_scene(reading, scene) for reading, scene, sure in zip(checked, scenes, right, strict=True) if sure]
    return Audit(
        found.readable, found.audited, found.agreement, found.confidence, Rate(sum(right), len(right)), Rate(sum(confirmed), len(confirmed))
    )
