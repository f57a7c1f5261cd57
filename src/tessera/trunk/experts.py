"""Experts by port: towers of one shape, each for the places of its own ports, which meet in one self-attention."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.attention import AttentionRule, Numbered
from tessera.places import Places
from tessera.trunk.base import Hidden, Served
from tessera.trunk.cache import Cache, Pass
from tessera.trunk.layers import Sight, normed
from tessera.trunk.transformer import AnyBlock, Block, OnlySeen, PreNorm, Transformer

Own = Float[Tensor, "..."]  # the places of one tower as one long row, or those of all towers
Step = PreNorm | OnlySeen
Part = TypeVar("Part", bound=nn.Module)


class Routes(NamedTuple):
    """Which places, counted over all rows, go to each tower, and where each place is found behind them all, tower after tower."""

    towers: Sequence[Int[Tensor, "place"]]
    back: Int[Tensor, "place"]
    rows: int

    def split(self, x: Float[Tensor, "row place ..."], parts: int) -> list[Own]:
        """The places of each tower; all of them together, where they have one part in common."""
        if parts == 1:
            return [x]
        flat = x.flatten(0, 1)
        return [flat[None, mine] for mine in self.towers]

    def join(self, parts: Sequence[Own]) -> Float[Tensor, "row place ..."]:
        """The inverse of `split`."""
        return parts[0] if len(parts) == 1 else torch.cat(list(parts), 1)[0, self.back].unflatten(0, (self.rows, -1))


class Beside(NamedTuple):
    """One tower's block in a joint one: what its places show all others, and how they go on with what they saw."""

    shown: Own
    go_on: Callable[[Own], Own]


class Joint(nn.Module):
    """One block of every tower: norms, projections and MLPs are the towers' own, attention is over all places.

    It holds no parameters itself. A step that is the same in all towers is taken once, by all places together. Observation points are as
    in `Block`.
    """

    def __init__(self, blocks: Sequence[AnyBlock], split: Sequence[int]):
        super().__init__()
        steps = [_steps(block) for block in blocks]
        self.attentions = shared([attention for attention, _ in steps])  # a list of torch's would hold them, which the towers do
        self.mlps, self.split = shared([mlp for _, mlp in steps]), list(split)
        self.after_attention, self.after_mlp = nn.Identity(), nn.Identity()

    def forward(self, x: Hidden, sight: Sight, routes: Routes) -> Hidden:
        """The stream behind the block."""
        besides = [beside(*one) for one in _each(self.attentions, x, sight.condition, routes)]
        q, k, v = routes.join([one.shown for one in besides]).transpose(1, 2).split(self.split, 1)
        seen = sight.attend(sight.turn(q), sight.turn(k), v).transpose(1, 2).flatten(-2)
        parts = zip(besides, routes.split(seen, len(besides)), strict=True)
        x = self.after_attention(routes.join([one.go_on(mine) for one, mine in parts]))
        return self.after_mlp(routes.join([alone(*one) for one in _each(self.mlps, x, sight.condition, routes)]))


def shared(parts: Sequence[Part]) -> Sequence[Part]:
    """The parts of all towers; the one part, where it is the same in all of them."""
    return parts[:1] if all(part is parts[0] for part in parts) else parts


def _each(steps: Sequence[Step], x: Hidden, condition: Hidden | None, routes: Routes) -> Iterator[tuple[Step, Own, Own | None]]:
    """Each step with the places that take it, and their conditions."""
    told = [None] * len(steps) if condition is None else routes.split(condition, len(steps))
    return zip(steps, routes.split(x, len(steps)), told, strict=True)


def _steps(block: AnyBlock) -> tuple[Step, Step]:
    """Attention and MLP of a block. Raises ValueError for blocks that are built otherwise."""
    if isinstance(block, OnlySeen):
        return block, block
    if isinstance(block, Block) and isinstance(block.attention, PreNorm) and isinstance(block.mlp, PreNorm):
        return block.attention, block.mlp
    raise ValueError(
        f"Experts: a tower of {type(block).__name__}s; blocks of two PreNorm steps are accepted, and OnlySeen as the last one; build the "
        "towers of these"
    )


def beside(step: Step, x: Own, condition: Own | None) -> Beside:
    """The first half of a block: attention, whose middle is done for all towers together."""
    if isinstance(step, OnlySeen):
        return Beside(step.shown(x, condition), lambda seen: x)
    said, attention = step.said(condition), step.inner
    q, k, v = attention.qkv(step.before(x, said)).unflatten(-1, (-1, attention.size)).split(attention.split, 2)
    shown = torch.cat([normed(attention.q_norm, q), normed(attention.k_norm, k), v], 2)
    return Beside(shown, lambda seen: step.after(x, attention.out(seen), said))


def alone(step: Step, x: Own, condition: Own | None) -> Own:
    """The second half: a step that looks at each place alone."""
    return x if isinstance(step, OnlySeen) else step(x, Sight(condition=condition))


def heard(condition: Hidden, places: Places, port: Numbered) -> Hidden:
    """Conditions as all places of a document hear them: its first place that `port` reads is heard by all that other ports read."""
    mine = places.port == port.number
    speaks = (places.document[:, :, None] == places.document[:, None]) & mine[:, None]
    first = speaks.int().argmax(-1)
    said = condition.gather(1, first[..., None].expand_as(condition))
    return torch.where((speaks.any(-1) & ~mine)[..., None], said, condition)


class Experts(nn.Module):
    """Transformers of one shape side by side: the first takes all places but those of the ports that `route` sends to another.

    It serves every order and every rule, and conditions where its towers' steps take them. Each tower has its norms, its
    projections and its MLPs, and all attend to all. Towers may share parts: an object that stands in both is theirs together.
    A document without routed ports is what the first tower alone makes of it: frozen, it keeps what it learned. With gated steps
    it is an MM-DiT. With `told`, a port, all other places of a document hear the condition of its first place, which needs trunks without
    a cache. Source: MM-DiT (Esser et al. 2024, arXiv:2403.03206, section 4); Mixture-of-Transformers (Liang et al. 2024,
    arXiv:2411.04996); LMFusion (Shi et al. 2024, arXiv:2412.15188); with MLPs alone apart, SynerGen-VL (Li et al. 2024,
    arXiv:2412.09604). Raises ValueError where towers differ in shape or a route leads to none.
    """

    halved = False
    towers: Sequence[Transformer]
    blocks: Sequence[Joint]

    def __init__(self, towers: Sequence[Transformer], route: Mapping[nn.Module, int], *, told: Numbered | None = None):
        super().__init__()
        self.told = () if told is None else (told,)  # a tuple, because the system holds the ports
        shapes = [(len(tower.blocks), tower.attention.split, tower.attention.size) for tower in towers]
        if len(set(map(str, shapes))) != 1 or not all(0 <= to < len(towers) for to in route.values()):
            raise ValueError(
                f"Experts: towers of (blocks, heads, head size) {shapes}, ports sent to {sorted(route.values())}; towers of one shape and "
                "their numbers are accepted; change the one outside"
            )
        self.embedded = nn.Identity()
        self.towers = nn.ModuleList(towers)  # type: ignore[assignment]  # torch's lists do not know what they hold
        self.route = tuple(route.items())  # a tuple, because the system holds the ports
        joints = [Joint(blocks, towers[0].attention.split) for blocks in zip(*(tower.blocks for tower in towers), strict=True)]
        self.adapts = any(isinstance(part, PreNorm) and part.adapt is not None for tower in towers for part in tower.modules())
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
        if condition is not None and not self.adapts:
            raise ValueError("Experts: places come with a condition, which no tower takes; tell the time in what is read (NoisyReader)")
        first, routes = self.towers[0], self.routes(places)
        for port in self.told:
            condition = None if condition is None else heard(condition, places, port)
        sight = first.sight(embeddings, condition, places, rule, opened)
        x = self.embedded(embeddings)
        for joint in self.blocks:
            x = joint(x, sight, routes)
        norms = shared([tower.norm for tower in self.towers])
        return routes.join([norm(mine) for norm, mine in zip(norms, routes.split(x, len(norms)), strict=True)])

    def routes(self, places: Places) -> Routes:
        """Which tower each place goes through."""
        tower = torch.zeros_like(places.port)
        for port, to in self.route:
            tower = tower.masked_fill(places.port == port.number, to)
        each = [(tower.flatten() == number).nonzero()[:, 0] for number in range(len(self.towers))]
        return Routes(each, torch.cat(each).argsort(), len(tower))

    def cache(self, *, rows: int, capacity: int) -> Cache:
        """An empty cache: keys and values of all towers lie side by side."""
        return self.towers[0].cache(rows=rows, capacity=capacity)
