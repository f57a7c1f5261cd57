"""Llama's trunk with published weights, of the sizes that a fixture states in its own words."""

from collections.abc import Mapping

from torch import Tensor

from tessera.hub.filling import filled
from tessera.hub.language import LLAMA, settings, transformer
from tessera.trunk import Transformer

WORDS = {"num_heads": "num_attention_heads", "num_kv_heads": "num_key_value_heads", "num_layers": "num_hidden_layers"}
BESIDE = ("embed_tokens.*", "mm_projector.*")  # what lies under the same prefix


def llama(weights: Mapping[str, Tensor], config: Mapping) -> Transformer:
    """Its blocks and last norm (`layers.*`, `norm`)."""
    said = settings({WORDS.get(name, name): value for name, value in config.items()})
    return filled(transformer(said), LLAMA, weights, unread=BESIDE)
