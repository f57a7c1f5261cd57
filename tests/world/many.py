"""Counts over many scenes, as a program of its own: the type checks of a test run would make them twenty times slower."""

import json
import sys
from collections import Counter
from itertools import combinations

from tessera.world.bias import Bias
from tessera.world.dice import Dice
from tessera.world.heldout import holds
from tessera.world.sampling import ALIKE, draw
from tessera.world.scene import LEVELS
from tessera.world.world import World


def shown(level, alpha, topic, affinity, n):
    """In how many of n scenes as drawn each kind, and each two kinds, are."""
    dice, level, bias, seen = Dice("chances", level), LEVELS[level], Bias(alpha, topic, affinity), Counter()
    for _ in range(n):
        scene = draw(level, 1 + dice.below(level.most), dice.uniform() < ALIKE, dice, bias)
        kinds = sorted({thing.kind.value for thing in scene.things})
        seen.update(kinds)
        seen.update("+".join(pair) for pair in combinations(kinds, 2))
    return seen


def held(level, held_out, n):
    """How many of n training scenes show what is held out, and how many of n / 10 of the world that holds out nothing."""
    world, free = World(LEVELS[level], held_out=held_out), World(LEVELS[level])
    return [sum(holds(one.scene(index), one.level, held_out) for index in range(m)) for one, m in ((world, n), (free, n // 10))]


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
