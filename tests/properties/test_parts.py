"""Codecs go there and back, and every port shows in what describes a system."""

from io import StringIO

import torch
from properties.harness import documents, drawn, kinds, picture
from rich.console import Console

from tessera.codecs import Patches
from tessera.document import Text
from tessera.draws import Draw
from tessera.ports import Port
from tessera.system import System
from tessera.verbs.describe import describe, describe_document

TEXTS = ["a red dot", "two blue squares, left of it", "a", "Ümläut 画 👋", "<image> is no marker"]


def raws(system: System, port: Port) -> list:
    """A few segments that a port may be given."""
    return TEXTS if port.kind is Text else [picture(system, number, port.kind) for number in range(3)]


def lossless(port: Port) -> bool:
    return port.kind is Text or isinstance(port.codec, Patches)


def draws(count: int) -> list[Draw]:
    return [Draw(1, i) for i in range(count)]


def test_codecs_there_and_back(system):
    for port in system.ports:
        given = raws(system, port)
        clean = port.codec.encode(given, draws(len(given))).clean
        back = port.codec.decode(list(clean))
        for raw, again in zip(given, back, strict=True):
            if lossless(port):
                assert again == raw if port.kind is Text else torch.equal(again, raw)
            elif port.writes:
                assert again.shape == raw.shape and again.dtype == torch.uint8


def test_codecs_take_like_segments_together(system):
    for port in system.ports:
        given = raws(system, port)
        together = port.codec.encode(given, draws(len(given))).clean
        for i, raw in enumerate(given):
            torch.testing.assert_close(together[i], port.codec.encode([raw], [draws(len(given))[i]]).clean[0], rtol=1e-12, atol=1e-12)


def test_codecs_keep_and_leave_blank_what_they_encode(system):
    for port in (system.port(kind(learn=True)) for kind in drawn(system)):
        raw = picture(system, 0, port.kind)
        clean, blank = port.codec.encode([raw], draws(1)).clean[0], port.codec.blank(None)
        assert clean.shape == blank.shape and clean.dtype == blank.dtype
        for value in (False, True):
            kept = port.codec.keep(torch.full(raw.shape[1:], value))
            assert kept.shape == (len(clean),) and bool((kept == value).all())


def test_codecs_decode_whatever_laws_may_draw(system):
    for port in (port for port in system.ports if port.writes and hasattr(port.law, "allowed")):
        cleans = [torch.full_like(port.codec.blank(8), int(port.law.allowed[i])) for i in (0, -1)]
        assert len(port.codec.decode(cleans)) == 2


def test_every_port_is_described(system):
    console = Console(width=250, record=True, file=StringIO())
    console.print(describe(system))
    said = console.export_text()
    assert all(part.name in said for part in (*system.ports, *system.extras))
    for document in documents(system):
        console.print(describe_document(system, document))
    shown = console.export_text()
    assert all(port.name in shown for port in system.ports) and kinds(system)
