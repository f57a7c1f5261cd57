import json

import pytest

from tessera.document import Task
from tessera.stages import Stage
from tessera.verbs.machine import machine, versions
from tessera.verbs.runs import Diary, plain, start_diary, training_facts

SETTINGS = {"seed": 0, "scale": 1.0, "glances": 8, "checkpoint_seconds": 60.0}
ORIGIN = {"recipe": "chameleon", "arguments": {"levels": (3, 3), "width": 16}}


@pytest.fixture
def system(tiny):
    system = tiny()
    system.origin = ORIGIN
    system.stages = tuple(Stage(name, train=(system.trunk,), documents=64, mix={Task.DRAW: 1.0}) for name in ("first", "second"))
    return system


def start(folder, system, settings=SETTINGS, *, resume=False, **notes) -> Diary:
    diary = start_diary(folder, system, settings, resume=resume, notes=notes)
    if not resume:
        diary.sign()
    return diary


def lines(diary: Diary) -> list[dict]:
    return [json.loads(line) for line in (diary.folder / "metrics.jsonl").read_text().splitlines()]


def test_a_new_run_writes_down_what_it_is(system, tmp_path):
    diary = start(tmp_path / "runs" / "first", system, level="easy")
    about = json.loads((tmp_path / "runs" / "first" / "run.json").read_text())
    assert diary.folder == tmp_path / "runs" / "first"
    assert about["system"] == "chameleon" and about["recipe"] == "chameleon" and about["arguments"] == {"levels": [3, 3], "width": 16}
    assert about["settings"] == SETTINGS and about["level"] == "easy"
    assert [stage["name"] for stage in about["stages"]] == ["first", "second"]
    assert about["machine"] == machine() and about["versions"] == versions() and "commit" in about


def test_a_stage_is_written_down_by_its_numbers(system):
    drawing = Stage(
        "joint",
        train=(system.trunk,),
        documents=64,
        mix={Task.DRAW: 0.75, Task.TEXT: 0.25},
        rates={system.trunk: 0.1},
        weights={"image": 2.0},
        emphasis={Task.TEXT: 4.0},
        carry=True,
    )
    assert plain(drawing) == {
        "name": "joint",
        "documents": 64,
        "batch": 64,
        "lr": 1e-3,
        "decay": "cosine",
        "weight_decay": 0.1,
        "average": 0.0,
        "carry": True,
        "mix": {"draw": 0.75, "text": 0.25},
        "emphasis": {"text": 4.0},
        "weights": {"image": 2.0},
    }


def test_a_folder_holds_one_run(system, tmp_path):
    start(tmp_path, system)
    with pytest.raises(ValueError, match=r"train: .* holds a run already; a new folder is accepted; add --resume to go on"):
        start(tmp_path, system)


def test_going_on_needs_a_run(system, tmp_path):
    with pytest.raises(ValueError, match=r"train: --resume in .*nowhere, where no run.json is; the folder of a run is accepted"):
        start(tmp_path / "nowhere", system, resume=True)
    assert not (tmp_path / "nowhere").exists()


def test_going_on_changes_nothing_that_was_written_down(system, tmp_path):
    start(tmp_path, system, level="easy")
    before = (tmp_path / "run.json").read_text()
    watched = {**SETTINGS, "glances": 0, "checkpoint_seconds": 1.0}
    assert start(tmp_path, system, watched, resume=True, level="easy") == Diary(tmp_path)
    assert (tmp_path / "run.json").read_text() == before


def test_going_on_with_something_else_is_refused_by_its_name(system, tmp_path):
    start(tmp_path, system, level="easy")
    with pytest.raises(ValueError, match=r"with other settings than it began with; it began with .*'seed': 0.*; use the same"):
        start(tmp_path, system, {**SETTINGS, "seed": 1}, resume=True, level="easy")
    with pytest.raises(ValueError, match=r"with other level than it began with; it began with {'level': 'easy'}"):
        start(tmp_path, system, resume=True, level="standard")
    with pytest.raises(ValueError, match=r"with other data than it began with; it began with {'data': None}"):
        start(tmp_path, system, resume=True, level="easy", data="my_pictures")
    system.origin = {**ORIGIN, "arguments": {"levels": (4, 4), "width": 16}}
    with pytest.raises(ValueError, match=r"with other arguments than it began with; it began with .*'levels': \[3, 3\]"):
        start(tmp_path, system, resume=True, level="easy")


def test_entries_are_lines_in_their_order(tmp_path):
    diary = Diary(tmp_path)
    entries = [{"step": 1, "loss": {"text": 0.5}}, {"step": 2, "scores": {"drawing.overall": 1.0}}]
    for entry in entries:
        diary.write(entry)
    assert lines(diary) == entries


def test_what_was_written_behind_a_step_is_forgotten(tmp_path):
    diary = Diary(tmp_path)
    for step in (10, 20, 20, 30):
        diary.write({"step": step})
    diary.forget(20)
    assert [entry["step"] for entry in lines(diary)] == [10, 20, 20]
    diary.write({"step": 30})
    assert lines(diary)[-1] == {"step": 30}


def test_a_line_cut_off_by_a_kill_is_forgotten(tmp_path):
    diary = Diary(tmp_path)
    diary.write({"step": 10})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2')
    diary.forget(99)
    diary.write({"step": 20})
    assert [entry["step"] for entry in lines(diary)] == [10, 20]


def test_a_run_that_has_written_nothing_has_nothing_to_forget(tmp_path):
    diary = Diary(tmp_path)
    diary.forget(0)
    diary.write({"step": 1})
    assert lines(diary) == [{"step": 1}]


def test_results_say_how_a_run_came_to_its_checkpoint(system, tmp_path):
    start(tmp_path, system, level="easy")
    checkpoint = tmp_path / "checkpoints" / "7"
    checkpoint.mkdir(parents=True)
    facts = {
        "at": {"stage": 1, "documents": 40, "steps": 9, "seconds": 61.7, "core_seconds": 90.2},
        "documents": {"codec": 60, "joint": 40},
    }
    facts["parts"] = {"codec": {"part": "codec-0123456789ab", "documents": 60, "seconds": 5}}
    (checkpoint / "facts.json").write_text(json.dumps(facts))
    found = training_facts(tmp_path, checkpoint)
    assert found["documents"] == 40 and found["documents_by_stage"] == {"joint": 40} and found["seconds"] == 62
    assert found["core_seconds"] == 90
    assert found["parts"] == facts["parts"]
    assert found["settings"] == SETTINGS and found["level"] == "easy" and len(found["stages"]) == 2
    assert not {"system", "recipe", "arguments"} & found.keys()  # results say these themselves
