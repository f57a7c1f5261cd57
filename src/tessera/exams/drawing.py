"""Drawing: prompts of every skill, judged by the oracle."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, rates
from tessera.scoring import Score, rate
from tessera.world import Skill, Tile, Verdict, World, judge, skills
from tessera.world.agreement import agreement
from tessera.world.auditor import Auditor
from tessera.world.oracle import Oracle
from tessera.world.rates import Rate
from tessera.world.reading import Reading

GENEVAL = (Skill.SINGLE_OBJECT, Skill.TWO_OBJECTS, Skill.COUNTING, Skill.COLOURS, Skill.POSITION, Skill.COLOUR_BINDING)
SHOWN = 8  # drawings of each skill on the sheet


class Drawing:
    """`each` prompts of every skill of the level.

    A skill's score is strict: what is asked is there and nothing else. `geneval` lets unrequested things pass and is the
    mean over GenEval's six skills (Ghosh et al. 2023, arXiv:2310.11513); `readable` is the share in which the oracle could
    read everything. The reference `ceiling` is what the oracle says of pictures that the world itself drew for the prompts.

    A second, differently built reader certifies these very drawings: `audited` is the share of the same verdict, `confirmed`
    and `refused` that of the oracle's right ones and of its wrong ones (where most are wrong, `audited` alone says little of
    the few that are right), and `same_scene` the share, where both can read all, in which they read the same.
    """

    name, want = "drawing", Image

    def __init__(self, world: World, each: int, split: str = "test", *, only: Sequence[Skill] = ()):
        self.world, self.each = world, each
        asked = [(skill, *world.prompted(skill, i, split)) for skill in only or skills(world.level) for i in range(each)]
        self.scenes, self.prompts = [scene for _, scene, _ in asked], [(skill, prompt) for skill, _, prompt in asked]
        self.cases = [Case((Text(prompt.text),), f"{skill.value} {i}") for i, (skill, prompt) in enumerate(self.prompts)]

    def report(self, answers: Sequence[Tensor]) -> Report:
        """From one uint8 picture per case."""
        drawn, oracle = torch.stack(list(answers)), Oracle(self.world.level)
        readings = oracle.read(drawn)
        others = Auditor(self.world.level).read(drawn)
        verdicts, second = self._judged(readings), self._judged(others)
        of = [skill for skill, _ in self.prompts]
        readable = [v.readable for v in verdicts]
        found = rates("drawing", [v.strict for v in verdicts], [skill.value for skill in of], readable=readable)
        whole = {
            "drawing.geneval": [v.geneval for v, skill in zip(verdicts, of, strict=True) if skill in GENEVAL],
            "drawing.readable": readable,
            "drawing.audited": [v.strict == other.strict for v, other in zip(verdicts, second, strict=True)],
        }
        truth = self._judged(oracle.read(torch.stack([self.world.picture(scene) for scene in self.scenes])))
        ceiling = rates("drawing", [v.strict for v in truth], [skill.value for skill in of]).scores
        references = {name: {"ceiling": score.value} for name, score in ceiling.items()}
        whole = {name: ok for name, ok in whole.items() if ok}  # none of GenEval's skills may be asked for
        shown = [i for i in range(len(of)) if i % self.each < SHOWN]
        tiles = [Tile(answers[i], (self.prompts[i][1].text, told(readings[i])), verdicts[i].strict) for i in shown]
        audit = audited([v.strict for v in verdicts], [v.strict for v in second], agreement(readings, others).scene)
        return found | Report({name: rate(ok) for name, ok in whole.items()} | audit, references, whole, {"drawing": tiles})

    def _judged(self, readings: Sequence[Reading]) -> list[Verdict]:
        return [judge(prompt, reading) for (_, prompt), reading in zip(self.prompts, readings, strict=True)]


def audited(first: Sequence[bool], second: Sequence[bool], scene: Rate) -> dict[str, Score]:
    """Which of the first reader's verdicts the second shares, the right and the wrong ones apart, and how often they read one scene.

    They are no cases to be paired with another system's: its drawings are right elsewhere.
    """
    pairs = list(zip(first, second, strict=True))
    cases = {"confirmed": [other for one, other in pairs if one], "refused": [not other for one, other in pairs if not one]}
    scores = {f"drawing.{name}": rate(same) for name, same in cases.items() if same}
    return scores | ({"drawing.same_scene": Score(scene.share, scene.interval(), scene.of)} if scene.of else {})


def told(reading: Reading) -> str:
    """What the oracle saw, in words."""
    if not reading.readable:
        return "[unreadable]"
    things = [
        f"{thing.colour.name.lower()} {thing.digit or thing.kind.value} {thing.row},{thing.column}{'' if thing.readable else '?'}"
        for thing in reading.things
    ]
    return f"[{'; '.join(things) or 'nothing'}]"
