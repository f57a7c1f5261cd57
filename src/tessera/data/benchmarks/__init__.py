"""Items of users' benchmark files: an id, a picture or none, what is asked, and what is true."""

from tessera.data.benchmarks.asked import AskedQuestion, read_questions
from tessera.data.benchmarks.coco import CocoPicture, read_coco
from tessera.data.benchmarks.gather import Benchmark, Item
from tessera.data.benchmarks.geneval import GenEvalPrompt, Objects, read_geneval, write_geneval
from tessera.data.benchmarks.image_folder import ClassPicture, read_image_folder
from tessera.data.benchmarks.pope import ObjectList, YesNoQuestion, match, read_pope, read_pope_objects, read_predictions
from tessera.data.benchmarks.vqa import VqaQuestion, read_vqa

__all__ = [
    "AskedQuestion",
    "Benchmark",
    "ClassPicture",
    "CocoPicture",
    "GenEvalPrompt",
    "Item",
    "ObjectList",
    "Objects",
    "VqaQuestion",
    "YesNoQuestion",
    "match",
    "read_coco",
    "read_geneval",
    "read_image_folder",
    "read_pope",
    "read_pope_objects",
    "read_predictions",
    "read_questions",
    "read_vqa",
    "write_geneval",
]
