"""Ids moved into their own span of a vocabulary that several modalities share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Codec, Encoded, PictureCodec
from tessera.draws import Draw


class Shifted(nn.Module):
    """A picture codec of ids whose first id is `first` instead of 0."""

    codec: Codec
    pixels: int

    def __init__(self, codec: Codec, *, first: int):
        super().__init__()
        assert isinstance(codec, PictureCodec)
        self.codec, self.first, self.pixels = codec, first, codec.pixels

    def encode(self, raws: Sequence, draws: Sequence[Draw] = ()) -> Encoded:
        """Shifted ids."""
        encoded = self.codec.encode(raws, draws)
        return Encoded([clean + self.first for clean in encoded.clean], encoded.nats)

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Sequence | Tensor:
        """The raw segments of shifted ids."""
        return self.codec.decode([clean - self.first for clean in cleans], draws)

    def keep(self, mask: Tensor) -> Tensor:
        """As the codec says."""
        return self.codec.keep(mask)

    def blank(self, length: int | None = None) -> Tensor:
        """The first id everywhere."""
        return torch.full_like(self.codec.blank(length), self.first)
