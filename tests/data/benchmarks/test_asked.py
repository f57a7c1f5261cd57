import pytest

from tessera.data.benchmarks import AskedQuestion, read_questions


def turns(*values):
    return [{"from": ("human", "gpt")[number % 2], "value": value} for number, value in enumerate(values)]


ROWS = [
    {"id": "7", "image": "a.png", "conversations": turns("<image>\nWhat colour?", "Red.")},
    {"id": 8, "image": ["狗.png"], "conversations": turns("这是什么？\n<image>", "狗")},
    {"conversations": turns("Two and two?", "Four.")},
]


def test_one_question_an_entry_in_a_list_or_on_lines(folder, lines, whole):
    expected = [
        AskedQuestion("7", str(folder / "a.png"), folder / "a.png", "What colour?", "Red."),
        AskedQuestion("8", str(folder / "狗.png"), folder / "狗.png", "这是什么？", "狗"),
        AskedQuestion("3", "3", None, "Two and two?", "Four."),
    ]
    assert list(read_questions(whole(ROWS, "asked.json"))) == list(read_questions(lines(*ROWS, name="asked.jsonl"))) == expected
    assert [one.id for one in read_questions(whole(ROWS, "asked.json"), folder)] == ["7", "8", "3"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conversations": turns("<image>\nQ", "A", "Q", "A")}, "2 pieces of question, 2 answers and 1 pictures; one question in one"),
        ({"conversations": turns("<image>", "A")}, "0 pieces of question, 1 answers and 1 pictures"),
        ({"conversations": turns("So <image> or not?", "A")}, "2 pieces of question, 1 answers and 1 pictures"),
        ({"conversations": turns("<image>\n<image>Q", "A"), "image": ["a.png", "b.png"]}, "1 pieces of question, 1 answers and 2 pictures"),
        ({"conversations": turns("<image>\nQ")}, "turn 1 is a question without an answer"),
        ({"image": "https://a.org/a.png"}, "picture 'https://a.org/a.png' is an address"),
        ({"image": "lost.png"}, "no picture 'lost.png' in"),
        ({"image": "torn.png"}, "picture cannot be read"),
        ({"id": "8"}, "its id '8' is that of"),
        ({"id": []}, "'id' is a list; a whole number is expected"),
    ],
)
def test_bad_entries_are_said_or_left_out(lines, whole, change, reason):
    rows = [*ROWS[1:], ROWS[0] | change]
    for path, place in ((whole(rows, "asked.json"), r"entry 3 \(id .*\)"), (lines(*rows, name="asked.jsonl"), "line 3")):
        with pytest.raises(ValueError, match=f"{path.name}, {place}: {reason}.*; mend or remove the row"):
            read_questions(path)
        found = read_questions(path, skip_bad=True)
        assert [one.id for one in found] == ["8", "2"] and len(found.bad) == 1


def test_files_that_give_nothing_are_refused(folder, lines, whole):
    for path, reason in (
        (folder / "lost.json", "does not exist; LLaVA's format, a JSON list of entries .* or one a line .*, is accepted; check the path"),
        (whole({}, "object.json"), "is an object; LLaVA's format"),
        (whole([], "empty.json"), "holds no rows"),
        (lines(name="empty.jsonl"), "holds no rows"),
    ):
        with pytest.raises(ValueError, match=f"^data: .*{path.name} {reason}"):
            read_questions(path)
