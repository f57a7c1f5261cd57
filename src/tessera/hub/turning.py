"""Rotary positions as published configurations ask for them: plain, or stretched for documents longer than those learned from."""

from collections.abc import Callable, Mapping
from functools import partial
from math import ceil, floor, log, pi

import torch
from torch import Tensor

from tessera.hub.folder import Settings
from tessera.trunk import Rotary

USUAL = {"truncate": True, "beta_fast": 32, "beta_slow": 1, "attention_factor": None, "mscale": None, "mscale_all_dim": None}


def rotary(said: Settings, size: int) -> Rotary:
    """The rotary positions of a language model with heads of this size. Raises ValueError for kinds that are not built here."""
    stated = {**(said["rope_scaling"] or {}), **(said["rope_parameters"] or {})}
    kind = stated.get("rope_type", stated.get("type", "default"))
    if kind not in KINDS:
        raise ValueError(f"hub: {said.where} asks for rotary positions {kind!r}; {', '.join(KINDS)} are accepted; load it elsewhere")
    usual = {**USUAL, "rope_theta": said["rope_theta"], "original_max_position_embeddings": said["max_position_embeddings"]}
    told, stretch = Settings(stated, usual, f"{said.where}, rope_parameters,"), KINDS[kind]
    how = None if stretch is None else partial(stretch, told)
    return Rotary(size, theta=told["rope_theta"], stretched=how, grown=sharpness(told) if kind == "yarn" else None)


def evenly(told: Settings, frequency: Tensor) -> Tensor:
    """All positions nearer by a factor (Chen et al. 2023, arXiv:2306.15595)."""
    return frequency / told["factor"]


def far_ones(told: Settings, frequency: Tensor) -> Tensor:
    """Slow turns slower by a factor, fast ones as they are, and a passage between (Llama 3.1, arXiv:2407.21783)."""
    turns = frequency / (2 * pi) * told["original_max_position_embeddings"]  # of a whole document as long as they were learned with
    low, high = told["low_freq_factor"], told["high_freq_factor"]
    fast = ((turns - low) / (high - low)).clamp(0, 1)
    return frequency / told["factor"] * (1 - fast) + frequency * fast


def by_parts(told: Settings, frequency: Tensor) -> Tensor:
    """The same with a passage that is even in the number of the pair: YaRN (Peng et al. 2023, arXiv:2309.00071, section 3.2)."""
    pairs, document = len(frequency), told["original_max_position_embeddings"]
    turning = lambda turns: pairs * log(document / (2 * pi * turns)) / log(told["rope_theta"])  # the pair that turns so often in it
    first, last = turning(told["beta_fast"]), turning(told["beta_slow"])
    if told["truncate"]:
        first, last = floor(first), ceil(last)
    first, last = max(first, 0), min(last, 2 * pairs - 1)
    slow = ((torch.arange(pairs) - first) / max(last - first, 1e-3)).clamp(0, 1).to(frequency)
    return frequency / told["factor"] * slow + frequency * (1 - slow)


def sharpness(told: Settings) -> float:
    """By which factor YaRN's queries and keys grow, lest attention over more places be less sharp (section 3.3)."""
    if told["attention_factor"] is not None:
        return float(told["attention_factor"])
    grown = lambda by: 0.1 * by * log(max(told["factor"], 1)) + 1
    both = told["mscale"] and told["mscale_all_dim"]
    return grown(told["mscale"]) / grown(told["mscale_all_dim"]) if both else grown(1)


KINDS: Mapping[str, Callable[[Settings, Tensor], Tensor] | None] = {
    "default": None,
    "linear": evenly,
    "llama3": far_ones,
    "yarn": by_parts,
}
