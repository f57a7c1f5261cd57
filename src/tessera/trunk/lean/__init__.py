"""Lean forms of trunks: the same hidden states from fewer operations, for the few places of a pass that writes.

A small trunk on a CPU spends such a pass calling operations, not computing. The plain modules stay the oracle.
"""

from collections.abc import Callable

from tessera.trunk.base import Hidden, Trunk
from tessera.trunk.lean.mamba import LeanMamba, usual_mamba
from tessera.trunk.lean.transformer import LeanTransformer, usual_transformer

__all__ = ["LeanMamba", "LeanTransformer", "lean_form"]


def lean_form(trunk: Trunk) -> Callable[..., Hidden]:
    """What to call instead of this trunk while it writes: its lean form, or itself where it has none."""
    if usual_transformer(trunk):
        return LeanTransformer(trunk)
    if usual_mamba(trunk):
        return LeanMamba(trunk)
    return trunk
