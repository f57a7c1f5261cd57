from collections import Counter

import pytest

from tessera.data import Mixture, schedule
from tessera.document import Document, Task, Text


class Named:
    """A source whose documents say who gave them."""

    def __init__(self, name, *tasks):
        self.name, self.tasks = name, frozenset(tasks)

    def document(self, task, index):
        return Document((Text(f"{self.name} {task.value} {index}"),), task=task)


WORLD = Named("world", Task.DRAW, Task.CAPTION, Task.EDIT)
OWN = Named("own", Task.DRAW, Task.CAPTION)


def test_a_schedule_keeps_the_shares_of_the_mix():
    drawn = schedule(WORLD, {Task.DRAW: 3.0, Task.CAPTION: 1.0, Task.EDIT: 0.0})
    counts = Counter(drawn[number][0] for number in range(4000))
    assert counts.keys() == {Task.DRAW, Task.CAPTION}
    assert 2900 < counts[Task.DRAW] < 3100
    assert drawn.shares == {Task.DRAW: 0.75, Task.CAPTION: 0.25} and drawn.note == ""


def test_a_schedule_resumes_anywhere_and_asks_every_index_once():
    mix = {Task.CAPTION: 1.0, Task.DRAW: 2.0}
    steps = [schedule(WORLD, mix, seed=5)[number] for number in range(50)]
    assert [index for _, index in steps] == list(range(50))
    again = schedule(WORLD, dict(reversed(mix.items())), seed=5)
    assert [again[number] for number in reversed(range(50))] == steps[::-1]
    assert [schedule(WORLD, mix, seed=6)[number] for number in range(50)] != steps


def test_what_the_source_does_not_offer_is_said_and_leaves_its_weight_to_the_others():
    found = schedule(OWN, {Task.DRAW: 0.4, Task.STORY: 0.3, Task.CAPTION: 0.2, Task.EDIT: 0.1})
    assert found.shares == pytest.approx({Task.DRAW: 2 / 3, Task.CAPTION: 1 / 3})
    assert found.note == "the source does not offer edit, story; the mix is draw 0.667, caption 0.333"


def test_a_mix_without_any_offered_task_is_refused():
    with pytest.raises(ValueError, match="schedule: the mix asks for edit; the source offers draw, caption; name one of these"):
        schedule(OWN, {Task.EDIT: 1.0})
    with pytest.raises(ValueError, match="schedule: the mix asks for no task; "):
        schedule(OWN, {Task.DRAW: 0.0})
    with pytest.raises(ValueError, match="schedule: weights draw -1; a weight is 0 or more"):
        schedule(OWN, {Task.DRAW: -1.0})


def test_a_mixture_asks_its_sources_by_weight():
    mixture = Mixture([WORLD, OWN], [1.0, 3.0])
    assert mixture.tasks == WORLD.tasks
    texts = [mixture.document(Task.DRAW, index)[0].content for index in range(4000)]
    assert all(text.endswith(f" draw {index}") for index, text in enumerate(texts))
    assert 2900 < sum(text.startswith("own") for text in texts) < 3100
    assert texts[:100] == [Mixture([WORLD, OWN], [1.0, 3.0]).document(Task.DRAW, index)[0].content for index in range(100)]


def test_a_mixture_asks_only_who_offers_the_task():
    mixture = Mixture([WORLD, OWN])
    assert {mixture.document(Task.EDIT, index)[0].content.split()[0] for index in range(20)} == {"world"}
    with pytest.raises(ValueError, match="mixture: no source offers story; offered are draw, caption, edit; ask for one of these"):
        mixture.document(Task.STORY, 0)


@pytest.mark.parametrize("sources, weights", [([], None), ([OWN], [1.0, 2.0]), ([OWN, WORLD], [1.0, 0.0])])
def test_each_source_of_a_mixture_needs_a_weight(sources, weights):
    with pytest.raises(ValueError, match=f"mixture: {len(sources)} sources with weights .*; give each source one weight above 0"):
        Mixture(sources, weights)


def test_mixtures_nest():
    assert Mixture([Mixture([OWN])]).document(Task.DRAW, 8)[0].content == "own draw 8"


def test_weights_may_be_of_each_task():
    """One set has 2 rows of captions and 38 to draw, the other 2 of captions: every caption comes as often."""
    mixture = Mixture([WORLD, OWN], [{Task.DRAW: 38, Task.CAPTION: 2, Task.EDIT: 1}, {Task.CAPTION: 2}])
    captions = Counter(mixture.document(Task.CAPTION, index)[0].content.split()[0] for index in range(4000))
    assert 1900 < captions["own"] < 2100
    with pytest.raises(ValueError, match=r"mixture: 2 sources with weights .*; give each source one weight above 0"):
        Mixture([WORLD, OWN], [{Task.DRAW: 0}, 1.0])
