"""Published eyes under our names, in the layouts in which their weights are found."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Layout(NamedTuple):
    """How a family of checkpoints names the parts of an eye; several names make one of ours."""

    embed: str
    positions: str
    block: str
    leaves: Mapping[str, tuple[str, ...]]
    after: str | None = None
    before: str | None = None
    class_token: str | None = None


TIMM = Layout(
    embed="patch_embed.proj",
    positions="pos_embed",
    block="blocks",
    leaves={
        "attention.norm": ("norm1",),
        "attention.inner.qkv": ("attn.qkv",),
        "attention.inner.out": ("attn.proj",),
        "mlp.norm": ("norm2",),
        "mlp.inner.up": ("mlp.fc1",),
        "mlp.inner.down": ("mlp.fc2",),
    },
    after="norm",
)
TRANSFORMERS = Layout(
    embed="embeddings.patch_embedding",
    positions="embeddings.position_embedding.weight",
    block="encoder.layers",
    leaves={
        "attention.norm": ("layer_norm1",),
        "attention.inner.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention.inner.out": ("self_attn.out_proj",),
        "mlp.norm": ("layer_norm2",),
        "mlp.inner.up": ("mlp.fc1",),
        "mlp.inner.down": ("mlp.fc2",),
    },
)
SIGLIP = TRANSFORMERS._replace(after="post_layernorm")
CLIP = TRANSFORMERS._replace(before="pre_layrnorm", class_token="embeddings.class_embedding")


def eye_state(weights: Mapping[str, Tensor], layout: Layout, depth: int) -> dict[str, Tensor]:
    """The first `depth` blocks and what stands around them, named as in our `ViT`.

    A convolution over squares is a linear layer of them; one without a bias has a bias of 0.
    """
    kernel = weights[f"{layout.embed}.weight"].flatten(1)
    state = {
        "embed.weight": kernel,
        "embed.bias": weights.get(f"{layout.embed}.bias", torch.zeros(len(kernel))),
        "positions.weight": weights[layout.positions].flatten(0, -2),
    }
    if layout.class_token is not None:
        state["class_token"] = weights[layout.class_token]
    norms = [(ours, theirs) for ours, theirs in (("before", layout.before), ("after", layout.after)) if theirs]
    for kind in ("weight", "bias"):
        state |= {f"{ours}.{kind}": weights[f"{theirs}.{kind}"] for ours, theirs in norms}
        for i in range(depth):
            for ours, theirs in layout.leaves.items():
                state[f"blocks.{i}.{ours}.{kind}"] = torch.cat([weights[f"{layout.block}.{i}.{name}.{kind}"] for name in theirs])
    return state


def timm_pool(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's pooling head, named as in our `AttentionPool`."""
    leaves = {"q": "q", "kv": "kv", "out": "proj", "mlp.norm": "norm", "mlp.inner.up": "mlp.fc1", "mlp.inner.down": "mlp.fc2"}
    state = {f"{ours}.{kind}": weights[f"{theirs}.{kind}"] for ours, theirs in leaves.items() for kind in ("weight", "bias")}
    return {"query": weights["latent"].flatten(), **state}


def siglip_pool(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SigLIP's pooling head as transformers has it."""
    state = {"query": weights["probe"].flatten()}
    for kind in ("weight", "bias"):
        q, k, v = weights[f"attention.in_proj_{kind}"].chunk(3)
        state |= {f"q.{kind}": q, f"kv.{kind}": torch.cat([k, v]), f"out.{kind}": weights[f"attention.out_proj.{kind}"]}
        leaves = {"mlp.norm": "layernorm", "mlp.inner.up": "mlp.fc1", "mlp.inner.down": "mlp.fc2"}
        state |= {f"{ours}.{kind}": weights[f"{theirs}.{kind}"] for ours, theirs in leaves.items()}
    return state
