"""Published checkpoints: their names and ours, and what it takes to build the systems they belong to."""

from tessera.hub.loading import load_published

__all__ = ["load_published"]
