"""The oracle: reads a scene back from pixels alone, by drawing what it thinks it sees until nothing is left over.

It knows a level's public palette and shapes, and shares neither random state nor scenes with the generator. A reading is
valid for pictures of the world only. Method: propose coarsely where the residual looks most like a thing; fit that over
all looks, scales, sub-pixel shifts and colours; stop when the best thing would explain too little; choose the blur that
leaves the least residual; fit everything again; refuse what is explained badly.
"""

import torch
from jaxtyping import UInt8
from torch import Tensor

from tessera.world.confidence import SHIPPED, Calibration
from tessera.world.figures import FULL
from tessera.world.matching import Model, best_fit
from tessera.world.reading import Reading, SeenThing
from tessera.world.scene import BACKGROUND, Level
from tessera.world.templates import Bank, make_bank, shrink

# The search grid. Finer is slower; coarser must be certified again.
BLURS = (0.3, 0.9, 1.5)
SCALES = (0.93, 1.0, 1.07)
SHIFTS = (-0.5, -0.25, 0.0, 0.25, 0.5)
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)

# What counts as a thing, a readable thing, and a readable picture: see `Reading`, and `certify` for the proof.
LEAST_SHARE = 0.3
LEAST_QUALITY = 0.85
LEAST_R2 = 0.7
MOST_RMS = 18.0
GAINS = (0.75, 1.33)

BATCH = 64
SMOOTHED = 0.375**2  # what `_smooth` leaves of the variance of white noise


class Oracle:
    """Reads pictures of one level. Costs a few milliseconds a picture; memory grows with BATCH, not with the pictures.

    A thing's margin becomes its confidence by the `calibration`, by default the one measured for the level.
    """

    def __init__(self, level: Level, calibration: Calibration | None = None):
        self.level = level
        self._calibration = calibration or SHIPPED.get(level.name, Calibration())
        self._banks = [make_bank(level, blur, SCALES, SHIFTS) for blur in BLURS]
        self._middle = self._banks[len(BLURS) // 2]
        self._coarse = make_bank(level, BLURS[len(BLURS) // 2], (1.0,), STEPS)
        self._sketch = shrink(make_bank(level, BLURS[len(BLURS) // 2], (1.0,), (0.0,)))
        self._margin = max(bank.reach for bank in (*self._banks, self._coarse))
        self._slots = level.grid**2 + 1

    @torch.inference_mode()
    def read(self, pictures: UInt8[Tensor, "batch 3 height wide"]) -> list[Reading]:
        """What each picture shows. A reading does not depend on the other pictures of the batch."""
        size = self.level.pixels
        if pictures.dtype != torch.uint8 or pictures.shape[1:] != (3, size, size):
            raise ValueError(
                f"oracle: pictures are {pictures.dtype} {list(pictures.shape)}; "
                f"the level {self.level.name!r} has uint8 [n, 3, {size}, {size}]"
            )
        return [reading for part in pictures.split(BATCH) for reading in self._read(part)]

    def _read(self, pictures: Tensor) -> list[Reading]:
        ground = torch.round(_border(pictures.float()).median(2).values)
        gain = ground / torch.tensor(BACKGROUND)
        known = ((gain >= GAINS[0]) & (gain <= GAINS[1])).all(1)
        contrasts = self._palette(gain.clamp(*GAINS)) - ground[:, None]
        model = Model(pictures - ground[:, :, None, None], contrasts, self._middle, self._slots, self._margin)
        self._find(model)
        trials = [self._refitted(model, bank) for bank in self._banks]
        blur = torch.stack([_energy(trial.left()) for trial in trials]).argmin(0)
        readings: dict[int, Reading] = {}
        for index, trial in enumerate(trials):
            at = (blur == index).nonzero()[:, 0]
            if len(at):
                chosen = trial.take(at)
                chosen.refit()
                readings |= zip(at.tolist(), self._judge(chosen, known[at]), strict=True)
        return [readings[picture] for picture in range(len(pictures))]

    def _palette(self, gain: Tensor) -> Tensor:
        """The level's colours in each picture [n, colour, 3], under the gain that the known background underwent."""
        palette = torch.tensor([colour.value for colour in self.level.colours])
        return torch.round((palette * gain[:, None]).clamp(max=255))

    def _find(self, model: Model) -> None:
        """Fill the slots one by one, in every picture at once, until the best thing explains too little."""
        at = torch.arange(len(model.picture))
        for slot in range(self._slots):
            share = model.add(slot, at, *self._propose(model, at), self._coarse)
            at = at[share >= LEAST_SHARE]
            model.keep(slot, at)
            if not len(at):
                return

    def _propose(self, model: Model, at: Tensor) -> tuple[Tensor, Tensor]:
        """Where, on a grid of two pixels, one more thing would take away most: rows and columns of pixel corners."""
        reach, first = self._sketch.reach, int(min(self.level.radius.values())) // 2
        half = torch.round(torch.nn.functional.avg_pool2d(model.left()[at], 2))
        half = torch.nn.functional.pad(half, (reach - first,) * 4)
        windows = half.unfold(2, 2 * reach, 1).unfold(3, 2 * reach, 1)
        count, _, rows, columns = windows.shape[:4]
        windows = windows.permute(0, 2, 3, 1, 4, 5).reshape(count * rows * columns, 3, -1)
        contrasts = model.contrasts[at].repeat_interleave(rows * columns, 0)
        score = best_fit(self._sketch, windows, torch.ones_like(windows[:, 0]), contrasts, alone=True).score
        best = score.view(count, -1).argmax(1)
        return (best // columns + first) * 2, (best % columns + first) * 2

    def _refitted(self, model: Model, bank: Bank) -> Model:
        """A copy of the model, fitted again under another blur, without what then explains too little."""
        trial = model.take(torch.arange(len(model.picture)))
        trial.repaint(bank)
        trial.refit()
        for slot, at in trial.slots():
            trial.remove(slot, at[trial.share[at, slot] < LEAST_SHARE])
        return trial

    def _judge(self, model: Model, known: Tensor) -> list[Reading]:
        """Pictures and things that the model explains too badly, or of no `known` background, are not readable."""
        left, picture = model.left(), model.inner(model.picture)
        noise = (1.4826 * left.abs().flatten(1).median(1).values).clamp(max=MOST_RMS).square()
        rms = (_energy(left) / left[0].numel()).sqrt().tolist()
        error = _energy(_smooth(left)) - SMOOTHED * left[0].numel() * noise
        r2 = (1 - error.clamp(min=0) / _energy(_smooth(picture)).clamp(min=1)).tolist()
        things: list[list[SeenThing]] = [[] for _ in rms]
        for slot, at in model.slots():
            for index, thing in zip(at.tolist(), self._things(model, slot, at, noise[at]), strict=True):
                things[index].append(thing)
        return [
            Reading(ground and share >= LEAST_R2 and rest <= MOST_RMS, tuple(seen), share, rest)
            for ground, seen, share, rest in zip(known.tolist(), things, r2, rms, strict=True)
        ]

    def _things(self, model: Model, slot: int, at: Tensor, noise: Tensor) -> list[SeenThing]:
        bank, colours, template = model.bank, self.level.colours, model.template[at, slot]
        places = zip(
            bank.look[template].tolist(),
            model.colour[at, slot].tolist(),
            (model.column[at, slot] + bank.x[template]).tolist(),
            (model.row[at, slot] + bank.y[template]).tolist(),
            _quality(model, slot, at, noise).tolist(),
            self._calibration(_margin(model, slot, at)),
            strict=True,
        )
        place = self.level.place
        return [
            SeenThing(
                bank.looks[look].kind, colours[colour], bank.looks[look].size, bank.looks[look].digit,
                place(y), place(x), x, y, quality, quality >= LEAST_QUALITY, confidence,
            )
            for look, colour, x, y, quality, confidence in places
        ]  # fmt: skip


def _margin(model: Model, slot: int, at: Tensor) -> list[float]:
    """Of the squared error that the next best look or colour of each thing would leave, the share that this one spares."""
    (left, _), under = model.seen(model.bank, slot, at), _under(model, slot, at)
    margin = model.advantage(slot, at).double()
    return (margin / (margin + _energy(left * under)).clamp(min=1)).tolist()


def _quality(model: Model, slot: int, at: Tensor, noise: Tensor) -> Tensor:
    """The share of the squared contrast under each thing that it explains; error such as the noise brings is forgiven."""
    drawn, (left, _), under = model.drawn(slot, at), model.seen(model.bank, slot, at), _under(model, slot, at)
    error = _energy(left * under) - 3 * noise * under.sum((1, 2, 3))
    return 1 - error.clamp(min=0) / _energy((left + drawn) * under).clamp(min=1)


def _under(model: Model, slot: int, at: Tensor) -> Tensor:
    """Which pixels of its window the slot's thing covers, by a tenth at least: [n, 1, side, side], 0 or 1."""
    return model.seen(model.bank, slot, at)[1] * (model.mask(slot, at) >= FULL / 10)


def _energy(pictures: Tensor) -> Tensor:
    """Sums of squares over all but the first axis. In float64 they are exact, whatever the order."""
    return pictures.double().square().flatten(1).sum(1)


def _smooth(pictures: Tensor) -> Tensor:
    """Pictures under a 3 x 3 binomial filter, which white noise hardly survives and structure does."""
    side = torch.tensor([0.25, 0.5, 0.25])
    kernel = (side[:, None] * side).expand(3, 1, 3, 3)
    return torch.nn.functional.conv2d(torch.nn.functional.pad(pictures, (1, 1, 1, 1), "replicate"), kernel, groups=3)


def _border(pictures: Tensor) -> Tensor:
    """The outermost pixels: [n, 3, pixel]."""
    rim = pictures[..., :: pictures.shape[-2] - 1, :].flatten(2), pictures[..., 1:-1, :: pictures.shape[-1] - 1].flatten(2)
    return torch.cat(rim, 2)
