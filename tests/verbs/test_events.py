from dataclasses import FrozenInstanceError, replace
from typing import get_args

import pytest
import torch

from tessera.document import Image
from tessera.verbs.events import Event, PictureFinished, PicturePart, PictureStarted, TextPiece


@pytest.fixture
def codec(tiny):
    return tiny().port(Image(learn=True)).codec


def events(codec) -> list:
    """One event of each sort, of segment 3."""
    clean = codec.blank(None)
    return [
        TextPiece(3, "a red"),
        PictureStarted(3),
        PicturePart(3, 0.25, clean, codec),
        PictureFinished(3, codec.decode([clean])[0]),
    ]


def test_every_event_is_of_a_segment_and_a_row(codec):
    some = events(codec)
    assert {type(event) for event in some} == set(get_args(Event))
    for event in some:
        assert isinstance(event, Event) and (event.segment, event.row) == (3, 0)
        moved = replace(event, row=7)
        assert (moved.segment, moved.row, event.row) == (3, 7, 0)
        assert {**vars(moved), "row": 0} == vars(event), "moving it to another row changes nothing else"


def test_events_are_kept_as_they_were(codec):
    for event in events(codec):
        with pytest.raises(FrozenInstanceError):
            event.segment = 1


def test_events_can_be_collected_although_they_hold_tensors(codec):
    some = events(codec)
    assert len({*some, *some}) == len(some) and some[3] != events(codec)[3]


def test_part_of_a_picture_is_decoded_as_it_stands(codec, pictures):
    (whole,) = codec.encode(list(pictures[:1])).clean
    half = torch.where(torch.arange(len(whole)) < 2, whole, codec.blank(None))
    part = PicturePart(1, 0.5, half, codec)
    assert part.picture().dtype == torch.uint8 and part.picture().shape == (3, 8, 8)
    assert torch.equal(part.picture(), codec.decode([half])[0])
    assert not torch.equal(part.picture(), codec.decode([whole])[0])
    assert torch.equal(PicturePart(1, 1.0, whole, codec).picture(), codec.decode([whole])[0])


def test_a_picture_costs_nothing_before_it_is_asked_for(codec, monkeypatch):
    decoded = []
    decode = codec.decode
    monkeypatch.setattr(codec, "decode", lambda cleans: decoded.append(len(cleans)) or decode(cleans))
    part = PicturePart(0, 0.0, codec.blank(None), codec)
    assert decoded == []
    part.picture()
    assert decoded == [1]
