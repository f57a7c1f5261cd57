"""Few shots: questions after examples of their kind."""

from collections.abc import Sequence

from tessera.document import Text
from tessera.exams.asking import answers_learned
from tessera.exams.base import Case, Report, rates
from tessera.exams.ceiling import read_right
from tessera.scoring import bootstrap
from tessera.scoring.grouped import mean
from tessera.scoring.shots import few_shot as curve
from tessera.scoring.shots import gain
from tessera.world import World, question_kinds
from tessera.world.tasks import SHOTS, few_shot


class FewShots:
    """`each` questions of every kind, the same ones behind 0, 1, 2, 4 and 8 examples (picture, question, answer).

    `shots.K` is the accuracy behind K examples; `shots.efficiency` the share that examples gain of what zero-shot leaves
    (VL-ICL Bench, Zong et al. 2025, arXiv:2403.13164), over questions. References are those of `Asking`; who never looks gains nothing.
    """

    name, want = "shots", Text

    def __init__(self, world: World, each: int, split: str = "test"):
        kinds = question_kinds(world.level)
        self.world, self.kinds = world, [kind for kind in kinds for _ in range(each)]
        self.asked = [(shots, few_shot(world, kind, shots, i, split)) for shots in SHOTS for kind in kinds for i in range(each)]
        self.cases = [Case(one.prompt.segments[:-1], str(n % (each * len(kinds)))) for n, (_, one) in enumerate(self.asked)]

    def report(self, answers: Sequence[str]) -> Report:
        """From one text per case."""
        right = [answer.strip() == one.answer for answer, (_, one) in zip(answers, self.asked, strict=True)]
        found = rates("shots", right, [str(shots) for shots, _ in self.asked])
        each = len(right) // len(SHOTS)
        per_question = [right[i::each] for i in range(each)]  # the same question behind every number of examples
        gained = bootstrap(per_question, lambda drawn: curve(_accuracies(drawn)).efficiency)
        scores = {name: score for name, score in found.scores.items() if not name.endswith("overall")}
        cases = {name: ok for name, ok in found.right.items() if name in scores}
        ratios = {"shots.efficiency": [gain(_accuracies([question])) for question in per_question]}
        return Report(scores | {"shots.efficiency": gained}, self._references(), cases, ratios=ratios)

    def _references(self) -> dict[str, dict[str, float]]:
        """The same for every number of shots, as the questions are."""
        first = [one for _, one in self.asked[: len(self.kinds)]]
        learned = answers_learned(self.world)
        blind = mean([learned[kind].most_common(1)[0][0] == one.answer for kind, one in zip(self.kinds, first, strict=True)])
        chance = mean([1 / len(learned[kind]) for kind in self.kinds])
        ceiling = mean(read_right(self.world, [one.scenes[-1] for one in first]))
        beside = {"chance": chance, "blind": blind, "ceiling": ceiling}
        return {f"shots.{shots}": beside for shots in SHOTS} | {"shots.efficiency": {"blind": 0.0}}


def _accuracies(questions: Sequence[Sequence[bool]]) -> dict[int, float]:
    return {shots: sum(question[k] for question in questions) / len(questions) for k, shots in enumerate(SHOTS)}
