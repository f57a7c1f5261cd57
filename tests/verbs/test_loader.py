import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tessera.data import schedule
from tessera.document import Document, Image, Task, Text
from tessera.drops import Absent
from tessera.stages import Stage
from tessera.verbs.loader import Loader

MIX = {Task.DRAW: 0.5, Task.CAPTION: 0.5}


class Random:
    """Documents made of their task and index alone. Remembers which threads asked."""

    tasks = frozenset(MIX)

    def __init__(self, fails: int = -1):
        self.threads, self.fails = set(), fails

    def document(self, task, index):
        if index == self.fails:
            raise OSError("a row that cannot be read")
        self.threads.add(threading.current_thread())
        picture = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
        drawing = task is Task.DRAW
        segments = (Text(f"number {index}", learn=not drawing), Image(picture, learn=drawing))
        return Document(segments if drawing else segments[::-1], task=task)


class Echo(torch.nn.Module):
    """A learner that arranges documents as they are, with their draws."""

    def arrange(self, documents, draws):
        return [
            (d[0].content if isinstance(d[0], Text) else d[1].content, draw.progress, draw.rng.initial_seed())
            for d, draw in zip(documents, draws, strict=True)
        ]

    def losses_of(self, arranged):
        return {}


def loader(system, *, source=None, first=0, seed=3, number=0, **changes) -> Loader:
    source = source or Random()
    stage = Stage("joint", **{"train": (), "documents": 22, "mix": MIX, "batch": 4, "learner": Echo(), **changes})
    return Loader(system, stage, source, schedule(source, stage.mix, seed), seed=seed, number=number, first=first)


def test_every_document_comes_once_in_order_and_the_last_batch_is_short(tiny):
    found = list(loader(tiny()))
    assert [seen for seen, _ in found] == [4, 8, 12, 16, 20, 22]
    rows = [row for _, batch in found for row in batch]
    assert [text for text, _, _ in rows] == [f"number {k}" for k in range(22)]
    assert [progress for _, progress, _ in rows] == [k / 22 for k in range(22)]
    assert len({seed for _, _, seed in rows}) == 22


@pytest.mark.parametrize("first", [4, 8, 20, 22])
def test_a_loader_that_begins_later_goes_on_alike(first, tiny):
    system = tiny()
    assert list(loader(system, first=first)) == [pair for pair in loader(system) if pair[0] > first]


def test_draws_depend_on_seed_and_stage(tiny):
    system = tiny()
    (_, batch), (_, seed), (_, stage) = (next(iter(loader(system, **changes))) for changes in ({}, {"seed": 4}, {"number": 1}))
    assert not {row[2] for row in batch} & {row[2] for row in seed} and not {row[2] for row in batch} & {row[2] for row in stage}


def test_batches_are_made_in_a_thread_beside_training_and_without_gradients(tiny):
    source, system = Random(), tiny().eval()
    batches = [batch for _, batch in loader(system, source=source, learner=None, documents=8)]
    assert threading.main_thread() not in source.threads and len(source.threads) == 1
    again = loader(system, learner=None, documents=8)
    for i, batch in enumerate(batches):
        for mine, theirs in zip(batch, again.prepare(4 * i), strict=True):
            assert [p.visible.tolist() for p in mine] == [p.visible.tolist() for p in theirs]
            assert not any(p.visible.requires_grad for p in mine)


def test_prompts_are_dropped_for_the_system_and_not_for_a_codec(tiny):
    system = tiny().eval()
    system.drop = Absent(1.0)
    everything = {"documents": 4, "mix": {Task.DRAW: 1.0}}
    ((_, batch),) = loader(system, learner=None, **everything)
    assert [len(pieces) for pieces in batch] == [3] * 4  # begin document, begin image, codes
    ((_, batch),) = loader(system, **everything)
    assert [text for text, _, _ in batch] == [f"number {k}" for k in range(4)]


def test_what_fails_while_reading_fails_in_training(tiny):
    batches = iter(loader(tiny(), source=Random(fails=9)))
    assert [next(batches)[0], next(batches)[0]] == [4, 8]
    with pytest.raises(OSError, match="a row that cannot be read"):
        next(batches)


def test_emphasis_is_the_weight_of_a_tasks_documents(tiny):
    class Weighing(Echo):
        def arrange(self, documents, draws):
            return [(document.task, document.weight) for document in documents]

    made = [pair for _, batch in loader(tiny(), learner=Weighing(), emphasis={Task.CAPTION: 2.5}) for pair in batch]
    assert set(made) == {(Task.DRAW, 1.0), (Task.CAPTION, 2.5)}


def test_threads_switch_quickly_while_batches_are_read_and_as_before_afterwards(tiny):
    before = sys.getswitchinterval()
    batches = iter(loader(tiny()))
    next(batches)
    assert sys.getswitchinterval() < before
    batches.close()
    assert sys.getswitchinterval() == before


def test_threads_begun_after_training_compute_on_as_many_cores_as_before(tiny):
    def cores() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(torch.get_num_threads).result()

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in loader(tiny()):
            pass
        assert torch.get_num_threads() == cores() == 3
    finally:
        torch.set_num_threads(before)
