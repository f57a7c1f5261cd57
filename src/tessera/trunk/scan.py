"""The scan of Mamba-2: in pure PyTorch anywhere, by the kernels of `mamba-ssm` on GPUs where that is installed."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

CHUNK = 32  # places that one step of the scan takes together: quickest on processors, heads and states being small
BLOCK = 64  # the same, for the kernels


class Scanned(NamedTuple):
    """What a scan says of each place, and the state behind the last."""

    said: Float[Tensor, "row place head size"]
    state: Float[Tensor, "row head size state"]


def scan(
    x: Float[Tensor, "row place head size"],
    decay: Float[Tensor, "row place head"],
    into: Float[Tensor, "row place group state"],
    out: Float[Tensor, "row place group state"],
    document: Int[Tensor, "row place"],
    state: Float[Tensor, "row head size state"],
) -> Scanned:
    """The state-space recurrence S = S exp(decay) + x into, said = S out, in chunks: attention within them, the state between them.

    `decay` is at most 0. Where `document`, a number that never falls along a row, changes, the state starts at zero; `state` is
    that in front of the row, of document 0. Heads share `into` and `out` in groups.
    Source: Mamba-2 (Dao and Gu 2024, arXiv:2405.21060, section 6).
    """
    rows, count, _ = decay.shape
    if count == 1:
        return _step(x, decay, into, out, document, state)
    size, groups = min(CHUNK, count), into.shape[2]
    short = -count % size
    if short:  # places that neither decay nor add
        x, into, out = (F.pad(t, (0, 0, 0, 0, 0, short)) for t in (x, into, out))
        decay, document = F.pad(decay, (0, 0, 0, short)), torch.cat([document, document[:, -1:].expand(-1, short)], 1)
    chunked = lambda t: t.unflatten(1, (-1, size)).movedim(2, -1)  # places go last
    document = chunked(document)
    faded = chunked(decay).cumsum(-1).unflatten(2, (groups, -1))  # row chunk group head place
    x = chunked(x).mT.unflatten(2, (groups, -1))  # row chunk group head place size
    into, out = chunked(into).mT, chunked(out).mT  # row chunk group place state

    here = (document[..., :, None] == document[..., None, :]).tril()
    kept = (faded[..., :, None] - faded[..., None, :]).masked_fill(~here[:, :, None, None], -torch.inf).exp()
    said = ((out @ into.mT)[:, :, :, None] * kept) @ x

    last = document == document[..., -1:]  # who is of the document that goes on behind the chunk
    left = (faded[..., -1:] - faded).masked_fill(~last[:, :, None, None], -torch.inf).exp()
    added = (x * left[..., None]).mT.flatten(3, 4) @ into  # row chunk group (head size) state
    first = torch.cat([document.new_zeros(rows, 1), document[:, :-1, -1]], 1)
    reach = faded.exp() * (document == first[..., None])[:, :, None, None]  # what is left of the state in front of the chunk
    carried = reach[..., -1].repeat_interleave(x.shape[-1], -1)[..., None]  # through the chunk
    before, now = [], state.reshape(rows, groups, -1, state.shape[-1])
    for chunk in range(x.shape[1]):
        before.append(now)
        now = now * carried[:, chunk] + added[:, chunk]
    told = (out @ torch.stack(before, 1).mT).unflatten(-1, (-1, x.shape[-1])).transpose(3, 4)
    said = (said + told * reach[..., None]).flatten(2, 3).transpose(2, 3)
    return Scanned(said.flatten(1, 2)[:, :count], now.reshape(state.shape))


def _step(
    x: Float[Tensor, "row 1 head size"],
    decay: Float[Tensor, "row 1 head"],
    into: Float[Tensor, "row 1 group state"],
    out: Float[Tensor, "row 1 group state"],
    document: Int[Tensor, "row 1"],
    state: Float[Tensor, "row head size state"],
) -> Scanned:
    """One place of the scan, as the recurrence says it: what most passes of writing are."""
    groups, left = into.shape[2], decay.exp() * (document == 0)[..., None]
    added = x[:, 0].unflatten(1, (groups, -1))[..., None] * into[:, 0, :, None, None]
    state = state * left[:, 0, :, None, None] + added.flatten(1, 2)
    said = state.unflatten(1, (groups, -1)) @ out[:, 0, :, None, :, None]
    return Scanned(said[..., 0].flatten(1, 2)[:, None], state)


def quickest(
    x: Float[Tensor, "row place head size"],
    step: Float[Tensor, "row place head"],
    rate: Float[Tensor, "head"],
    into: Float[Tensor, "row place group state"],
    out: Float[Tensor, "row place group state"],
    document: Int[Tensor, "row place"],
    state: Float[Tensor, "row head size state"],
) -> Scanned:
    """The scan of `step` times x, which decays by `step` times `rate`, by whatever is quickest here."""
    kernel = kernels() if x.is_cuda and x.shape[1] > 1 else None
    if kernel is None:
        return scan(x * step[..., None], -rate * step, into, out, document, state)
    return by_kernels(kernel, x, step, rate, into, out, document, state)


def by_kernels(
    kernel: Callable[..., Any],
    x: Float[Tensor, "row place head size"],
    step: Float[Tensor, "row place head"],
    rate: Float[Tensor, "head"],
    into: Float[Tensor, "row place group state"],
    out: Float[Tensor, "row place group state"],
    document: Int[Tensor, "row place"],
    state: Float[Tensor, "row head size state"],
) -> Scanned:
    """The same by `mamba_chunk_scan_combined`, whose sequences are our documents: it, too, takes the state in front for number 0's."""
    told = {"initial_states": state, "seq_idx": document.int(), "return_final_states": True}
    return Scanned(*kernel(x, step, -rate, into, out, BLOCK, **told))


@cache
def kernels() -> Callable[..., Any] | None:
    """`mamba_chunk_scan_combined` of `mamba-ssm`, or None where that is not installed."""
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined  # type: ignore[import-not-found]
    except ImportError:
        return None
    return mamba_chunk_scan_combined
