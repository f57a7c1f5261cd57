import os

import pytest
import torch

from tessera.document import Image, Text
from tessera.exams import Case, Report
from tessera.scoring import bootstrap, rate
from tessera.verbs import answers as module
from tessera.verbs.answers import Answers, about_answers, named_after

ABOUT = {"system": "one", "plan": {"seed": 0}, "levels": (3, 3)}
SAID = ["a red circle", " 红色的圆形 ", "", 'two\nlines "quoted"']


class Some:
    """An exam of which only the name and the kind of its answers matter here."""

    def __init__(self, name: str, want: type, cases: int = 5):
        self.name, self.want = name, want
        self.cases = [Case((Text("?"),), str(i)) for i in range(cases)]

    def report(self, answers):
        return Report()


TEXTS, PICTURES = Some("captions", Text), Some("drawing", Image)


def test_texts_come_back_as_they_were_written(tmp_path):
    kept = Answers(tmp_path / "new", ABOUT)
    assert kept.get(TEXTS, 0) is None
    kept.put(TEXTS, 0, SAID)
    kept.put(TEXTS, 4, ["later"])
    again = Answers(tmp_path / "new", ABOUT)
    assert again.get(TEXTS, 0) == SAID and again.get(TEXTS, 4) == ["later"] and again.get(TEXTS, 5) is None
    assert again.get(Some("questions", Text), 0) is None
    assert again.all(TEXTS) == [*SAID, "later"]


def test_answers_are_those_before_the_first_gap_and_of_as_many_cases(tmp_path):
    kept = Answers(tmp_path, ABOUT)
    kept.put(TEXTS, 0, ["a", "b"])
    kept.put(TEXTS, 4, ["e"])
    assert kept.all(TEXTS) == ["a", "b"] and kept.all(Some("captions", Text, cases=6)) == [] == kept.all(PICTURES)
    kept.put(TEXTS, 2, ["c"])
    assert kept.all(TEXTS) == ["a", "b", "c"]
    kept.put(TEXTS, 3, ["d"])
    assert kept.all(TEXTS) == ["a", "b", "c", "d", "e"] and Answers(None, {}).all(TEXTS) == []


def test_pictures_come_back_as_they_were_drawn(tmp_path, pictures):
    kept = Answers(tmp_path, ABOUT)
    kept.put(PICTURES, 0, list(pictures))
    found = Answers(tmp_path, ABOUT).get(PICTURES, 0)
    assert isinstance(found, list) and torch.equal(torch.stack(found), pictures)


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = Answers(None, ABOUT)
    kept.put(TEXTS, 0, SAID)
    assert kept.get(TEXTS, 0) is None and not list(tmp_path.iterdir())
    rounds = [Report({"a": rate([True])}), Report({"a": rate([False])})]
    assert [kept.once("ladder", lambda one=one: one) for one in rounds] == rounds


@pytest.mark.parametrize(("exam", "said"), [(TEXTS, SAID), (PICTURES, [torch.zeros(3, 8, 8, dtype=torch.uint8)])])
def test_a_part_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch, exam, said):
    def stopped(tensors, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    kept = Answers(tmp_path, ABOUT)
    monkeypatch.setattr(module, "save_file", stopped)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        kept.put(exam, 0, said)
    assert kept.get(exam, 0) is None


def test_what_is_measured_once_is_not_measured_again(tmp_path):
    right, scores = {"a": [True, False, True]}, {"a": rate([True, False, True]), "b": bootstrap([1.0, 2.5], max)}
    found = Report(scores, {"b": {"uniform": 8.0}}, right, clusters={"a": [0, 0, 1]})
    first = Answers(tmp_path, ABOUT).once("ladder", lambda: found)
    again = Answers(tmp_path, ABOUT).once("ladder", lambda: pytest.fail("it was measured before"))
    assert first is found and vars(again) == vars(found)
    assert Answers(tmp_path, ABOUT).once("ladder", None).scores == found.scores
    with pytest.raises(ValueError, match=f"{tmp_path} lacks the codebook; a finished evaluation is accepted; run `evaluate` to its end"):
        Answers(tmp_path, ABOUT).once("codebook", None)


def test_what_an_earlier_scorer_measured_is_measured_anew(tmp_path, monkeypatch):
    kept, before, after = Answers(tmp_path, ABOUT), Report({"a": rate([True])}), Report({"a": rate([False])})
    kept.once("ladder", lambda: before)
    monkeypatch.setattr(module, "SCORER", module.SCORER + 1)
    with pytest.raises(ValueError, match=rf"has the ladder of scorer {module.SCORER - 1}, and today's is {module.SCORER}; a finished"):
        kept.once("ladder", None)
    assert kept.once("ladder", lambda: after) is after and kept.once("ladder", None).scores == after.scores


def test_a_damaged_part_is_named(tmp_path):
    kept = Answers(tmp_path, ABOUT)
    for exam, said in ((TEXTS, SAID), (PICTURES, [torch.zeros(3, 8, 8, dtype=torch.uint8)])):
        kept.put(exam, 0, said)
        path = kept._path(exam, 0)
        path.write_bytes(b"half")
        with pytest.raises(ValueError, match=rf"answers: {path}: .*; a part that `evaluate` kept is accepted; remove it"):
            kept.get(exam, 0)


@pytest.mark.parametrize(
    ("about", "what"),
    [
        ({**ABOUT, "system": "two"}, "system"),
        ({**ABOUT, "plan": {"seed": 1}, "levels": (3,)}, "plan, levels"),
        ({**ABOUT, "more": 1}, "more"),
        ({"system": "one"}, "plan, levels"),
    ],
)
def test_a_folder_holds_the_answers_to_one_thing(tmp_path, about, what):
    Answers(tmp_path, ABOUT).put(TEXTS, 0, SAID)
    with pytest.raises(ValueError, match=f"^answers: {tmp_path} holds answers with another {what}; an empty folder is accepted; "):
        Answers(tmp_path, about)
    assert Answers(tmp_path, ABOUT).get(TEXTS, 0) == SAID


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=f"^answers: {tmp_path}/file/a: .*; a folder that can be written to is accepted; name another$"):
        Answers(tmp_path / "file" / "a", ABOUT)


def test_a_folder_says_what_its_answers_are_about(tmp_path):
    Answers(tmp_path, ABOUT)
    assert about_answers(tmp_path) == {**ABOUT, "levels": [3, 3]}  # JSON has lists only
    (tmp_path / "about.json").write_text("{")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            ValueError, match=f"^answers: {folder}: .*; a folder that `evaluate` wrote answers to is accepted; check the path$"
        ):
            about_answers(folder)


def test_a_folder_of_answers_is_named_after_all_they_are_about():
    first = named_after("one", ABOUT)
    assert first.startswith("one-") and first == named_after("one", dict(reversed(ABOUT.items())))
    assert first != named_after("one", {**ABOUT, "plan": {"seed": 1}})
