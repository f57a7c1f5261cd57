"""Llama's trunk under our names: what most published systems are built on."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tessera.trunk import Block, PreNorm, Rotary, SelfAttention, SwiGLU, Transformer


def llama(weights: Mapping[str, Tensor], config: Mapping) -> Transformer:
    """Its blocks and last norm (`layers.*`, `norm`), with rotary positions in halves, as ours are."""
    width, heads, eps = config["hidden_size"], config["num_heads"], config["rms_norm_eps"]
    norm = lambda inner: PreNorm(nn.RMSNorm(width, eps), inner)
    attention = lambda: SelfAttention(width, heads, kv_heads=config["num_kv_heads"])
    blocks = [Block(norm(attention()), norm(SwiGLU(width, config["intermediate_size"]))) for _ in range(config["num_layers"])]
    trunk = Transformer(blocks, norm=nn.RMSNorm(width, eps), rotary=Rotary(width // heads, theta=config["rope_theta"]))
    trunk.load_state_dict(llama_state(weights, config["num_layers"]))
    return trunk.eval().requires_grad_(False)


def llama_state(weights: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The published weights, named as in our `Transformer`."""
    state = {"norm.weight": weights["norm.weight"]}
    for i in range(layers):
        theirs, attention, mlp = f"layers.{i}", f"blocks.{i}.attention", f"blocks.{i}.mlp"
        joined = lambda *names, at=theirs: torch.cat([weights[f"{at}.{name}.weight"] for name in names])
        state |= {
            f"{attention}.norm.weight": weights[f"{theirs}.input_layernorm.weight"],
            f"{attention}.inner.qkv.weight": joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            f"{attention}.inner.out.weight": weights[f"{theirs}.self_attn.o_proj.weight"],
            f"{mlp}.norm.weight": weights[f"{theirs}.post_attention_layernorm.weight"],
            f"{mlp}.inner.gate_up.weight": joined("mlp.gate_proj", "mlp.up_proj"),
            f"{mlp}.inner.down.weight": weights[f"{theirs}.mlp.down_proj.weight"],
        }
    return state
