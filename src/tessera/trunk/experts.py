"""Experts by port: towers of one shape, each for the places of its own ports, which meet in one self-attention."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.attention import AttentionRule
from tessera.places import Places
from tessera.trunk.base import Hidden, Served
from tessera.trunk.cache import Cache, Pass
from tessera.trunk.transformer import Block, ParallelBlock, PreNorm, SelfAttention, Sight, Transformer

Through = Float[Tensor, "row place ..."]
Part = TypeVar("Part", bound=nn.Module)


class Routes(NamedTuple):
    """Which places, counted over all rows, go to each tower, and where each place is found behind them all, tower after tower."""

    towers: Sequence[Int[Tensor, "place"]]
    back: Int[Tensor, "place"]

    def through(self, parts: Sequence[Callable[[Through], Through]], x: Through) -> Through:
        """Every place through the part of its tower, which is given one long row; or all through the one that there is."""
        if len(parts) == 1:
            return parts[0](x)
        flat = x.flatten(0, 1)
        done = torch.cat([part(flat[None, mine]) for part, mine in zip(parts, self.towers, strict=True)], 1)
        return done[0, self.back].unflatten(0, x.shape[:2])


class Joint(nn.Module):
    """One block of every tower: norms, projections and MLPs are the towers' own, attention is over all places.

    It holds no parameters itself. A step that is the same in all towers is taken once, by all places together. Observation points are as
    in `Block`.
    """

    def __init__(self, blocks: Sequence[Block | ParallelBlock]):
        super().__init__()
        steps = [_steps(block) for block in blocks]
        self.attentions = shared([attention for attention, _ in steps])  # a list of torch's would hold them, which the towers do
        self.mlps = shared([mlp for _, mlp in steps])
        self.after_attention, self.after_mlp = nn.Identity(), nn.Identity()

    def forward(self, x: Hidden, sight: Sight, routes: Routes) -> Hidden:
        """The stream behind the block."""
        qkv = routes.through([_asked(attention) for attention in self.attentions], x).transpose(1, 2)
        q, k, v = qkv.split(self.attentions[0].inner.split, 1)
        seen = sight.attend(sight.turn(q), sight.turn(k), v).transpose(1, 2).flatten(-2)
        x = self.after_attention(x + routes.through([attention.inner.out for attention in self.attentions], seen))
        return self.after_mlp(routes.through([_alone(mlp) for mlp in self.mlps], x))


def shared(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts of all towers; the one part, where it is the same in all of them."""
    return parts[:1] if all(part is parts[0] for part in parts) else parts


def _steps(block: Block | ParallelBlock) -> tuple[PreNorm, PreNorm]:
    """Attention and MLP of a block. Raises ValueError for blocks that are built otherwise."""
    if not isinstance(block, Block) or not isinstance(block.attention, PreNorm) or not isinstance(block.mlp, PreNorm):
        raise ValueError(
            f"Experts: a tower of {type(block).__name__}s; blocks of two PreNorm steps are accepted; build the towers of these"
        )
    return block.attention, block.mlp


def _asked(step: PreNorm) -> Callable[[Through], Through]:
    """Queries, keys and values [row, place, head, size] of places of one tower, normed as it wants them."""

    def project(x: Through) -> Through:
        attention: SelfAttention = step.inner
        q, k, v = attention.qkv(step.before(x, None)).unflatten(-1, (-1, attention.size)).split(attention.split, 2)
        return torch.cat([attention.q_norm(q).to(v.dtype), attention.k_norm(k).to(v.dtype), v], 2)

    return project


def _alone(step: PreNorm) -> Callable[[Through], Through]:
    """A step that looks at each place alone."""
    return lambda x: step(x, Sight())


class Experts(nn.Module):
    """Transformers of one shape side by side: the first takes all places but those of the ports that `route` sends to another.

    It serves every order and every rule, but no conditions: noisy elements tell their time in what is read. Each tower has its
    norms, its projections and its MLPs, and all attend to all. Towers may share parts: an object that stands in both is theirs together.
    A document without routed ports is what the first tower alone makes of it: frozen, it keeps what it learned.
    Source: Mixture-of-Transformers (Liang et al. 2024, arXiv:2411.04996); LMFusion (Shi et al. 2024, arXiv:2412.15188); with MLPs alone
    apart, SynerGen-VL (Li et al. 2024, arXiv:2412.09604). Raises ValueError where towers differ in shape or a route leads to none.
    """

    opens = False
    towers: Sequence[Transformer]
    blocks: Sequence[Joint]

    def __init__(self, towers: Sequence[Transformer], route: Mapping[nn.Module, int]):
        super().__init__()
        shapes = [(len(tower.blocks), tower.blocks[0].parts[0].split, tower.blocks[0].parts[0].size) for tower in towers]
        if len(set(map(str, shapes))) != 1 or not all(0 <= to < len(towers) for to in route.values()):
            raise ValueError(
                f"Experts: towers of (blocks, heads, head size) {shapes}, ports sent to {sorted(route.values())}; towers of one shape and "
                "their numbers are accepted; change the one outside"
            )
        self.embedded = nn.Identity()
        self.towers = nn.ModuleList(towers)  # type: ignore[assignment]  # torch's lists do not know what they hold
        self.route = tuple(route.items())  # a tuple, because the system holds the ports
        joints = [Joint(blocks) for blocks in zip(*(tower.blocks for tower in towers), strict=True)]
        self.blocks = nn.ModuleList(joints)  # type: ignore[assignment]

    @property
    def active_parameters(self) -> int:
        """Of one tower, the largest: each place passes one."""
        return max(tower.active_parameters for tower in self.towers)

    def serves(self, rule: AttentionRule, ports: Sequence[Served]) -> None:
        """Everything."""

    def forward(
        self, embeddings: Hidden, condition: Hidden | None, places: Places, rule: AttentionRule, opened: Pass | None = None
    ) -> Hidden:
        """Hidden states of the places. With `opened`, a pass of the cache, they also see what its rows hold."""
        if condition is not None:
            raise ValueError("Experts: places come with a condition, which no tower takes; tell the time in what is read (NoisyReader)")
        first, routes = self.towers[0], self.routes(places)
        sight = first.sight(embeddings, None, places, rule, opened)
        x = self.embedded(embeddings)
        for joint in self.blocks:
            x = joint(x, sight, routes)
        return routes.through(shared([tower.norm for tower in self.towers]), x)

    def routes(self, places: Places) -> Routes:
        """Which tower each place goes through."""
        tower = torch.zeros_like(places.port)
        for port, to in self.route:
            tower = tower.masked_fill(places.port == port.number, to)
        each = [(tower.flatten() == number).nonzero()[:, 0] for number in range(len(self.towers))]
        return Routes(each, torch.cat(each).argsort())

    def cache(self, *, rows: int, capacity: int) -> Cache:
        """An empty cache: keys and values of all towers lie side by side."""
        return self.towers[0].cache(rows=rows, capacity=capacity)
