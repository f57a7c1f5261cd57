"""Ports: the ways in and out of a system, one per kind of segment and per role."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

from torch import nn

from tessera.codecs.base import Codec
from tessera.document import Image, Segment
from tessera.laws.base import Law
from tessera.orders.base import Order
from tessera.readers import Reader
from tessera.writers import Writer


class Takes(Enum):
    """Which segments of its kind a port takes. AFTERWARDS: given ones, and written ones again once they are finished.

    DROPPED: those that guidance leaves unread, in place of the port that would read them.
    """

    GIVEN = "given"
    LEARNED = "learned"
    EITHER = "either"
    AFTERWARDS = "afterwards"
    DROPPED = "dropped"


class Port(nn.Module):
    """One way in and out: a kind of segment, its codec, its reader, and, where it writes, a writer, an order and a law.

    Writer, order and law come together or not at all: without `writes` they are None, and nobody asks for them.
    `number` is bound when the port becomes part of a system.
    """

    codec: Codec
    reader: Reader
    writer: Writer
    order: Order
    law: Law

    def __init__(
        self,
        name: str,
        kind: type[Segment],
        *,
        codec: Codec,
        reader: Reader,
        writer: Writer | None = None,
        order: Order | None = None,
        law: Law | None = None,
        takes: Takes = Takes.EITHER,
    ):
        super().__init__()
        together = [part is not None for part in (writer, order, law)]
        if any(together) != all(together):
            raise ValueError(f"port {name}: writer, order, law given: {together}; all three or none are accepted; add what is missing")
        self.name, self.kind, self.takes, self.number = name, kind, takes, -1
        self.codec, self.reader = codec, reader
        self.writer, self.order, self.law = writer, order, law  # type: ignore[assignment]  # see the docstring

    @property
    def writes(self) -> bool:
        """Whether learned segments can leave through this port."""
        return self.law is not None

    @property
    def views(self) -> bool:
        """Whether its segments stand in several views: noisy and clean, or written and read again."""
        return self.takes is Takes.AFTERWARDS or (self.writes and not self.order.shared)

    @property
    def marked(self) -> bool:
        """Whether the system's markers stand around its segments: those of some codecs bring their own, and say so (`marked`)."""
        return issubclass(self.kind, Image) and getattr(self.codec, "marked", True)

    def accepts(self, segment: Segment) -> bool:
        """Whether this is the port that takes the segment first."""
        if type(segment) is not self.kind:
            return False
        wanted = (Takes.LEARNED, Takes.EITHER) if segment.learn else (Takes.GIVEN, Takes.EITHER, Takes.AFTERWARDS)
        return self.takes in wanted

    def reveal(self, clean: Any) -> Any:
        """A given segment as the trunk sees it."""
        return self.order.reveal(clean) if self.writes else clean


def port_of(system_name: str, ports: Sequence[Port], segment: Segment) -> Port:
    """The one port that takes this segment. Raises ValueError, naming what there is, where none or several do."""
    found = [port for port in ports if port.accepts(segment)]
    instead = [port for port in ports if segment.dropped and port.takes is Takes.DROPPED and port.kind is type(segment)]
    found = instead or found
    if len(found) != 1:
        there = ", ".join(f"{port.name}={port.kind.__name__}/{port.takes.value}" for port in ports)
        raise ValueError(
            f"{system_name}: {type(segment).__name__}(learn={segment.learn}) is taken by {len(found)} ports; "
            f"exactly one must take it, and there are {there}; ask for something this system reads and writes"
        )
    return found[0]


def eye_of(ports: Sequence[Port], segment: Segment) -> Port | None:
    """The port through which a written segment is read again, if there is one."""
    return next((port for port in ports if port.takes is Takes.AFTERWARDS and port.kind is type(segment)), None)
