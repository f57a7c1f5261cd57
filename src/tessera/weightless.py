"""Models without weights: every parameter has its shape, and no memory, until somebody gives it numbers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode


class _Unmoved(TorchFunctionMode):
    """Nothing is drawn for what has no memory: torch would import its compiler to find that out, which takes seconds."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            target = args[0] if args else kwargs["tensor"]
            if target.is_meta:
                return target
        return func(*args, **kwargs)


@contextmanager
def weightless() -> Iterator[None]:
    """What is built in here has its parameters on `meta`. Buffers, which are small or follow from sizes, are real."""

    def emptied(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or parameter.is_meta:
            return parameter  # the same object: shared parameters stay shared
        return nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)

    handle = register_module_parameter_registration_hook(emptied)  # type: ignore[arg-type]  # torch says that hooks return nothing
    try:
        with _Unmoved():
            yield
    finally:
        handle.remove()


def allot(module: nn.Module, dtype: torch.dtype, device: str | torch.device = "cpu") -> None:
    """Memory for every parameter that has none, in this precision; what stands in it is nobody's. Shared parameters stay shared."""
    given: dict[nn.Parameter, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False, remove_duplicate=False)):
            if parameter.is_meta:
                if parameter not in given:
                    given[parameter] = nn.Parameter(torch.empty(parameter.shape, dtype=dtype, device=device), parameter.requires_grad)
                setattr(part, name, given[parameter])
