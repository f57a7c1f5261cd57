import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from tessera.verbs.page import SETTINGS, compared, heads, html, markdown, png, rows, settings, title
from tessera.world import Tile

KEYS = [key for key in SETTINGS if key != "benchmark"]
EVIL = "<script>alert('a red circle & more')</script>"
FOUND = {
    **{key: f"its {key}" for key in KEYS},
    "system": "chameleon",
    "level": "easy",
    "language": "en",
    "scores": {
        "questions.overall": {"value": 1 / 3, "ci95": [0.1, 0.6], "n": 9},
        "drawing.overall": {"value": 0.5, "ci95": [0.25, 0.75], "n": 8},
        "drawing.counting": {"value": 1.0, "ci95": [0.9, 1.0], "n": 4},
    },
    "references": {"drawing.overall": {"ceiling": 0.99, "chance": 0.01}, "questions.overall": {"blind": 0.3, "chance": 0.25}},
}


class Page(HTMLParser):
    """A page as a browser takes it apart: elements with their attributes, and the words outside of styles."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if data.strip() and self.elements[-1][0] != "style":
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def tiles(pictures):
    """Right, wrong, and not judged; with a text that would run, and with none."""
    lines = [("a red circle", EVIL), ('say "no"', 'a "quoted" thing & more'), ()]
    drawn = [Tile(picture, said, right) for picture, said, right in zip(pictures, lines, (True, False, None), strict=False)]
    return {"drawing": drawn, "questions": drawn[:1]}


def test_scores_are_listed_by_name_with_what_they_are_compared_with():
    assert title(FOUND) == "chameleon on easy (en)" and compared(FOUND) == ["chance", "blind", "ceiling"]
    assert rows(FOUND) == [
        ["drawing.counting", "1.000", "0.900 to 1.000", "4", "", "", ""],
        ["drawing.overall", "0.500", "0.250 to 0.750", "8", "0.010", "", "0.990"],
        ["questions.overall", "0.333", "0.100 to 0.600", "9", "0.250", "0.300", ""],
    ]


def test_what_a_score_is_held_against_stands_in_one_order_on_all_pages():
    beside = {"a": {"mine": 0.5, "ceiling": 1.0}, "b": {"blind": 0.2, "majority": 0.3, "chance": 0.1}}
    assert compared({"references": beside}) == ["chance", "majority", "blind", "ceiling", "mine"]


def test_what_was_not_understood_and_the_spread_over_seeds_stand_beside_scores():
    scores = {name: dict(score) for name, score in FOUND["scores"].items()}
    scores["drawing.overall"]["unreadable"], scores["questions.overall"]["unparsed"] = 3, 2
    found = {**FOUND, "scores": scores, "seeds": {"drawing.overall": {"least": 0.25, "most": 0.75}}}
    assert heads(found)[-3:] == ["unparsed", "unreadable", "over seeds"]
    assert [row[-3:] for row in rows(found)] == [["", "", ""], ["", "3", "0.250 to 0.750"], ["2", "", ""]]
    assert "| unreadable | over seeds |" in markdown(found)


def test_results_of_files_are_named_after_them():
    asked = {"format": "pope", "files": [{"name": "a.jsonl"}, {"name": "b.jsonl"}]}
    found = {key: value for key, value in FOUND.items() if key not in ("level", "language", "world")} | {"benchmark": asked}
    assert title(found) == "chameleon on pope, a.jsonl, b.jsonl"
    assert json.loads(settings(found))["benchmark"] == asked and markdown(found).startswith(f"# {title(found)}\n")


def test_the_markdown_page_lists_every_score_and_all_settings():
    lines = markdown(FOUND).splitlines()
    assert lines[0] == "# chameleon on easy (en)"
    assert lines[2:4] == ["| score | value | 95 % interval | n | chance | blind | ceiling |", "|---|---|---|---|---|---|---|"]
    assert lines[4:7] == ["| " + " | ".join(row) + " |" for row in rows(FOUND)]
    assert json.loads(markdown(FOUND).split("```json\n")[1].split("```")[0]) == {key: f"its {key}" for key in KEYS}


def test_the_html_page_lists_every_score_and_all_settings(tiles):
    page = Page(html(FOUND, tiles))
    cells = [cell for row in rows(FOUND) for cell in row if cell]
    head = ["score", "value", "95 % interval", "n", *compared(FOUND)]
    start = page.words.index("score")
    assert page.words[start : start + len(head) + len(cells)] == [*head, *cells]
    assert len(page.all("tr")) == 4 and len(page.all("td")) == 3 * len(head)
    assert json.loads(page.words[-1]) == {key: f"its {key}" for key in KEYS}
    assert page.words[:2] == [title(FOUND)] * 2


def test_what_a_model_writes_is_text_and_never_markup(tiles):
    text = html(FOUND, tiles)
    page = Page(text)
    assert "<script" not in text and not page.all("script")
    assert EVIL in page.words and 'a "quoted" thing & more' in page.words
    assert [image["alt"] for image in page.all("img")] == ["a red circle", 'say "no"', "", "a red circle"]


def test_a_name_is_never_markup_either(tiles):
    page = Page(html({**FOUND, "system": EVIL, "training": EVIL}, {EVIL: tiles["drawing"]}))
    assert not page.all("script") and f"{EVIL} on easy (en)" in page.words and EVIL in page.words


def test_the_pictures_are_in_the_page_and_it_needs_no_other_file(tiles, pictures):
    page = Page(html(FOUND, tiles))
    assert not [attributes for _, attributes in page.elements if "href" in attributes] and not page.all("link")
    prefix = "data:image/png;base64,"
    sources = [image["src"] for image in page.all("img")]
    assert len(sources) == 4 and all(source.startswith(prefix) for source in sources)
    for source, picture in zip(sources[:3], pictures, strict=False):
        with Picture.open(io.BytesIO(base64.b64decode(source.removeprefix(prefix)))) as shown:
            assert torch.equal(torch.from_numpy(np.array(shown)).permute(2, 0, 1), picture)
    assert png(pictures[0]) == sources[0].removeprefix(prefix)


def test_cases_are_framed_by_what_is_right_under_the_name_of_their_exam(tiles):
    page = Page(html(FOUND, tiles))
    assert [figure["class"] for figure in page.all("figure")] == ["right", "wrong", "", "right"]
    assert [page.words.index(name) for name in ("drawing", "questions")] == sorted(map(page.words.index, ("drawing", "questions")))
    assert Page(html(FOUND, {})).all("figure") == []
