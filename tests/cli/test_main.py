import os
import re
import runpy
import shlex
import signal
import subprocess
import sys

import pytest
from typer.main import get_command

from tessera.cli import training
from tessera.cli.app import app, arguments_of, sampling_of, world_of
from tessera.laws.base import Sampling
from tessera.verbs.weights import latest

COMMANDS = get_command(app).commands


def test_there_is_a_command_for_everything_that_can_be_done():
    said = "systems describe world train compare parts draw edit story ask caption evaluate judge table benchmark weights"
    assert COMMANDS.keys() == {*said.split(), "export", "tokenizer", "features"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_shows_examples_that_it_accepts(tessera, name):
    said = tessera(name, "--help")
    assert said.code == 0 and re.search(rf"Examples?: tessera {name}", said.words)
    examples = [shlex.split(words) for words in COMMANDS[name].epilog.partition(": ")[2].split(" · ")]
    for first, *others in examples:
        if first != "...":
            assert (first, others[0]) == ("tessera", name)
            COMMANDS[name].make_context(name, others[1:])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained(name):
    assert [option.name for option in COMMANDS[name].params if not option.help] == []


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_all_commands_are_listed_with_what_they_do(tessera, words):
    said = tessera(*words).words
    for name in COMMANDS:
        assert name in said
    assert "Draw pictures of a prompt." in said and "Say what pictures show." in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("paint",), "No such command 'paint'"),
        (("draw",), "Missing argument 'prompt'"),
        (("draw", "a", "--colour", "red"), "No such option: --colour"),
        (("draw", "a", "-n", "0"), "greater than or equal to 1|not in the range x>=1"),
        (("world", "many"), "valid integer"),
    ],
)
def test_what_a_command_does_not_take_is_refused(tessera, words, said):
    refused = tessera(*words)
    assert refused.code == 2 and re.search(said, refused.words)


def test_python_m_tessera_is_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tessera", "systems"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("tessera", run_name="__main__")
    assert not stop.value.code and "chameleon" in capsys.readouterr().out


def test_a_mistake_is_one_red_line_however_narrow_the_terminal():
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "40", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | terminal
    done = subprocess.run([sys.executable, "-m", "tessera", "describe", "chamelion"], env=environment, capture_output=True, text=True)
    shown = done.stdout + done.stderr
    assert done.returncode == 2 and shown.startswith("\x1b[31merror:")
    said = "error: recipe: 'chamelion'; near it there are chameleon; `tessera systems` lists all of them"
    assert re.sub(r"\x1b\[\d*m", "", shown).splitlines() == [said]


RECIPE = """
from tessera.systems.chameleon import chameleon
PRESETS = {"low": {"depth": 1}}
def chimera(depth: int = 2):
    system = chameleon(width=16, depth=depth, heads=2, levels=(3, 3), channels=8)
    system.stages = system.stages[:1]
    return system
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A recipe of the user's own in the folder where commands run."""
    monkeypatch.delitem(sys.modules, "my_chimera", raising=False)
    (tmp_path / "my_chimera.py").write_text(RECIPE)
    yield "my_chimera:chimera"
    sys.modules.pop("my_chimera", None)


def test_a_recipe_in_the_current_folder_is_found_trained_and_drawn_with(tessera, here, tmp_path):
    assert "Transformer, 1 blocks" in tessera("describe", here, "--preset", "low").words
    said = tessera("train", here, "--scale", "0.0001", "--device", "cpu", "--fresh")
    assert said.code == 0 and "try `tessera draw --run runs/my_chimera.chimera ...`" in said.words
    assert tessera("draw", "a", "--run", "runs/my_chimera.chimera").code == 0 and (tmp_path / "drawing.png").exists()


def test_a_recipe_that_is_not_in_the_current_folder_is_refused(tessera):
    said = tessera("describe", "my_lost_chimera:chimera")
    assert said.code == 2 and said.words.startswith("error: recipe: 'my_lost_chimera:chimera': No module named 'my_lost_chimera'")


def test_ctrl_c_stops_with_a_checkpoint_from_which_resume_goes_on(tessera, small, stages, main_stage, monkeypatch):
    batch = stages[main_stage].batch
    only = ("--scale", "1", "--stage", main_stage, "--documents", f"{main_stage}={4 * batch}")
    with monkeypatch.context() as patched:
        patched.setattr(training, "glance", lambda *_: signal.raise_signal(signal.SIGINT) or {})  # after the first step
        said = tessera("train", "chameleon", *small, *only, "--run", "run")
    stopped = f"chameleon: stopped in stage {main_stage} at document {2 * batch}; go on with --resume"
    assert said.code == 130 and said.words.endswith(stopped)
    assert int(latest("run").name) == 2 * batch
    assert tessera("train", "chameleon", *small, *only, "--run", "run", "--resume").code == 0
    assert int(latest("run").name) == 10**9


def test_a_loss_that_is_no_number_ends_with_another_code_than_a_mistake(tessera, small, stages, main_stage):
    only = ("--scale", "1", "--stage", main_stage, "--documents", f"{main_stage}={4 * stages[main_stage].batch}")
    said = tessera("train", "chameleon", *small, *only, "--rate", "1e30", "--run", "run")
    assert said.code == 1
    assert re.search(rf"error: chameleon: the .* is (nan|inf) in stage {main_stage} at step \d; finite numbers are accepted; ", said.words)


def test_arguments_are_python_values_or_else_words():
    pairs = ["width=256", "rate=1e-3", "levels=(3, 3)", "flag=True", "name=a=b", "empty=", "open=(3,", "none=None"]
    values = {"width": 256, "rate": 1e-3, "levels": (3, 3), "flag": True, "name": "a=b", "empty": "", "open": "(3,", "none": None}
    assert arguments_of(pairs) == values and arguments_of(None) == {}
    assert arguments_of(["width=1", "width=2"]) == {"width": 2}
    with pytest.raises(ValueError, match="--set: 'width'; name=value is accepted; for example --set width=256"):
        arguments_of(["width"])


def test_only_what_was_asked_for_changes_the_usual_sampling():
    usual = Sampling(temperature=0.5, guidance=2.0, top_k=7)
    assert sampling_of(usual, {"temperature": None, "guidance": None}) == usual
    assert sampling_of(usual, {"temperature": 0.0, "guidance": None}) == Sampling(temperature=0.0, guidance=2.0, top_k=7)


def test_a_level_goes_by_its_name():
    world = world_of("standard", "zh")
    assert (world.level.name, world.language) == ("standard", "zh")
    with pytest.raises(ValueError, match="world: level 'hard'; there are easy, standard; choose one"):
        world_of("hard", "en")
