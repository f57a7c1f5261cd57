"""Exams: what is asked of a system and how its answers are judged. Cases in, scores out; no model inside."""

from tessera.exams.asking import Asking, Control
from tessera.exams.base import SCORER, Apart, Case, Exam, Report, averages, joined, rates
from tessera.exams.captions import Captions
from tessera.exams.choices import Choices
from tessera.exams.drawing import Drawing
from tessera.exams.editing import Editing
from tessera.exams.hallucination import Counterfactuals, Pope, PopeControl
from tessera.exams.likelihood import Likelihood
from tessera.exams.likeness import Likeness
from tessera.exams.shots import FewShots
from tessera.exams.stories import OwnStories, Stories

__all__ = [
    "SCORER",
    "Apart",
    "Asking",
    "Captions",
    "Case",
    "Choices",
    "Control",
    "Counterfactuals",
    "Drawing",
    "Editing",
    "Exam",
    "FewShots",
    "Likelihood",
    "Likeness",
    "OwnStories",
    "Pope",
    "PopeControl",
    "Report",
    "Stories",
    "averages",
    "joined",
    "rates",
]
