import pytest

from tessera.data.benchmarks import CocoPicture, read_coco

IMAGES = [{"id": 5, "file_name": "a.png"}, {"id": 7, "file_name": "b.png"}, {"id": 90, "file_name": "狗.png"}]
SAID = [(5, "A dog."), (7, "A chair."), (5, "One dog "), (90, "一只狗")]
MARKED = [(5, 18), (5, 18), (90, 18), (5, 62)]


@pytest.fixture
def captions(whole):
    def write(images=IMAGES, said=SAID, extra=()):
        notes = [{"id": 100 + i, "image_id": image, "caption": words} for i, (image, words) in enumerate(said)]
        return whole({"images": images, "annotations": [*notes, *extra]}, "captions.json")

    return write


@pytest.fixture
def instances(whole):
    def write(images=IMAGES, marked=MARKED, extra=()):
        notes = [{"id": i, "image_id": image, "category_id": kind, "bbox": [0, 0, 1, 1]} for i, (image, kind) in enumerate(marked)]
        categories = [{"id": 18, "name": "dog"}, {"id": 62, "name": "chair"}]
        return whole({"images": images, "annotations": [*notes, *extra], "categories": categories}, "instances.json")

    return write


def test_captions_and_categories_meet_by_image(folder, captions, instances):
    assert list(read_coco(folder, captions=captions(), instances=instances())) == [
        CocoPicture("5", folder / "a.png", ("A dog.", "One dog"), frozenset({"dog", "chair"})),
        CocoPicture("7", folder / "b.png", ("A chair.",), frozenset()),
        CocoPicture("90", folder / "狗.png", ("一只狗",), frozenset({"dog"})),
    ]


def test_either_file_may_be_alone(folder, captions, instances):
    said, marked = read_coco(folder, captions=captions()), read_coco(folder, instances=instances())
    assert [one.captions for one in said] == [("A dog.", "One dog"), ("A chair.",), ("一只狗",)]
    assert [one.categories for one in marked] == [{"dog", "chair"}, set(), {"dog"}]
    assert not any(one.categories for one in said) and not any(one.captions for one in marked)
    with pytest.raises(ValueError, match="neither captions nor instances of COCO"):
        read_coco(folder)


def test_the_rows_are_those_of_captions_where_instances_has_more(folder, captions, instances):
    assert [one.id for one in read_coco(folder, captions=captions(IMAGES[:1], SAID[:1]), instances=instances())] == ["5"]


def test_a_fault_in_an_annotation_leaves_its_whole_picture_out(folder, captions, instances):
    marked = instances(extra=[{"id": 9, "image_id": 5, "category_id": 1}])
    reason = r"captions.json, images entry 1 \(id 5\): annotations entry 5 \(id 9\) of instances.json: category_id 1 is none of the 2"
    with pytest.raises(ValueError, match=reason):
        read_coco(folder, captions=captions(), instances=marked)
    found = read_coco(folder, captions=captions(), instances=marked, skip_bad=True)
    assert [one.id for one in found] == ["7", "90"] and len(found.bad) == 1


@pytest.mark.parametrize(
    ("images", "said", "reason"),
    [
        ([*IMAGES, {"id": 5, "file_name": "b.png"}], SAID, r"images entry 4 \(id 5\): its id is that of images entry 1 \(id 5\)"),
        ([*IMAGES, {"file_name": "b.png"}], SAID, "images entry 4: no field 'id'"),
        (IMAGES, [*SAID, (8, "Lost.")], r"annotations entry 5 \(id 104\): image_id 8 is none of the 3 images"),
        (IMAGES, SAID[1:2] + SAID[3:], r"images entry 1 \(id 5\): captions.json has no caption of it"),
        (IMAGES, [*SAID, (7, " ")], r"images entry 2 \(id 7\): annotations entry 5 \(id 104\) of captions.json: 'caption' is empty"),
        ([{"id": 5}], SAID[:1], r"images entry 1 \(id 5\): no field 'file_name'"),
        ([{"id": 5, "file_name": "http://a.org/a.png"}], SAID[:1], "is an address; pictures are read from disk and never fetched"),
        ([{"id": 5, "file_name": "lost.png"}], SAID[:1], "no picture 'lost.png' in"),
        ([{"id": 5, "file_name": "torn.png"}], SAID[:1], "picture cannot be read"),
    ],
)
def test_bad_rows_are_said_with_file_and_place(folder, captions, images, said, reason):
    with pytest.raises(ValueError, match=f"^data: .*captions.json, .*{reason}.*; mend or remove the row"):
        read_coco(folder, captions=captions(images, said))


def test_files_that_do_not_belong_together_are_said(folder, captions, instances):
    with pytest.raises(ValueError, match=r"images entry 1 \(id 5\): instances.json lists no image of this id"):
        read_coco(folder, captions=captions(), instances=instances(IMAGES[1:], MARKED[2:3]))
    with pytest.raises(ValueError, match=r"'file_name' is 'a.png' here and 'b.png' in instances.json"):
        read_coco(folder, captions=captions(IMAGES[:1], SAID[:1]), instances=instances([{"id": 5, "file_name": "b.png"}], []))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "a list where an object with the field 'images' is expected; a JSON file of COCO"),
        ({"images": 3}, "'images' is a number; a list is expected"),
        ({"images": []}, "no field 'annotations'"),
        ({"images": [], "annotations": []}, "holds no rows; at least one is needed"),
    ],
)
def test_files_of_another_form_are_refused(folder, whole, value, reason):
    with pytest.raises(ValueError, match=f"captions.json:? {reason}"):
        read_coco(folder, captions=whole(value, "captions.json"))
    with pytest.raises(ValueError, match=r"lost.json does not exist; a JSON file of COCO with .* is accepted; check the path"):
        read_coco(folder, captions=folder / "lost.json")
