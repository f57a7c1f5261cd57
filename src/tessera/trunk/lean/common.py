"""What lean forms share: when the trunk itself passes, weights laid out for few places, norms in few operations."""

from collections.abc import Callable, MutableMapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from tessera.trunk.base import Hidden

Flat = Float[Tensor, "place width"]  # the places of all rows, one after another
Norm = Callable[[Tensor], Tensor]
SMALL = 2**20  # numbers of a weight

_kept: MutableMapping[Tensor, tuple[Tensor, Tensor]] = WeakTensorKeyDictionary()


class Plain:
    """Whether the trunk itself has to pass: under a hook or autocast, with gradients, conditions or in half precision."""

    def __init__(self, trunk: nn.Module):
        self.trunk = trunk
        self.hooks = [hooks for module in trunk.modules() for hooks in (module._forward_hooks, module._forward_pre_hooks)]

    def __call__(self, embeddings: Hidden, condition: Hidden | None) -> bool:
        """Asked of each pass."""
        half = embeddings.dtype not in (torch.float32, torch.float64)
        if condition is not None or half or torch.is_grad_enabled() or self.trunk.training:
            return True
        return any(self.hooks) or torch.is_autocast_enabled(embeddings.device.type)


def side_by_side(weight: Float[Tensor, "feature width"]) -> Float[Tensor, "width feature"]:
    """A weight transposed, and laid out so: a CPU multiplies 16 places by it in about half the time.

    That is a copy, made where the weight is small, and kept for the next time. Whether the weight has changed since is told by its
    product with one vector, whoever changed it and however.
    """
    if weight.numel() > SMALL or not weight.is_cpu:
        return weight.detach().t()
    product = weight.detach() @ torch.linspace(1, 2, weight.shape[1], dtype=weight.dtype)
    kept = _kept.get(weight)
    if kept is None or not torch.equal(kept[0], product):
        kept = _kept[weight] = product, weight.detach().t().contiguous()
    return kept[1]


def scales(norm: nn.Module) -> bool:
    """Whether it is no norm, or one with all its weights."""
    known = type(norm) in (nn.LayerNorm, nn.RMSNorm)
    return type(norm) is nn.Identity or (known and all(one is not None for one in norm._parameters.values()))


def lean_norm(norm: nn.Module) -> Norm:
    """The norm, RMSNorm in five operations."""
    return RMS(norm.weight, norm.eps) if type(norm) is nn.RMSNorm and scales(norm) else norm


class RMS:
    """RMSNorm, with rows of weights where heads have their own. Without `eps` it is the precision's smallest difference, as in torch."""

    def __init__(self, weight: Tensor, eps: float | None):
        size = weight.shape[-1]
        eps = torch.finfo(weight.dtype).eps if eps is None else eps
        self.scale, self.eps = weight.detach() * size**0.5, weight.new_tensor(size * eps)

    def __call__(self, x: Tensor) -> Tensor:
        """Features of root mean square 1, scaled."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return (x * torch.addcmul(self.eps, length, length).rsqrt_()).mul_(self.scale)
