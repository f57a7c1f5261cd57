"""Filling: published numbers into our modules, all of them or none."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from tessera.hub.names import Names, Part, Row, Table, table
from tessera.hub.tensors import InMemory, Stored
from tessera.weightless import allot


def own(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor of a module that is kept in files, once, by the first of its names."""
    first: dict[int, str] = {}
    state = module.state_dict(keep_vars=True)
    for name, tensor in state.items():
        first.setdefault(id(tensor), name)
    return {name: state[name] for name in first.values()}


def fill(
    module: nn.Module,
    names: Names,
    weights: Mapping[str, Stored],
    *,
    unread: Sequence[str] = (),
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
) -> None:
    """Give a module all its numbers. `unread` are patterns of published names that nobody needs.

    Parameters that have no memory yet get it, in `dtype`, or in the precision that most of the numbers have. Raises ValueError,
    with all the names, where a tensor is missing, has another shape, or has no place; then nothing is loaded.
    """
    mine = own(module)
    plan = table(mine, names)
    check(plan, mine, weights, unread, joined(module))
    allot(module, dtype or commonest(weights), device)
    mine = own(module)
    shapes = {name: tensor.shape for name, tensor in mine.items()}
    jobs = [
        (weights[part.name], mine[name], place, part.rows)
        for name, row in plan.items()
        for part, place in places(row, shapes[name], weights)
    ]
    with torch.no_grad():
        for source, target, place, rows in sorted(jobs, key=lambda job: job[0].at):
            source.into(target if place is None else target[place], rows)


def filled(module: nn.Module, names: Names, weights: Mapping[str, Tensor], *, unread: Sequence[str] = ()) -> nn.Module:
    """The module with the numbers of tensors that are in memory, frozen and in eval mode."""
    fill(module, names, {name: InMemory(tensor) for name, tensor in weights.items()}, unread=unread)
    return module.eval().requires_grad_(False)


def commonest(weights: Mapping[str, Stored]) -> torch.dtype:
    """The precision of most of the numbers."""
    counts: dict[torch.dtype, int] = {}
    for one in weights.values():
        if one.dtype.is_floating_point:
            counts[one.dtype] = counts.get(one.dtype, 0) + torch.Size(one.shape).numel()
    return max(counts, key=lambda dtype: counts[dtype], default=torch.float32)


def taken(shape: tuple[int, ...], rows: Tensor | slice | None) -> tuple[int, ...]:
    """The shape of some rows of a tensor; an order of rows is one of all of them."""
    return (len(range(shape[0])[rows]), *shape[1:]) if isinstance(rows, slice) else shape


def joined(module: nn.Module) -> dict[str, list[int]]:
    """How many rows each part has of layers that are several in one, by the name of the tensor."""
    return {
        f"{name}.{leaf}.{kind}": sizes
        for name, inner in module.named_modules()
        for leaf, sizes in getattr(inner, "joined", {}).items()
        for kind in ("weight", "bias")
    }


def check(
    plan: Table,
    mine: Mapping[str, Tensor],
    weights: Mapping[str, Stored],
    unread: Sequence[str],
    sizes: Mapping[str, Sequence[int]],
) -> None:
    """Raises ValueError, with all the names, unless every tensor of ours and every published one finds its partner."""
    wanted = {part.name for row in plan.values() for part in row.parts}
    wrong = {
        "are missing": sorted(wanted - weights.keys()),
        "have no place": sorted(name for name in weights.keys() - wanted if not any(fnmatchcase(name, pattern) for pattern in unread)),
    }
    there = {name: row for name, row in plan.items() if all(part.name in weights for part in row.parts)}
    floating = lambda row: all(weights[part.name].dtype.is_floating_point for part in row.parts)
    unlike = [row for name, row in there.items() if mine[name].is_floating_point() and not floating(row)]
    wrong["are no floats"] = sorted(part.name for row in unlike for part in row.parts)
    wrong["have another shape"] = [
        said for name, row in there.items() if (said := _misfit(row, mine[name].shape, weights, sizes.get(name, ())))
    ]
    if any(wrong.values()):
        said = "; ".join(f"{len(some)} tensors {how}: {', '.join(some)}" for how, some in wrong.items() if some)
        raise ValueError(f"hub: {said}; nothing was loaded; a checkpoint whose config.json is its own is accepted; check both")


def _misfit(row: Row, shape: torch.Size, weights: Mapping[str, Stored], sizes: Sequence[int]) -> str:
    """What does not fit about the parts of a row, `sizes` of them where that is known; nothing where all is well."""
    shapes = [taken(weights[part.name].shape, part.rows) for part in row.parts]
    if not shapes:
        return ""
    if row.shaped:
        shapes = [_folded(one, shape) for one in shapes]
    if len(shapes) == 1:
        fits = shapes[0] == tuple(shape)
    else:
        rows = [one[0] for one in shapes]
        fits = all(one[1:] == tuple(shape[1:]) for one in shapes) and sum(rows) == shape[0]
        fits = fits and (len(sizes) != len(rows) or rows == list(sizes))
    parts = " and ".join(f"{part.name} {list(weights[part.name].shape)}" for part in row.parts)
    return "" if fits else f"{parts} where {list(shape)} is wanted"


def _folded(one: tuple[int, ...], shape: torch.Size) -> tuple[int, ...]:
    """The shape of a part folded as ours is, where it can be: what of it is in the first row of ours must be in its own first row."""
    rows, left = divmod(torch.Size(one).numel(), max(shape[1:].numel(), 1))
    first = next((length for length in one if length > 1), rows)
    kept = len(shape) == 1 or rows in (1, first)
    return (rows, *shape[1:]) if kept and not left else one


def places(row: Row, shape: torch.Size, weights: Mapping[str, Stored]) -> list[tuple[Part, slice | None]]:
    """Each part of a row, and which rows of our tensor it fills; None where that is all of it."""
    if len(row.parts) == 1:
        return [(row.parts[0], None)]
    found: list[tuple[Part, slice | None]] = []
    begun = 0
    for part in row.parts:
        one = taken(weights[part.name].shape, part.rows)
        count = (_folded(one, shape) if row.shaped else one)[0]
        found.append((part, slice(begun, begun + count)))
        begun += count
    return found
