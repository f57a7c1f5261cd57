"""Markers of published vocabularies: what stands in front of documents and around pictures, and what ends a turn."""

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer

from tessera.codecs.text import MarkerIds
from tessera.hub.folder import Folder, Settings


def tokenizer(folder: Folder) -> Tokenizer:
    """The folder's tokenizer as it is. Raises ValueError where there is none."""
    try:
        return Tokenizer.from_file(str(folder.file("tokenizer.json")))
    except ValueError:
        raise
    except Exception as fault:  # the library raises bare Exception
        raise ValueError(
            f"hub: {folder.path / 'tokenizer.json'}: {fault}; a tokenizer of `tokenizers` is accepted; fetch it again"
        ) from fault


def markers(
    folder: Folder, said: Settings, *, begin_image: Iterable[str] = (), end_image: Iterable[str] = (), document: Iterable[str] | None = None
) -> MarkerIds:
    """The ids of a published system's markers.

    In front of a document stands what its tokenizer puts in front of a text, if not said otherwise; a turn ends with what the
    tokenizer, or else the configuration, calls the end.
    """
    made = tokenizer(folder)
    end = last(folder, said, made)
    front = [ids_of(made, token) for token in document] if document is not None else [made.encode("").ids]
    ids = lambda tokens: tuple(id for token in tokens for id in ids_of(made, token))
    opened = tuple(id for part in front for id in part if id != end)
    return MarkerIds(opened, ids(begin_image), ids(end_image), end, closes_given=False)


def alone(folder: Folder, end: str) -> MarkerIds:
    """Nothing stands between segments, because templates say it, or pictures hold it; `end`, a token, closes what the system says.

    Raises ValueError where the tokenizer does not know it.
    """
    (id,) = ids_of(tokenizer(folder), end)
    return MarkerIds((), (), (), id, closes_given=False)


def ids_of(made: Tokenizer, token: str) -> list[int]:
    """The id of a token, or the ids of a text. Raises ValueError where a token is missing."""
    id = made.token_to_id(token)
    if id is not None:
        return [id]
    if token.startswith("<"):
        raise ValueError(f"hub: the tokenizer knows no {token}; the published tokenizer of this model is accepted; fetch it again")
    return made.encode(token, add_special_tokens=False).ids


def last(folder: Folder, said: Settings, made: Tokenizer) -> int:
    """The id that ends a turn."""
    token: Any = folder.read("tokenizer_config.json").get("eos_token")
    token = token.get("content") if isinstance(token, dict) else token
    id = None if token is None else made.token_to_id(token)
    if id is None:
        found = folder.read("generation_config.json").get("eos_token_id")
        found = said.said.get("eos_token_id", said.usual.get("eos_token_id")) if found is None else found
        id = found[0] if isinstance(found, list) else found
    if id is None:
        raise ValueError(f"hub: neither the tokenizer nor the configuration in {folder.path} says what ends a turn; complete eos_token_id")
    return id


def special(folder: Folder, id: int) -> str:
    """The special token of this id; nothing where it is an ordinary one."""
    token = tokenizer(folder).get_added_tokens_decoder().get(id)
    return token.content if token is not None and token.special else ""


def padding(folder: Folder, said: Settings) -> int:
    """The id that pads, or else the one that ends a turn."""
    made = tokenizer(folder)
    token: Any = folder.read("tokenizer_config.json").get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    id = said.said.get("pad_token_id") if token is None else made.token_to_id(token)
    return last(folder, said, made) if id is None else id
