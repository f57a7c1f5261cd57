"""How fast the world is: scenes drawn, documents made and pictures read by the oracle per second. Run: python bench/world.py"""

import statistics
import time

import torch
from common import lines_to_page

from tessera.document import Task
from tessera.world import LEVELS, World
from tessera.world.oracle import Oracle

SCENES, READINGS, ROUNDS = 2000, 256, 3


def rate(n, work):
    """Median of several rounds, per second."""
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return n / statistics.median(seconds)


def main():
    rows = []
    for level in LEVELS.values():
        world = World(level)
        oracle = Oracle(level)
        scenes = rate(SCENES, lambda w=world: [w.picture(w.scene(i)) for i in range(SCENES)])
        tasks = [task for task, share in world.mix.items() for _ in range(round(10 * share))]
        documents = rate(SCENES, lambda w=world, t=tasks: [w.document(t[i % len(t)], i) for i in range(SCENES)])
        pictures = torch.stack([world.picture(world.scene(i)) for i in range(READINGS)])
        oracle.read(pictures[:8])
        readings = rate(READINGS, lambda o=oracle, p=pictures: o.read(p))
        edits = rate(200, lambda w=world: [w.document(Task.EDIT, i) for i in range(200)])
        rows.append(f"| {level.name} | {scenes:,.0f} | {documents:,.0f} | {edits:,.0f} | {readings:,.0f} |")
    head = ["| level | scenes/s | documents/s | edits/s | oracle readings/s |", "|---|---|---|---|---|"]
    note = f"One thread draws; the oracle uses all cores. Median of {ROUNDS} rounds."
    lines_to_page("world", "The world and its oracle", [note, "", *head, *rows])


if __name__ == "__main__":
    main()
