"""Trunks: what joins the modalities."""

from tessera.trunk.base import Trunk
from tessera.trunk.cache import Cache
from tessera.trunk.encoder_decoder import EncoderDecoder
from tessera.trunk.experts import Experts
from tessera.trunk.fronts import Entry, TaskFront
from tessera.trunk.headwise import CosineNorm, HeadwiseLayerNorm
from tessera.trunk.layers import MLP, CrossAttention, SelfAttention, SwiGLU
from tessera.trunk.lora import LoRA, TaskLoRA
from tessera.trunk.mamba import Fading, Mamba, MambaBlock, Mixer
from tessera.trunk.norms import OffsetRMSNorm
from tessera.trunk.rotary import GridRotary, Rotary
from tessera.trunk.transformer import Block, DecoderBlock, OnlySeen, ParallelBlock, PreNorm, ScaledNorm, SwinNorm, Transformer

__all__ = [
    "MLP",
    "Block",
    "Cache",
    "CosineNorm",
    "CrossAttention",
    "DecoderBlock",
    "EncoderDecoder",
    "Entry",
    "Experts",
    "Fading",
    "GridRotary",
    "HeadwiseLayerNorm",
    "LoRA",
    "Mamba",
    "MambaBlock",
    "Mixer",
    "OffsetRMSNorm",
    "OnlySeen",
    "ParallelBlock",
    "PreNorm",
    "Rotary",
    "ScaledNorm",
    "SelfAttention",
    "SwiGLU",
    "SwinNorm",
    "TaskFront",
    "TaskLoRA",
    "Transformer",
    "Trunk",
]
