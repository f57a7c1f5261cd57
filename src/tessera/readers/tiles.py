"""Tiles: a picture as an eye sees the whole of it and its parts."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tessera.codecs.tiles import Tiled
from tessera.readers.base import Read, grid_coordinates
from tessera.vision import ViT


class TileReader(nn.Module):
    """Pictures in tiles (`Tiles`): what the eye sees of the whole, then the rows of what it sees of all tiles side by side.

    Filling between them is left out, and each row ends with a place of its own, `row_end`, a table of one row. `projector` takes the eye's
    width to the trunk's. Source: LLaVA-NeXT, as there.
    """

    elementwise = False

    def __init__(self, eye: ViT, projector: nn.Module, *, row_end: nn.Embedding):
        super().__init__()
        self.eye, self.projector, self.row_end = eye, projector, row_end

    def forward(self, visible: Tiled, start: Int[Tensor, "batch"]) -> Read:
        """One place per square that shows something, and per row."""
        rows, columns = visible.tiles.shape[1:3]
        squares = torch.cat([visible.whole[:, None], visible.tiles.flatten(1, 2)], 1)
        seen = self.projector(self.eye(squares.flatten(0, 1))).unflatten(0, squares.shape[:2])
        tiles = seen[:, 1:].unflatten(2, (self.eye.columns, -1)).unflatten(1, (rows, columns))
        grid = tiles.transpose(2, 3).flatten(1, 4)  # in reading order of the whole
        shown = visible.shown.flatten(1)[..., None].expand(-1, -1, grid.shape[-1])
        lines = grid.gather(1, shown).unflatten(1, visible.shown.shape[1:])
        ends = self.row_end.weight.to(lines.dtype).expand(*lines.shape[:2], 1, -1)
        embeddings = torch.cat([seen[:, 0], torch.cat([lines, ends], 2).flatten(1, 2)], 1)
        number = torch.arange(embeddings.shape[1], device=embeddings.device)
        return Read(embeddings, number, grid_coordinates(start, len(number), 0))
