"""Published checkpoints: their names and ours, and what it takes to build the systems they belong to."""

from tessera.hub.exporting import export_published
from tessera.hub.loading import load_published
from tessera.hub.speaking import published_speaker

__all__ = ["export_published", "load_published", "published_speaker"]
