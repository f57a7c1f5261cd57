"""Does a model say what it sees, or what usually goes with it? Questions for kinds that are there and kinds that are not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import combinations, count

from torch import Tensor

from tessera.world.bias import Bias
from tessera.world.description import Described
from tessera.world.dice import Dice
from tessera.world.heldout import held_kinds, numbers
from tessera.world.questions import Question, QuestionKind
from tessera.world.sampling import belongs, program_hash
from tessera.world.scene import Kind, Scene
from tessera.world.wording.language import Language
from tessera.world.world import STRIDE, World

RARE = 0.25  # share of pairs of kinds that count as seldom together


class Negatives(Enum):
    """Which absent kinds are asked for: any, the most popular, or those that go most with the kind asked for before."""

    RANDOM = "random"
    POPULAR = "popular"
    ADVERSARIAL = "adversarial"


class Scenes(Enum):
    """What scenes are asked about: as those to learn from, without any company, or of kinds seldom seen together.

    LONG_TAIL and DECORRELATED have the world's popularity of kinds, with `topic` and `affinity` at rest; a scene of
    LONG_TAIL has two kinds that are among the RARE pairs of the world by their co-occurrence.
    """

    BIASED = "biased"
    DECORRELATED = "decorrelated"
    LONG_TAIL = "long_tail"


@dataclass(frozen=True, eq=False)
class Probe:
    """A question whether a picture shows a kind. Probes with the same `cluster`, their scene's program hash, are not independent."""

    picture: Tensor
    question: Question
    kind: Kind
    present: bool
    cluster: str


def pope(
    world: World, negatives: Negatives, index: int, split: str = "test", *, scenes: Scenes = Scenes.BIASED, k: int = 3
) -> tuple[Probe, ...]:
    """2 k questions about scene number `index`: for each of its first k kinds, one for it and one for a kind that is absent.

    The scene and the kinds present do not depend on `negatives`; popularity and co-occurrence are those of the
    world's training scenes, exactly; equals are ordered by name. No kind is asked for twice.
    Source: POPE (Li et al., 2023). Differs: statistics are those of training, not of the pictures asked about; a scene's
    things are in the order of drawing; the question is the plainest of the world's own.
    """
    most = min(numbers(world.level, world.held_out, split)[-1], len(world.level.kinds) - world.level.most)
    if not 1 <= k <= most:
        raise ValueError(f"pope: {k} kinds a scene were asked for; split {split!r} of {world.level.name!r} allows 1 to {most}")
    scene = next(scene for scene in _showing(world, index, split, scenes) if len(shown(scene)) >= k)
    language = world.told(world.dice("pope", index, split), split)
    dice = world.dice(f"pope {negatives.value}", index, split)
    used: set[Kind] = set()
    probes = []
    for present in shown(scene)[:k]:
        absent = _absent(world, negatives, present, used | set(shown(scene)), dice)
        used.add(absent)
        probes += [_probe(world, scene, present, language), _probe(world, scene, absent, language)]
    return tuple(probes)


def counterfactual(world: World, index: int, split: str = "test") -> tuple[Probe, Probe]:
    """One question of two pictures: a scene with the only thing of a kind, and the same scene without it; yes, then no.

    Both scenes belong to the split. Answered right only together, as in MMVP (Tong et al., 2024), chance is one in four;
    both share the cluster of the scene with the thing.
    """
    language = world.told(world.dice("counterfactual", index, split), split)
    for before in world.scenes(index, split):
        for thing in before.things:
            after = Scene(tuple(other for other in before.things if other is not thing))
            alone = thing.kind is not Kind.DIGIT and thing.kind not in shown(after)
            if alone and after.things and belongs(after, world.level, split, world.held_out):
                there, gone = (_probe(world, scene, thing.kind, language) for scene in (before, after))
                return there, replace(gone, cluster=there.cluster)
    raise ValueError(f"pope: a scene with and without one thing was asked for; split {split!r} has none; ask in another split")


def blank(world: World, probes: Sequence[Probe]) -> list[Probe]:
    """Control: the same questions, and the answers to them, with nothing in the pictures."""
    nothing = world.picture(Scene(()))
    return [replace(probe, picture=nothing) for probe in probes]


def shuffled(probes: Sequence[Probe]) -> list[Probe]:
    """Control: the same questions and answers, each scene's with the picture of the next scene, the last's with the first's."""
    pictures = {probe.cluster: probe.picture for probe in probes}
    if len(pictures) < 2:
        raise ValueError(f"pope: {len(probes)} questions about {len(pictures)} scene were shuffled; give those of at least two scenes")
    clusters = list(pictures)
    following = dict(zip(clusters, [*clusters[1:], clusters[0]], strict=True))
    return [replace(probe, picture=pictures[following[probe.cluster]]) for probe in probes]


def shown(scene: Scene) -> tuple[Kind, ...]:
    """The kinds that have names, each once, in the order of drawing."""
    return tuple(dict.fromkeys(thing.kind for thing in scene.things if thing.kind is not Kind.DIGIT))


def seldom(world: World) -> frozenset[frozenset[Kind]]:
    """The RARE share of pairs of kinds that are least often together in scenes to learn from; equals by name.

    Pairs that the world holds out are none: its test split has no scene of them, and a split of their own does.
    """
    together, held = world.cooccurrence(), held_kinds(world.level) if world.held_out == "topic" else ()
    pairs = [pair for pair in combinations(sorted(world.level.kinds, key=_name), 2) if frozenset(pair) not in held]
    pairs.sort(key=lambda pair: round(together[pair[0]][pair[1]], 12))
    return frozenset(map(frozenset, pairs[: max(1, round(RARE * len(pairs)))]))


def _showing(world: World, index: int, split: str, scenes: Scenes) -> Iterator[Scene]:
    """Scenes to try in turn."""
    if scenes is Scenes.BIASED:
        source, wanted = world, None
    else:
        source = replace(world, bias=Bias(alpha=world.bias.alpha))
        wanted = seldom(world) if scenes is Scenes.LONG_TAIL else None
    for number in count(index, STRIDE):
        scene = source.scene(number, split)
        if wanted is None or any(frozenset(pair) in wanted for pair in combinations(shown(scene), 2)):
            yield scene


def _absent(world: World, negatives: Negatives, present: Kind, taken: set[Kind], dice: Dice) -> Kind:
    """A kind that is not taken; at random too where none goes with the kind that is present."""
    free = sorted((kind for kind in world.level.kinds if kind not in taken), key=_name)
    if negatives is Negatives.RANDOM:
        return dice.choose(free)
    weights = world.popularity() if negatives is Negatives.POPULAR else world.cooccurrence()[present]
    best = max(free, key=lambda kind: round(weights[kind], 12))
    return best if weights[best] > 0 else dice.choose(free)


def _name(kind: Kind) -> str:
    return kind.value


def _probe(world: World, scene: Scene, kind: Kind, language: Language) -> Probe:
    present = kind in shown(scene)
    what = Described(kind)
    words = language.questions.exist[0].format(a=language.a(what), the=language.bare(what))
    question = Question(words, language.yes if present else language.no, QuestionKind.EXIST)
    return Probe(world.picture(scene), question, kind, present, program_hash(scene, world.level))
