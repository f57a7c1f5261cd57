import re

import pytest


@pytest.fixture(autouse=True)
def _tiny(tiny_recipes):
    """The recipes are there in their tiny sizes."""


def test_parts_are_listed_with_who_shares_them_made_once_and_then_found(tessera, tmp_path):
    code, words = tessera("parts", "codec")
    assert code == 0 and re.search(r"codec-[0-9a-f]{12} │ [\w, ]*chameleon", words) and "missing: --make" in words
    code, words = tessera("parts", "codec", "--make", "--device", "cpu")
    assert code == 0 and "missing" not in words and str(tmp_path / "cache") in words
    made = sorted((tmp_path / "cache").rglob("*.safetensors"))
    assert tessera("parts", "codec", "--make", "--device", "cpu")[0] == 0
    assert sorted((tmp_path / "cache").rglob("*.safetensors")) == made


def test_a_stage_that_trains_no_part_is_named_with_those_that_do(tessera):
    code, words = tessera("parts", "joint")
    assert code == 2 and re.search(r"parts: joint; there are [\w, ]*codec", words)
