"""Drawing: prompts of every skill, judged by the oracle."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tessera.document import Image, Text
from tessera.exams.base import Case, Report, rates, shares_of_mean
from tessera.scoring import Score, bootstrap, rate
from tessera.scoring.grouped import mean
from tessera.world import Aspect, Result, Skill, Tile, Verdict, World, judge, skills
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
    read everything, `atoms` the mean share of what a prompt asks for (things, attributes, count, relation) that is there, soft as
    T2I-CompBench's scores are (Huang et al. 2023, arXiv:2307.06350). The reference `ceiling` is what the oracle says of pictures
    that the world itself drew for the prompts, `blind` of those for the prompts half an exam further on: of who never heard what
    was asked.

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
            "drawing.geneval": self._geneval(verdicts),
            "drawing.readable": readable,
            "drawing.audited": [v.strict == other.strict for v, other in zip(verdicts, second, strict=True)],
        }
        whole = {name: ok for name, ok in whole.items() if ok}  # none of GenEval's skills may be asked for
        shown = [i for i in range(len(of)) if i % self.each < SHOWN]
        tiles = [Tile(answers[i], (self.prompts[i][1].text, told(readings[i])), verdicts[i].strict) for i in shown]
        audit = audited([v.strict for v in verdicts], [v.strict for v in second], agreement(readings, others).scene)
        shares = [atoms(v) for v in verdicts]
        soft = bootstrap(shares, mean, share_of=len(shares))
        scores = {**found.scores, **{name: rate(ok) for name, ok in whole.items()}, **audit, "drawing.atoms": soft}
        references = {name: values for name, values in self._references().items() if name in scores}
        return found | Report(scores, references, whole, {"drawing": tiles}, ratios={"drawing.atoms": shares_of_mean(shares)})

    def _references(self) -> dict[str, dict[str, float]]:
        """What the world's own pictures get: of the prompts, and of the prompts half an exam further on."""
        read = Oracle(self.world.level).read(torch.stack([self.world.picture(scene) for scene in self.scenes]))
        half, found = len(read) // 2, dict[str, dict[str, float]]()
        for who, shown in {"blind": read[half:] + read[:half], "ceiling": read}.items():
            verdicts = self._judged(shown)
            scores = rates("drawing", [v.strict for v in verdicts], [skill.value for skill, _ in self.prompts]).scores
            values = {name: score.value for name, score in scores.items()}
            values |= {"drawing.readable": mean([v.readable for v in verdicts]), "drawing.atoms": mean([atoms(v) for v in verdicts])}
            values |= {"drawing.geneval": mean(self._geneval(verdicts))}
            for name, value in values.items():
                found.setdefault(name, {})[who] = value
        return found

    def _geneval(self, verdicts: Sequence[Verdict]) -> list[bool]:
        """GenEval's verdicts on prompts of its six skills."""
        return [v.geneval for v, (skill, _) in zip(verdicts, self.prompts, strict=True) if skill in GENEVAL]

    def _judged(self, readings: Sequence[Reading]) -> list[Verdict]:
        return [judge(prompt, reading) for (_, prompt), reading in zip(self.prompts, readings, strict=True)]


def atoms(verdict: Verdict) -> float:
    """The share of what was asked for that is there; what is there besides does not count, what cannot be read is missing."""
    asked = [atom.result is Result.PASS for atom in verdict.atoms if atom.aspect is not Aspect.EXTRA]
    return sum(asked) / len(asked)


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
