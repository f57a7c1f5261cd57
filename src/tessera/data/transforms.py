"""Transforms: from a document to another one, as a stage wants to learn it."""

from dataclasses import replace

from tessera.document import Document, Image
from tessera.draws import Draw


def learn_pictures(document: Document, draw: Draw) -> Document:
    """The document with its given pictures learned too, as a model learns that predicts every element of what it reads."""
    segments = tuple(replace(s, learn=True) if isinstance(s, Image) else s for s in document)
    return replace(document, segments=segments)
