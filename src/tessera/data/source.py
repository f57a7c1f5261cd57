"""Where documents come from: whoever can give document number `index` of a task, for any index, is a source."""

from collections.abc import Collection
from typing import Protocol, runtime_checkable

from tessera.document import Document, Task


@runtime_checkable
class Source(Protocol):
    """Endless documents, the same for the same task and index, whoever asks and however often.

    The world is a source, and so is everything that `open_data` and `Mixture` return.
    """

    @property
    def tasks(self) -> Collection[Task]: ...

    def document(self, task: Task, index: int) -> Document: ...


def listed(tasks: Collection[Task]) -> str:
    """Names of tasks for a message, in the order of `Task`."""
    return ", ".join(task.value for task in Task if task in tasks) or "no task"
