"""Documents that the model goes on with by its own decision."""

import pytest
import torch
from torch import nn

from tessera.document import Document, Image, Text
from tessera.laws import Sampling
from tessera.verbs.generate import generate, write
from tessera.verbs.writing import Request

START = Document((Text("a red dot"), Image(learn=True)))
SAMPLING = {Image: Sampling(guidance=3.0), Text: Sampling(temperature=1.0)}


class Leaning(nn.Module):
    """A writer whose logit of one id is raised above all others, or lowered."""

    def __init__(self, inner, id, by):
        super().__init__()
        self.inner, self.id, self.by = inner, id, by

    def forward(self, hidden, aside, *told):
        return self.inner(hidden, aside) + self.by * torch.nn.functional.one_hot(torch.tensor(self.id), self.inner.out.out_features)


def ids(markers, marker):
    return (markers.end,) if marker == "end" else getattr(markers, marker)


@pytest.fixture
def leaning(tiny):
    """A system whose text port leans towards a marker, or away from it."""

    def make(marker, by):
        system = tiny().eval()
        system.text.writer = Leaning(system.text.writer, ids(system.markers, marker)[0], by)
        return system

    return make


def kinds(written):
    return [type(segment) for segment in written.document]


@pytest.mark.parametrize(
    ("more", "expected"), [(0, []), (1, [Text]), (2, [Text, Image]), (3, [Text, Image, Text]), (4, [Text, Image, Text, Image])]
)
def test_a_model_that_calls_for_pictures_gets_them_up_to_the_bound(leaning, more, expected):
    (one,) = write(leaning("begin_image", 99.0), [Request(START, 1, SAMPLING, longest=5, more=more)])
    assert kinds(one) == [Text, Image, *expected]
    assert all(segment.content is not None for segment in one.document) and len(one.clean) == len(one.document)


def test_one_that_does_not_stops_behind_its_words(leaning):
    (one,) = write(leaning("begin_image", -99.0), [Request(START, 1, SAMPLING, longest=5, more=5)])
    assert kinds(one) == [Text, Image, Text] and one.texts[0]


def test_an_empty_text_says_nothing_more(leaning):
    (one,) = write(leaning("end", 99.0), [Request(START, 1, SAMPLING, longest=5, more=5)])
    assert kinds(one) == [Text, Image, Text] and one.texts == [""]


def test_going_on_writes_what_asking_for_it_would_have(leaning):
    system = leaning("begin_image", 99.0)
    own = [Request(START, seed, SAMPLING, longest=5, more=3) for seed in range(3)]
    asked = Document((*START, Text(learn=True), Image(learn=True), Text(learn=True)))
    for one, other in zip(write(system, own), write(system, [Request(asked, seed, SAMPLING, longest=5) for seed in range(3)]), strict=True):
        assert one.texts == other.texts
        assert all(torch.equal(a, b) for a, b in zip(one.clean, other.clean, strict=True))


def test_generate_goes_on_too(leaning):
    one = generate(leaning("begin_image", 99.0), "a red dot", want=Image, more=2, longest=5)
    assert kinds(one) == [Text, Image, Text, Image]


def test_fewer_than_none_is_refused():
    with pytest.raises(ValueError, match="more -1; at least 1 id and 0 segments are accepted"):
        Request(START, more=-1)
