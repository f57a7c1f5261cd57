"""What several tests of verbs share: the arguments of a small Chameleon, and whether two systems hold the same."""

import torch

TINY = {"width": 16, "depth": 1, "heads": 2, "levels": (3, 3), "channels": 8, "pixels": 8, "stride": 4}


def same(one, other) -> bool:
    """Bit for bit."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
