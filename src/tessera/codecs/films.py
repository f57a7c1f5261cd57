"""Pictures as films that stand still: a VQGAN that looks at a few frames in a row, and whose decoder hears of the codes at every norm."""

from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded
from tessera.codecs.convolutions import ConvEncoder, Grid, Resized, Rewidened, Upsample, levels
from tessera.codecs.patches import kept_patches
from tessera.codecs.quantizers import Features, Quantizer
from tessera.codecs.reconstruction import blank_codes, decode_codes, encode_codes
from tessera.draws import Draw

Film = Float[Tensor, "batch frame 3 height wide"]
Volume = Float[Tensor, "batch channel frame height wide"]
Painted = Float[Tensor, "batch 3 height wide"]
Other = Float[Tensor, "batch feature ..."]  # a grid or a volume of other channels and sizes than the one beside it


class TimeConv(nn.Module):
    """A convolution over frames, rows and columns that sees no later frame: two frames of zeros stand in front, a border around each."""

    def __init__(self, inputs: int, outputs: int, *, kernel: tuple[int, int, int] = (3, 3, 3), stride: int = 1):
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride=(stride, 1, 1))
        self.border = kernel[1] // 2

    def forward(self, x: Volume) -> Other:
        """A frame for each of `stride`."""
        around = self.border
        return self.conv(F.pad(x, (around, around, around, around, 2, 0)))


class TimeBlock(nn.Module):
    """Two convolutions over time, behind batch norms, added to what comes in."""

    def __init__(self, channels: int):
        super().__init__()
        conv, norm = lambda: TimeConv(channels, channels), lambda: nn.BatchNorm3d(channels)
        self.steps = nn.Sequential(norm(), nn.SiLU(), conv(), norm(), nn.SiLU(), conv())

    def forward(self, x: Volume) -> Volume:
        """The same volume."""
        return x + self.steps(x)


class FilmEncoder(nn.Module):
    """Each frame through a `ConvEncoder`, then half as many frames, `halvings` times, then blocks over time."""

    def __init__(self, frames: ConvEncoder, *, halvings: int, blocks: int):
        super().__init__()
        self.frames, features = frames, frames.features
        self.halvings = nn.ModuleList(TimeConv(features, features, kernel=(4, 3, 3), stride=2) for _ in range(halvings))
        self.blocks = nn.Sequential(*(TimeBlock(features) for _ in range(blocks)))

    def forward(self, film: Film) -> Other:
        """Features of each cell."""
        x = self.frames(film.flatten(0, 1)).unflatten(0, film.shape[:2]).transpose(1, 2)
        for halve in self.halvings:
            x = F.silu(halve(x))
        return self.blocks(x)


# ---------------------------------------------------------------- a decoder that hears of the codes


class ToldNorm(nn.Module):
    """Group norm, scaled and shifted by what the codes say of each cell.

    Source: MoVQ (Zheng et al. 2022, arXiv:2209.09002), section 3.2.
    """

    def __init__(self, channels: int, told: int, *, groups: int = 32):
        super().__init__()
        self.norm, self.scale, self.shift = (
            nn.GroupNorm(groups, channels, eps=1e-6),
            nn.Conv2d(told, channels, 1),
            nn.Conv2d(told, channels, 1),
        )

    def forward(self, x: Grid, codes: Other) -> Grid:
        """The same grid; that of the codes is coarser."""
        codes = F.interpolate(codes, x.shape[2:], mode="nearest")
        return self.norm(x) * self.scale(codes) + self.shift(codes)


class ToldBlock(nn.Module):
    """Two 3 x 3 convolutions behind norms that hear of the codes, added to what comes in."""

    def __init__(self, channels: int, out: int, told: int, *, groups: int = 32):
        super().__init__()
        self.norm1, self.norm2 = ToldNorm(channels, told, groups=groups), ToldNorm(out, told, groups=groups)
        self.conv1, self.conv2 = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Grid, codes: Other) -> Rewidened:
        """The same cells."""
        inner = self.conv1(F.silu(self.norm1(x, codes)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(inner, codes)))


class ToldAttention(nn.Module):
    """Attention of one head over all cells, behind a norm that hears of the codes, added to what comes in."""

    def __init__(self, channels: int, told: int, *, groups: int = 32):
        super().__init__()
        self.norm = ToldNorm(channels, told, groups=groups)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Grid, codes: Other) -> Grid:
        """The same grid."""
        q, k, v = self.qkv(self.norm(x, codes)).flatten(2).mT.unsqueeze(1).chunk(3, -1)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).squeeze(1).mT.unflatten(2, x.shape[2:]))


class ToldDecoder(nn.Module):
    """A grid of features and that of its codes to pictures: `ConvDecoder`'s levels, whose norms hear of the codes."""

    def __init__(
        self,
        *,
        features: int,
        told: int,
        channels: int = 256,
        multiples: Sequence[int] = (1, 2, 2, 4),
        blocks: int = 3,
        attended: Collection[int] = (3,),
        groups: int = 32,
    ):
        super().__init__()
        plan = levels(channels, multiples, blocks, attended, groups, "ToldDecoder")
        self.features, self.stride, inside = features, 2 ** (len(multiples) - 1), plan.widths[-1]
        block = lambda into, out: ToldBlock(into, out, told, groups=groups)
        self.stem = nn.Conv2d(features, inside, 3, padding=1)
        self.middle = nn.ModuleList([block(inside, inside), ToldAttention(inside, told, groups=groups), block(inside, inside)])
        self.levels = nn.ModuleList()
        for level in reversed(range(len(multiples))):
            parts, width = nn.ModuleList(), plan.widths[level]
            for i in range(plan.blocks[level]):
                parts.append(block(width if i else inside, width))
                if level in attended:
                    parts.append(ToldAttention(width, told, groups=groups))
            if level:
                parts.append(Upsample(width))
            self.levels.append(parts)
            inside = width
        self.norm, self.out = ToldNorm(inside, told, groups=groups), nn.Conv2d(inside, 3, 3, padding=1)

    def forward(self, x: Other, codes: Other) -> Painted:
        """Pixels, not clipped."""
        x = self.stem(x)
        for part in self.middle:
            x = part(x, codes)
        for level in self.levels:
            assert isinstance(level, nn.ModuleList)
            for part in level:
                x = part(x) if isinstance(part, Upsample) else part(x, codes)
        return self.out(F.silu(self.norm(x, codes)))


class FilmDecoder(nn.Module):
    """Blocks over time and twice as many frames, `doublings` times, of features and of codes alike; then each frame is painted."""

    def __init__(self, painter: ToldDecoder, *, doublings: int, blocks: int):
        super().__init__()
        self.painter, features = painter, painter.features
        self.blocks = nn.Sequential(*(TimeBlock(features) for _ in range(blocks)))
        self.doublings = nn.ModuleList(TimeConv(features, features) for _ in range(doublings))

    def forward(self, features: Resized, codes: Other) -> Film:
        """Frames, not clipped."""
        x = self.blocks(torch.cat([features, codes]))
        for double in self.doublings:
            x = F.silu(double(x.repeat_interleave(2, 2)))
        frames = x.shape[2]
        one, other = x.transpose(1, 2).flatten(0, 1).chunk(2)
        return self.painter(one, other).unflatten(0, (-1, frames))


class FilmVQGAN(nn.Module):
    """Pictures <-> codes on a grid, as films of `frames` like frames, of which the first is painted.

    Films of more frames pass `encode_film` and `paint_film`: `frames` of them are one grid of codes.
    Source: Emu3's tokenizer (Wang et al. 2024, arXiv:2409.18869, section 2.1), after SBER-MoVQGAN.
    """

    quantizer: Quantizer

    def __init__(self, *, encoder: FilmEncoder, decoder: FilmDecoder, quantizer: Quantizer, pixels: int):
        super().__init__()
        stride, halvings, doublings = encoder.frames.stride, len(encoder.halvings), len(decoder.doublings)
        if (stride, halvings) != (decoder.painter.stride, doublings) or pixels % stride:
            raise ValueError(
                f"FilmVQGAN: {pixels} pixels, strides {stride} and {decoder.painter.stride}, {halvings} halvings and {doublings} doublings "
                "of frames; as many of each, and a stride that divides the pixels, are accepted; change one of them"
            )
        self.pixels, self.stride, self.columns, self.frames = pixels, stride, pixels // stride, 2**halvings
        self.elements = self.columns**2
        self.encoder, self.decoder, self.quantizer = encoder, decoder, quantizer
        flat = (3, 1, 1)
        self.to_latents = TimeConv(encoder.frames.features, quantizer.features, kernel=flat)
        self.from_latents = TimeConv(quantizer.features, decoder.painter.features, kernel=flat)

    def encode_film(self, film: Film) -> Other:
        """Features before rounding, a grid for each of `frames` frames."""
        return self.to_latents(self.encoder(film))

    def paint_film(self, rounded: Other) -> Film:
        """Frames from -1 to 1, not clipped, of rounded features."""
        return self.decoder(self.from_latents(rounded), rounded)

    def latents(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Features:
        """The features of pictures from -1 to 1, before rounding."""
        return self.encode_film(pixels.unsqueeze(1).expand(-1, self.frames, -1, -1, -1)).flatten(2).mT

    def paint(self, features: Features) -> Float[Tensor, "batch 3 height wide"]:
        """Pictures from -1 to 1, not clipped."""
        return self.paint_film(features.mT.unflatten(2, (1, self.columns, self.columns)))[:, 0]

    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """Codes of each uint8 picture."""
        return encode_codes(self, raws)

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Tensor:
        """uint8 pictures."""
        return decode_codes(self, cleans)

    def keep(self, mask: Bool[Tensor, "height wide"]) -> Bool[Tensor, "element"]:
        """Codes whose square of pixels lies wholly inside the mask are given."""
        return kept_patches(mask, self.stride)

    def blank(self, length: int | None = None) -> Int[Tensor, "element ..."]:
        """Code 0 everywhere."""
        return blank_codes(self)
