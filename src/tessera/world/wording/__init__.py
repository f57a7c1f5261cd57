"""The languages of the world, one file each."""

from tessera.world.wording.chinese import CHINESE
from tessera.world.wording.english import ENGLISH
from tessera.world.wording.language import Language

LANGUAGES = {language.name: language for language in (ENGLISH, CHINESE)}

__all__ = ["CHINESE", "ENGLISH", "LANGUAGES", "Language"]
