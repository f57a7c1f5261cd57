"""An accelerator that is none: tensors on "far" compute on the CPU, and refuse to meet tensors that are not there, as on a real one."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import backend_registration as registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map


class Backend(registration._DummyBackendModule):
    """What torch asks of a kind of accelerator: there is one, which has no random state."""

    def device_count(self) -> int:
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


registration._setup_privateuseone_for_python_backend("far", Backend())
FAR = torch.device("far", 0)
aten = torch.ops.aten
MEETS = {aten._to_copy.default, aten.copy_.default}  # what may take tensors of two devices
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}  # whose indices may be on the CPU


class Far(Tensor):
    """A tensor that says it is on the accelerator; `near` holds its numbers."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> "Far":
        facts = {"strides": near.stride(), "storage_offset": near.storage_offset(), "dtype": near.dtype, "device": FAR}
        far = Tensor._make_wrapper_subclass(cls, near.shape, **facts)
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return computed(operation, args, kwargs or {})


class Accelerator(TorchDispatchMode):
    """While it is on, what is made on "far" is Far."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return computed(operation, args, kwargs or {})


def _empty(size, stride, *, dtype=None, **_) -> Far:
    return Far(torch.empty_strided(size, stride, dtype=dtype))


def _copied(source: Tensor, to: Far, non_blocking: bool = False) -> Far:
    to.near.copy_(source.near if isinstance(source, Far) else source)
    return to


KERNELS = torch.library.Library("aten", "IMPL")  # below all modes: `torch.tensor(..., device=...)` asks for these
KERNELS.impl("empty_strided", _empty, "PrivateUse1")
KERNELS.impl("_copy_from", _copied, "PrivateUse1")


def computed(operation, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What an operation says of numbers that are on the CPU, Far where its arguments are, or where it is asked for there."""
    given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    far = any(isinstance(one, Far) for one in given)
    strict = tree_flatten((args[:1], args[2:], kwargs))[0] if operation in INDEXED else given
    met = [one for one in strict if isinstance(one, Tensor) and not isinstance(one, Far) and one.ndim]
    if far and met and operation not in MEETS:
        raise RuntimeError(f"{operation}: tensors of two devices, of shapes {[tuple(one.shape) for one in met]} on the CPU")
    goes = kwargs.get("device")
    far = far if goes is None else torch.device(goes).type == FAR.type
    told = kwargs | ({} if goes is None else {"device": torch.device("cpu")})
    near = lambda one: one.near if isinstance(one, Far) else one
    out = operation(*tree_map(near, args), **tree_map(near, told))
    if not far:
        return out
    known = {id(one.near): one for one in given if isinstance(one, Far)}
    wrapped = tree_map(lambda one: (known[id(one)] if id(one) in known else Far(one)) if isinstance(one, Tensor) else one, out)
    return return_and_correct_aliasing(operation, args, kwargs, wrapped)


def moved(module: nn.Module) -> nn.Module:
    """The module with all its tensors on the accelerator; those that are shared stay so."""
    there: dict[Tensor, Tensor] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                there.setdefault(parameter, nn.Parameter(Far(parameter.detach()), requires_grad=parameter.requires_grad))
                part._parameters[name] = there[parameter]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = there.setdefault(buffer, Far(buffer))
    return module
