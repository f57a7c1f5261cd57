import sys
import types

import pytest
from verbs.small import TINY

from tessera.verbs.recipes import build, names, recipe, summary


def test_the_folder_is_the_registry():
    assert "chameleon" in names() and names() == sorted(names())
    for name in names():
        function, presets = recipe(name)
        assert function.__name__ == name and presets["default"] == {} and summary(name)


@pytest.mark.parametrize("typo", ["chamaleon", "cameleon", "CHAMELEON"])
def test_a_typo_is_told_what_is_near(typo):
    with pytest.raises(ValueError, match=f"recipe: '{typo}'; near it there are .*chameleon.*; `tessera systems` lists all"):
        recipe(typo)


def test_a_system_remembers_what_it_was_built_from():
    system = build("chameleon", arguments=TINY)
    assert system.name == "chameleon" and system.origin == {"recipe": "chameleon", "arguments": TINY}
    assert system.trunk.norm.weight.shape == (16,)


@pytest.fixture
def lab(monkeypatch, tiny):
    """A module of somebody else's, with a recipe and a preset."""
    module = types.ModuleType("my_lab")
    module.chimera = lambda width=16, depth=1: tiny(width=width, depth=depth)
    module.PRESETS = {"wide": {"width": 32}}
    monkeypatch.setitem(sys.modules, "my_lab", module)


def test_a_recipe_of_ones_own_is_named_by_its_module(lab):
    wide = build("my_lab:chimera", preset="wide", arguments={"depth": 2})
    assert wide.origin == {"recipe": "my_lab:chimera", "arguments": {"width": 32, "depth": 2}}
    assert wide.trunk.norm.weight.shape == (32,) and len(wide.trunk.blocks) == 2
    assert build("my_lab:chimera").trunk.norm.weight.shape == (16,)


def test_arguments_win_over_a_preset(lab):
    assert build("my_lab:chimera", preset="wide", arguments={"width": 48}).trunk.norm.weight.shape == (48,)


def test_wrong_presets_and_arguments_are_refused(lab):
    with pytest.raises(ValueError, match="my_lab:chimera: preset 'huge'; there are default, wide; choose one of them"):
        build("my_lab:chimera", preset="huge")
    with pytest.raises(ValueError, match=r"chameleon: argument breadth=3; accepted are, by default, width=192, .*; mend it"):
        build("chameleon", arguments={"breadth": 3})
    with pytest.raises(ValueError, match=r"chameleon: argument width='wide'; accepted"):
        build("chameleon", arguments={"width": "wide"})


def test_a_mistake_inside_a_recipe_is_not_taken_for_a_wrong_argument(lab):
    sys.modules["my_lab"].chimera = lambda width=16: len(width)
    with pytest.raises(TypeError, match="has no len"):
        build("my_lab:chimera")


def test_a_recipe_that_is_not_there_is_refused(lab):
    with pytest.raises(ValueError, match=r"recipe: 'my_lab:basilisk': my_lab has no 'basilisk'; a function that returns a System"):
        build("my_lab:basilisk")
    with pytest.raises(ValueError, match=r"recipe: 'no_lab:chimera': No module named 'no_lab'; a module that Python finds"):
        build("no_lab:chimera")
