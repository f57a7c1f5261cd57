"""Likelihoods in comparable units. For diffusion and flow say whether the nats are a bound or from the ODE."""

from math import log, log2


def bits_per_dimension(nats: float, dimensions: int, *, levels: int = 256) -> float:
    """From the negative log density of one picture whose values lie in [0, 1]: bits per value of the discrete picture.

    The values are taken to be (x + u) / levels with u uniform in [0, 1): then the density's bits plus log2(levels) bound those
    of the discrete x from above. Codes of a codec have no such unit: give bits per token. Source: Theis et al. 2016,
    arXiv 1511.01844.
    """
    return nats / (dimensions * log(2)) + log2(levels)


def bits_per_byte(nats: float, text: str) -> float:
    """From the negative log-likelihood of a text: bits for each byte of its UTF-8, which no tokeniser changes.

    Source: Gao et al. 2020, arXiv 2101.00027 (The Pile).
    """
    return nats / (len(text.encode()) * log(2))


def excess_nats(nats: float, floor: float) -> float:
    """What a model pays above the least possible, the entropy of the source. Below 0 beyond noise, it has seen the answers."""
    return nats - floor
