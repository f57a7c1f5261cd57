"""Short names that fit one thing of a scene alone."""

from itertools import combinations

from tessera.world.description import Described, described
from tessera.world.dice import Chooser
from tessera.world.scene import Kind, Level, Scene, Thing


def only(what: Described, attributes: tuple[str, ...]) -> Described:
    """The description with nothing but these attributes said. A digit is said with its kind."""
    said = {name: getattr(what, name) for name in attributes}
    return Described(**said, digit=what.digit if "kind" in attributes else "")


def unique(what: Described, scene: Scene) -> bool:
    """Whether exactly one thing of the scene fits."""
    return sum(map(what.fits, scene.things)) == 1


def refer(thing: Thing, scene: Scene, level: Level, attributes: tuple[str, ...], dice: Chooser) -> Described | None:
    """A description by some of the attributes that fits this thing alone, or None.

    The dice choose among all that say one or two attributes, or else among the shortest. Without its kind it is "the red thing".
    """
    full = described(thing, level)
    attributes = tuple(name for name in attributes if getattr(full, name) is not None)
    found: list[Described] = []
    for length in range(1, len(attributes) + 1):
        names = (only(full, said) for said in combinations(attributes, length))
        found += [name for name in names if unique(name, scene)]
        if found and length >= 2:
            break
    return dice.choose(found) if found else None


def nameable(scene: Scene) -> list[Thing]:
    """The things whose kind is a shape."""
    return [thing for thing in scene.things if thing.kind is not Kind.DIGIT]
