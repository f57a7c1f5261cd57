"""Fixtures of published arithmetic: weights, inputs, and the outputs that the official code computed from them."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor


class Fixture(NamedTuple):
    """One published model made small. Weights and inputs are float32 (or integers) under their published names."""

    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    config: dict[str, Any]
    tolerance: dict[str, Any]  # by output, or "default": atol and rtol

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The weights whose name starts so, named by the rest."""
        return {name.removeprefix(prefix): weight for name, weight in self.weights.items() if name.startswith(prefix)}

    def check(self, output: str, found: Tensor) -> None:
        """Fails, saying how far off, unless this is the official output: integers exactly, numbers within the stated tolerance."""
        expected = self.outputs[output]
        exact = not expected.is_floating_point()
        within = {"atol": 0.0, "rtol": 0.0} if exact else self.tolerance.get(output, self.tolerance["default"])
        torch.testing.assert_close(found.detach(), expected, **within)

    def agrees(self, output: str, found: Tensor) -> bool:
        """Whether `check` passes: for mutations, which must not agree though their shape is right."""
        assert found.shape == self.outputs[output].shape
        try:
            self.check(output, found)
        except AssertionError:
            return False
        return True


def load(name: str) -> Fixture:
    """The fixture of this name from the folder TESSERA_FIXTURES; without that folder the test, or the whole file, is skipped."""
    if "TESSERA_FIXTURES" not in os.environ:
        pytest.skip(f"parity: set TESSERA_FIXTURES to the folder that holds {name}.json", allow_module_level=True)
    folder = Path(os.environ["TESSERA_FIXTURES"])
    said = json.loads((folder / f"{name}.json").read_text())
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "inputs": {}, "outputs": {}}
    for key, tensor in load_file(folder / f"{name}.safetensors").items():
        group, rest = key.split("/", 1)
        groups[group][rest] = tensor.float() if tensor.is_floating_point() else tensor
    return Fixture(**groups, config=said["config"], tolerance=said["tolerance"])
