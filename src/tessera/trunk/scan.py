"""The scan of Mamba-2: in pure PyTorch anywhere, by the kernels of `mamba-ssm` on GPUs where that is installed."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

CHUNK = 64  # places that one step of the scan takes together


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
    rows, count, heads = decay.shape
    if count == 1:
        return _step(x, decay, into, out, document, state)
    size = min(CHUNK, count)
    short = -count % size
    if short:  # places that neither decay nor add
        x, into, out = (F.pad(t, (0, 0, 0, 0, 0, short)) for t in (x, into, out))
        decay, document = F.pad(decay, (0, 0, 0, short)), torch.cat([document, document[:, -1:].expand(-1, short)], 1)
    per_head = heads // into.shape[2]
    into, out = (t.repeat_interleave(per_head, 2).unflatten(1, (-1, size)) for t in (into, out))
    x, document = x.unflatten(1, (-1, size)), document.unflatten(1, (-1, size))
    faded = decay.unflatten(1, (-1, size)).cumsum(2)  # row chunk place head

    here = document[..., :, None] == document[..., None, :]
    here = here & torch.ones(size, size, dtype=torch.bool, device=x.device).tril()
    kept = (faded[:, :, :, None] - faded[:, :, None, :]).masked_fill(~here[..., None], -torch.inf).exp()
    weights = torch.einsum("rcihn,rcjhn->rcijh", out, into) * kept
    said = torch.einsum("rcijh,rcjhp->rcihp", weights, x)

    last = (document == document[..., -1:])[..., None]  # who is of the document that goes on behind the chunk
    left = (faded[:, :, -1:] - faded).masked_fill(~last, -torch.inf).exp()
    added = torch.einsum("rcjh,rcjhp,rcjhn->rchpn", left, x, into)
    before, of = [], document.new_zeros(rows)
    for chunk in range(x.shape[1]):
        mine = document[:, chunk] == of[:, None]
        before.append((state, mine))
        of = document[:, chunk, -1]
        state = state * (faded[:, chunk, -1].exp() * mine[:, -1:])[..., None, None] + added[:, chunk]
    states, mine = torch.stack([one for one, _ in before], 1), torch.stack([one for _, one in before], 1)
    reach = faded.exp() * mine[..., None]
    said = said + torch.einsum("rcih,rcihn,rchpn->rcihp", reach, out, states)
    return Scanned(said.flatten(1, 2)[:, :count], state)


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
    return Scanned(*kernel(x, step, -rate, into, out, CHUNK, **told))


@cache
def kernels() -> Callable[..., Any] | None:
    """`mamba_chunk_scan_combined` of `mamba-ssm`, or None where that is not installed."""
    try:
        from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined  # type: ignore[import-not-found]
    except ImportError:
        return None
    return mamba_chunk_scan_combined
