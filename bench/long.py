"""Writing long documents: a state of one size (OmniMamba), keys and values kept (a transformer of its size), nothing kept.

The claim is OmniMamba's (arXiv:2503.08686): "119.2 times faster, 63 % less memory" than transformers, for long texts. Figures 1c and 1d
compare with JanusFlow and Show-o; Show-o's published code writes text without a cache (`mmu_generate` reads all again for each id).
Run: python bench/long.py [PLACES, by default 16384]. Writes a section of docs/performance.md and docs/long.svg.
"""

import sys
import time
from dataclasses import dataclass, field

import matplotlib
import torch
from common import PAGE, lines_to_page, peak_memory
from matplotlib import pyplot

from tessera.document import Document, Text
from tessera.laws import Categorical, Sampling
from tessera.pieces import assemble, place, read
from tessera.places import FIELDS, Places
from tessera.system import evaluating
from tessera.verbs.generate import advance
from tessera.verbs.passes import CachedPasses
from tessera.verbs.recipes import build
from tessera.verbs.tables import table
from tessera.verbs.writing import Author, Request

MARKS = (256, 1024, 4096, 16384)
WHOLE = 1024  # places up to which a text is written without a cache; longer ones are added up from single passes
PROMPT = Document((Text("tell me a story"), Text(learn=True)))
OURS, CACHED, UNCACHED = "OmniMamba's state", "a transformer's cache", "the transformer without one"


class UncachedPasses:
    """Passes that keep nothing but what was read: the trunk runs over all of it, again each time. For one row."""

    def __init__(self, system):
        self.system, self.embeddings, self.facts = system, None, None
        self.take, self.give = lambda: 0, lambda row: None

    def run(self, steps):
        """Hidden states of the one step."""
        (one,) = steps
        everything = read(one.pieces, self.system.device)
        one.branch.passed(place(one.pieces, one.order), one.commit)
        new = assemble([one.pieces], everything)
        if self.facts is None:
            self.embeddings, self.facts = new.embeddings, new.places.data
        else:
            self.embeddings, self.facts = torch.cat([self.embeddings, new.embeddings], 1), torch.cat([self.facts, new.places.data], -1)
        return [self.again()[-new.embeddings.shape[1] :]]

    def again(self):
        """Hidden states of all that was written."""
        return self.system.trunk(self.embeddings, None, Places(self.facts), self.system.attention)[0]

    def cost(self, length):
        """Seconds and bytes of one pass, as if so much had been written: what there is, again and again."""
        again, seconds = torch.arange(length) % self.facts.shape[-1], []
        self.embeddings, self.facts = self.embeddings[:, again], self.facts[..., again]
        self.facts[FIELDS.index("order")] = torch.arange(length)

        def timed():
            begun = time.perf_counter()
            self.again()
            seconds.append(time.perf_counter() - begun)

        made = peak_memory(timed)
        return seconds[0], made


@dataclass
class Course:
    """What was seen of a text while it grew: at each mark the seconds so far, the bytes kept, and those that one pass makes."""

    seconds: dict[int, float] = field(default_factory=dict)
    kept: dict[int, int] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)

    def speed(self, mark):
        """Ids a second, over all of them."""
        return mark / self.seconds[mark]

    def memory(self, mark, weights):
        """Bytes at the mark, those of the weights among them."""
        return weights + self.kept[mark] + self.made[mark]


def bytes_of(cache):
    """Of all tensors that a cache holds."""
    held = getattr(cache, "layers", [])
    tensors = [part for layer in held for part in (layer if isinstance(layer, tuple) else (layer,))]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class Marked:
    """Passes that are looked at when the text has reached a mark. The look is not counted as time."""

    def __init__(self, passes, marks):
        self.passes, self.marks, self.course, self.places, self.lost = passes, set(marks), Course(), 0, 0.0
        self.take, self.give, self.begun = passes.take, passes.give, time.perf_counter()

    def run(self, steps):
        """As the passes do. Behind the prompt each pass has one place."""
        mark = self.places + 1
        if not self.places or mark not in self.marks:
            hidden = self.passes.run(steps)
            self.places += sum(piece.count for step in steps for piece in step.pieces)
            return hidden
        looked, found = time.perf_counter(), []
        self.course.seconds[mark] = looked - self.begun - self.lost
        self.course.made[mark] = peak_memory(lambda: found.extend(self.passes.run(steps)))
        self.course.kept[mark], self.places = bytes_of(getattr(self.passes, "cache", None)), mark
        self.lost += time.perf_counter() - looked
        return found


def endless(name):
    """A system with random weights whose text does not end by itself."""
    torch.manual_seed(0)
    system = build(name).eval()
    law = system.text.law
    system.text.law = Categorical(allowed=law.allowed[law.allowed != system.markers.end])
    return system


@torch.inference_mode()
def course(system, passes, most):
    """One text of `most` places, written by the library's own scheduler."""
    marked = Marked(passes, MARKS)
    request = Request(PROMPT, 0, {Text: Sampling()}, longest=most)
    with evaluating(system):
        for _ in advance(system, [Author(system, request, marked)], marked, 1):
            pass
    return marked.course


@torch.inference_mode()
def by_single_passes(passes, found, most):
    """Longer texts without a cache: passes at each double length and between, added up by Simpson's rule."""
    length, total, (before, _) = WHOLE, found.seconds[WHOLE], passes.cost(WHOLE)
    while length < most:
        (between, _), (now, made) = passes.cost(3 * length // 2), passes.cost(2 * length)
        total, length, before = total + length * (before + 4 * between + now) / 6, 2 * length, now
        if length in MARKS:
            found.seconds[length], found.kept[length], found.made[length] = total, 0, made


def plot(courses, path):
    """Ids a second and memory against the length of the text."""
    matplotlib.rcParams["svg.hashsalt"] = "tessera"  # the same figure is the same file
    figure, (speed, memory) = pyplot.subplots(1, 2, figsize=(10, 4))
    for name, (found, weights) in courses.items():
        marks = sorted(found.seconds)
        speed.plot(marks, [found.speed(mark) for mark in marks], marker="o", label=name)
        memory.plot(marks, [found.memory(mark, weights) / 2**20 for mark in marks], marker="o", label=name)
    speed.set(xscale="log", yscale="log", xlabel="places", ylabel="ids a second, from the first on")
    memory.set(xscale="log", yscale="log", xlabel="places", ylabel="MB, weights among them")
    speed.legend()
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def measured(most):
    """The course of each way of writing, and the bytes of the weights at work."""
    mamba, transformer = endless("omnimamba"), endless("janus")  # Janus' words: a trunk as large, and a head for text alone
    uncached, courses = UncachedPasses(transformer), {}
    for name, system, passes, until in (
        (OURS, mamba, CachedPasses(mamba, 1), most),
        (CACHED, transformer, CachedPasses(transformer, 1), most),
        (UNCACHED, transformer, uncached, min(most, WHOLE)),
    ):
        begun = time.perf_counter()
        found = course(system, passes, until)
        if passes is uncached and most > WHOLE:
            by_single_passes(passes, found, most)
        parts = (system.trunk, system.text.reader, system.text.writer)
        weights = 4 * sum(p.numel() for p in {p for part in parts for p in part.parameters()})
        courses[name] = (found, weights)
        print(f"{name}: {time.perf_counter() - begun:.0f} s", {mark: round(found.speed(mark), 1) for mark in found.seconds}, flush=True)
    return courses


def verdict(courses):
    """What of the claim is seen at the greatest length: how many times as fast, and how much less memory, beside each yardstick."""
    (ours, mine), said = courses[OURS], []
    mark = max(ours.seconds)
    for name in (CACHED, UNCACHED):
        theirs, weights = courses[name]
        less = 1 - ours.memory(mark, mine) / theirs.memory(mark, weights)
        faster = float(f"{ours.speed(mark) / theirs.speed(mark):.2g}")
        said.append(f"{faster:,g} times as fast and {100 * less:.0f} % less memory beside {name}")
    return f"at {mark:,} places " + ", ".join(said)


def main(most):
    begun = time.perf_counter()
    courses = measured(most)
    plot(courses, PAGE.parent / "long.svg")
    rows = []
    for name, (found, weights) in courses.items():
        for mark in sorted(found.seconds):
            kept, all_of_it = found.kept[mark] / 2**20, found.memory(mark, weights) / 2**20
            rows.append((name, f"{mark:,}", f"{found.speed(mark):,.1f}", f"{kept:,.1f}", f"{all_of_it:,.1f}"))
    made = table(["writing with", "places", "ids a second", "kept, MB", "in all, MB"], rows)
    note = [
        "One text, float32, random weights, the end marker never drawn; OmniMamba's trunk and Janus' have 2.2 M parameters a place.",
        "Memory is the weights', what is kept, and the most that a pass makes. ![Speed and memory](long.svg)",
    ]
    if most > WHOLE:
        note += [
            f"Without a cache texts were written up to {WHOLE:,} places: longer ones take too long (4,096 places half an hour),",
            "and are added up from single passes.",
        ]
    elif most < MARKS[-1]:
        note += [f"A short run: `python bench/long.py` goes to {MARKS[-1]:,} places, in minutes."]
    claim = [
        "OmniMamba's paper (arXiv:2503.08686) says 119.2 times as fast and 63 % less memory for long texts, beside JanusFlow and Show-o,",
        f"whose published code keeps nothing where it writes text. Here: {verdict(courses)}.",
    ]
    print(f"{time.perf_counter() - begun:.0f} s in all")
    lines_to_page("long", "Writing long texts: a state, a cache, and neither", [*note, "", made, "", *claim])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MARKS[-1])
