"""Bias: knobs that make some kinds commoner, some go together and some come mostly in one colour."""

from dataclasses import dataclass
from functools import cache

from tessera.world.dice import Dice
from tessera.world.scene import Colour, Kind, Level


@dataclass(frozen=True)
class Bias:
    """How scenes lean; all at 0 is the world as it is, in which nothing leans.

    `alpha`, 0 to 2: a thing is the k-th kind of the level with probability in proportion to 1 / k ** alpha (Zipf).
    `topic`, 0 to 1: each scene has a community of kinds, and each of its things is of that community with this probability,
    of any kind otherwise. How common a kind is among things does not depend on it: popularity and company are two knobs.
    `affinity`, 0 to 1: every other kind has a favourite colour, which its things have with this probability, and any colour
    otherwise. Digits lean in nothing.
    """

    alpha: float = 0.0
    topic: float = 0.0
    affinity: float = 0.0

    def __post_init__(self):
        for name, most in (("alpha", 2), ("topic", 1), ("affinity", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"world: bias {name} {getattr(self, name):g} was asked for; it goes from 0 to {most}")

    def topics(self, level: Level) -> tuple[tuple[float, tuple[float, ...]], ...]:
        """The topics a scene can have: how likely each is, and how likely each kind of the level then is for a thing."""
        return _topics(level.kinds, self.alpha, self.topic)

    def kinds(self, level: Level, dice: Dice) -> tuple[float, ...]:
        """The topic of one scene: how likely each kind of the level is for its things."""
        topics = self.topics(level)
        return dice.weighted([kinds for _, kinds in topics], [share for share, _ in topics])

    def colours(self, level: Level, kind: Kind) -> tuple[float, ...]:
        """How likely each colour of the level is for a thing of the kind."""
        liked = favourite(level, kind)
        lean = self.affinity if liked else 0.0
        return tuple((1 - lean) / len(level.colours) + lean * (colour is liked) for colour in level.colours)


NEUTRAL = Bias()


def favourite(level: Level, kind: Kind) -> Colour | None:
    """The colour that `Bias.affinity` gives a kind: the first kind has the first, the third the third, and so on."""
    if kind not in level.kinds or level.kinds.index(kind) % 2:
        return None
    return level.colours[level.kinds.index(kind) % len(level.colours)]


def communities(kinds: tuple[Kind, ...]) -> tuple[frozenset[Kind], ...]:
    """Kinds that go together, half as many groups as kinds.

    The common half of the kinds lie on a ring, and two neighbours make a community, so each is in two. Every rare kind is
    in one. So a community holds common and rare kinds, and what goes with a kind is not simply what is common.
    """
    half = max(1, len(kinds) // 2)
    rare = [{kind for k, kind in enumerate(kinds) if k >= half and k % half == t} for t in range(half)]
    return tuple(frozenset({kinds[t], kinds[(t + 1) % half]} | rare[t]) for t in range(half))


@cache
def _topics(kinds: tuple[Kind, ...], alpha: float, topic: float) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """Communities are as likely as their kinds are popular, a kind of two being half in each: so popularity is kept."""
    weights = [(k + 1) ** -alpha for k in range(len(kinds))]
    popular = [weight / sum(weights) for weight in weights]
    if not topic:
        return ((1.0, tuple(popular)),)
    groups = communities(kinds)
    homes = [sum(kind in group for group in groups) for kind in kinds]
    topics = []
    for group in groups:
        inside = [p / n if kind in group else 0.0 for kind, p, n in zip(kinds, popular, homes, strict=True)]
        share = sum(inside)
        topics.append((share, tuple((1 - topic) * p + topic * q / share for p, q in zip(popular, inside, strict=True))))
    return tuple(topics)
