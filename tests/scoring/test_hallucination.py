import pytest

from tessera.scoring.hallucination import Amber, amber, chair, load_synonyms, mentions, with_coco_phrases

SYNONYMS = {
    **{"person": "person", "baby": "person", "people": "person", "woman": "person", "passenger": "person"},
    **{"dog": "dog", "puppy": "dog", "hot dog": "hot dog", "cow": "cow", "train": "train", "bus": "bus", "knife": "knife"},
    **{"chair": "chair", "seat": "chair", "toilet": "toilet", "wine glass": "wine glass", "scissors": "scissors"},
    **{"oven": "oven", "stove": "oven", "stove top oven": "oven"},
}
MENTIONED = [["cat", "cat", "dog"], ["car"], [], ["dog", "sofa"]]
THERE = [{"cat", "bed"}, {"car"}, {"tree"}, {"cat"}]


@pytest.mark.parametrize(
    ("caption", "found"),
    {
        "A dog, a puppy and two Dogs.": ["dog", "dog", "dog"],
        "A hot dog beside a dog": ["hot dog", "dog"],
        "Three hot-dogs on a bus": ["hot dog", "bus"],
        "Buses, puppies and knives": ["bus", "dog", "knife"],
        "wine glasses and a glass of wine": ["wine glass"],
        "Two women and the dog's scissors": ["person", "dog", "scissors"],
        "the stove top oven": ["oven"],
        "the stove top": ["oven"],
        "A hotdog in a dogma": [],
        "": [],
    }.items(),
)
def test_what_a_caption_mentions(caption, found):
    assert mentions(caption, SYNONYMS) == found


def test_phrases_of_coco():
    caption = "A baby cow, a passenger train on the train tracks, a toilet seat and a passenger with a baby bird"
    assert mentions(caption, SYNONYMS) == ["person", "cow", "person", "train", "train", "toilet", "chair", "person", "person"]
    assert mentions(caption, with_coco_phrases(SYNONYMS)) == ["cow", "train", "toilet", "person"]


def test_a_synonym_without_a_class_is_read_and_mentions_nothing():
    assert mentions("a dog and a dog house", {"dog": "dog", "dog house": None}) == ["dog"]


def test_a_table_is_read_from_lines_of_synonyms(tmp_path):
    file = tmp_path / "synonyms.txt"
    file.write_text("person, girl,  T-shirt man, person\n\ndog, Puppy \ncell phone, iPhone\n")
    table = load_synonyms(file)
    assert table == {
        **{"person": "person", "girl": "person", "t shirt man": "person"},
        **{"dog": "dog", "puppy": "dog", "cell phone": "cell phone", "iphone": "cell phone"},
    }
    assert mentions("A T-shirt man with an iPhone", table) == ["person", "cell phone"]


def test_a_table_with_a_fault_is_refused(tmp_path):
    file = tmp_path / "synonyms.txt"
    file.write_text("dog, pet\ncat, pet\n")
    with pytest.raises(ValueError, match=r"synonyms: 'pet' in line 2 of .*synonyms.txt is in 'dog' and 'cat'; one class a name; take it"):
        load_synonyms(file)
    file.write_text("\n")
    with pytest.raises(ValueError, match=r"synonyms: no names in .*; one line of names between commas for each class; name another file"):
        load_synonyms(file)


def test_a_file_of_synonyms_that_is_no_text_is_named(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    for name in ("picture.png", "missing.txt"):
        with pytest.raises(ValueError, match=rf"synonyms: .*{name}: .*; a text file with one class a line is accepted; check the path"):
            load_synonyms(tmp_path / name)


def test_chair_by_hand():
    scores = chair(MENTIONED, THERE, [8, 4, 2, 6])
    assert (scores.sentence, scores.instance, scores.recall, scores.words) == (2 / 4, 3 / 6, 2 / 5, 5)


def test_chair_counts_repetition_where_amber_does_not():
    twice = [[*MENTIONED[0], "dog"], *MENTIONED[1:]]
    assert chair(twice, THERE, [1] * 4).instance == 4 / 7
    assert chair(twice, THERE, [1] * 4).recall == chair(MENTIONED, THERE, [1] * 4).recall
    assert amber(twice, THERE, [set()] * 4) == amber(MENTIONED, THERE, [set()] * 4)


def test_kinds_may_have_colours():
    scores = chair([[("red", "dog"), ("blue", "dog")]], [{("red", "dog"), ("red", "cat")}], [7])
    assert (scores.sentence, scores.instance, scores.recall) == (1, 0.5, 0.5)


def test_saying_nothing_hallucinates_nothing_and_recalls_nothing():
    scores = chair([[], []], [{"cat"}, set()], [0, 3])
    assert (scores.sentence, scores.instance, scores.recall, scores.words) == (0, 0, 0, 1.5)
    assert amber([[], []], [{"cat"}, set()], [{"dog"}, set()]) == Amber(0.0, 0.0, 0.0, 0.0)


def test_amber_by_hand():
    scores = amber(MENTIONED, THERE, [{"dog", "sofa"}, {"bus"}, set(), {"dog"}])
    assert (scores.chair, scores.cover, scores.hal, scores.cog) == (0.375, 0.375, 0.5, 0.25)
    assert scores.overall(0.8) == pytest.approx(0.7125)


def test_a_true_and_full_caption_is_perfect_by_both():
    truth = [sorted(objects) for objects in THERE]
    full = chair(truth, THERE, [3] * 4)
    assert (full.sentence, full.instance, full.recall) == (0, 0, 1)
    assert amber(truth, THERE, [{"dog"}] * 4) == Amber(chair=0.0, cover=1.0, hal=0.0, cog=0.0)
    assert amber(truth, THERE, [set()] * 4).overall(1.0) == 1


def test_the_order_of_captions_does_not_matter():
    turned = chair(MENTIONED[::-1], THERE[::-1], [6, 2, 4, 8])
    assert turned == chair(MENTIONED, THERE, [8, 4, 2, 6])


def test_lists_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="chair: 4 captions, 4 sets of objects, 3 lengths; one of each for every case, at least one"):
        chair(MENTIONED, THERE, [1, 2, 3])
    with pytest.raises(ValueError, match="amber: 0 captions, 0 sets of objects, 0 sets of imagined objects"):
        amber([], [], [])
