"""A blueprint: a system still without weights, and where those stand in its published files."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from tessera.document import Task
from tessera.hub.folder import Folder
from tessera.hub.names import Names
from tessera.hub.tensors import Stored, tensors
from tessera.manners import Manners
from tessera.system import System


class Blueprint(NamedTuple):
    """The system; ours to published names; patterns of published tensors that it has no use for; what is due once it is filled.

    `manners` are how its makers put pictures and words to it. `within` says what a prefix of published names is called in the class that
    they belong to, where that is another: adapters go by the names of the class. `parts` are published models in folders of their own
    that it is made of, too, by what stands in front of their tensors' names here. `tasks` are those that it may be taught.
    """

    system: System
    names: Names
    unread: Sequence[str] = ()
    ready: Callable[[], None] = lambda: None
    manners: Manners | None = None
    within: Mapping[str, str] = {}
    parts: Mapping[str, Folder] = {}
    tasks: Collection[Task] = tuple(Task)

    @property
    def beside(self) -> dict[str, Stored]:
        """The tensors of its parts."""
        return {tensor: one for name, part in self.parts.items() for tensor, one in tensors(part, name).items()}
