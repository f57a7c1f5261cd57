"""Tessera: every way of making one model read and write several modalities, as pages you can read, train and compare."""

from tessera.data import open_data, open_picture
from tessera.document import Document, Image, Task, Text
from tessera.laws.base import Sampling
from tessera.verbs.adapters import restore_adapters, save_adapters
from tessera.verbs.describe import describe
from tessera.verbs.evaluate import Plan, evaluate
from tessera.verbs.generate import generate, stream, write
from tessera.verbs.recipes import build
from tessera.verbs.recipes import names as recipes
from tessera.verbs.train import Settings, train
from tessera.verbs.weights import load, restore, save
from tessera.verbs.writing import Request, Written
from tessera.world import World

__version__ = "0.1.0"
__all__ = [
    "Document",
    "Image",
    "Plan",
    "Request",
    "Sampling",
    "Settings",
    "Task",
    "Text",
    "World",
    "Written",
    "build",
    "describe",
    "evaluate",
    "generate",
    "load",
    "open_data",
    "open_picture",
    "recipes",
    "restore",
    "restore_adapters",
    "save",
    "save_adapters",
    "stream",
    "train",
    "write",
]
