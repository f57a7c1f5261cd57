"""Scores that need several answers right at once: pairs, rotations of the options, figures and questions."""

import string
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tessera.scoring.aligned import aligned


def grouped_all(right: Sequence[bool], keys: Sequence[Hashable]) -> dict[Hashable, bool]:
    """For each key, whether all of its answers are right; in the order in which keys first come."""
    aligned("grouped_all", {"answers": right, "keys": keys})
    whole: dict[Hashable, bool] = {}
    for hit, key in zip(right, keys, strict=True):
        whole[key] = whole.get(key, True) and bool(hit)
    return whole


def group_accuracy(right: Sequence[bool], keys: Sequence[Hashable]) -> float:
    """The share of keys whose answers are all right."""
    return mean(list(grouped_all(right, keys).values()))


def pair_accuracy(right: Sequence[bool], pairs: Sequence[Hashable]) -> float:
    """The share of pairs with both answers right, from 0 to 1; guessing between two gives .25.

    Every pair has exactly two answers, else a ValueError. Source: MMVP (Tong et al. 2024, arXiv 2401.06209).
    """
    aligned("pair_accuracy", {"answers": right, "pairs": pairs})
    in_twos("pair_accuracy", pairs)
    return group_accuracy(right, pairs)


def in_twos(part: str, keys: Sequence[Hashable]) -> None:
    """Raises a ValueError in the name of `part` where a key does not come exactly twice."""
    for key, count in Counter(keys).items():
        if count != 2:
            raise ValueError(f"{part}: {count} answers for {key!r}; exactly two; give both, each once")


@dataclass(frozen=True)
class Hallusion:
    """HallusionBench's accuracies, from 0 to 1: over answers, over questions all right, over figures all right."""

    answers: float
    questions: float
    figures: float


def hallusion(right: Sequence[bool], questions: Sequence[Hashable], figures: Sequence[Hashable | None]) -> Hallusion:
    """aAcc, qAcc and fAcc. Source: utils.py of tianyi-lab/HallusionBench (Guan et al. 2024, arXiv 2310.14566).

    There a question's key is its category, subcategory, set and question number, a figure's the same with the figure number.
    A figure of None says that there is no picture (figure 0 of category VS): such answers do not count for fAcc.
    """
    aligned("hallusion", {"answers": right, "questions": questions, "figures": figures})
    seen = [(hit, figure) for hit, figure in zip(right, figures, strict=True) if figure is not None]
    by_figure = grouped_all([hit for hit, _ in seen], [figure for _, figure in seen]) if seen else {}
    return Hallusion(mean(right), group_accuracy(right, questions), mean(list(by_figure.values())))


@dataclass(frozen=True)
class Rotation:
    """A question's options in one of their rotations, and the letter of the right one. Rotation 0 is the order as given."""

    group: Hashable
    rotation: int
    options: tuple[str, ...]
    answer: str


def rotations(group: Hashable, options: Sequence[str], answer: int) -> list[Rotation]:
    """All N rotations of a question's N options; `answer` is the index of the right one.

    Source: CircularEval of MMBench (Liu et al. 2024, arXiv 2307.06281).
    """
    n = len(options)
    if not (2 <= n <= 26 and 0 <= answer < n):
        raise ValueError(f"rotations: {n} options, the right one at {answer}; 2 to 26 options, counted from 0; mend question {group!r}")
    letters = string.ascii_uppercase
    return [Rotation(group, r, (*options[r:], *options[:r]), letters[(answer - r) % n]) for r in range(n)]


@dataclass(frozen=True)
class Circular:
    """Multiple choice under all rotations: `hit` asks every rotation right, `first` rotation 0 alone, `mean` all of them.

    `letters` counts the letters answered. `chi_square` compares them with no liking for a letter, under which each would be
    answered once in every group; 0 is none, the degrees of freedom are one less than there are letters. Rotations of one question
    are no independent draws, so it is a measure of position bias and no test.
    """

    hit: float
    first: float
    mean: float
    letters: dict[str, int]
    chi_square: float
    unparsed: int


def circular(answers: Sequence[str | None], asked: Sequence[Rotation]) -> Circular:
    """CircularEval (see `rotations`), from the letter answered to each rotation; None, unparsed, is wrong and in no letter's count.

    A group that is there in part, or twice, is a ValueError: it would be easier, or harder, than a whole one.
    """
    aligned("circular", {"answers": answers, "rotations": asked})
    seen = Counter((question.group, question.rotation) for question in asked)
    for question in asked:
        numbers = [seen[question.group, r] for r in range(len(question.options))]
        if set(numbers) != {1}:
            raise ValueError(f"circular: rotations of {question.group!r} come {numbers} times; each once; answer all of `rotations`")
    right = [answer == question.answer for answer, question in zip(answers, asked, strict=True)]
    letters = Counter(answer for answer in answers if answer is not None)
    expected: Counter[str] = Counter()
    for answer, question in zip(answers, asked, strict=True):
        if answer is not None:
            n = len(question.options)
            expected.update(dict.fromkeys(string.ascii_uppercase[:n], 1 / n))
    if strange := set(letters) - set(expected):
        raise ValueError(f"circular: letters {sorted(strange)} answered; {sorted(expected)} are options; read answers with `letter`")
    return Circular(
        hit=group_accuracy(right, [question.group for question in asked]),
        first=mean([hit for hit, question in zip(right, asked, strict=True) if question.rotation == 0]),
        mean=mean(right),
        letters={name: letters[name] for name in sorted(expected)},
        chi_square=sum((letters[name] - count) ** 2 / count for name, count in expected.items()),
        unparsed=sum(answer is None for answer in answers),
    )


def mean(values: Sequence[float] | Sequence[bool]) -> float:
    """The mean; of nothing, 0."""
    return sum(values) / len(values) if values else 0.0
