"""VQGANs: pictures as a grid of codes that a convolutional encoder reads and a convolutional decoder paints."""

from collections.abc import Sequence

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Encoded, Losses
from tessera.codecs.convolutions import ConvDecoder, ConvEncoder
from tessera.codecs.patches import kept_patches
from tessera.codecs.quantizers import LFQ, VQ, Features, Quantizer
from tessera.codecs.reconstruction import Noised, Painted, blank_codes, decode_codes, encode_codes, noised, reconstruct, reconstruction
from tessera.document import Document
from tessera.draws import Draw


class VQGAN(nn.Module):
    """Pictures <-> codes on a grid of `pixels / stride` columns, through any quantizer; every code may look at the whole picture.

    Between encoder and quantizer, and between quantizer and decoder, stands a projection of each cell. Codes of a mask (`keep`)
    have seen what lies outside it, too. Its own stage learns as that of `Autoencoder`; `noise` as there. Without a decoder, which
    some published files leave out, pictures are read and not painted.
    Source: Esser et al. 2021, arXiv:2012.09841, section 3.1. Differs: mean squares alone, no perceptual and adversarial losses.
    """

    quantizer: Quantizer
    from_latents: nn.Conv2d | None

    def __init__(self, *, encoder: ConvEncoder, decoder: ConvDecoder | None, quantizer: Quantizer, pixels: int, noise: float = 0.0):
        super().__init__()
        stride = encoder.stride if decoder is None else decoder.stride
        if encoder.stride != stride or pixels % stride:
            raise ValueError(
                f"VQGAN: {pixels} pixels, an encoder of stride {encoder.stride}, a decoder of stride {stride}; one stride that "
                "divides the pixels is accepted; change the number of levels"
            )
        self.pixels, self.stride, self.columns, self.noise = pixels, encoder.stride, pixels // encoder.stride, noise
        self.elements = self.columns**2
        self.encoder, self.decoder, self.quantizer = encoder, decoder, quantizer
        self.to_latents = nn.Conv2d(encoder.features, quantizer.features, 1)
        self.from_latents = nn.Conv2d(quantizer.features, decoder.features, 1) if decoder is not None else None

    @property
    def paints(self) -> bool:
        """Whether it has a decoder."""
        return self.decoder is not None

    def forward(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Painted:
        """What becomes of a batch of pictures from -1 to 1."""
        return reconstruct(self, pixels)

    def latents(self, pixels: Float[Tensor, "batch 3 height wide"]) -> Features:
        """The features of each cell before rounding."""
        return self.to_latents(self.encoder(pixels)).flatten(2).mT

    def paint(self, features: Features) -> Float[Tensor, "batch 3 height wide"]:
        """Pictures from -1 to 1, not clipped. Raises ValueError without a decoder."""
        if self.decoder is None or self.from_latents is None:
            raise ValueError("VQGAN: a picture is to be painted, and there is no decoder; give it one, or ask for text")
        return self.decoder(self.from_latents(features.mT.unflatten(2, (self.columns, self.columns))))

    def arrange(self, documents: Sequence[Document], draws: Sequence[Draw]) -> Noised:
        """All pictures of the documents, whoever gave them, and how the encoder sees them."""
        return noised(self, documents, draws, self.noise)

    def losses_of(self, pictures: Noised) -> Losses:
        """Summed over pictures: squared error per pixel; and over codes: commitment."""
        return reconstruction(self, pictures)

    def encode(self, raws: Sequence[Tensor], draws: Sequence[Draw] = ()) -> Encoded:
        """Codes of each uint8 picture; [element], or [element, level] with a residual quantizer."""
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


def chameleon_vqgan(*, pixels: int = 512) -> VQGAN:
    """Chameleon's tokenizer, which Orthus uses without rounding: 8,192 codes, one for each 16 x 16 pixels.

    Source: facebookresearch/chameleon, after Gafni et al. 2022, arXiv:2203.13131; attention in the middle only.
    """
    encoder, decoder = ConvEncoder(features=256), ConvDecoder(features=256)
    return VQGAN(encoder=encoder, decoder=decoder, quantizer=VQ(size=8192, features=256), pixels=pixels)


def llamagen_vq(*, pixels: int = 384) -> VQGAN:
    """LlamaGen's tokenizer, which Janus and OmniMamba use: 16,384 codes of length 1, one for each 16 x 16 pixels.

    Source: Sun et al. 2024, arXiv:2406.06525; its VQ-16.
    """
    encoder, decoder = ConvEncoder(features=256, attended=(4,)), ConvDecoder(features=256, attended=(4,))
    return VQGAN(encoder=encoder, decoder=decoder, quantizer=VQ(size=16_384, features=8, normalized=True), pixels=pixels)


def magvit_v2(*, pixels: int = 256) -> VQGAN:
    """Show-o's tokenizer: 8,192 codes of 13 signs, one for each 16 x 16 pixels.

    Source: showlab/Show-o, after Yu et al. 2023, arXiv:2310.05737; plain two-dimensional convolutions, unlike there.
    """
    encoder = ConvEncoder(features=13, multiples=(1, 2, 2, 4, 4), blocks=(4, 3, 4, 3, 4))
    decoder = ConvDecoder(features=13, blocks=(4, 4, 3, 4, 3))
    return VQGAN(encoder=encoder, decoder=decoder, quantizer=LFQ(13), pixels=pixels)
