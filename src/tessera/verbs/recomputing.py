"""Gradient checkpointing: what happens inside blocks is computed again on the way back, not kept."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputed(*modules: nn.Module, when: bool = True) -> Iterator[None]:
    """Inside, every block of the modules' stacks (trunk, eyes, heads) keeps what goes into it alone. Numbers stay the same bit for bit.

    Source: Chen et al. 2016, arXiv:1604.06174.
    """
    stacks: list[Iterable[nn.Module]] = [getattr(part, "blocks", ()) for module in modules for part in module.modules()]
    blocks = {block for stack in stacks for block in stack} if when else set()
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
