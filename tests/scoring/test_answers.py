import pytest

from tessera.scoring.answers import CONVENTIONS, exact_match, letter, normalised, yes_no

# One answer as every convention reads it, + yes, - no, . neither: POPE's own, lmms-eval's POPE, VLMEvalKit, lmms-eval's MME, ours.
TABLE = {
    "Yes": "+++++",
    "yes.": "+.+++",
    "Yes, there is a dog.": "+.+++",
    "NO": "+----",
    "No.": "-.---",
    "There is no dog": "-.-.-",
    "not sure": "-..-.",
    "": "+....",
    "nope": "+..-.",
    "I think yes, not no": "-....",
    "是": "+...+",
    "没有": "+...-",
}
READ = {"+": True, "-": False, ".": None}


@pytest.mark.parametrize(("text", "marks"), TABLE.items())
def test_one_answer_as_every_convention_reads_it(text, marks):
    order = ("official", "lmms_eval", "vlmevalkit", "mme", "strict")
    assert {name: yes_no(text, name) for name in order} == {name: READ[mark] for name, mark in zip(order, marks, strict=True)}
    assert set(order) == set(CONVENTIONS)


@pytest.mark.parametrize(
    ("text", "read"),
    {
        "<think>No, wait. It may be.</think>\nYes": True,
        "<think>yes, yes, I am sure that": None,
        "The tag <think>no</think> is yes": True,
        "**No**, it is a cat": False,
        "N": False,
        "Y.": True,
        "N/A": None,
        "Yes/No": None,
        "yes...no": True,
        "The answer is yes. Yes!": True,
        "It is neither yes nor no.": None,
        "是，有一只狗": True,
        "没有。": False,
        "对不起": None,
        "nowhere": None,
    }.items(),
)
def test_strict_reads_the_first_word_or_the_only_one(text, read):
    assert yes_no(text) is read


def test_case_does_not_matter_where_the_convention_folds_it():
    for text in TABLE:
        for name in ("strict", "lmms_eval", "vlmevalkit", "mme"):
            assert yes_no(text.upper(), name) == yes_no(text.lower(), name)


def test_vlmevalkit_leaves_periods_behind_the_thirty_second():
    assert yes_no("." * 31 + " yes.", "vlmevalkit") is True
    assert yes_no("." * 32 + " yes.", "vlmevalkit") is None


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match=r"answers: convention 'pope'; strict, official, .* are accepted; name one of these"):
        yes_no("yes", "pope")


@pytest.mark.parametrize(
    ("text", "read"),
    {
        "B": "B",
        " b\n": "B",
        "(C)": "C",
        "B. a red car": "B",
        "**B**": "B",
        "B) because the car is red": "B",
        "The answer is C": "C",
        "The correct answer is: (C).": "C",
        "Answer: B": "B",
        "I choose option C, for it barks.": "C",
        "A red car": "B",
        "the dog!": "C",
        "<think>A? B? The answer is A.</think> C": "C",
        "A. no, the answer is B": None,
        "E": None,
        "It is a dog": None,
        "A cat or a dog": None,
        "": None,
    }.items(),
)
def test_the_option_that_an_answer_names(text, read):
    assert letter(text, ["cat", "a red car", "dog"]) == read


def test_an_option_that_is_there_twice_is_not_named_by_its_words():
    assert letter("dog", ["dog", "a dog"]) is None and letter("A", ["dog", "a dog"]) == "A"


def test_one_option_is_no_choice():
    with pytest.raises(ValueError, match="answers: 1 options; 2 to 26 have letters; give"):
        letter("A", ["cat"])


@pytest.mark.parametrize(
    ("text", "plain"),
    {
        "A  Dog!": "dog",
        "the man's hat": "man's hat",
        "Two dogs": "2 dogs",
        "none": "0",
        "dont": "don't",
        "hes couldntve": "he's couldntve",
        "couldnt've": "couldn't've",
        "yall'd've": "y'all'd've",
        "2.5": "2.5",
        "Main St.": "main st",
        "1,000": "1000",
        "red-white": "red white",
        "red-white, blue": "red white blue",
        "red -white-blue": "red whiteblue",
        "12:30": "12:30",
        "left\nside": "left side",
        " the ": "",
    }.items(),
)
def test_answers_as_vqa_compares_them(text, plain):
    assert normalised(text) == plain


def test_what_is_normalised_stays():
    for text in ("A  Dog!", "dont", "1,000", "red -white-blue", "somebodyd've", "ows'at"):
        assert normalised(normalised(text)) == normalised(text)


def test_exact_match_forgives_case_and_punctuation_alone():
    assert exact_match("Traffic light.", " traffic light")
    assert not exact_match("a dog", "dog") and not exact_match("two", "2")
