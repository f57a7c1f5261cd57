"""Recipes by name: the folder of systems is the registry."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, get_args

import torch

import tessera.systems
from tessera.draws import seed_of
from tessera.system import System

PRESETS = ("tiny", "default", "paper")


def names() -> list[str]:
    """All recipes that come with the library."""
    return sorted(module.name for module in pkgutil.iter_modules(tessera.systems.__path__))


def recipe(name: str) -> tuple[Callable[..., System], Mapping[str, Mapping[str, Any]]]:
    """The function that builds a system, and the arguments of its presets.

    `name` is a file in systems/, or `package.module:function` for one of your own.
    """
    module_name, _, function = name.partition(":")
    if not function:
        if name not in names():
            near = get_close_matches(name, names(), 3) or names()
            raise ValueError(f"recipe: {name!r}; near it there are {', '.join(near)}; `tessera systems` lists all of them")
        module_name, function = f"tessera.systems.{name}", name
    if not module_name:
        raise ValueError(f"recipe: {name!r} names no module; package.module:function is accepted; put the module in front")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise  # the module is there, and misses something itself
        raise ValueError(f"recipe: {name!r}: {error}; a module that Python finds is accepted; check the path it runs in") from error
    if not hasattr(module, function):
        raise ValueError(
            f"recipe: {name!r}: {module_name} has no {function!r}; a function that returns a System is accepted; check the name"
        )
    return getattr(module, function), {"default": {}, **getattr(module, "PRESETS", {})}


def build(name: str, *, preset: str = "default", arguments: Mapping[str, Any] | None = None, seed: int = 0) -> System:
    """A new system; what is random in its weights is of this seed. What it was built from stays with it as `system.origin`.

    An argument that is a `part_of` something is what that recipe returns.
    """
    function, presets = recipe(name)
    if preset not in presets:
        raise ValueError(f"{name}: preset {preset!r}; there are {', '.join(presets)}; choose one of them")
    chosen = {**presets[preset], **(arguments or {})}
    accepted = inspect.signature(function).parameters
    wrong = [key for key, value in chosen.items() if key not in accepted or not fits(value, accepted[key])]
    if wrong:
        usual = ", ".join(f"{key}={parameter.default!r}" for key, parameter in accepted.items())
        raise ValueError(
            f"{name}: argument {', '.join(f'{key}={chosen[key]!r}' for key in wrong)}; accepted are, by default, {usual}; mend it"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed))
        system = function(**{key: _made(value) for key, value in chosen.items()})
    if not isinstance(system, System):
        raise ValueError(f"{name}: it returned {type(system).__name__}; a function that returns a System is needed; check the name")
    if not hasattr(system, "origin"):  # some know better what they were built from
        system.origin = {"recipe": name, "arguments": chosen}
    return system


def part_of(recipe: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """An argument of a recipe that a recipe of its own makes, in words that can be written down."""
    return {"recipe": recipe, "arguments": dict(arguments)}


def _made(value: Any) -> Any:
    """What an argument stands for."""
    if not isinstance(value, Mapping) or value.keys() != part_of("", {}).keys():
        return value
    return recipe(value["recipe"])[0](**value["arguments"])


def fits(value: Any, parameter: inspect.Parameter) -> bool:
    """Whether a value is of the kind that its default shows: numbers above 0, full sequences, words for None if told."""
    default = parameter.default
    if default is None:
        return not isinstance(value, str) or str in get_args(parameter.annotation)
    kinds: dict[type, Any] = {int: int, float: (int, float), str: str, bool: bool, tuple: (tuple, list)}
    if type(default) not in kinds:
        return True
    if not isinstance(value, kinds[type(default)]) or (isinstance(value, bool) and type(default) is not bool):
        return False
    return value > 0 if type(default) in (int, float) and default > 0 else bool(value) or type(default) is not tuple


def told(name: str) -> tuple[str, str, str]:
    """What a recipe says of itself: the system's name, what it is, and all the rest."""
    module = importlib.import_module(f"tessera.systems.{name}")
    first, _, rest = (module.__doc__ or "").strip().partition("\n")
    title, _, what = first.partition(": ")
    return title, what, rest.strip()


def summary(name: str) -> str:
    """What the system is, in a sentence."""
    return told(name)[1]
