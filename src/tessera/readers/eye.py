"""The eye: squares of pixels through a vision transformer, and its features through a projector."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tessera.readers.base import Read, grid_coordinates
from tessera.vision import TwoEyes, ViT


class EyeReader(nn.Module):
    """Pictures as an eye sees them: squares of pixels in, one place for each of them out.

    The port's codec is `Patches` of the eye's size, so that gradient reaches the eye where a stage trains it. `projector`
    takes the eye's width to the trunk's. `begin`, a table of one row, puts a place of its own in front (JanusFlow,
    arXiv:2411.07975). A picture is read as a whole.
    """

    elementwise = False

    def __init__(self, eye: ViT | TwoEyes, projector: nn.Module, *, begin: nn.Embedding | None = None):
        super().__init__()
        self.eye, self.projector, self.begin = eye, projector, begin

    def forward(self, visible: Float[Tensor, "batch element feature"], start: Int[Tensor, "batch"]) -> Read:
        """One place per square, behind the one that begins, if there is one."""
        embeddings, elements = self.projector(self.eye(visible)), visible.shape[1]
        coordinates = grid_coordinates(start, elements, self.eye.columns)
        predicts = torch.arange(elements, device=visible.device)
        if self.begin is None:
            return Read(embeddings, predicts, coordinates)
        front = self.begin.weight.to(embeddings.dtype).expand(len(embeddings), 1, -1)
        coordinates = torch.cat([torch.zeros_like(coordinates[:, :1]), coordinates], 1)
        return Read(torch.cat([front, embeddings], 1), predicts + 1, coordinates)
