"""Orders that write without a system: what they get, and a law that a test makes up."""

from collections.abc import Callable

import torch
from torch import Tensor

from tessera.draws import generator
from tessera.laws import Drawn
from tessera.orders import Masked, Pick, Seen, Weigh
from tessera.orders.base import Writing

F64 = torch.float64


def writing(
    length: int, *, keep=(), like: Tensor | None = None, seed: int = 0, steps: int | None = None, nats: float | None = None
) -> Writing:
    """What an order gets that shall write so many elements."""
    like = torch.zeros(length, dtype=torch.long) if like is None else like.clone()
    given = torch.zeros(length, dtype=torch.bool)
    given[list(keep)] = True
    return Writing(Seen(torch.zeros(1, 1, 1)), like, given, generator(seed), None, steps, nats)


def written(order: Masked, w: Writing, draw: Callable[[Tensor, Tensor], Drawn], weigh=None) -> tuple[Tensor, list]:
    """Lets an order write; `draw` and `weigh` get what is visible and numbers of elements. Returns it and all Asks."""
    loop, answer, asks = order.write(w), None, []
    while True:
        try:
            request = loop.send(answer)
        except StopIteration as stop:
            return stop.value.clean, asks
        if isinstance(request, Pick | Weigh):
            answer = (draw if isinstance(request, Pick) else weigh)(asks[-1].visible, request.seen.hidden[0, :, 0].long())
        else:
            asks.append(request)
            answer = Seen(torch.arange(len(w.keep), dtype=F64)[None, :, None])


def counting(visible, where: Tensor) -> Drawn:
    """Draws each element's number plus 100, the surer the later it stands."""
    return Drawn(where + 100, ((where + 1) / 100).log())


def conditional(joint: Tensor, i: int, value: Tensor, hidden: Tensor) -> Tensor:
    """The distribution of element i given the elements that are not hidden."""
    axes = [axis for axis in range(joint.ndim) if axis != i]
    index = tuple(slice(None) if hidden[axis] or axis == i else slice(int(value[axis]), int(value[axis]) + 1) for axis in range(joint.ndim))
    p = joint[index].sum(axes)
    return p / p.sum()
