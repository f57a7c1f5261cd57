"""Questions with a yes or a no: POPE's questions and scores, signal detection, MME's points."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random
from statistics import NormalDist

from tessera.scoring.aligned import aligned
from tessera.scoring.answers import CONVENTIONS
from tessera.scoring.grouped import group_accuracy, in_twos, mean

MODES = ("random", "popular", "adversarial")


@dataclass(frozen=True)
class YesNo:
    """Answers counted against the truth, where yes is positive, and POPE's scores of them, from 0 to 1; 0/0 is 0.

    Of the n answers, `unparsed` were neither yes nor no. They are wrong in accuracy and no yes in the yes ratio.
    """

    tp: int
    fp: int
    tn: int
    fn: int
    unparsed: int
    n: int

    @property
    def accuracy(self) -> float:
        return (self.tp + self.tn) / self.n

    @property
    def precision(self) -> float:
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def yes_ratio(self) -> float:
        """The share of answers that are yes."""
        return (self.tp + self.fp) / self.n

    @property
    def d_prime(self) -> float:
        """How far apart yes and no lie for the answerer, z(hits) - z(false alarms), in standard deviations; 0 is blind.

        Rates are (count + .5) / (cases + 1), so that 0 and 1 stay finite (Hautus 1995, Behav. Res. Methods 27).
        """
        hits, alarms = self._quantiles
        return hits - alarms

    @property
    def criterion(self) -> float:
        """The liking for no, -(z(hits) + z(false alarms)) / 2, with the rates of `d_prime`; below 0 it is one for yes."""
        hits, alarms = self._quantiles
        return -(hits + alarms) / 2

    @property
    def _quantiles(self) -> tuple[float, float]:
        z = NormalDist().inv_cdf
        return z((self.tp + 0.5) / (self.tp + self.fn + 1)), z((self.fp + 0.5) / (self.fp + self.tn + 1))


def yes_no_scores(answers: Sequence[bool | None], labels: Sequence[bool], convention: str = "strict") -> YesNo:
    """POPE's scores (Li et al. 2023, arXiv 2305.10355) of answers as `answers.yes_no` read them.

    Unparsed ones count for no precision, recall or F1; but under `vlmevalkit` they are a no there, as in its POPE_rating, and so
    a miss where yes is right. lmms-eval prints as its yes ratio that of the labels; here it is that of the answers.
    """
    n = aligned("yes_no_scores", {"answers": answers, "labels": labels})
    if convention not in CONVENTIONS:
        raise ValueError(f"yes_no_scores: convention {convention!r}; {', '.join(CONVENTIONS)} are accepted; name one of these")
    counts = Counter(zip(answers, labels, strict=True))
    missed = counts[None, True] if convention == "vlmevalkit" else 0
    return YesNo(
        tp=counts[True, True],
        fp=counts[True, False],
        tn=counts[False, False],
        fn=counts[False, True] + missed,
        unparsed=counts[None, True] + counts[None, False],
        n=n,
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


@dataclass(frozen=True)
class Subtask:
    """MME's two accuracies, from 0 to 1: over questions, and over pictures with both questions right."""

    accuracy: float
    accuracy_plus: float

    @property
    def points(self) -> float:
        """Their sum in percent, at most 200; MME's perception is the sum over ten subtasks, cognition over four."""
        return 100 * (self.accuracy + self.accuracy_plus)


def mme(right: Sequence[bool], subtasks: Sequence[str], pictures: Sequence[Hashable]) -> dict[str, Subtask]:
    """Each subtask's accuracies; every picture of a subtask has two questions, else a ValueError.

    Source: MME (Fu et al. 2023, arXiv 2306.13394).
    """
    aligned("mme", {"answers": right, "subtasks": subtasks, "pictures": pictures})
    in_twos("mme", list(zip(subtasks, pictures, strict=True)))
    parts: defaultdict[str, list[tuple[bool, Hashable]]] = defaultdict(list)
    for hit, subtask, picture in zip(right, subtasks, pictures, strict=True):
        parts[subtask].append((hit, picture))
    hits = {name: ([hit for hit, _ in part], [picture for _, picture in part]) for name, part in parts.items()}
    return {name: Subtask(mean(hit), group_accuracy(hit, picture)) for name, (hit, picture) in hits.items()}


@dataclass(frozen=True)
class ObjectQuestion:
    """Is there such an object in the picture of the document? `label` is the right answer."""

    document: Hashable
    object: str
    label: bool


def object_statistics(documents: Mapping[Hashable, Sequence[str]]) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """In how many documents each object is, and each two of them together."""
    frequency = Counter(name for names in documents.values() for name in dict.fromkeys(names))
    together: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for names in documents.values():
        for one, other in permutations(dict.fromkeys(names), 2):
            together[one][other] += 1
    return dict(frequency), {name: dict(counts) for name, counts in together.items()}


def pope(
    documents: Mapping[Hashable, Sequence[str]],
    mode: str,
    frequency: Mapping[str, int],
    cooccurrence: Mapping[str, Mapping[str, int]],
    k: int,
    rng: Random,
) -> list[ObjectQuestion]:
    """POPE's questions: the first k objects of each document, and after each one that is absent. Source: Li et al. 2023, arXiv 2305.10355.

    The absent object is one that `frequency` names and this document has not been asked about: under `random` any, each as
    likely; under `popular` the most frequent; under `adversarial` the one most often together with the present one; any, where none
    was counted. Documents with fewer than k objects are left out. POPE has k = 3 and takes the statistics from the asked documents
    (`object_statistics` of those with k objects); another source, such as what was trained on, is as good.

    Differs from the source in ties, which go to the first name in the order of code points; there to the first counted.
    Only `rng.random()` is called, which Python keeps the same on all machines and versions, once for each object drawn at random.
    """
    if mode not in MODES:
        raise ValueError(f"pope: mode {mode!r}; {', '.join(MODES)} are accepted; name one of these")
    objects = {key: list(dict.fromkeys(names)) for key, names in documents.items()}
    chosen = {key: names for key, names in objects.items() if len(names) >= k}
    if k < 1 or not chosen:
        raise ValueError(f"pope: {len(chosen)} of {len(documents)} documents have {k} objects; at least one, and k from 1; lower k")
    questions = []
    for key, names in chosen.items():
        absent = sorted(set(frequency) - set(names))
        if len(absent) < k:
            raise ValueError(f"pope: {len(absent)} objects are absent from {key!r}; {k}, one for each asked; name more in `frequency`")
        for present in names[:k]:
            counts = frequency if mode == "popular" else cooccurrence.get(present, {}) if mode == "adversarial" else {}
            negative = _absent(absent, counts, rng)
            absent.remove(negative)
            questions += [ObjectQuestion(key, present, True), ObjectQuestion(key, negative, False)]
    return questions


def _absent(names: Sequence[str], counts: Mapping[str, int], rng: Random) -> str:
    """Of the sorted names the first with the highest count; any where none has one."""
    best = max(names, key=lambda name: counts.get(name, 0))
    return best if counts.get(best, 0) else names[int(rng.random() * len(names))]
