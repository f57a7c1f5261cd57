import pytest

from tessera.data.benchmarks import VqaQuestion, read_vqa

NAMES = "{:03d}.png"
ASKED = [(11, 1, "How many?"), (12, 1, "What colour?"), (13, 2, "什么颜色？")]


@pytest.fixture
def pictures(folder):
    (folder / "a.png").rename(folder / "001.png")
    (folder / "b.png").rename(folder / "002.png")
    (folder / "torn.png").rename(folder / "003.png")
    return folder


def annotation(id, words="two"):
    answers = [{"answer_id": i, "answer": words if i else "", "answer_confidence": "yes"} for i in range(10)]
    return {"question_id": id, "image_id": 1, "answer_type": "number", "multiple_choice_answer": words, "answers": answers}


@pytest.fixture
def read(pictures, whole):
    def call(asked=ASKED, answered=None, **options):
        options = {"name": NAMES, **options}
        questions = [dict(zip(("question_id", "image_id", "question"), row, strict=False)) for row in asked]
        answers = [annotation(13, "红"), annotation(12), annotation(11), annotation(99)] if answered is None else answered
        files = whole({"questions": questions}, "questions.json"), whole({"annotations": answers}, "annotations.json")
        return read_vqa(*files, pictures, **options)

    return call


def test_questions_find_their_ten_answers_by_id(pictures, read):
    assert list(read()) == [
        VqaQuestion("11", "1", pictures / "001.png", "How many?", ("", *["two"] * 9), "number"),
        VqaQuestion("12", "1", pictures / "001.png", "What colour?", ("", *["two"] * 9), "number"),
        VqaQuestion("13", "2", pictures / "002.png", "什么颜色？", ("", *["红"] * 9), "number"),
    ]


def test_pictures_are_called_as_coco_calls_them_unless_said(pictures, read):
    (pictures / "001.png").rename(pictures / "COCO_val2014_000000000001.jpg")
    assert read(ASKED[:1], name="COCO_val2014_{:012d}.jpg") == read_vqa(
        *(pictures / f"{x}.json" for x in ("questions", "annotations")), pictures
    )


@pytest.mark.parametrize(
    ("asked", "answered", "reason"),
    [
        ((11, 1, "Again?"), None, "its id '11' is that of question 1"),
        ((14, 1, "Why?"), None, "annotations.json has no answers to it"),
        ((99, 1, ""), None, "'question' is empty"),
        ((99, "1", "Why?"), None, "'image_id' is text; a whole number is expected"),
        ((99, 8, "Why?"), None, "no picture '008.png' in"),
        ((99, 3, "Why?"), None, "picture cannot be read"),
        ((99, 1), None, "no field 'question'"),
        ((99, 1, "Why?"), {"answers": []}, "annotation 4 of annotations.json: 0 answers; 10 are expected"),
        ((99, 1, "Why?"), {"answers": 3}, "annotation 4 of annotations.json: 'answers' is a number; a list is expected"),
        ((99, 1, "Why?"), {"answers": [{"answer": 2}] * 10}, "annotation 4 of annotations.json: answer 1 is a number, not text"),
    ],
)
def test_bad_rows_are_said_or_left_out(read, asked, answered, reason):
    answers = [annotation(11), annotation(12), annotation(13), annotation(99) | (answered or {})]
    with pytest.raises(ValueError, match=rf"questions.json, question 4 \(question_id {asked[0]}\): {reason}.*; mend or remove the row"):
        read([*ASKED, asked], answers)
    found = read([*ASKED, asked], answers, skip_bad=True)
    assert [one.id for one in found] == ["11", "12", "13"] and len(found.bad) == 1


def test_files_are_refused_whole_where_they_are_not_of_the_form(pictures, read):
    with pytest.raises(ValueError, match=r"questions.json holds no rows"):
        read([])
    with pytest.raises(
        ValueError, match=r"annotations.json, annotation 2: its question_id 11 is that of annotation 1; a JSON file of VQAv2"
    ):
        read(answered=[annotation(11), annotation(11)])
    with pytest.raises(ValueError, match=r"lost.json does not exist; a JSON file of VQAv2 with the list 'annotations' is accepted"):
        read_vqa(pictures / "questions.json", pictures / "lost.json", pictures)
    read()
    (pictures / "questions.json").write_text("[")
    with pytest.raises(ValueError, match=r"questions.json: bad JSON .*; a JSON file of VQAv2 with the list 'questions' is accepted; mend"):
        read_vqa(pictures / "questions.json", pictures / "annotations.json", pictures)


@pytest.mark.parametrize("name", ["{name}.jpg", "{} {}.jpg", "{:x y}.jpg"])
def test_a_name_of_pictures_has_one_place_for_the_id(pictures, read, name):
    read()
    with pytest.raises(ValueError, match=r"data: pictures named .*; one place for the id, as in COCO_val2014"):
        read_vqa(pictures / "questions.json", pictures / "annotations.json", pictures, name=name)
