"""What the tests of the command line share: commands called as a shell calls them, and one tiny run."""

import re
import sys
from dataclasses import replace
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from tessera.cli import main, training
from tessera.cli.app import app, console, errors
from tessera.verbs import recipes
from tessera.verbs.recipes import build

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Said(NamedTuple):
    """How a command ended, and what it said, with single spaces for all white space and without colours."""

    code: int
    words: str


@pytest.fixture
def tessera(monkeypatch, capsys, tmp_path):
    """Calls a command as a shell does, in an empty folder of the test's own, on a wide terminal.

    Nobody looks at a system while it trains, which would take longer than all its steps.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for one in (console, errors):
        monkeypatch.setattr(one, "_width", None)  # a process among several is told how wide its terminal is when it starts
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(training, "glance", lambda *_: {})

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["tessera", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return Said(stop.value.code or 0, " ".join(COLOURS.sub("", shown.out + shown.err).split()))

    return call


@pytest.fixture
def tiny_recipes(monkeypatch):
    """All recipes are built in their tiny sizes, with stages of one batch."""

    def tiny(name, **options):
        system = build(name, preset="tiny", **options)
        system.stages = tuple(replace(stage, documents=stage.batch) for stage in system.stages)
        return system

    monkeypatch.setattr(recipes, "build", tiny)


SIZES = {"width": 16, "depth": 1, "heads": 2, "levels": (3, 3), "channels": 8}


@pytest.fixture(scope="session")
def small():
    """Options of a training that takes a second: a step of each stage."""
    sizes = [word for name, value in SIZES.items() for word in ("--set", f"{name}={value}")]
    return (*sizes, *"--scale 0.0001 --device cpu --precision float32 --fresh".split())


@pytest.fixture(scope="session")
def stages():
    """The stages of the recipe that is trained here, by name; their documents are those that `small` leaves of them."""
    built = build("chameleon", arguments=SIZES)
    return {s.name: replace(s, documents=max(s.batch, round(s.documents * 0.0001))) for s in built.stages}


@pytest.fixture(scope="session")
def main_stage(stages):
    """The name of the first stage that trains the system itself."""
    return next(name for name, stage in stages.items() if stage.learner is None)


@pytest.fixture(scope="session")
def run(tmp_path_factory, small):
    """The folder of a run on the world. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "world"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "glance", lambda *_: {})
        done = CliRunner().invoke(app, ["train", "chameleon", "--run", str(folder), *small])
    assert done.exit_code == 0, done.output
    return folder
