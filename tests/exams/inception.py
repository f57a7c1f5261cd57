"""What stands in Inception's place: a package with the names of torch-fidelity, whose network sees where which colour is."""

import sys
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import nn

from tessera.exams import extractors

URL = "https://example.org/weights-inception.pth"


class Squares(nn.Module):
    """The interface of torch-fidelity's FeatureExtractorInceptionV3: uint8 pictures in, a tuple of the layers asked for out."""

    def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str | None = None):
        super().__init__()
        assert isinstance(name, str) and feature_extractor_weights_path is None
        self.features_list = features_list
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        assert pictures.dtype == torch.uint8 and pictures.ndim == 4 and not torch.is_grad_enabled() and not self.training
        squares = F.adaptive_avg_pool2d(pictures.float() / 255, (32, 32)).flatten(1)
        return tuple(self.scale * squares[:, : int(wanted)] for wanted in self.features_list)


def stand_in(monkeypatch, network=Squares) -> None:
    """The package is there as long as the test runs."""
    package, module = ModuleType("torch_fidelity"), ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.URL_INCEPTION_V3, module.FeatureExtractorInceptionV3 = URL, network
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(extractors, "version", lambda name: {"torch-fidelity": "0.4.0"}[name])
