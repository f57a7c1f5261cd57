import json

import pytest
import torch

from tessera.codecs import BPE, Markers, Padding
from tessera.codecs.text import MarkerIds, train_bpe

TEXTS = [
    "a red circle",
    "Where is it?\nTo the left, 3 of 4!",
    "左上角有一个红色的圆",
    "naïve café — 😀👩‍🚀🇨🇳",
    "tabs\tand  two spaces",
    "x",
]


@pytest.fixture(scope="module")
def bpe():
    return BPE()


@pytest.mark.parametrize("text", [*TEXTS, ""])
def test_every_text_survives(text, bpe):
    ids = bpe.encode([text]).clean[0]
    assert ids.dtype == torch.long and bpe.decode([ids]) == [text]


def test_a_batch_is_its_texts_one_by_one(bpe):
    together = bpe.encode(TEXTS).clean
    assert [ids.tolist() for ids in together] == [bpe.encode([text]).clean[0].tolist() for text in TEXTS]
    assert bpe.decode(together) == TEXTS


def test_a_word_has_the_same_ids_in_front_and_inside(bpe):
    front, inside = bpe.encode(["circle", "a circle"]).clean
    assert inside.tolist()[-len(front) :] == front.tolist()


@pytest.mark.parametrize("marker", Markers())
def test_markers_in_a_text_are_characters(marker, bpe):
    text = f"draw {marker} now{marker}"
    ids = bpe.encode([text]).clean[0]
    assert not set(ids.tolist()) & {*bpe.markers.outside, bpe.markers.end} and bpe.decode([ids]) == [text]


def test_decoding_leaves_markers_out_and_shows_broken_characters(bpe):
    ids = bpe.encode(["圆 😀"]).clean[0].tolist()
    assert bpe.decode([torch.tensor([*bpe.markers.document, *ids, bpe.markers.end])]) == ["圆 😀"]
    assert bpe.decode([torch.tensor(ids[:-1])])[0].endswith("\ufffd")


def test_text_may_hold_all_ids_but_the_markers_outside_it(bpe):
    assert len(bpe.markers.outside) == 3 and bpe.markers.end not in bpe.markers.outside
    assert set(bpe.writable.tolist()) == set(range(bpe.size)) - bpe.markers.outside and bpe.markers.end in bpe.writable


@pytest.fixture
def foreign(tmp_path):
    """A tokenizer file as others write them: it knows no marker, pads, truncates, and adds tokens around a text."""
    from tokenizers import processors

    tokenizer = train_bpe(TEXTS, 300, markers=Markers("<s>", "<pad>", "<unk>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 3)])
    tokenizer.enable_padding(length=64, pad_id=1, pad_token="<pad>")
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_foreign_file_gets_markers_behind_its_vocabulary_and_adds_nothing(foreign):
    before = len(json.loads(foreign.read_text())["model"]["vocab"])
    bpe = BPE(foreign)
    assert {*bpe.markers.outside, bpe.markers.end} == {*range(before, before + 4)} and bpe.size == before + 4
    assert bpe.decode(bpe.encode(TEXTS).clean) == TEXTS
    assert bpe.encode(["x"]).clean[0].numel() <= 2
    assert bpe.decode(bpe.encode(["<s> x </s>"]).clean) == ["<s> x </s>"]


def test_markers_of_published_systems_map_onto_theirs(foreign):
    bpe = BPE(foreign, markers=Markers(document="<s>", begin_image="<boi>", end_image="<eoi>", end="</s>"))
    assert (bpe.markers.document, bpe.markers.end) == ((0,), 3) and bpe.markers.begin_image[0] >= 300 - 4


def test_ids_of_a_published_vocabulary_are_taken_as_they_are(foreign):
    before = BPE(foreign).size - 4
    bpe = BPE(foreign, markers=MarkerIds(document=(), begin_image=(0, 7), end_image=(), end=3, closes_given=False))
    assert bpe.size == before and bpe.markers.outside == {0, 7} and 3 in bpe.writable


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"BPE: .*nowhere.json: .*; a tokenizer.json of the tokenizers library is accepted; check the path"
    ):
        BPE(tmp_path / "nowhere.json")
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(ValueError, match=r"BPE: .*no.json"):
        BPE(tmp_path / "no.json")


def test_text_is_given_as_a_whole(bpe):
    with pytest.raises(ValueError, match="text: keep was given"):
        bpe.keep(torch.ones(2, 2, dtype=torch.bool))
    assert bpe.blank(5).tolist() == [0] * 5


def test_training_gives_the_size_asked_for_with_markers_first():
    tokenizer = train_bpe(["a red circle and a blue circle"] * 3, 270)
    assert tokenizer.get_vocab_size() == 270 and [tokenizer.token_to_id(marker) for marker in Markers()] == [0, 1, 2, 3]
    assert tokenizer.decode(tokenizer.encode("never seen: 漢 ☃").ids) == "never seen: 漢 ☃"


def test_padding_is_as_long_as_the_text_it_stands_for(bpe):
    padding, texts = Padding(bpe, 7), ["a red circle", "x", ""]
    found = padding.encode(texts).clean
    assert [ids.tolist() for ids in found] == [[7] * len(ids) for ids in bpe.encode(texts).clean]
    assert padding.decode(found) == [""] * 3 and padding.blank(2).tolist() == [7, 7]
    with pytest.raises(ValueError, match="text: keep was given"):
        padding.keep(torch.ones(2, 2, dtype=torch.bool))


def words_alone(tmp_path, unknown: str | None):
    """A tokenizer of two words, with or without a token for all others."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"red": 0, "dot": 1} | ({unknown: 2} if unknown else {})
    made = Tokenizer(models.WordLevel(vocabulary, **({"unk_token": unknown} if unknown else {})))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "words.json"))
    return BPE(tmp_path / "words.json")


def letters_alone(tmp_path, unknown: str | None):
    """A BPE of five letters without bytes to fall back on, with or without a token for all else."""
    from tokenizers import Tokenizer, models

    vocabulary = {letter: i for i, letter in enumerate("abred")} | ({unknown: 5} if unknown else {})
    Tokenizer(models.BPE(vocabulary, [], unk_token=unknown)).save(str(tmp_path / "letters.json"))
    return BPE(tmp_path / "letters.json")


@pytest.mark.parametrize("made", [words_alone, letters_alone])
def test_what_a_tokenizer_cannot_say_is_refused_and_not_left_out(made, tmp_path):
    assert len(made(tmp_path, "<unk>").encode(["red zq"]).clean[0]) > 1, "a token for what is unknown stands there"
    bare = made(tmp_path, None)
    assert len(bare.encode(["red"]).clean[0]) > 0
    with pytest.raises(ValueError, match=r"text: .*'red zq': "):
        bare.encode(["red", "red zq"])


def test_what_is_no_unicode_is_refused():
    with pytest.raises(ValueError, match=r"text: 'a .udc80': "):
        BPE().encode(["a \udc80"])
