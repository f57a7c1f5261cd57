"""Names of Show-o's weights: Phi's trunk, part of whose features turn, with queries and keys normed."""

import torch
from torch import Tensor

from tessera.hub.names import Names, Part, Row


def halves(heads: int, size: int, portion: float) -> Tensor:
    """Rows of queries or keys in the order of our rotary, which pairs a feature with that half a head on; theirs, half of what turns on."""
    pairs, turning = size // 2, int(size * portion) // 2
    first = torch.cat([torch.arange(turning), torch.arange(2 * turning, pairs + turning)])
    second = torch.cat([torch.arange(turning, 2 * turning), torch.arange(pairs + turning, size)])
    return (torch.arange(heads)[:, None] * size + torch.cat([first, second])).flatten()


def trunk(heads: int, order: Tensor, one: Tensor) -> Names:
    """The names of a trunk; `order` is that of the rows of queries and keys of all heads, `one` of a single one."""
    proj = lambda name, rows=None: Part(f"layers.*.self_attn.{name}_proj", rows)
    return {
        "norm": "final_layernorm",
        "blocks.*.norm": "layers.*.input_layernorm",
        "blocks.*.attention.qkv": Row((proj("q", order), proj("k", order), proj("v"))),
        "blocks.*.attention.q_norm": Row((Part("layers.*.self_attn.q_layernorm", one),)),
        "blocks.*.attention.k_norm": Row((Part("layers.*.self_attn.k_layernorm", one),)),
        "blocks.*.attention.out": "layers.*.self_attn.dense",
        "blocks.*.mlp.up": "layers.*.mlp.fc1",
        "blocks.*.mlp.down": "layers.*.mlp.fc2",
    }


HEAD: Names = {"out": "lm_head"}
