"""Mamba-2: a trunk whose memory is a state of one size, however long the document."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.attention import AttentionRule, causal
from tessera.places import Places
from tessera.precision import precise
from tessera.trunk.base import Hidden, Served
from tessera.trunk.fronts import TaskFront
from tessera.trunk.norms import GroupRMSNorm
from tessera.trunk.scan import quickest
from tessera.trunk.states import State, StateCache, StatePass


class Fading(NamedTuple):
    """Between which bounds heads begin: a place adds a step of itself to its head's state, which fades at a rate times that step.

    These are the paper's, made for thousands of places.
    """

    steps: tuple[float, float] = (0.001, 0.1)
    rates: tuple[float, float] = (1.0, 16.0)


class Mixer(nn.Module):
    """Mamba-2's layer: projections, a short convolution, the scan, a gated norm.

    `expand` times the width are the inner features, in heads of `head`; each head's state is `head` x `state`. `project` makes the
    projection in front from its inputs and outputs; it is called with the places too (a `TaskLoRA`, say), else it is linear.
    Source: Dao and Gu 2024, arXiv:2405.21060, section 7, and its code.
    """

    into: Any  # linear, or a TaskLoRA

    def __init__(
        self,
        width: int,
        *,
        expand: int = 2,
        head: int = 64,
        state: int = 128,
        groups: int = 1,
        reach: int = 4,
        fading: Fading = Fading(),
        project: Callable[[int, int], nn.Module] | None = None,
    ):
        super().__init__()
        inner = expand * width
        if inner % head or (inner // head) % groups:
            raise ValueError(
                f"Mixer: {inner} inner features, heads of {head}, {groups} groups; whole heads, as many in each group, are accepted; "
                "change one of them"
            )
        self.heads, self.head, self.state, self.groups, self.reach = inner // head, head, state, groups, reach
        self.split = [inner, inner + 2 * groups * state, self.heads]
        self.into = (project or Blind)(width, sum(self.split))
        self.conv = nn.Conv1d(self.split[1], self.split[1], reach, groups=self.split[1])
        self.norm, self.out = GroupRMSNorm(inner, groups), nn.Linear(inner, width, bias=False)
        first = torch.empty(self.heads).uniform_(*map(math.log, fading.steps)).exp()
        self.step_bias = nn.Parameter(first + torch.log(-torch.expm1(-first)))  # what softplus makes these of
        self.log_decay = nn.Parameter(torch.empty(self.heads).uniform_(*fading.rates).log())
        self.skip = nn.Parameter(torch.ones(self.heads))

    def forward(self, x: Hidden, places: Places, documents: Int[Tensor, "row place"], state: State) -> tuple[Hidden, State]:
        """Every place's mixture of what came before it in its document, and the state behind the last."""
        gate, mixed, step = self.into(x, places).split(self.split, -1)
        mixed, tail = self._convolved(mixed, documents, state.tail)
        inner, into, out = F.silu(mixed).split([self.split[0], *[self.groups * self.state] * 2], -1)
        inner = precise(inner.unflatten(-1, (self.heads, self.head)))
        step = F.softplus(precise(step) + self.step_bias)
        into, out = (precise(t.unflatten(-1, (self.groups, self.state))) for t in (into, out))
        said, memory = quickest(inner, step, self.log_decay.exp(), into, out, documents, state.memory)
        said = (said + self.skip[:, None] * inner).flatten(2)
        return self.out(self.norm(said * F.silu(precise(gate))).to(x.dtype)), State(tail, memory)

    def _convolved(
        self, x: Float[Tensor, "row place width"], documents: Int[Tensor, "row place"], tail: Float[Tensor, "row past width"]
    ) -> tuple[Tensor, Tensor]:
        """Each place with those before it in its document, and the last ones, which the next pass needs."""
        longer, behind = torch.cat([tail.to(x), x], 1), self.reach - 1
        of = torch.cat([documents.new_zeros(len(documents), behind), documents], 1)
        assert self.conv.bias is not None
        weight = self.conv.weight.to(x)
        flat = longer.mT[:, :, None]  # a picture one pixel high, features last in memory: convolved as it lies
        total = F.conv2d(flat, weight[:, :, None], groups=len(weight))[:, :, 0].mT
        mine = of.unfold(1, self.reach, 1) == documents[..., None]
        row, place = (~mine.all(-1)).nonzero(as_tuple=True)  # few: those within reach of another document
        if len(row):
            near = longer[row[:, None], place[:, None] + torch.arange(self.reach, device=x.device)] * mine[row, place, :, None]
            total = total.index_put((row, place), (near * weight[:, 0].mT).sum(1))
        kept = (of[:, -behind:] == of[:, -1:])[..., None]
        return total + self.conv.bias.to(x), longer[:, -behind:] * kept


class Blind(nn.Linear):
    """A linear layer that is told the places, and does not look at them."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor, places: Places) -> Tensor:  # type: ignore[override]
        return super().forward(x)


class MambaBlock(nn.Module):
    """x + mixer(norm x), with an observation point behind it."""

    def __init__(self, norm: nn.Module, mixer: Mixer):
        super().__init__()
        self.norm, self.mixer, self.after_mixer = norm, mixer, nn.Identity()

    def forward(self, x: Hidden, places: Places, documents: Int[Tensor, "row place"], state: State) -> tuple[Hidden, State]:
        """The stream behind the block, and its state."""
        step, state = self.mixer(self.norm(x).to(x.dtype), places, documents, state)
        return self.after_mixer(x + step), state


class Mamba(nn.Module):
    """A stack of Mamba-2 layers. It serves causal attention and orders that read what they predict (Next); others are refused.

    A state holds all places that passed, so none can be hidden from those behind it. Documents of a row do not see each other. `front`
    is done to places before the first layer (`TaskFront`).
    """

    halved = False
    blocks: Sequence[MambaBlock]

    def __init__(self, blocks: Sequence[MambaBlock], *, norm: nn.Module, front: TaskFront | None = None):
        super().__init__()
        self.front = front
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]  # torch's lists do not know what they hold
        self.norm, self.embedded = norm, nn.Identity()
        for block in blocks:
            mixer = block.mixer
            nn.init.normal_(mixer.out.weight, std=(mixer.out.in_features * 2 * len(blocks)) ** -0.5)

    def serves(self, rule: AttentionRule, ports: Sequence[Served]) -> None:
        """Raises ValueError for what a state cannot do."""
        views = [port.name for port in ports if port.views]
        if rule is not causal or views:
            raise ValueError(
                f"Mamba: attention {rule}, {', '.join(views) or 'no port'} in several views; causal, and ports that are read as they are "
                "written, are accepted: a state cannot forget what it passed; choose another trunk"
            )

    def forward(
        self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: StatePass | None = None
    ) -> Hidden:
        """Hidden states of the places. With `opened`, a pass of the cache, its rows go on from their states."""
        if condition is not None:
            raise ValueError("Mamba: places come with a condition, which it does not take; tell the time in what is read")
        documents = (places.document.diff(dim=1) != 0).long().cumsum(1)
        documents = torch.cat([documents.new_zeros(len(documents), 1), documents], 1)
        opened = opened or self.cache(rows=len(embeddings), capacity=0).open(range(len(embeddings)), places)
        x = self.embedded(embeddings if self.front is None else self.front(embeddings, places))
        for block in self.blocks:
            x, state = block(x, places, documents, opened.state())
            opened.pass_on(state)
        return self.norm(x)

    @property
    def active_parameters(self) -> int:
        """All but adapters of other tasks work on every place."""
        idle = sum(getattr(block.mixer.into, "idle_parameters", 0) for block in self.blocks)
        return sum(parameter.numel() for parameter in self.parameters()) - idle

    def cache(self, *, rows: int, capacity: int) -> StateCache:
        """States of zeros, of this trunk's shape and device; `capacity` changes nothing. Memories are kept in the precision of the scan."""
        mixer = self.blocks[0].mixer
        empty = State(
            mixer.out.weight.new_zeros(rows, mixer.reach - 1, mixer.split[1]),
            precise(mixer.out.weight.new_zeros(rows, mixer.heads, mixer.head, mixer.state)),
        )
        return StateCache(empty, layers=len(self.blocks), rows=rows)
