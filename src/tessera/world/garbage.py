"""Pictures that show no scene of the world, however near to one some look: what a trustworthy oracle must refuse.

GARBAGE must come out unreadable. DISFIGURED things come near to others (half a diamond to a digit, a melted circle to a circle), so
that no line is sharp between what they were, what they are like and what is unreadable: what is read of those, the oracle must not be
sure of.

Each takes uint8 [n, 3, height, width], pictures of scenes, and a generator, and returns the like.
"""

from functools import partial

import numpy as np
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Generator, Tensor
from torch.nn import functional

from tessera.world.corruptions import Corruption, blur, elastic, gaussian, to_bytes
from tessera.world.scene import BACKGROUND, Colour

MANY = 24  # scenes of which the mean is taken
LEAVES = 80
STROKES = 6
FAINT = 30.0  # from there on a pixel belongs to a thing or to its soft rim
FAR = 70  # of 255, from the background: beyond every shade of it that the oracle takes for the background


def white_noise(pictures: Tensor, rng: Generator) -> Tensor:
    """Any byte anywhere."""
    return torch.randint(0, 256, pictures.shape, generator=rng).to(torch.uint8)


def smooth_noise(pictures: Tensor, rng: Generator) -> Tensor:
    """Coloured clouds some pixels wide, of the contrast of a scene."""
    clouds = gaussian(torch.randn(pictures.shape, generator=rng), 2.0)
    return to_bytes(128 + 60 * clouds / clouds.std((1, 2, 3), keepdim=True))


def noisy_ground(pictures: Tensor, rng: Generator) -> Tensor:
    """The background alone under white noise, too strong to forgive."""
    return blur(_ground().expand(pictures.shape), rng, width=0.3, noise=30.0)


def flat(pictures: Tensor, rng: Generator) -> Tensor:
    """One random colour all over, whose red is far from the background's, of which no light makes it a shade."""
    colours = torch.randint(0, 256, (len(pictures), 3, 1, 1), generator=rng)
    colours[:, 0] = (BACKGROUND[0] + FAR + torch.randint(0, 256 - 2 * FAR, (len(pictures), 1, 1), generator=rng)) % 256
    return colours.expand(pictures.shape).to(torch.uint8)


def gradient(pictures: Tensor, rng: Generator) -> Tensor:
    """From one random colour to another, in a random direction."""
    first, last = 255 * torch.rand(2, len(pictures), 3, 1, 1, generator=rng)
    angle = 2 * torch.pi * torch.rand(len(pictures), 1, 1, generator=rng)
    down, across = (torch.linspace(-0.5, 0.5, side) for side in pictures.shape[2:])
    along = angle.cos() * across + angle.sin() * down[:, None]
    return to_bytes(torch.lerp(first, last, (along / (angle.cos().abs() + angle.sin().abs()) + 0.5)[:, None]))


def dead_leaves(pictures: Tensor, rng: Generator) -> Tensor:
    """Discs of every size in any colour, each over those before: statistics like a photograph's.

    Source: Lee, Mumford and Huang 2001, Occlusion models for natural images, Int. J. Comput. Vis. 41: sizes r ** -3.
    """
    count, _, height, width = pictures.shape
    seen = 255 * torch.rand(count, 3, 1, 1, generator=rng).expand(pictures.shape)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    for _ in range(LEAVES):
        radius = 2 / (1 - 0.98 * torch.rand(count, 1, 1, generator=rng)).sqrt()
        y, x = (side * torch.rand(count, 1, 1, generator=rng) for side in (height, width))
        leaf = ((rows + 0.5 - y).square() + (columns + 0.5 - x).square() <= radius * radius)[:, None]
        seen = torch.where(leaf, 255 * torch.rand(count, 3, 1, 1, generator=rng), seen)
    return blur(seen, rng, width=0.6, noise=4.0)


def scribbles(pictures: Tensor, rng: Generator) -> Tensor:
    """Lines of a hand that writes nothing, in the colours of things on their background."""
    return torch.stack([_scribbled(picture.shape[1:], rng) for picture in pictures])


def shuffle(pictures: Tensor, rng: Generator, *, rows: int, columns: int) -> Tensor:
    """Its `rows` x `columns` equal rectangles in random order. They must be too small for a thing, or some come out whole."""
    count, _, height, width = pictures.shape
    cut = pictures.view(count, 3, rows, height // rows, columns, width // columns).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    order = torch.rand(count, rows * columns, generator=rng).argsort(1)
    mixed = cut[torch.arange(count)[:, None], order].unflatten(1, (rows, columns))
    return mixed.permute(0, 3, 1, 4, 2, 5).reshape(pictures.shape)


def mean_scene(pictures: Tensor, rng: Generator) -> Tensor:
    """The mean of MANY of the pictures, drawn at random: what a model draws that knows the world but not the prompt."""
    drawn = torch.randint(0, len(pictures), (len(pictures), MANY), generator=rng)
    return torch.stack([to_bytes(pictures[some].float().mean(0)) for some in drawn])


def cut_in_two(pictures: Tensor, rng: Generator) -> Tensor:
    """Of every thing its left half, by how much it stands out; of things that touch, the left half of what they make together."""
    away, left = (pictures - _ground()).abs().sum(1).float(), pictures.clone()
    for picture, stands_out in zip(left, away, strict=True):
        numbers, count = ndimage.label((stands_out > FAINT).numpy(), structure=np.ones((3, 3)))
        for number in range(1, count + 1):
            thing = torch.from_numpy(numbers == number)
            seen = (stands_out * thing).sum(0).cumsum(0)
            picture[:, thing & (seen > seen[-1] / 2)] = _ground()[:, 0].to(torch.uint8)
    return left


def other_hues(pictures: Tensor, rng: Generator) -> Tensor:
    """Red and blue on the other side of the background, which takes every colour of a thing far from all of them."""
    turn = torch.tensor([-1.0, 1.0, -1.0])[:, None, None]
    return to_bytes(turn * (pictures - _ground()) + _ground())


def outlines(pictures: Tensor, rng: Generator) -> Tensor:
    """Around things, where background was, a rim about a pixel wide in their colour; background where they stood."""
    count, _, height, width = pictures.shape
    away = (pictures - _ground()).float().square().sum(1, keepdim=True)
    rim = (away <= FAINT**2) & (functional.max_pool2d(away, 3, stride=1, padding=1) > FAINT**2)
    both = functional.pad(torch.cat((away, pictures.float()), 1), (2, 2, 2, 2), "replicate")
    distance, *colour = functional.unfold(both, 5).view(count, 4, 25, height, width).unbind(1)
    plainest = distance.argmax(1, keepdim=True)
    return torch.where(rim, torch.cat([part.gather(1, plainest) for part in colour], 1), _ground()).to(torch.uint8)


def inverted(pictures: Tensor, rng: Generator) -> Tensor:
    """Every byte taken from 255."""
    return 255 - pictures


GARBAGE: dict[str, Corruption] = {
    "white noise": white_noise,
    "smooth noise": smooth_noise,
    "shuffled parts": partial(shuffle, rows=8, columns=4),
    "one flat colour": flat,
    "background with noise": noisy_ground,
    "mean of many scenes": mean_scene,
    "other hues": other_hues,
    "outlines only": outlines,
    "shuffled finely": partial(shuffle, rows=8, columns=8),
    "scribbles": scribbles,
    "gradients": gradient,
    "dead leaves": dead_leaves,
    "inverted": inverted,
}
DISFIGURED: dict[str, Corruption] = {
    "elastic 3 px": partial(elastic, pixels=3.0),
    "things cut in two": cut_in_two,
    "shuffled coarsely": partial(shuffle, rows=4, columns=4),
}


def _ground() -> Tensor:
    return torch.tensor(BACKGROUND)[:, None, None]


def _scribbled(size: torch.Size, rng: Generator) -> Tensor:
    """A few strokes on the background, each a walk of small steps with a slowly turning direction."""
    height, width = size
    paper = Image.new("RGB", (width, height), BACKGROUND)
    pen, colours = ImageDraw.Draw(paper), list(Colour)
    for _ in range(STROKES):
        start = torch.rand(2, generator=rng) * torch.tensor([width, height])
        angles = (0.9 * torch.randn(10, generator=rng)).cumsum(0) + 2 * torch.pi * torch.rand(1, generator=rng)
        path = start[:, None] + 2.5 * torch.stack((angles.cos(), angles.sin())).cumsum(1)
        colour = colours[int(torch.randint(len(colours), (1,), generator=rng))]
        pen.line([(x, y) for x, y in path.T.tolist()], colour.value, width=1)
    return torch.from_numpy(np.array(paper)).permute(2, 0, 1)
