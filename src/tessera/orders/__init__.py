"""Orders: how the elements of a segment become known, one after another, in any order, or all at once."""

from tessera.orders.base import Ask, Context, Corrupted, Done, Order, Pick, Seen, Weigh, Writing
from tessera.orders.deciding import Confident, Deciding, Surest, Turn, by_chance
from tessera.orders.in_place import InPlace, Noisy
from tessera.orders.masked import Masked, PartlyHidden, Power, cosine, linear
from tessera.orders.next import Next

__all__ = [
    "Ask",
    "Confident",
    "Context",
    "Corrupted",
    "Deciding",
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
    "Surest",
    "Turn",
    "Weigh",
    "Writing",
    "by_chance",
    "cosine",
    "linear",
]
