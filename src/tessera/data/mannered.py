"""A source whose documents are put to a system as its makers put them."""

from collections.abc import Collection
from dataclasses import replace

from tessera.data.source import Source
from tessera.document import Document, Image, Segment, Task
from tessera.manners import Manners


class Mannered:
    """The documents of a source, their pictures fitted and their words in a template, by a system's manners."""

    def __init__(self, source: Source, manners: Manners):
        self.source, self.manners = source, manners

    @property
    def tasks(self) -> Collection[Task]:
        return self.source.tasks

    def document(self, task: Task, index: int) -> Document:
        """Document `index` of this task, as the system is used to hearing it, or learns to say it."""
        document = self.source.document(task, index)
        return self.manners.document(replace(document, segments=tuple(self._fitted(segment) for segment in document)))

    def _fitted(self, segment: Segment) -> Segment:
        if not isinstance(segment, Image) or segment.content is None:
            return segment
        fit = self.manners.drawing if segment.learn else self.manners.picture
        return replace(segment, content=fit(segment.content))
