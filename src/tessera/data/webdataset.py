"""WebDataset shards: tar files in which the files of a sample lie side by side and share a key.

A key is the path up to the first dot of the file's name, and the rest, in lower case, says what the file is: `00/17.jpg`,
`00/17.txt`. A sample is a picture with a `.txt`, or with a `.json` that has a field `caption` or `text`; other extensions are
not looked at. As in WebDataset, folders, and names without a key, such as `.DS_Store`, belong to no sample.
"""

import tarfile
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from tessera.data.fields import attempt, field, parsed, text_of
from tessera.data.rows import BadRow, Pair, Span

PICTURES = ("jpg", "jpeg", "png", "webp")
BLOCK = tarfile.BLOCKSIZE

Member = tuple[str, str, Span]  # key, extension, where its bytes lie


def read_webdataset(shards: list[Path]) -> Iterator[Pair | BadRow]:
    """The samples of all shards, in order. Texts are read now, pictures when asked for."""
    for shard in shards:
        yield from read_shard(shard)


def read_shard(shard: Path) -> Iterator[Pair | BadRow]:
    """The samples of one shard. A damaged shard gives a bad row that says so, then its samples up to the damage."""
    listed = list(members(shard))
    yield from (damage for damage in listed if isinstance(damage, BadRow))
    seen = set()
    for key, group in groupby((member for member in listed if not isinstance(member, BadRow)), key=lambda member: member[0]):
        where = f"key {key}"
        if key in seen:
            yield BadRow(shard, where, "files of this sample do not lie side by side; sort the tar by name")
        else:
            yield attempt(shard, where, partial(sample, shard, where, list(group)))
        seen.add(key)


def members(shard: Path) -> Iterator[Member | BadRow]:
    """The files of a shard that have a key; at last a bad row where the tar is damaged."""
    end, last = 0, "the start"
    try:
        with tarfile.open(shard, "r:") as tar:
            for info in tar:
                end, last = info.offset_data + -(-info.size // BLOCK) * BLOCK, info.name
                folder, slash, name = info.name.rpartition("/")
                stem, dot, extension = name.partition(".")
                if info.isreg() and stem and dot:
                    yield folder + slash + stem, extension.lower(), Span(shard, info.offset_data, info.size)
    except tarfile.TarError as fault:
        yield BadRow(shard, f"after {last}", f"tar is damaged ({fault})")
        return
    if Span(shard, end, BLOCK).read() != bytes(BLOCK):  # tarfile takes any broken header for the end
        yield BadRow(shard, f"after {last}", "tar is damaged (no mark at its end: it was cut off, or a header is broken)")


def sample(shard: Path, where: str, files: list[Member]) -> Pair:
    """The picture and the text among the files of one key."""
    extensions = [extension for _, extension, _ in files]
    spans = dict(zip(extensions, [span for _, _, span in files], strict=True))
    pictures = [extension for extension in extensions if extension in PICTURES]
    if len(pictures) != 1 or len(spans) < len(files):
        raise ValueError(f"its files are {', '.join(extensions)}; one of {', '.join(PICTURES)} is expected, and no file twice")
    return Pair(shard, where, spans[pictures[0]], caption(spans))


def caption(spans: dict[str, Span]) -> str:
    """The text of a sample: its .txt, else the field `caption` or `text` of its .json."""
    if "txt" in spans:
        try:
            return text_of(spans["txt"].read().decode("utf-8-sig"), "txt")
        except UnicodeDecodeError as fault:
            raise ValueError(f"txt is not UTF-8 ({fault})") from fault
    if "json" not in spans:
        raise ValueError(f"its files are {', '.join(spans)}; a .txt or a .json is expected beside the picture")
    entry = parsed(spans["json"].read())
    name = "text" if isinstance(entry, dict) and "caption" not in entry else "caption"
    return text_of(field(entry, name), name)
