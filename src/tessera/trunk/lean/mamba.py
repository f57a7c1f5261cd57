"""The lean form of Mamba-2: one place of each row at a time, as the recurrence says it."""

from typing import TypeGuard

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tessera.attention import AttentionRule, among
from tessera.places import Places
from tessera.trunk.base import Hidden, Trunk
from tessera.trunk.lean.common import RMS, Flat, Plain, lean_norm, side_by_side
from tessera.trunk.lora import TaskLoRA, bare
from tessera.trunk.mamba import Blind, Mamba, MambaBlock, Mixer
from tessera.trunk.norms import GroupRMSNorm
from tessera.trunk.states import State, StatePass

AtWork = Float[Tensor, "place feature"]  # what the thin features of each task are multiplied by: 1 where it is at work, else 0


def usual_mamba(trunk: Trunk) -> TypeGuard[Mamba]:
    """Whether its mixers are as the recipes have them: one group, projections without bias, alike, with adapters by task or none."""
    if type(trunk) is not Mamba or not all(map(_usual, trunk.blocks)):
        return False
    first, *others = (block.mixer.into for block in trunk.blocks)
    return all(_tasks(one) == _tasks(first) for one in others)


def _tasks(into: nn.Module) -> tuple[tuple, int]:
    """Those that it has adapters for, and how thin these are."""
    return (into.tasks, into.down[0].out_features) if isinstance(into, TaskLoRA) and into.tasks else ((), 0)


def _usual(block: nn.Module) -> bool:
    if type(block) is not MambaBlock or type(block.mixer) is not Mixer or type(block.mixer.norm) is not GroupRMSNorm:
        return False
    mixer, into = block.mixer, block.mixer.into
    return mixer.groups == 1 and bare(mixer.out) and ((type(into) is TaskLoRA and into.plain) or type(into) is Blind)


class LeanMamba:
    """A Mamba for writing, called as the trunk is: the same numbers, to rounding. It looks at the trunk's weights and copies few.

    The trunk itself passes where that is asked for (`Plain`), and where rows have several places, as prompts have.
    """

    def __init__(self, trunk: Mamba):
        self.trunk, self.plain, self.norm = trunk, Plain(trunk), lean_norm(trunk.norm)
        self.blocks = [_LeanBlock(block) for block in trunk.blocks]
        self.tasks, self.rank = _tasks(trunk.blocks[0].mixer.into)

    def __call__(self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: StatePass) -> Hidden:
        """Hidden states of the places; their rows go on from their states."""
        if embeddings.shape[1] > 1 or self.plain(embeddings, condition):
            return self.trunk(embeddings, condition, places, rule, opened)
        x = (embeddings if self.trunk.front is None else self.trunk.front(embeddings, places))[:, 0]
        at_work = self._at_work(places, x)
        for block in self.blocks:
            x, state = block(x, at_work, opened.state())
            opened.pass_on(state)
        return self.norm(x)[:, None]

    def _at_work(self, places: Places, like: Flat) -> AtWork | None:
        if not self.tasks:
            return None
        return torch.cat([among(places.writes, ports).to(like).expand(-1, self.rank) for ports in self.tasks], 1)


class _LeanBlock:
    """One block of it."""

    def __init__(self, block: MambaBlock):
        mixer, into = block.mixer, block.mixer.into
        self.before, self.norm = lean_norm(block.norm), RMS(mixer.norm.weight, mixer.norm.eps)
        linear = into.linear if isinstance(into, TaskLoRA) else into
        self.into, self.out = side_by_side(linear.weight), side_by_side(mixer.out.weight)
        if isinstance(into, TaskLoRA) and into.tasks:
            self.down = torch.cat([down.weight.detach() for down in into.down]).t()
            self.up = into.scale * torch.cat([up.weight.detach() for up in into.up], 1).t()
        assert mixer.conv.bias is not None
        self.taps, self.bias = mixer.conv.weight.detach()[:, 0].t().contiguous(), mixer.conv.bias.detach()
        self.split, self.parts = mixer.split, (mixer.split[0], mixer.state, mixer.state)
        self.step_bias, self.rate, self.head = mixer.step_bias.detach(), -mixer.log_decay.detach().exp(), mixer.head
        self.skip = mixer.skip.detach()[:, None]

    def __call__(self, x: Flat, at_work: AtWork | None, state: State) -> tuple[Flat, State]:
        """The stream behind the block, and its state."""
        given = self.before(x)
        wide = given @ self.into
        if at_work is not None:
            wide = torch.addmm(wide, (given @ self.down).mul_(at_work), self.up)
        gate, mixed, step = wide.split(self.split, -1)
        recent = torch.cat([state.tail, mixed[:, None]], 1)
        inner, into, out = F.silu((recent * self.taps).sum(1).add_(self.bias)).split(self.parts, -1)
        inner, step = inner.unflatten(-1, (-1, self.head)), F.softplus(step + self.step_bias)
        added = (inner * step[..., None])[..., None] * into[:, None, None]
        memory = torch.addcmul(added, state.memory, (step * self.rate).exp_()[..., None, None])
        said = (memory.flatten(1, 2) @ out[..., None]).view_as(inner)
        said = torch.addcmul(said, self.skip, inner).flatten(1).mul_(F.silu(gate))
        return torch.addmm(x, self.norm(said), self.out), State(recent[:, 1:], memory)
