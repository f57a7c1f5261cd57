"""Ids moved into their own span of a vocabulary that several modalities share."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tessera.codecs.base import Cleans, Codec, Encoded, PictureCodec, paints
from tessera.draws import Draw


class Shifted(nn.Module):
    """A picture codec of ids whose first id is `first` instead of 0.

    Where a published vocabulary has them in another order, `ids` names the id of every code.
    """

    codec: Codec
    pixels: int

    def __init__(self, codec: Codec, *, first: int = 0, ids: Sequence[int] = ()):
        super().__init__()
        assert isinstance(codec, PictureCodec)
        self.codec, self.first, self.pixels = codec, first, codec.pixels
        self.ids = torch.tensor(ids) if ids else None
        self.back = {id: code for code, id in enumerate(ids)}

    @property
    def paints(self) -> bool:
        """As the codec says."""
        return paints(self.codec)

    def codes(self, ids: Int[Tensor, "*answers"]) -> Int[Tensor, "*answers"]:
        """The codes that stand under these ids."""
        if self.ids is None:
            return ids - self.first
        return torch.tensor([self.back[id] for id in ids.flatten().tolist()], device=ids.device).view(ids.shape)

    def encode(self, raws: Sequence, draws: Sequence[Draw] = ()) -> Encoded:
        """Shifted ids."""
        encoded = self.codec.encode(raws, draws)
        return Encoded([self.shifted(clean) for clean in encoded.clean], encoded.nats)

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> Sequence | Tensor:
        """The raw segments of shifted ids."""
        return self.codec.decode([self.codes(clean) for clean in cleans], draws)

    def keep(self, mask: Tensor) -> Tensor:
        """As the codec says."""
        return self.codec.keep(mask)

    def blank(self, length: int | None = None) -> Tensor:
        """The id of code 0 everywhere."""
        return self.shifted(self.codec.blank(length))

    def shifted(self, codes: Int[Tensor, "*answers"]) -> Int[Tensor, "*answers"]:
        """The ids of these codes."""
        return codes + self.first if self.ids is None else self.ids.to(codes.device)[codes]
