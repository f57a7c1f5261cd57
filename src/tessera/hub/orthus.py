"""Names of Orthus' weights: Chameleon's trunk in transformers' layout, a table of codes for what is read softly, a diffusion head."""

from tessera.hub.chameleon import NORMED
from tessera.hub.denoising import HEAD
from tessera.hub.language import LLAMA
from tessera.hub.names import Names, under

TRUNK: Names = {**NORMED, **LLAMA}
SOFT: Names = {"tokens.table": "embed_tokens", "codebook": "codebook_in"}
"""What reads features, beside the trunk under `model`."""

ORTHUS: Names = {
    **under(TRUNK, ours="trunk", theirs="model"),
    **under(SOFT, ours="by_name.image.reader", theirs="model"),
    **under(HEAD, ours="by_name.image.writer", theirs="mlp_head"),
    "by_name.text.writer.out": "lm_head",
}
