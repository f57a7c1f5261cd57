"""Precision: what must not be computed in 16 bits."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def precise(x: Tensor) -> Tensor:
    """In float32 at least: bfloat16 tells no time of 1,000 from the next, and forgets what a recurrence adds."""
    return x.float() if x.itemsize < 4 else x


def unrounded(x: Tensor) -> AbstractContextManager:
    """In here matrices are multiplied in the precision that they have, whatever autocast says around."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
