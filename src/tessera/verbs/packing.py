"""Tensors stored with fewer bits a number."""

from collections.abc import Mapping

import torch
from torch import Tensor

BITS = (8, 16, 32)
SCALES = "|scales"  # behind the name of a tensor in 8 bits: what each of its rows is multiplied by
LEAST = torch.finfo(torch.float16).tiny


def pack(tensors: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Floating point tensors in fewer bits; others as they are.

    16 is half precision. 8 is that for vectors, and whole numbers from -127 to 127 for all else, each row (the first axis)
    scaled by its largest magnitude: what comes back lies within 1/254 of that. Raises ValueError for other bits.
    """
    if bits not in BITS:
        raise ValueError(f"save: {bits} bits a number; {', '.join(map(str, BITS))} are accepted; choose one")
    packed = {}
    for name, tensor in tensors.items():
        if bits == 32 or not tensor.is_floating_point():
            packed[name] = tensor
        elif bits == 16 or tensor.ndim < 2:
            packed[name] = tensor.half()
        else:
            scales = (tensor.float().flatten(1).abs().amax(1) / 127).clamp(min=LEAST).half().float()
            per_row = scales.view(-1, *[1] * (tensor.ndim - 1))
            packed[name] = (tensor.float() / per_row).round().clamp(-127, 127).to(torch.int8)
            packed[name + SCALES] = scales.half()
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What was packed, rows multiplied by their scales again."""
    tensors = {name: tensor for name, tensor in packed.items() if not name.endswith(SCALES)}
    for name in packed.keys() - tensors.keys():
        short, scales = packed[name.removesuffix(SCALES)], packed[name].float()
        tensors[name.removesuffix(SCALES)] = short.float() * scales.view(-1, *[1] * (short.ndim - 1))
    return tensors
