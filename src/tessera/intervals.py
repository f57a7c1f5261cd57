"""How sure a measured rate is."""

from math import sqrt

Z95 = 1.959963984540054  # the normal quantile of .975


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a rate. Source: Wilson 1927, J. Am. Stat. Assoc. 22; stays inside 0 to 1 and never has width 0."""
    return wilson_of(hits / n, n) if n else (0.0, 1.0)


def wilson_of(p: float, n: int | float) -> tuple[float, float]:
    """The same of a share `p` of n cases, where their number is an effective one, so not whole; n is above 0."""
    z2 = Z95**2
    centre, half = p + z2 / (2 * n), Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = (centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)
    return max(0.0, low) if p > 0 else 0.0, min(1.0, high) if p < 1 else 1.0  # these ends are exact
