"""Published diffusion heads, which share MAR's layout."""

from collections.abc import Mapping

from torch import Tensor

from tessera.hub.names import Names
from tessera.writers import DenoisingWriter

HEAD: Names = {
    "clock.up": "time_embed.mlp.0",
    "clock.out": "time_embed.mlp.2",
    "told": "cond_embed",
    "into": "input_proj",
    "blocks.*.norm": "res_blocks.*.in_ln",
    "blocks.*.up": "res_blocks.*.mlp.0",
    "blocks.*.down": "res_blocks.*.mlp.2",
    "blocks.*.adapt": "res_blocks.*.adaLN_modulation.1",
    "last.adapt": "final_layer.adaLN_modulation.1",
    "last.out": "final_layer.linear",
}


def head_for(weights: Mapping[str, Tensor]) -> DenoisingWriter:
    """A head of the sizes that show in these weights, still with its own."""
    (hidden, width), features = weights["cond_embed.weight"].shape, weights["input_proj.weight"].shape[1]
    depth = len({name.split(".")[1] for name in weights if name.startswith("res_blocks.")})
    return DenoisingWriter(width, features, hidden=hidden, depth=depth, outputs=len(weights["final_layer.linear.weight"]))
