"""Continuous features through the table of their codes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.precision import unrounded
from tessera.readers.base import Read
from tessera.readers.tokens import TokenReader


class SoftReader(nn.Module):
    """Features as `tokens` reads the codes near them: an average of all codes' embeddings, nearer ones counting more.

    Weights are a softmax over minus the squared distances to `codebook`, over `temperature`; towards 0 only the nearest code
    counts, which is to round. The codebook learns too; it begins as `book`, whose row i is the code of id `first` + i. `scale` is what
    features come multiplied with (as of `Unquantized`), and the codebook not.
    Source: Orthus (Kou et al. 2024, arXiv:2412.00127), section 3, with temperature 1.
    """

    elementwise = True
    ids: Tensor

    def __init__(
        self, tokens: TokenReader, book: Float[Tensor, "value feature"], *, first: int = 0, temperature: float = 1.0, scale: float = 1.0
    ):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"SoftReader: temperature {temperature}; more than 0 is accepted; near 0 it rounds")
        self.tokens, self.temperature, self.scale = tokens, temperature, scale
        self.codebook = nn.Embedding.from_pretrained(book.clone(), freeze=False)
        self.register_buffer("ids", first + torch.arange(len(book)), persistent=False)

    def forward(self, visible: Float[Tensor, "batch element feature"], start: Int[Tensor, "batch"]) -> Read:
        """One place per element."""
        return self.tokens.placed(self.weights(visible) @ self.tokens.rows(self.ids), start)

    def weights(self, x: Float[Tensor, "batch element feature"]) -> Float[Tensor, "batch element value"]:
        """How much each code counts. Distances are small differences of large numbers, so never in 16 bits."""
        book = self.codebook.weight
        with unrounded(x):
            nearness = 2 / self.scale * x.to(book.dtype) @ book.T - book.square().sum(-1)  # what is left out is the same for all codes
            return (nearness / self.temperature).softmax(-1)
