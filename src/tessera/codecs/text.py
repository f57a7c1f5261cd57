"""Text as ids, over any tokenizer file of the `tokenizers` library."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from tessera.codecs.base import Cleans, Codec, Encoded
from tessera.codecs.canvas import Canvas, up_to
from tessera.draws import Draw

SHIPPED = Path(__file__).parent.parent / "weights" / "bpe.json"
UNKNOWN = "\U0010fffd"  # a character that no vocabulary has
SPACES = " \t\n\r"  # what tokenizers may leave out


class Markers(NamedTuple):
    """What stands between segments, as tokens of the text vocabulary. Published systems map theirs onto these."""

    document: str = "<document>"
    begin_image: str = "<image>"
    end_image: str = "</image>"
    end: str = "<end>"


class MarkerIds(NamedTuple):
    """The ids of the markers: any number of them stands for each of those around documents and pictures, one (`end`) closes a turn.

    Given texts are closed too where `closes_given`; published systems close only what the model itself has said.
    """

    document: tuple[int, ...]
    begin_image: tuple[int, ...]
    end_image: tuple[int, ...]
    end: int
    closes_given: bool = True

    @property
    def outside(self) -> frozenset[int]:
        """The ids that no text holds."""
        return frozenset((*self.document, *self.begin_image, *self.end_image)) - {self.end}


@runtime_checkable
class Vocabulary(Protocol):
    """What the codec of a text port says besides: the ids of the markers, the tokenizer that names every id, and the canvas.

    There is a canvas where texts are not written one id after another.
    """

    markers: MarkerIds
    tokenizer: Tokenizer
    canvas: Canvas | None


@runtime_checkable
class Placed(Protocol):
    """What a codec of text says whose ids depend on whether a text opens its document: it does where `behind` is something."""

    behind: str

    def encode_inside(self, raws: Sequence[Any], draws: Sequence[Draw] = ()) -> Encoded: ...


class BPE:
    """Text <-> ids through a Hugging Face tokenizer file; None is the one trained on the world.

    Markers that the file does not know are added behind its vocabulary; ids, where they are given instead, are those of a published
    vocabulary. No marker is ever read out of a user's text: what looks like one is encoded as the characters it is; only where it
    `trusts` texts, because a template made them, is a special token what it says. `behind` is a special token; texts inside of a
    document are read as they are behind it (some tokenizers put something in front of what comes first). Special tokens `added` that the
    file does not know get the ids behind its vocabulary.
    Raises ValueError where the file is missing or is no tokenizer, and for text of which it has no ids (and no token for what is unknown).
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        markers: Markers | MarkerIds = Markers(),
        canvas: Canvas | None = None,
        trusts: bool = False,
        behind: str = "",
        added: Sequence[str] = (),
    ):
        path, self.canvas = path or SHIPPED, canvas
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"BPE: {path}: {error}; a tokenizer.json of the tokenizers library is accepted; check the path") from error
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.tokenizer.encode_special_tokens = not trusts
        self.tokenizer.add_special_tokens(list(added))
        self.behind = behind
        self.markers = markers if isinstance(markers, MarkerIds) else self._added(markers)
        self._loses = self._length("a" + UNKNOWN) == self._length("a")
        self.size = max(self.tokenizer.get_vocab().values()) + 1  # ids may have gaps

    def _length(self, text: str) -> int:
        """How many ids a text has; none where the tokenizer refuses it."""
        try:
            return len(self.tokenizer.encode(text, add_special_tokens=False))
        except Exception:  # the library raises bare Exception
            return 0

    def _added(self, markers: Markers) -> MarkerIds:
        self.tokenizer.add_special_tokens(list(markers))
        ids = self.tokenizer.get_vocab()
        document, begin_image, end_image, end = (ids[marker] for marker in markers)
        return MarkerIds((document,), (begin_image,), (end_image,), end)

    @property
    def writable(self) -> Int[Tensor, "value"]:
        """Ids that text may hold: all but special tokens, which stand outside it; `end`, which closes it, is one of them."""
        special = {id for id, token in self.tokenizer.get_added_tokens_decoder().items() if token.special}
        return torch.tensor(sorted({*self.tokenizer.get_vocab().values()} - special | {self.markers.end}))

    def encode(self, raws: Sequence[str], draws: Sequence[Draw] = ()) -> Encoded:
        """Ids of each text, without markers. Raises ValueError for text that the tokenizer cannot say, or would say in part."""
        try:
            batch = self.tokenizer.encode_batch(list(raws), add_special_tokens=False)
        except Exception as error:  # the library raises bare Exception, and TypeError for what is no Unicode
            raise ValueError(
                f"text: {shortened(raws)}: {error}; text that the tokenizer knows is accepted; take another tokenizer"
            ) from error
        for raw, one in zip(raws, batch, strict=True) if self._loses else ():
            if lost := "".join(sorted(set(raw) - {raw[i] for start, end in one.offsets for i in range(start, end)} - set(SPACES))):
                raise ValueError(
                    f"text: {shortened([raw])}: the tokenizer has no ids for {lost!r}, and none for what is unknown; take another"
                )
        return Encoded([torch.tensor(one.ids, dtype=torch.long) for one in batch])

    def encode_inside(self, raws: Sequence[str], draws: Sequence[Draw] = ()) -> Encoded:
        """The same of texts that do not open their document."""
        front = len(self.encode([self.behind]).clean[0]) if self.behind else 0
        return Encoded([ids[front:] for ids in self.encode([self.behind + raw for raw in raws]).clean])

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> list[str]:
        """Texts as far as their first `end`, without markers; bytes that are no UTF-8 become U+FFFD."""
        ids = [up_to(clean, self.markers.end).tolist() for clean in cleans]
        return self.tokenizer.decode_batch(ids, skip_special_tokens=True)

    def keep(self, mask: Tensor) -> Tensor:
        """Text is given or learned as a whole."""
        raise ValueError("text: keep was given; only pictures may be partly given; split the text into two segments instead")

    def blank(self, length: int | None) -> Int[Tensor, "element"]:
        """Room for `length` ids."""
        assert length is not None
        return torch.zeros(length, dtype=torch.long)


def shortened(raws: Sequence[str]) -> str:
    """Texts for a message."""
    return ", ".join(repr(raw if len(raw) <= 60 else raw[:57] + "...") for raw in raws[:3])


class Padding:
    """Text as padding, as many ids as it has: what some systems read in place of a prompt that is dropped."""

    def __init__(self, text: Codec, id: int):
        self.text, self.id = text, id

    def encode(self, raws: Sequence[str], draws: Sequence[Draw] = ()) -> Encoded:
        """The id, for each of the text's."""
        return Encoded([torch.full_like(ids, self.id) for ids in self.text.encode(raws, draws).clean])

    def decode(self, cleans: Cleans, draws: Sequence[Draw] = ()) -> list[str]:
        """Nothing."""
        return [""] * len(cleans)

    def keep(self, mask: Tensor) -> Tensor:
        """As the text's codec says."""
        return self.text.keep(mask)

    def blank(self, length: int | None) -> Int[Tensor, "element"]:
        """The id, so many times."""
        assert length is not None
        return torch.full((length,), self.id)


def train_bpe(texts: Iterable[str], size: int, *, markers: Markers = Markers()) -> Tokenizer:
    """A byte-level BPE of `size` ids, markers first; every text can be encoded.

    A word has the same ids at the front of a text as inside it: a space is put in front, and taken off again by decoding.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])  # takes off the space put in front
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(markers), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
