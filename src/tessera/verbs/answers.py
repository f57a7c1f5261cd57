"""Answers: what a system wrote, kept as it comes, so that writing resumes, and judging can be done again and by other exams beside it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from tessera.document import Document, Image, Text
from tessera.exams import SCORER, Exam, Report
from tessera.scoring import Score
from tessera.verbs.whole import whole

KEPT = ("references", "right", "clusters", "ratios")  # of a report, beside its scores


class Answers:
    """Answers in a folder, or, without one, nowhere: then every part is new.

    `about` says who answers and how; a folder of somebody else's answers is refused. What was asked is said by the exam: one with
    another number of cases is another exam.
    """

    def __init__(self, folder: Path | None, about: Mapping[str, Any]):
        self.folder = folder
        if folder is None:
            return
        known, about = folder / "about.json", json.loads(json.dumps(about))
        if known.exists() and json.loads(known.read_text()) != about:
            was = json.loads(known.read_text())
            changed = ", ".join(key for key in {**was, **about} if about.get(key) != was.get(key))
            raise ValueError(
                f"answers: {folder} holds answers with another {changed}; an empty folder is accepted; remove it or name another"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            whole(known, lambda path: path.write_text(json.dumps(about, indent=1)))
        except OSError as error:
            raise ValueError(f"answers: {folder}: {error}; a folder that can be written to is accepted; name another") from error

    def all(self, exam: Exam) -> list:
        """What was written before, from the first case on without a gap."""
        answers: list = []
        while len(answers) < len(exam.cases) and (part := self.get(exam, len(answers))):
            answers += part
        return answers

    def get(self, exam: Exam, start: int) -> list | None:
        """The answers from case `start` on, if they were written before."""
        path = self._path(exam, start)
        if path is None or not path.exists():
            return None
        try:
            if exam.want is None:
                return documents_in(path)
            return list(load_file(path)["pictures"]) if exam.want is Image else json.loads(path.read_text())
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ValueError(
                f"answers: {path}: {error}; a part that `evaluate` kept is accepted; remove it, to have it written anew"
            ) from error

    def put(self, exam: Exam, start: int, answers: Sequence[Any]) -> None:
        """Keep a part."""
        path = self._path(exam, start)
        if path is None:
            return
        if exam.want is None:
            whole(path, lambda to: save_documents(answers, to))
        elif exam.want is Image:
            whole(path, lambda to: save_file({"pictures": torch.stack(list(answers))}, to))
        else:
            whole(path, lambda to: to.write_text(json.dumps(list(answers), ensure_ascii=False, indent=1)))

    def once(self, name: str, measure: Callable[[], Report] | None) -> Report:
        """A report that no answers lead to (it needs the system itself), measured once by today's scorer; None takes only what is there."""
        path = self.folder and self.folder / f"{name}.json"
        facts = json.loads(path.read_text()) if path and path.exists() else {}
        if facts.get("scorer") == SCORER:
            scores = {key: Score(**{**score, "ci95": tuple(score["ci95"])}) for key, score in facts["scores"].items()}
            kept = {key: facts.get(key, {}) for key in KEPT}
            kept["ratios"] = {name: [(over, by) for over, by in cases] for name, cases in kept["ratios"].items()}
            return Report(scores, **kept)
        if measure is None:
            has = f"has the {name} of scorer {facts.get('scorer')}, and today's is {SCORER}" if facts else f"lacks the {name}"
            raise ValueError(f"answers: {self.folder} {has}; a finished evaluation is accepted; run `evaluate` to its end")
        found = measure()
        if path:
            facts = {"scorer": SCORER, "scores": {key: asdict(score) for key, score in found.scores.items()}}
            facts |= {key: {name: of for name, of in getattr(found, key).items()} for key in KEPT}
            whole(path, lambda to: to.write_text(json.dumps(facts)))
        return found

    def _path(self, exam: Exam, start: int) -> Path | None:
        kind = "json" if exam.want is Text else "safetensors"
        return self.folder and self.folder / f"{exam.name}-{len(exam.cases)}-{start:06d}.{kind}"


def save_documents(documents: Sequence[Document], path: Path) -> None:
    """Documents with all their segments: pictures as tensors, what they stand between as JSON beside them."""
    laid = [[None if isinstance(segment, Image) else segment.content for segment in document] for document in documents]
    learned = [[segment.learn for segment in document] for document in documents]
    pictures = [picture for document in documents for picture in document.pictures]
    save_file({"pictures": torch.stack(pictures)}, path, {"texts": json.dumps(laid), "learned": json.dumps(learned)})


def documents_in(path: Path) -> list[Document]:
    """The documents of such a file; a picture stands where there is no text."""
    with safe_open(path, "pt") as file:
        told, pictures = file.metadata(), iter(file.get_tensor("pictures"))
    laid, learned = json.loads(told["texts"]), json.loads(told["learned"])
    make = lambda text, learn: Image(next(pictures), learn) if text is None else Text(text, learn)
    return [Document(tuple(make(*pair) for pair in zip(*rows, strict=True))) for rows in zip(laid, learned, strict=True)]


def named_after(name: str, about: Mapping[str, Any]) -> str:
    """A folder's name that is another one for anything else asked, or anybody else."""
    return f"{name}-{hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:8]}"


def about_answers(folder: Path) -> dict[str, Any]:
    """Who was asked what in a folder of answers. Raises ValueError where it is none."""
    try:
        return json.loads((folder / "about.json").read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"answers: {folder}: {error}; a folder that `evaluate` wrote answers to is accepted; check the path") from error
