"""Published diffusion heads, which share MAR's layout, under the names of DenoisingWriter; and dice that show what theirs did."""

from torch import Tensor

from tessera.draws import Streams
from tessera.writers import DenoisingWriter

NAMES = {
    "time_embed.mlp.0": "clock.up",
    "time_embed.mlp.2": "clock.out",
    "cond_embed": "told",
    "input_proj": "into",
    "res_blocks": "blocks",
    "in_ln": "norm",
    "mlp.0": "up",
    "mlp.2": "down",
    "final_layer": "last",
    "adaLN_modulation.1": "adapt",
    "linear": "out",
}


def published(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under our names."""

    def ours(name: str) -> str:
        for theirs, of_ours in NAMES.items():
            name = name.replace(theirs, of_ours)
        return name

    return {ours(name): weight for name, weight in weights.items()}


def head(weights: dict[str, Tensor]) -> DenoisingWriter:
    """The head that these weights belong to; all its sizes show in them."""
    found = published(weights)
    (hidden, width), features, depth = found["told.weight"].shape, found["into.weight"].shape[1], 0
    while f"blocks.{depth}.norm.weight" in found:
        depth += 1
    writer = DenoisingWriter(width, features, hidden=hidden, depth=depth, outputs=len(found["last.out.weight"]))
    writer.load_state_dict(found)
    return writer.requires_grad_(False)


class Official(Streams):
    """Stands in for Streams: noise as the official code drew it."""

    def __init__(self, *drawn: Tensor):
        self.queue = list(drawn)

    def normal(self, *shape: int) -> Tensor:
        noise = self.queue.pop(0)
        assert noise.shape[1:] == shape
        return noise
