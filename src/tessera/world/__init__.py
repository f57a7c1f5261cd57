"""A small world of coloured shapes: endless scenes, their pictures, and every text about them, all exactly known."""

from tessera.world.captions import caption, parse_caption
from tessera.world.edits import Edit, EditKind
from tessera.world.judge import Aspect, Atom, Result, Verdict, judge
from tessera.world.prompts import Prompt, Skill, skills
from tessera.world.questions import Question, QuestionKind, question_kinds
from tessera.world.scene import EASY, LEVELS, STANDARD, VERSION, Colour, Kind, Level, Scene, Size, Thing
from tessera.world.sheet import Tile, contact_sheet, save_sheet
from tessera.world.wording import LANGUAGES, Language
from tessera.world.world import World

__all__ = [
    "EASY",
    "LANGUAGES",
    "LEVELS",
    "STANDARD",
    "VERSION",
    "Aspect",
    "Atom",
    "Colour",
    "Edit",
    "EditKind",
    "Kind",
    "Language",
    "Level",
    "Prompt",
    "Question",
    "QuestionKind",
    "Result",
    "Scene",
    "Size",
    "Skill",
    "Thing",
    "Tile",
    "Verdict",
    "World",
    "caption",
    "contact_sheet",
    "judge",
    "parse_caption",
    "question_kinds",
    "save_sheet",
    "skills",
]
