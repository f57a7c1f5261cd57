"""Analysis by synthesis over many pictures at once: a model of things, what it leaves over, and the best next fit.

Pixels, masks and contrasts are whole numbers, and sums stay below 2 ** 24, so float32 products are exact in any order:
a fit does not depend on what else is in the batch, on threads or on the machine.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.world.figures import FULL
from tessera.world.templates import Bank


@dataclass(eq=False)
class Fit:
    """The best thing for each of some windows, by its score.

    `share` is the drop in squared error over the energy of the thing: 1 when it is there exactly, 0 at half its contrast.
    """

    template: Tensor
    colour: Tensor
    score: Tensor
    share: Tensor


def best_fit(bank: Bank, windows: Tensor, valid: Tensor, contrasts: Tensor, *, alone: bool) -> Fit:
    """Try every template in every colour on windows [n, 3, pixel] of which `valid` [n, pixel] lie in the picture.

    `contrasts` [n, colour, 3] are colours minus background. The best takes away most squared error. With `alone` that is
    weighed with the cube of its part in all the error in the thing's disc, which keeps a thing from being laid across
    two that are still to be found.
    """
    count = windows.shape[0]
    along = (windows.reshape(count * 3, -1) @ bank.masks).view(count, 3, -1) / (FULL / 2)
    energy = (valid @ bank.squares) / FULL**2
    around = (torch.round((windows * windows).sum(1) / FULL) @ bank.discs) * FULL + 1 if alone else None
    scores, templates = [], []
    for contrast in contrasts.unbind(1):
        red, green, blue = (along[:, channel] * contrast[:, channel, None] for channel in range(3))
        drop = red + green + blue - energy * _norm(contrast)[:, None]
        if around is not None:
            part = (drop / around).clamp(0, 1)
            drop = drop * part * part * part
        score, template = drop.max(1)
        scores.append(score)
        templates.append(template)
    score, colour = torch.stack(scores, 1).max(1)
    template = torch.stack(templates, 1).gather(1, colour[:, None])[:, 0]
    contrast = contrasts[torch.arange(count), colour]
    full = energy.gather(1, template[:, None])[:, 0] * _norm(contrast) + 1
    drop = (along.gather(2, template[:, None, None].expand(-1, 3, 1))[:, :, 0] * contrast).sum(1) - full
    return Fit(template, colour, score, drop / full)


def best_drops(bank: Bank, windows: Tensor, valid: Tensor, contrasts: Tensor) -> Tensor:
    """The most squared error that each look takes away in each colour: [n, colour, look]. Windows as in `best_fit`."""
    count = windows.shape[0]
    along = (windows.reshape(count * 3, -1) @ bank.masks).view(count, 3, -1) / (FULL / 2)
    energy = (valid @ bank.squares) / FULL**2
    drops = []
    for contrast in contrasts.unbind(1):
        red, green, blue = (along[:, channel] * contrast[:, channel, None] for channel in range(3))
        drop = red + green + blue - energy * _norm(contrast)[:, None]
        drops.append(drop.view(count, len(bank.looks), -1).amax(2))
    return torch.stack(drops, 1)


def _norm(contrast: Tensor) -> Tensor:
    red, green, blue = contrast.unbind(-1)
    return red * red + green * green + blue * blue


class Model:
    """The things thought to be in each of n pictures, slot by slot, and the residual they leave.

    `picture` is [n, 3, height, width] minus the background, in whole numbers; `contrasts` is [n, colour, 3]. A slot's
    thing is a template of `bank` around the pixel corner (`row`, `column`); only `present` ones are in the residual.
    """

    def __init__(self, picture: Tensor, contrasts: Tensor, bank: Bank, slots: int, margin: int):
        self.contrasts, self.bank, self.margin = contrasts, bank, margin
        self.picture = torch.nn.functional.pad(picture, (margin,) * 4)
        self.residual = self.picture.clone()
        self.valid = torch.nn.functional.pad(torch.ones_like(picture[0, 0]), (margin,) * 4)
        none = torch.zeros(picture.shape[0], slots, dtype=torch.long)
        self.template, self.colour, self.row, self.column = (none.clone() for _ in range(4))
        self.share, self.present = none.float(), none.bool()

    def take(self, pictures: Tensor) -> "Model":
        """A copy that holds some of the pictures."""
        copy = object.__new__(Model)
        copy.__dict__.update(self.__dict__)
        for name in ("contrasts", "picture", "residual", "template", "colour", "row", "column", "share", "present"):
            setattr(copy, name, getattr(self, name)[pictures])
        return copy

    def inner(self, canvas: Tensor) -> Tensor:
        """A canvas without its margin: [n, 3, height, width]."""
        return canvas[..., self.margin : -self.margin, self.margin : -self.margin]

    def left(self) -> Tensor:
        """What the things leave over of the pictures: [n, 3, height, width]."""
        return self.inner(self.residual)

    def add(self, slot: int, at: Tensor, row: Tensor, column: Tensor, coarse: Bank) -> Tensor:
        """Look for one more thing near (row, column) of the pictures `at`: first coarsely, then finely. Its share."""
        self.row[at, slot], self.column[at, slot] = row, column
        self.template[at, slot] = self._best(coarse, slot, at, alone=True).template
        self._recentre(coarse, slot, at)
        self._fit(slot, at, alone=True)
        return self.share[at, slot]

    def keep(self, slot: int, at: Tensor) -> None:
        """Count the slot's thing as present."""
        self.present[at, slot] = True
        self._paint(slot, at, -1.0)

    def remove(self, slot: int, at: Tensor) -> None:
        """Take the slot's thing out again."""
        self.present[at, slot] = False
        self._paint(slot, at, 1.0)

    def repaint(self, bank: Bank) -> None:
        """Show the same things in the templates of another bank."""
        self.bank, self.residual = bank, self.picture.clone()
        for slot, at in self.slots():
            self._paint(slot, at, -1.0)

    def refit(self) -> None:
        """One sweep of coordinate descent: each thing anew, the others as they stand."""
        for slot, at in self.slots():
            self._paint(slot, at, 1.0)
            self._recentre(self.bank, slot, at)
            self._fit(slot, at, alone=False)
            self._paint(slot, at, -1.0)

    def advantage(self, slot: int, at: Tensor) -> Tensor:
        """How much more squared error the slot's thing would leave, were it of the next best look or colour; 0 at least."""
        self._paint(slot, at, 1.0)
        windows, valid = self.seen(self.bank, slot, at)
        self._paint(slot, at, -1.0)
        drops = best_drops(self.bank, windows.flatten(2), valid.flatten(1), self.contrasts[at]).flatten(1)
        own = (self.colour[at, slot] * len(self.bank.looks) + self.bank.look[self.template[at, slot]])[:, None]
        return (drops.gather(1, own)[:, 0] - drops.scatter(1, own, -torch.inf).amax(1)).clamp(min=0)

    def slots(self) -> list[tuple[int, Tensor]]:
        """Slots in use, each with the pictures that use it."""
        used = [(slot, present.nonzero()[:, 0]) for slot, present in enumerate(self.present.unbind(1))]
        return [(slot, at) for slot, at in used if len(at)]

    def mask(self, slot: int, at: Tensor) -> Tensor:
        """The coverage of the slot's thing in its window, 0 to FULL: [n, 1, side, side]."""
        side = 2 * self.bank.reach + 1
        return self.bank.masks[:, self.template[at, slot]].T.reshape(-1, 1, side, side)

    def drawn(self, slot: int, at: Tensor) -> Tensor:
        """What the slot's thing adds to the background, in its window: [n, 3, side, side]."""
        return self.mask(slot, at) * (self.contrasts[at, self.colour[at, slot]] / FULL)[:, :, None, None]

    def seen(self, bank: Bank, slot: int, at: Tensor) -> tuple[Tensor, Tensor]:
        """The residual in the slot's window [n, 3, side, side], rounded, nothing beyond the picture; and what is valid."""
        pictures, channels, rows, columns = self._window(bank, slot, at)
        valid = self.valid[rows, columns]
        return torch.round(self.residual[pictures, channels, rows, columns]) * valid, valid

    def _best(self, bank: Bank, slot: int, at: Tensor, *, alone: bool) -> Fit:
        windows, valid = self.seen(bank, slot, at)
        return best_fit(bank, windows.flatten(2), valid.flatten(1), self.contrasts[at], alone=alone)

    def _fit(self, slot: int, at: Tensor, *, alone: bool) -> None:
        found = self._best(self.bank, slot, at, alone=alone)
        self.template[at, slot], self.colour[at, slot], self.share[at, slot] = found.template, found.colour, found.share

    def _recentre(self, bank: Bank, slot: int, at: Tensor) -> None:
        """Move the window onto the pixel corner nearest to the thing's centre; its template then no longer holds."""
        template, (height, width) = self.template[at, slot], self.left().shape[-2:]
        self.row[at, slot] = (self.row[at, slot] + _whole(bank.y[template])).clamp(0, height)
        self.column[at, slot] = (self.column[at, slot] + _whole(bank.x[template])).clamp(0, width)

    def _paint(self, slot: int, at: Tensor, sign: float) -> None:
        self.residual[self._window(self.bank, slot, at)] += sign * self.drawn(slot, at)

    def _window(self, bank: Bank, slot: int, at: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        steps = torch.arange(-bank.reach, bank.reach + 1) + self.margin
        rows, columns = self.row[at, slot, None] + steps, self.column[at, slot, None] + steps
        return at[:, None, None, None], torch.arange(3)[None, :, None, None], rows[:, None, :, None], columns[:, None, None, :]


def _whole(shift: Tensor) -> Tensor:
    """The nearest whole number, halves down, so that a thing half-way does not wander."""
    return torch.ceil(shift - 0.5).long()
