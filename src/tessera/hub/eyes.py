"""Published eyes: CLIP's and SigLIP's towers, in the layouts in which they are found."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from tessera import vision
from tessera.hub.folder import Settings
from tessera.hub.names import Names, Part, Row, shaped

_BLOCK: Names = {
    "blocks.*.attention.norm": "encoder.layers.*.layer_norm1",
    "blocks.*.attention.inner.qkv": [f"encoder.layers.*.self_attn.{name}_proj" for name in "qkv"],
    "blocks.*.attention.inner.out": "encoder.layers.*.self_attn.out_proj",
    "blocks.*.mlp.norm": "encoder.layers.*.layer_norm2",
    "blocks.*.mlp.inner.up": "encoder.layers.*.mlp.fc1",
    "blocks.*.mlp.inner.down": "encoder.layers.*.mlp.fc2",
}
_EMBEDDED: Names = {
    "embed.weight": shaped("embeddings.patch_embedding.weight"),
    "embed.bias": "embeddings.patch_embedding.bias",
    "positions": "embeddings.position_embedding",
}
SIGLIP: Names = {**_EMBEDDED, **_BLOCK, "after": "post_layernorm"}
CLIP: Names = {**_EMBEDDED, **_BLOCK, "before": "pre_layrnorm", "class_token": "embeddings.class_embedding"}  # (the spelling is theirs)
TIMM: Names = {
    "embed.weight": shaped("patch_embed.proj.weight"),
    "embed.bias": "patch_embed.proj.bias",
    "positions.weight": shaped("pos_embed"),
    "blocks.*.attention.norm": "blocks.*.norm1",
    "blocks.*.attention.inner.qkv": "blocks.*.attn.qkv",
    "blocks.*.attention.inner.out": "blocks.*.attn.proj",
    "blocks.*.mlp.norm": "blocks.*.norm2",
    "blocks.*.mlp.inner.up": "blocks.*.mlp.fc1",
    "blocks.*.mlp.inner.down": "blocks.*.mlp.fc2",
    "after": "norm",
}

DINO: Names = {
    **TIMM,
    "registers": shaped("cls_token", "reg_token"),
    "blocks.*.attention.scale": "blocks.*.ls1.gamma",
    "blocks.*.mlp.scale": "blocks.*.ls2.gamma",
}
"""DINOv2 with registers, in timm's layout."""


def siglip_pool(width: int) -> Names:
    """SigLIP's pooling head as transformers has it."""
    joined = lambda kind, rows: Row((Part(f"attention.in_proj_{kind}", rows),))
    first, others = slice(0, width), slice(width, None)
    return {
        "query": shaped("probe"),
        **{f"q.{kind}": joined(kind, first) for kind in ("weight", "bias")},
        **{f"kv.{kind}": joined(kind, others) for kind in ("weight", "bias")},
        "out": "attention.out_proj",
        "mlp.norm": "layernorm",
        "mlp.inner.up": "mlp.fc1",
        "mlp.inner.down": "mlp.fc2",
    }


USUAL: Mapping[str, Mapping[str, Any]] = {
    "clip_vision_model": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 224,
        "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    },
    "siglip_vision_model": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 224,
        "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
    },
}  # fmt: skip
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "quick_gelu": vision.QuickGELU,
    "gelu": nn.GELU,
    "gelu_pytorch_tanh": lambda: nn.GELU(approximate="tanh"),
}


def settings(said: Mapping[str, Any], where: str) -> Settings:
    """The settings of an eye. Raises ValueError for kinds that are not known here."""
    kind = said.get("model_type", "clip_vision_model")
    if kind not in USUAL:
        raise ValueError(f"hub: {where} speaks of an eye {kind!r}; {', '.join(USUAL)} are accepted; choose a model built on one")
    return Settings(said, USUAL[kind], where)


def layer_of(said: Settings, name: str) -> int:
    """Where an eye is read, as a setting says. Raises ValueError for several places at once."""
    layer = said[name]
    if not isinstance(layer, int):
        raise ValueError(f"hub: {said.where} asks for {name} {layer!r}; one layer, a whole number, is accepted; load it elsewhere")
    return layer


def is_clip(said: Settings) -> bool:
    """Whether it is CLIP's eye, which has a class token."""
    return said.said.get("model_type", "clip_vision_model") == "clip_vision_model"


def eye(said: Settings, *, layer: int = -1) -> tuple[vision.ViT, Names]:
    """An eye and its names. `layer` is where it is read: a place in the list of what goes in and what comes out of every block.

    Of a picture it takes what whole squares cover, as published eyes do: 378 pixels of 384, where a square has 14.
    """
    depth = said["num_hidden_layers"]
    read = layer if layer >= 0 else depth + 1 + layer
    if not 0 <= read <= depth:
        raise ValueError(f"hub: {said.where} has {depth} layers, and layer {layer} shall be read; -{depth + 1} to {depth} are accepted")
    if said["hidden_act"] not in ACTIVATIONS:
        raise ValueError(f"hub: {said.where} asks for hidden_act {said['hidden_act']!r}; {', '.join(ACTIVATIONS)} are accepted")
    sizes = {
        "pixels": said["image_size"] // said["patch_size"] * said["patch_size"],
        "patch": said["patch_size"],
        "width": said["hidden_size"],
        "heads": said["num_attention_heads"],
        "hidden": said["intermediate_size"],
        "activation": ACTIVATIONS[said["hidden_act"]](),
        "eps": said["layer_norm_eps"],
    }
    if is_clip(said):
        return vision.clip(**sizes, depth=read + 1), CLIP
    made = vision.siglip(**sizes, depth=read)
    made.after = nn.Identity()  # the norm behind the last block is in no place of the list
    return made, SIGLIP


def behind(eye: vision.ViT, said: Settings, tower: str) -> list[str]:
    """Patterns of what a tower has behind the block where the eye is read: other blocks, and the norm of the last."""
    return [*(f"{tower}.encoder.layers.{i}.*" for i in range(len(eye.blocks), said["num_hidden_layers"])), f"{tower}.post_layernorm.*"]
