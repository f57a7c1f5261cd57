"""Objects that a caption mentions, and those among them that are not there: CHAIR and AMBER."""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from tessera.scoring.aligned import aligned
from tessera.scoring.grouped import mean

WORD = re.compile(r"[^\W_]+")
IRREGULAR = {"people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose"}
ANIMALS = "bird cat dog horse sheep cow elephant bear zebra giraffe animal cub".split()


def load_synonyms(path: str | Path) -> dict[str, str]:
    """From each synonym, in lower-case words, to its class: a line of the file is one class, its names between commas, the class first.

    This is the form of data/synonyms.txt of LisaAnne/Hallucination. A name in two classes is a ValueError.
    """
    table: dict[str, str] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"synonyms: {path}: {error}; a text file with one class a line is accepted; check the path") from error
    for number, line in enumerate(lines, 1):
        names = [" ".join(_words(name)) for name in line.split(",") if _words(name)]
        for name in names:
            if table.setdefault(name, names[0]) != names[0]:
                both = f"{table[name]!r} and {names[0]!r}"
                raise ValueError(f"synonyms: {name!r} in line {number} of {path} is in {both}; one class a name; take it out of one")
    if not table:
        raise ValueError(f"synonyms: no names in {path}; one line of names between commas for each class; name another file")
    return table


def with_coco_phrases(synonyms: Mapping[str, str | None]) -> dict[str, str | None]:
    """The table with CHAIR's phrases for COCO: "baby cow" is no person, "toilet seat" no chair, "train track" no train.

    Source: utils/chair.py of LisaAnne/Hallucination; its other phrases are in its synonyms. There any "seat" goes from a caption with a
    toilet; here the one behind it.
    """
    heads = {f"{age} {animal}": animal for age in ("baby", "adult") for animal in ANIMALS}
    heads |= {"passenger jet": "jet", "passenger train": "train", "toilet seat": "toilet", "train track": "track", "home plate": "plate"}
    return {**synonyms, **{phrase: synonyms.get(head) for phrase, head in heads.items()}}


def mentions(caption: str, synonyms: Mapping[str, str | None]) -> list[str]:
    """The classes that the caption mentions, in order and with repetition.

    Words are compared in lower case, the longest synonym first ("hot dog" is no dog), the last word also in the singular; no word
    is read twice. A synonym whose class is None is read and mentions nothing. Source: CHAIR (Rohrbach et al. 2018, arXiv 1809.02156),
    which uses a tagger's singulars. For languages that put spaces between words.
    """
    words = _words(caption)
    longest = max((len(name.split()) for name in synonyms), default=1)
    found, at = [], 0
    while at < len(words):
        spans = (words[at : at + size] for size in range(min(longest, len(words) - at), 0, -1))
        match = next((name for span in spans for name in _forms(span) if name in synonyms), None)
        named = None if match is None else synonyms[match]
        if named is not None:
            found.append(named)
        at += len(match.split()) if match else 1
    return found


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _forms(words: Sequence[str]) -> Iterator[str]:
    """The words as they are, then with the last in each singular it may have; what is no word is in no table."""
    *before, last = words
    singulars = [last, IRREGULAR.get(last, last)]
    if last.endswith("s") and not last.endswith("ss"):
        endings = (("ves", "f"), ("ves", "fe"), ("ies", "y"), ("es", ""), ("s", ""))
        singulars += [last.removesuffix(plural) + singular for plural, singular in endings if last.endswith(plural)]
    for form in singulars:
        yield " ".join((*before, form))


@dataclass(frozen=True)
class Chair:
    """CHAIR, from 0 to 1, lower is better; with recall and length, for saying little makes it low. 0/0 is 0.

    `sentence` is the share of captions with an object that is not there, `instance` the share of such mentions among all,
    `recall` the share of the objects there that are mentioned.
    """

    sentence: float
    instance: float
    recall: float
    words: float


def chair(mentioned: Sequence[Sequence[Hashable]], there: Sequence[Set[Hashable]], lengths: Sequence[int]) -> Chair:
    """CHAIR of captions, from what each mentions, with repetition, what its picture shows, and its length in words.

    `instance` and `recall` are shares of totals over all captions. Source: Rohrbach et al. 2018, arXiv 1809.02156, and its
    utils/chair.py, which has no recall. An object may be a kind, or a kind with its colour.
    """
    n = aligned("chair", {"captions": mentioned, "sets of objects": there, "lengths": lengths})
    wrong = [sum(name not in objects for name in names) for names, objects in zip(mentioned, there, strict=True)]
    known = sum(len(objects.intersection(names)) for names, objects in zip(mentioned, map(frozenset, there), strict=True))
    return Chair(
        sentence=sum(map(bool, wrong)) / n,
        instance=_share(sum(wrong), sum(map(len, mentioned))),
        recall=_share(known, sum(map(len, there))),
        words=sum(lengths) / n,
    )


@dataclass(frozen=True)
class Amber:
    """AMBER's generative scores, from 0 to 1, each the mean over captions of one over the set of objects mentioned.

    `chair` is the share of it that is not there, `cover` of what is there that is mentioned, `hal` of captions with any that is
    not there, `cog` of it that is among the objects people would imagine there.
    """

    chair: float
    cover: float
    hal: float
    cog: float

    def overall(self, f1: float) -> float:
        """AMBER's one score, from 0 to 1, with the F1 of its yes/no questions; published in percent."""
        return (1 - self.chair + f1) / 2


def amber(mentioned: Sequence[Sequence[Hashable]], there: Sequence[Set[Hashable]], imagined: Sequence[Set[Hashable]]) -> Amber:
    """AMBER of captions, from what each mentions, what its picture shows, and what one would wrongly imagine in it.

    Source: Wang et al. 2023, arXiv 2311.07397. The released inference.py differs: it counts nouns with repetition, divides totals over
    all captions, and has as cog the share of the imagined that is mentioned. A caption without objects has chair and cog 0; a
    picture without objects has no cover and is left out of its mean.
    """
    aligned("amber", {"captions": mentioned, "sets of objects": there, "sets of imagined objects": imagined})
    said = [frozenset(names) for names in mentioned]
    wrong = [len(names - objects) / max(1, len(names)) for names, objects in zip(said, there, strict=True)]
    return Amber(
        chair=mean(wrong),
        cover=mean([len(names & objects) / len(objects) for names, objects in zip(said, there, strict=True) if objects]),
        hal=mean([share > 0 for share in wrong]),
        cog=mean([len(names & targets) / max(1, len(names)) for names, targets in zip(said, imagined, strict=True)]),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
