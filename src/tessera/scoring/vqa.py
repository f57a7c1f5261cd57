"""Short answers and options against their references, from 0 to 1."""

from collections.abc import Sequence

from tessera.scoring.aligned import aligned
from tessera.scoring.answers import exact_match, letter, normalised


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """One answer's soft accuracy: over the sets with one reference left out, the mean of min(1, matches / 3).

    Source: vqaEval.py of GT-Vision-Lab/VQA (Goyal et al. 2017, arXiv 1612.00837), for ten references; any number above one is
    taken. Both sides are `normalised` always, as in lmms-eval; there references are only when they differ from each other.
    """
    if len(references) < 2:
        raise ValueError(f"vqa_accuracy: {len(references)} references; two or more, VQAv2 has ten; use exact_match for a single one")
    said = normalised(answer)
    matches = [normalised(reference) == said for reference in references]
    total = sum(matches)
    return sum(min(1.0, (total - match) / 3) for match in matches) / len(matches)


def gqa_accuracy(answers: Sequence[str], references: Sequence[str]) -> float:
    """The share of answers that are an `exact_match`. Source: GQA (Hudson & Manning 2019, arXiv 1902.09506)."""
    n = aligned("gqa_accuracy", {"answers": answers, "references": references})
    return sum(map(exact_match, answers, references)) / n


def option_match(answer: str, options: Sequence[str], right: str, convention: str = "strict") -> bool:
    """Whether the answer names the option with the letter `right`, as the convention reads it.

    `strict` is `answers.letter`. `seed` is SEED-Bench in lmms-eval's seedbench/utils.py: the first character. `scienceqa` is
    ScienceQA in its scienceqa/utils.py, after LLaVA: the very letter, or the letter and a period at the head. SEED-Bench itself
    ranks the options by likelihood (Li et al. 2024, arXiv 2307.16125), which asks a model.
    """
    match convention:
        case "strict":
            return letter(answer, options) == right
        case "seed":
            return answer.strip()[:1] == right
        case "scienceqa":
            return answer == right or answer.startswith(f"{right}.")
    raise ValueError(f"option_match: convention {convention!r}; strict, seed, scienceqa are accepted; name one of these")
