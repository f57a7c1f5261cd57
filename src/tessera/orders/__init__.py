"""Orders: how the elements of a segment become known, one after another, in any order, or all at once."""

from tessera.orders.base import Ask, Context, Corrupted, Done, Order, Pick, Seen, Writing
from tessera.orders.in_place import InPlace, Noisy
from tessera.orders.masked import Masked, PartlyHidden, Power, cosine, linear
from tessera.orders.next import Next

__all__ = [
    "Ask",
    "Context",
    "Corrupted",
    "Done",
    "InPlace",
    "Masked",
    "Next",
    "Noisy",
    "Order",
    "PartlyHidden",
    "Pick",
    "Power",
    "Seen",
    "Writing",
    "cosine",
    "linear",
]
