"""Language models of Llama's family as trunks: Llama, Mistral, Qwen2, Qwen3, and what is built on them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tessera.attention import AttentionRule, causal, lately
from tessera.codecs import BPE
from tessera.codecs.text import MarkerIds
from tessera.document import Text
from tessera.hub.folder import Folder, Settings
from tessera.hub.markers import special
from tessera.hub.names import Names, under
from tessera.hub.tensors import Stored
from tessera.hub.turning import rotary
from tessera.laws import Categorical, Sampling
from tessera.orders import Next
from tessera.ports import Port
from tessera.readers import TokenReader
from tessera.trunk import Block, PreNorm, SelfAttention, SwiGLU, SwinNorm, Transformer
from tessera.writers import LinearWriter

LLAMA: Names = {
    "norm": "norm",
    "blocks.*.attention.norm": "layers.*.input_layernorm",
    "blocks.*.attention.inner.qkv": [f"layers.*.self_attn.{name}_proj" for name in "qkv"],
    "blocks.*.attention.inner.out": "layers.*.self_attn.o_proj",
    "blocks.*.attention.inner.q_norm": "layers.*.self_attn.q_norm",
    "blocks.*.attention.inner.k_norm": "layers.*.self_attn.k_norm",
    "blocks.*.mlp.norm": "layers.*.post_attention_layernorm",
    "blocks.*.mlp.inner.gate_up": ["layers.*.mlp.gate_proj", "layers.*.mlp.up_proj"],
    "blocks.*.mlp.inner.down": "layers.*.mlp.down_proj",
}
TURNS = ("*rotary_emb.inv_freq",)  # older files keep what follows from their sizes

_LLAMA = {
    "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": None, "head_dim": None, "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "attention_bias": False, "mlp_bias": False, "rope_theta": 10_000.0, "rope_parameters": None, "rope_scaling": None,
    "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_QWEN = {
    **{**_LLAMA, "vocab_size": 151_936, "intermediate_size": 22_016, "max_position_embeddings": 32_768},
    **{"bos_token_id": None, "eos_token_id": None},
}
USUAL: Mapping[str, Mapping[str, Any]] = {
    "llama": _LLAMA,
    "mistral": {**_LLAMA, "intermediate_size": 14_336, "num_key_value_heads": 8, "max_position_embeddings": 131_072},
    "qwen2": {**_QWEN, "num_key_value_heads": 32},
    "qwen3": {**_QWEN, "num_key_value_heads": 32, "head_dim": 128},
}
"""What a configuration means where it says nothing."""

WINDOW = 4096  # places

QKNorm = tuple[Callable[[int], nn.Module], Callable[[int], nn.Module]] | None
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
}


class Language(NamedTuple):
    """A language model: its trunk, what reads ids and what writes them, and its published names."""

    trunk: Transformer
    words: TokenReader
    head: LinearWriter
    said: Settings

    @property
    def width(self) -> int:
        """Features of a place."""
        return self.said["hidden_size"]

    @property
    def looks(self) -> AttentionRule:
        """How far back a place looks. Mistral's first version has a sliding window, also where it says nothing; Qwen's are refused."""
        back = self.said.said.get("sliding_window", WINDOW) if self.said.said.get("model_type") == "mistral" else None
        return causal if back is None else causal & lately(back)


class Words(NamedTuple):
    """The part of a language model that is about ids: what reads them and what writes them."""

    words: TokenReader
    head: LinearWriter
    said: Settings


def settings(said: Mapping[str, Any], where: str = "config.json") -> Settings:
    """The settings of a language model of the family. Raises ValueError for others."""
    kind = said.get("model_type", "llama")
    if kind not in USUAL:
        raise ValueError(f"hub: {where} speaks of a language model {kind!r}; {', '.join(USUAL)} are accepted; choose a model built on one")
    return Settings(said, USUAL[kind], where)


def language(said: Settings, *, tied: bool, trunk: Transformer | None = None) -> Language:
    """The language model of these settings; `tied`: its table is its head. `trunk` is its own, where that is not the family's."""
    width, vocabulary = said["hidden_size"], said["vocab_size"]
    table = nn.Embedding(vocabulary, width)
    return Language(trunk or transformer(said), TokenReader(table), LinearWriter(width, vocabulary, tied=table if tied else None), said)


def tied(config: Mapping[str, Any], said: Settings, weights: Mapping[str, Stored], head: str, *, usual: bool = False) -> bool:
    """Whether table and head are one: the whole configuration says so, or its language model's; but a head that is there is the head."""
    stated = config.get("tie_word_embeddings", said.said.get("tie_word_embeddings", usual))
    return bool(stated) and f"{head}.weight" not in weights


def transformer(said: Settings, *, qk_norm: QKNorm = None, step: type[PreNorm] | type[SwinNorm] = PreNorm) -> Transformer:
    """The trunk of these settings; `step` says where a block's norms stand."""
    width, heads, eps, kind = said["hidden_size"], said["num_attention_heads"], said["rms_norm_eps"], said.said.get("model_type", "llama")
    said.refuse({"use_sliding_window": False})
    size, bias = said["head_dim"] or width // heads, bool(said["attention_bias"])
    attention = partial(
        SelfAttention,
        width,
        heads,
        kv_heads=said["num_key_value_heads"],
        size=size,
        bias=bias or kind == "qwen2",
        out_bias=bias,
        qk_norm=partial(nn.RMSNorm, eps=eps) if kind == "qwen3" else qk_norm,
    )
    mlp = partial(SwiGLU, width, said["intermediate_size"], activation=activation(said, "hidden_act"), bias=bool(said["mlp_bias"]))
    norm = lambda inner: step(nn.RMSNorm(width, eps), inner)
    blocks = [Block(norm(attention()), norm(mlp())) for _ in range(said["num_hidden_layers"])]
    return Transformer(blocks, norm=nn.RMSNorm(width, eps), rotary=rotary(said, size))


def activation(said: Settings, name: str) -> Callable[[Tensor], Tensor]:
    """The activation that is asked for."""
    if said[name] not in ACTIVATIONS:
        raise ValueError(f"hub: {said.where} asks for {name} {said[name]!r}; {', '.join(ACTIVATIONS)} are accepted; load it elsewhere")
    return ACTIVATIONS[said[name]]


def named(*, model: str, head: str) -> dict[str, Any]:
    """The names of a system's trunk and text port, whose language model stands under `model`."""
    names = under(LLAMA, ours="trunk", theirs=model)
    return {**names, "by_name.text.reader.table": f"{model}.embed_tokens", "by_name.text.writer.out": head}


def text_port(
    folder: Folder, model: Language | Words, markers: MarkerIds, *, beside: Iterable[int] = (), added: Sequence[str] = ()
) -> Port:
    """The port of text. Ids that the vocabulary has `beside` text are codes of pictures, say; special tokens `added` stand behind it."""
    behind, others = special(folder, markers.end), frozenset((*beside, *markers.outside))
    bpe = BPE(folder.file("tokenizer.json"), markers=markers, trusts=True, behind=behind, added=added)
    allowed = torch.tensor([id for id in bpe.writable.tolist() if id < model.said["vocab_size"] and id not in others])
    law = Categorical(allowed=allowed, sampling=Sampling(temperature=0.0))
    return Port("text", Text, codec=bpe, reader=model.words, writer=model.head, order=Next(), law=law)


def under_one_of(weights: Mapping[str, Stored], *prefixes: str) -> str:
    """The first of these prefixes that names something: layouts differ in what stands in front."""
    return next((prefix for prefix in prefixes if any(name.startswith(f"{prefix}.") for name in weights)), prefixes[0])
