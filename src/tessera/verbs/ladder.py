"""The ladder: what bounds a system's scores. Its codec alone, the oracle alone, and its losses given the truth."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import exp, log, log10, sqrt
from statistics import fmean
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from tessera.codecs import Codec, Folded, Shifted
from tessera.codecs.base import Cleans
from tessera.codecs.quantizers import Quantizer
from tessera.data import schedule
from tessera.document import Image, Task
from tessera.draws import Draw
from tessera.exams import Likelihood, Report, averages, joined
from tessera.exams.features import features
from tessera.intervals import Z95
from tessera.laws import Categorical
from tessera.orders import Next
from tessera.scoring import Score, bootstrap, rate
from tessera.scoring.codebooks import codebook_use
from tessera.scoring.compare import Share
from tessera.scoring.likelihood import excess_nats
from tessera.scoring.pictures import perceptual_distance, psnr, ssim
from tessera.system import System
from tessera.verbs.likelihood import has_likelihood, picture_nats
from tessera.world import LANGUAGES, Scene, World
from tessera.world.description import described, in_reading_order
from tessera.world.entropy import caption_chances
from tessera.world.heldout import words
from tessera.world.oracle import Oracle
from tessera.world.reading import same_scene
from tessera.world.world import CANONICAL

TOGETHER = 64  # pictures that pass the codec at once
FAR = 10**6  # from the documents of one task to those of the next, where they are numbered as one

Pictures = UInt8[Tensor, "batch 3 height wide"]
Codes = Int[Tensor, "batch element ..."]


@runtime_checkable
class Quantizing(Protocol):
    """A codec whose clean elements are codes of a codebook."""

    quantizer: Quantizer


def ladder(system: System, world: World, pictures: int, split: str, seed: int) -> Report:
    """From so many scenes: what the codec loses, what the oracle reads, and teacher-forced losses.

    `codec.readable` and `oracle.readable` are the shares that the oracle still reads behind the codec, and behind nothing; see
    `fidelity` and `codebook` for the other scores of the codec, `caption_excess` for `excess.caption`, and
    `tessera.exams.Likelihood` for what pictures cost a system that has a likelihood of them.
    """
    scenes = [world.scene(i, split) for i in range(pictures)]
    shown = [world.picture(scene) for scene in scenes]
    painted = through_codec(system, shown) if system.draws else None
    oracle = Oracle(world.level)
    right = {
        name: [same_scene(reading, scene) for reading, scene in zip(oracle.read(torch.stack(seen)), scenes, strict=True)]
        for name, seen in (("codec.readable", painted), ("oracle.readable", shown))
        if seen is not None
    }
    scores = {name: rate(ok) for name, ok in right.items()}
    found = [Report(scores, {"codec.readable": {"ceiling": scores["oracle.readable"].value}} if painted else {}, right)]
    if painted is not None:
        nothing = world.picture(Scene(())).expand(len(shown), -1, -1, -1)
        found += [fidelity(torch.stack(shown), torch.stack(painted), nothing), codebook(system, shown, painted)]
    found += [teacher_forced(system, world, pictures, split, seed), caption_excess(system, world, pictures, split)]
    return joined([*found, picture_likelihood(system, world, pictures, split, seed)])


# ------------------------------------------------------------------ the codec


def through_codec(system: System, pictures: Sequence[Tensor]) -> list[Tensor]:
    """Pictures encoded and decoded again."""
    codec = system.port(Image(learn=True)).codec
    draws = lambda part: [Draw(i) for i in range(len(part))]
    return [picture for part in parts(pictures) for picture in codec.decode(encoded(codec, part), draws(part))]


def encoded(codec: Codec, pictures: Sequence[Tensor]) -> Cleans:
    """The clean elements of pictures that pass at once."""
    return codec.encode(pictures, [Draw(i) for i in range(len(pictures))]).clean


def parts(pictures: Sequence[Tensor]) -> Iterator[Sequence[Tensor]]:
    """As many as pass at once, in turn."""
    return (pictures[i : i + TOGETHER] for i in range(0, len(pictures), TOGETHER))


def fidelity(shown: Pictures, painted: Pictures, nothing: Pictures) -> Report:
    """How close pictures come back: the mean over pictures of each measure, resampled by picture.

    `codec.psnr` is in decibel, and counts a picture without any error as one with a single value off by one (83 dB at 32 pixels);
    `codec.ssim` at most 1; `codec.perceptual` is the distance in the layers of `tessera.exams.features`, 0 to 12.
    The reference `blind` is what pictures of `nothing` get.
    """
    blind = {f"codec.{name}": {"blind": fmean(each)} for name, each in closeness(shown, nothing).items()}
    return averages({f"codec.{name}": each for name, each in closeness(shown, painted).items()}) | Report(references=blind)


def closeness(shown: Pictures, painted: Pictures) -> dict[str, list[float]]:
    """The measures of `fidelity`, picture by picture."""
    exact = 10 * log10(255**2 * shown[0].numel())
    one, other = shown.double(), painted.double()
    found = {
        "psnr": psnr(one, other, data_range=255.0).clamp(max=exact),
        "ssim": ssim(one, other, data_range=255.0),
        "perceptual": perceptual_distance(features().maps(shown), features().maps(painted)),
    }
    return {name: each.tolist() for name, each in found.items()}


def codebook(system: System, shown: Sequence[Tensor], painted: Sequence[Tensor]) -> Report:
    """How codes are used, and whether they last. Nothing for codecs whose clean elements are no codes.

    `codec.use` is the share of the codebook that occurs at all, a count without an interval; `codec.perplexity` how many codes,
    evenly used, would have the same entropy, its interval from the spread between pictures (resampled ones would use fewer
    codes). Both are bounded by `n`, the codes seen, and given for each level, from 0, where elements have several. `codec.stable`
    is the share of codes that stay when a picture is decoded and encoded again.
    """
    codec = system.port(Image(learn=True)).codec
    while isinstance(codec, Shifted | Folded):
        codec = codec.codec  # the codes as they come
    before, after = (torch.stack([code for part in parts(seen) for code in encoded(codec, part)]).cpu() for seen in (shown, painted))
    if before.dtype != torch.long or not isinstance(codec, Quantizing):
        return Report()
    scores = used(before, codec.quantizer.size)
    same = (before == after).flatten(1)
    clusters = torch.arange(len(same)).repeat_interleave(same.shape[1])
    stable = rate(same.flatten().tolist(), clusters=clusters.tolist())
    ratios = {"codec.stable": [(kept, same.shape[1]) for kept in same.sum(1).tolist()]}
    return Report(scores | {"codec.stable": stable}, ratios=ratios)


def used(codes: Codes, size: int) -> dict[str, Score]:
    """The use of the codebook of each level."""
    levels = codes if codes.ndim > 2 else codes[..., None]
    scores = {}
    for i, use in enumerate(codebook_use(levels.flatten(0, 1), size)):
        level, where = levels[..., i], f".{i}" if levels.shape[2] > 1 else ""
        surprise = -(torch.bincount(level.flatten(), minlength=size) / use.tokens).log()[level].mean(1)
        half = Z95 * float(surprise.std(correction=0)) / sqrt(max(len(codes) - 1, 1))
        scores[f"codec.use{where}"] = Score(use.share, (use.share, use.share), use.tokens, "count", len(codes))
        reach = use.perplexity * exp(-half), use.perplexity * exp(half)
        scores[f"codec.perplexity{where}"] = Score(use.perplexity, reach, use.tokens, "delta", len(codes))
    return scores


# ------------------------------------------------------------------ losses


def teacher_forced(system: System, world: World, documents: int, split: str, seed: int) -> Report:
    """Loss per element of each port, given the truth as in training, over unseen documents of the world's mix, with its z-loss.

    Given everything before it, or, where elements are hidden, those that are not. A system that draws nothing gets no documents to draw.
    """
    each: dict[str, list[Share]] = {}
    order = schedule(world, {task: share for task, share in world.mix.items() if system.draws or task is not Task.DRAW}, seed)
    for i in range(documents):
        document = world.document(*order[i], split)
        for port, (total, count) in system.losses([document], [Draw(seed, i)]).items():
            each.setdefault(f"teacher_forced.{port}", [(0.0, 0)] * documents)[i] = (float(total), count)
    each = {name: cases for name, cases in each.items() if any(count for _, count in cases)}
    mean = lambda cases: sum(total for total, _ in cases) / sum(count for _, count in cases)
    scores = {name: bootstrap([case for case in cases if case[1]], mean) for name, cases in each.items()}
    asked = [list(Task).index(task) * FAR + number for task, number in map(order.__getitem__, range(documents))]
    return Report(scores, ratios=each, clusters=dict.fromkeys(each, asked))


def picture_likelihood(system: System, world: World, pictures: int, split: str, seed: int) -> Report:
    """What pictures cost behind their captions and alone; nothing where a system has no likelihood of pixels."""
    if not has_likelihood(system):
        return Report()
    exam = Likelihood(world, pictures, split)
    return exam.report(*(picture_nats(system, documents, seed=seed) for documents in (exam.documents, exam.alone)))


def caption_excess(system: System, world: World, captions: int, split: str) -> Report:
    """What a caption costs, behind its picture, above the least that any model can pay: in nats a caption, 0 at best.

    The cost is the sum over all ids of the caption and its end marker, given the true ones before, without any z-loss. From it
    the exact surprise of this very text is taken, whose mean is `World.entropy().caption`: the difference of the means is the
    same and its interval, over resampled captions, far narrower. Captions are those to learn from, plain and in other words.
    Only where text is written id after id by softmax: other losses are no likelihoods, and there is no score.
    """
    if not (isinstance(system.text.order, Next) and isinstance(system.text.law, Categorical)):
        return Report()
    excess = []
    with without_z_loss(system.text.law):
        for i in range(captions):
            document = world.document(Task.CAPTION, i, split)
            total, _ = system.losses([document], [Draw(i)])[system.text.name]
            excess.append(excess_nats(float(total), caption_nats(world, world.scene(i, split), document.texts[0], split)))
    return averages({"excess.caption": excess}) | Report(references={"excess.caption": {"ceiling": 0.0}})


def caption_nats(world: World, scene: Scene, text: str, split: str) -> float:
    """The exact surprise of a caption to learn from, given its scene."""
    things = [described(thing, world.level) for thing in in_reading_order(scene)]
    told = list(LANGUAGES.values()) if world.language == "both" else [LANGUAGES[world.language]]
    said = [caption_chances(things, words(one, world.held_out, split), world.level.grid, CANONICAL) for one in told]
    return -log(sum(chances.get(text, 0.0) for chances in said) / len(said))


@contextmanager
def without_z_loss(law: Categorical) -> Iterator[None]:
    """The law's loss as nats alone."""
    weight, law.z_loss = law.z_loss, 0.0
    try:
        yield
    finally:
        law.z_loss = weight
