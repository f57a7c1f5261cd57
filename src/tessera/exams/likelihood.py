"""Likelihood: how many bits a true picture costs a system that writes pictures by a density, with its caption and without."""

from collections.abc import Sequence
from math import log

from tessera.document import Document, Image, Text
from tessera.exams.base import Report, averages
from tessera.scoring.likelihood import bits_per_dimension
from tessera.world import Skill, World

UNIFORM = 8.0  # bits for each value of a pixel, where all are equally likely


class Likelihood:
    """`each` pictures behind whole captions. Nothing is written: a system is asked what the true pictures cost it, in nats.

    `likelihood.bits` is for each value of a picture (3 a pixel), behind its caption, an upper bound: values are filled with
    uniform noise. `likelihood.alone` is the same without a caption, `likelihood.saved` how many bits of a whole picture the
    caption saves. The reference `uniform` is what knowing nothing costs. Not to be compared with models of codes.
    """

    name = "likelihood"

    def __init__(self, world: World, each: int, split: str = "test"):
        asked = [world.prompted(Skill.CAPTION, i, split) for i in range(each)]
        self.pictures = [world.picture(scene) for scene, _ in asked]
        self.documents = [Document((Text(prompt.text), self._shown(i))) for i, (_, prompt) in enumerate(asked)]
        self.alone = [Document((self._shown(i),)) for i in range(each)]

    def _shown(self, i: int) -> Image:
        return Image(self.pictures[i], learn=True)

    def report(self, nats: Sequence[float], alone: Sequence[float]) -> Report:
        """From what each of `documents`, and each of `alone`, costs."""
        bits = lambda costs: [bits_per_dimension(cost, self.pictures[0].numel(), levels=1) for cost in costs]
        saved = [(without - cost) / log(2) for cost, without in zip(nats, alone, strict=True)]
        cases = {"likelihood.bits": bits(nats), "likelihood.alone": bits(alone), "likelihood.saved": saved}
        references = {name: {"uniform": UNIFORM} for name in ("likelihood.bits", "likelihood.alone")}
        return averages(cases) | Report(references=references)
