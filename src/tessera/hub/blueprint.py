"""A blueprint: a system still without weights, and where those stand in its published files."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tessera.hub.names import Names
from tessera.hub.tensors import Stored
from tessera.manners import Manners
from tessera.system import System


class Blueprint(NamedTuple):
    """The system; ours to published names; patterns of published tensors that it has no use for; what is due once it is filled.

    `manners` are how its makers put pictures and words to it. `within` says what a prefix of published names is called in the class that
    they belong to, where that is another: adapters go by the names of the class. `beside` are tensors of other published models that it
    is made of, too.
    """

    system: System
    names: Names
    unread: Sequence[str] = ()
    ready: Callable[[], None] = lambda: None
    manners: Manners | None = None
    within: Mapping[str, str] = {}
    beside: Mapping[str, Stored] = {}
