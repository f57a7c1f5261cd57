"""What lmms-eval asks: its request tuples as segments to read and settings to write with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from PIL import Image as Pillow
from torch import Tensor

from tessera.data.images import decode, fitted, open_picture
from tessera.document import Image, Segment, Text
from tessera.laws.base import Sampling

TAG = "<image>"
USUAL = 64  # ids, where a task sets no max_new_tokens

See = Callable[[object], Tensor]


@dataclass(frozen=True, eq=False)
class Asked:
    """What is shown and said, the settings of the task, and which document of which task and split this is."""

    segments: tuple[Segment, ...]
    settings: Mapping[str, Any]
    key: tuple[str, str, int]


Read = Callable[[tuple, Mapping[str, Any], See], Asked]


def simple(arguments: tuple, documents: Mapping[str, Any], see: See) -> Asked:
    """A request of a task with one context: (context, settings, visuals of a document, its number, task, split).

    Pictures stand where the context has their tags, or, where it has not one for each, in front of it.
    """
    context, settings, visuals, number, task, split = arguments
    pictures = [Image(see(one)) for one in visuals(documents[task][split][number]) or ()]
    pieces = context.split(TAG)
    if len(pieces) - 1 != len(pictures):
        pieces = [""] * len(pictures) + [context]
    segments: list[Segment] = []
    for i, piece in enumerate(pieces):
        segments += [*pictures[i - 1 : i], *said(piece)]
    return Asked(tuple(segments), settings or {}, (task, split, number))


def chat(arguments: tuple, documents: Mapping[str, Any], see: See) -> Asked:
    """A request of a task of messages: (context, messages of a document, settings, its number, task, split).

    The context says nothing that the messages do not. Roles are not told apart: what is said in a message is one text.
    """
    _, messages, settings, number, task, split = arguments
    segments: list[Segment] = []
    for message in messages(documents[task][split][number]):
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        words: list[str] = []
        for part in parts:
            if part["type"] == "text":
                words.append(part["text"])
            elif part["type"] == "image":
                segments += [*said("\n".join(words)), Image(see(part["url"]))]
                words = []
            else:
                raise ValueError(f"lmms_eval: {task} shows {part['type']}; text and images are accepted; choose another task")
        segments += said("\n".join(words))
    return Asked(tuple(segments), settings or {}, (task, split, number))


def said(words: str) -> list[Text]:
    """The words without white space at their ends, as a segment; none where there are none."""
    return [Text(words.strip())] if words.strip() else []


def picture_of(visual: object, pixels: int) -> UInt8[Tensor, "3 height wide"]:
    """A visual of a task (a PIL image, a path, bytes, or bytes or a path in a dictionary) as `open_picture` would give it."""
    if isinstance(visual, Mapping):
        visual = visual.get("bytes") or visual.get("path")
    if isinstance(visual, Pillow.Image):
        return fitted(visual, (pixels, pixels))
    if isinstance(visual, bytes):
        return decode(visual, (pixels, pixels))
    if isinstance(visual, str) and "://" in visual:
        raise ValueError(f"lmms_eval: the visual {visual} is an address; pictures are never fetched; use a task with its pictures on disk")
    if isinstance(visual, str | Path):
        return open_picture(visual, pixels)
    kind = type(visual).__name__
    raise ValueError(f"lmms_eval: a visual is a {kind}; PIL images, paths and bytes of pictures are accepted; choose another task")


# ---------------------------------------------------------------- settings


def sampling_of(usual: Sampling, settings: Mapping[str, Any]) -> Sampling:
    """How a task wants its text: the likeliest, unless it sets a temperature or `do_sample`.

    `do_sample` false is the likeliest whatever the temperature, as in transformers. `top_k` and `top_p` count only where something
    is drawn. Raises ValueError for beams; settings for other models' pictures are not looked at.
    """
    beams = settings.get("num_beams") or 1
    if beams != 1:
        raise ValueError(f"lmms_eval: num_beams {beams}; 1 is accepted, as there is no search with beams; add --gen_kwargs num_beams=1")
    drawn = settings.get("do_sample")
    temperature = settings.get("temperature")
    temperature = float(bool(drawn)) if temperature is None else float(temperature)
    if drawn is False or not temperature:
        return replace(usual, temperature=0.0, top_k=None, top_p=None)
    top_k, top_p = settings.get("top_k"), settings.get("top_p")
    return replace(
        usual, temperature=temperature, top_k=top_k if top_k and top_k > 0 else None, top_p=top_p if top_p and top_p < 1 else None
    )


def longest_of(settings: Mapping[str, Any]) -> int:
    """The most ids a text may have."""
    return int(settings.get("max_new_tokens") or USUAL)


def cut(text: str, until: str | Iterable[str] | None) -> str:
    """The text up to the first of the strings that end it, without white space at its ends."""
    ends = [until] if isinstance(until, str) else until or ()
    for end in ends:
        text = text.partition(end)[0] if end else text
    return text.strip()
