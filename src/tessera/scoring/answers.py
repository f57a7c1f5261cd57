"""Reading an answer: yes or no, a letter, or words made comparable, under a named convention."""

import re
import string
from collections.abc import Callable, Sequence

YES = frozenset(("yes", "y", "是", "有", "对"))
NO = frozenset(("no", "n", "不", "没有", "没", "否"))

THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)  # a thought that does not end has no answer behind it
BETWEEN = re.compile(r"[\s,.;:!?，。；：！？、]+")
EDGES = re.compile(r"^[\W_]+|[\W_]+$")

HEAD = re.compile(r"\s*[(\[]?([A-Za-z])(?:[)\].:,]|\s*$)")
SAID = re.compile(r"\b(?:[Aa]nswer|[Oo]ption|[Cc]hoice)(?: is)?:? *[(\[]?([A-Z])\b")

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'  # VQAv2's: apostrophes and colons stay
PERIOD = re.compile(r"\.(?!\d)")
ARTICLES = frozenset(("a", "an", "the"))
DIGITS = {"none": "0"} | {word: str(i) for i, word in enumerate("zero one two three four five six seven eight nine ten".split())}
WITH_APOSTROPHE = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's how'd
    how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've o'clock oughtn't 'ow's'at
    shan't she'd've should've shouldn't shouldn't've somebody'd somebody'd've somebody'll somebody's someone'd someone'd've someone'll
    someone's something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've they'll they're
    they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll
    who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
""".split()
# VQAv2's table is each of these with any one apostrophe left out.
CONTRACTIONS = {word[:i] + word[i + 1 :]: word for word in WITH_APOSTROPHE for i, mark in enumerate(word) if mark == "'"}


def yes_no(text: str, convention: str = "strict") -> bool | None:
    """Whether the answer is yes, as the convention reads it; None where it reads neither.

    `strict` is ours: without a leading <think>..</think>, the first word if it is a yes or a no (English or Chinese), else
    the one of "yes" and "no" that is there. `official` is POPE's evaluate.py (Li et al. 2023, arXiv 2305.10355), where all
    that is no "no" is a yes; `lmms_eval` is that engine's pope/utils.py, `mme` its mme/utils.py, `vlmevalkit` is that
    engine's YOrN_Extraction without the language model behind it.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"answers: convention {convention!r}; {', '.join(CONVENTIONS)} are accepted; name one of these")
    return CONVENTIONS[convention](text)


def _strict(text: str) -> bool | None:
    words = [EDGES.sub("", word) for word in BETWEEN.split(THOUGHT.sub("", text.casefold(), count=1))]
    words = [word for word in words if word]
    if words and words[0] in YES | NO:
        return words[0] in YES
    return _either("yes" in words, "no" in words)


def _official(text: str) -> bool | None:
    words = text.split(".")[0].replace(",", "").split(" ")
    return not {"No", "no", "not"} & set(words)


def _lmms_eval(text: str) -> bool | None:
    whole = text.lower().strip()
    return _either(whole == "yes", whole == "no")


def _vlmevalkit(text: str) -> bool | None:
    words = without_punctuation(text.lower()).split()
    return _either("yes" in words, "no" in words)


def _mme(text: str) -> bool | None:
    whole = text.lower().strip().replace(".", "")
    if len(whole) == 1:
        return _either(whole == "y", whole == "n")
    head = whole[:4]
    return _either("yes" in head, "no" in head and "yes" not in head)


def _either(yes: bool, no: bool) -> bool | None:
    return None if yes == no else yes


CONVENTIONS: dict[str, Callable[[str], bool | None]] = {
    "strict": _strict,
    "official": _official,
    "lmms_eval": _lmms_eval,
    "vlmevalkit": _vlmevalkit,
    "mme": _mme,
}


def letter(text: str, options: Sequence[str]) -> str | None:
    """The letter of the one option that the answer names, A for the first; None where it names none or two.

    It names an option by its letter, at its head ("B", "(b)", "B. a cat") or as "answer is B", else by being its very words
    (`normalised`). A leading <think>..</think> is not read. Ours; `vqa.option_match` also has the engines' readings.
    """
    if not 2 <= len(options) <= 26:
        raise ValueError(f"answers: {len(options)} options; 2 to 26 have letters; give the options of the question")
    letters = string.ascii_uppercase[: len(options)]
    said = THOUGHT.sub("", text, count=1).replace("*", "")
    head = HEAD.match(said)
    named = {head[1].upper()} if head else set()
    named = (named | set(SAID.findall(said))) & set(letters)
    if not named:
        words = normalised(said)
        named = {name for name, option in zip(letters, options, strict=True) if normalised(option) == words}
    return named.pop() if len(named) == 1 else None


def normalised(text: str) -> str:
    """The answer as VQAv2 compares it: no punctuation, no articles, digits for words to ten, apostrophes in contractions.

    Source: vqaEval.py of GT-Vision-Lab/VQA (Goyal et al. 2017, arXiv 1612.00837). Differs in one word: there "somebody'd"
    becomes "somebodyd", here the other way round; what is equal to what is the same.
    """
    words = [DIGITS.get(word, word) for word in without_punctuation(re.sub(r"[\n\t]", " ", text).strip()).lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def without_punctuation(text: str) -> str:
    """The text without VQAv2's punctuation: a mark beside a space anywhere, or any in a text with 1,000, goes; others become a space.

    Periods go unless a digit follows, as in 2.5; only the first 32 of them, for there a flag stands in the place of the count.
    """
    thousands = re.search(r"\d,\d", text)
    kept = text
    for mark in PUNCTUATION:
        beside = f"{mark} " in text or f" {mark}" in text
        kept = kept.replace(mark, "" if beside or thousands else " ")
    return PERIOD.sub("", kept, count=32)


def exact_match(answer: str, truth: str) -> bool:
    """Whether the two are the same but for case, ASCII punctuation and outer space.

    Source: GQA's accuracy (Hudson & Manning 2019, arXiv 1902.09506) as lmms-eval has it; its own eval.py compares the very strings.
    """
    bare = str.maketrans("", "", string.punctuation)
    return answer.lower().translate(bare).strip() == truth.lower().translate(bare).strip()
