"""Whether lists that are scored together belong together."""

from collections.abc import Mapping, Sized


def aligned(part: str, columns: Mapping[str, Sized]) -> int:
    """The one length of the named columns, at least 1; a ValueError in the name of `part` says what else they have."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1 or 0 in lengths:
        said = ", ".join(f"{len(column)} {name}" for name, column in columns.items())
        raise ValueError(f"{part}: {said}; one of each for every case, at least one case; match them by id first")
    return lengths.pop()
