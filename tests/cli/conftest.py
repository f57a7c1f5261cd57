"""What the tests of the command line share: commands called as a shell calls them, and one tiny run."""

import sys
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from tessera.cli import main
from tessera.cli.app import app


class Said(NamedTuple):
    """How a command ended, and what it said, with single spaces for all white space."""

    code: int
    words: str


@pytest.fixture
def tessera(monkeypatch, capsys, tmp_path):
    """Calls a command as a shell does, in an empty folder of the test's own, on a wide terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["tessera", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return Said(stop.value.code or 0, " ".join((shown.out + shown.err).split()))

    return call


@pytest.fixture(scope="session")
def small():
    """Options of a training that takes a second: a step of each stage, one glance."""
    sizes = ("width=16", "depth=1", "heads=2", "levels=(3,3)", "channels=8")
    return (*(word for size in sizes for word in ("--set", size)), *"--scale 0.0001 --device cpu --precision float32".split())


@pytest.fixture(scope="session")
def run(tmp_path_factory, small):
    """The folder of a run on the world. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "world"
    done = CliRunner().invoke(app, ["train", "chameleon", "--run", str(folder), *small])
    assert done.exit_code == 0, done.output
    return folder
