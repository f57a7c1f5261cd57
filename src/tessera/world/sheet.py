"""Contact sheets: pictures enlarged in a grid, each with its text below and, where judged, a green or red border."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from torch import Tensor

GAP = 8
BORDER = 3
PAPER, INK = (255, 255, 255), (30, 30, 30)
COLOURS = {True: (30, 160, 60), False: (210, 40, 40), None: PAPER}
NO_GLYPH = "\uffff"  # stands for itself in no font: drawn, it is a font's box for what it lacks
WORDS = re.compile(r"[^\s\u2e80-\uffef]+\s*|[\u2e80-\uffef]")  # lines may break after a space or a Chinese character


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture (uint8 [3, height, width]), lines of text, and whether it is right; None draws no border."""

    picture: Tensor
    lines: tuple[str, ...] = ()
    right: bool | None = None


def contact_sheet(tiles: Sequence[Tile], columns: int = 6, scale: int = 5, *, font: Path | None = None) -> Picture.Image:
    """All tiles on one sheet, their pictures `scale` times as large (nearest pixel), their text wrapped below.

    The font is Pillow's own, which has no Chinese, or a font file. Raises ValueError where it lacks a character:
    boxes in place of words are never drawn.
    """
    letters = _font(font)
    lacking = missing("".join(line for tile in tiles for line in tile.lines), letters)
    if lacking:
        raise ValueError(
            f"sheet: the font has no {' '.join(lacking)}; pass font=, a file of one that has, or use save_sheet, "
            "which then writes the texts beside the sheet"
        )
    width = max(tile.picture.shape[2] for tile in tiles) * scale + 2 * BORDER
    texts = [_wrap(tile.lines, width, letters) for tile in tiles]
    line = sum(letters.getmetrics())
    heights = []
    for start in range(0, len(tiles), columns):
        side_by_side = range(start, min(start + columns, len(tiles)))
        heights.append(max(tiles[i].picture.shape[1] * scale + 2 * BORDER + GAP // 2 + line * len(texts[i]) for i in side_by_side))
    columns = min(columns, len(tiles))
    sheet = Picture.new("RGB", (columns * (width + GAP) + GAP, sum(heights) + GAP * (len(heights) + 1)), PAPER)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        corner = GAP + column * (width + GAP), GAP + sum(heights[:row]) + GAP * row
        _draw(sheet, tile, texts[i], corner, scale, letters)
    return sheet


def save_sheet(path: Path, tiles: Sequence[Tile], columns: int = 6, scale: int = 5, *, font: Path | None = None) -> tuple[Path, ...]:
    """Write the sheet as a picture file; the files written.

    Where the font lacks a character the tiles are numbered instead, and a text file of the same name holds their texts.
    """
    if not missing("".join(line for tile in tiles for line in tile.lines), _font(font)):
        contact_sheet(tiles, columns, scale, font=font).save(path)
        return (path,)
    numbered = [Tile(tile.picture, (str(i + 1),), tile.right) for i, tile in enumerate(tiles)]
    contact_sheet(numbered, columns, scale, font=font).save(path)
    texts = path.with_suffix(".txt")
    texts.write_text("".join(f"{i + 1}\t{' | '.join(tile.lines)}\n" for i, tile in enumerate(tiles)), encoding="utf-8")
    return path, texts


def missing(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """The characters of a text that the font cannot draw, sorted."""
    box = bytes(font.getmask(NO_GLYPH))
    return sorted(letter for letter in set(text) if not letter.isspace() and bytes(font.getmask(letter)) == box)


def _font(path: Path | None) -> ImageFont.FreeTypeFont:
    if path is None:
        return ImageFont.load_default(11)  # type: ignore[return-value]  # with a size, Pillow gives a FreeType font
    return ImageFont.truetype(path, 11)


def _wrap(lines: Sequence[str], width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    """Lines no wider than so many pixels, except single words that are."""
    wrapped = []
    for line in lines:
        now = ""
        for word in WORDS.findall(line):
            if now and font.getlength((now + word).rstrip()) > width:
                wrapped.append(now.rstrip())
                now = ""
            now += word
        wrapped.append(now.rstrip())
    return wrapped


def _draw(sheet: Picture.Image, tile: Tile, text: Sequence[str], corner: tuple[int, int], scale: int, font: ImageFont.FreeTypeFont) -> None:
    left, top = corner
    pixels = np.asarray(tile.picture).transpose(1, 2, 0)
    picture = Picture.fromarray(pixels).resize((pixels.shape[1] * scale, pixels.shape[0] * scale), Picture.Resampling.NEAREST)
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((left, top, left + picture.width + 2 * BORDER - 1, top + picture.height + 2 * BORDER - 1), COLOURS[tile.right])
    sheet.paste(picture, (left + BORDER, top + BORDER))
    line = sum(font.getmetrics())
    for i, words in enumerate(text):
        pen.text((left, top + picture.height + 2 * BORDER + GAP // 2 + i * line), words, INK, font=font)
