"""From drawn emoji to a folder of pictures with captions and silhouettes.

The folder is a data set like any other (see nodes/training/image_folder.py): PNG files and a
metadata.jsonl. It is written beside and then renamed, so it is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .font import Glyph
from .sequences import Emoji, caption

Draw = Callable[[str], Glyph | None]
Progress = Callable[[int, int], None]
SMOOTH = Image.Resampling.LANCZOS
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Look:
    """How the pictures look. size: of their sides. margin: what stays white at least, a share of
    the size on each side. styled: captions begin with the style.
    """

    size: int = 64
    margin: float = 0.0625
    styled: bool = False


def build(folder: Path, emoji: Iterable[Emoji], draw: Draw, look: Look, tell: Progress) -> None:
    """Write the data set, unless it is there. tell: how many are drawn, of how many; may raise."""
    if folder.is_dir():
        return
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    partial.mkdir(parents=True)
    try:
        _write(partial, list(emoji), draw, look, tell)
        _rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _rename(partial: Path, folder: Path) -> None:
    try:
        os.rename(partial, folder)
    except OSError:
        if not folder.is_dir():  # where somebody else wrote the same meanwhile, that will do
            raise


def _write(folder: Path, emoji: list[Emoji], draw: Draw, look: Look, tell: Progress) -> None:
    lines = []
    for one, glyph in _distinct(emoji, draw, tell):
        picture, silhouette = f"{one.file}.png", f"{one.file}_silhouette.png"
        framed(glyph.colours, WHITE, look).save(folder / picture, compress_level=1)
        framed(glyph.alpha, 0, look).save(folder / silhouette, compress_level=1)
        row = {
            "file_name": picture,
            "text": caption(one, look.styled),
            "silhouette_file_name": silhouette,
            "emoji": one.sequence,
        }
        lines.append(json.dumps(row))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _distinct(emoji: list[Emoji], draw: Draw, tell: Progress) -> Iterator[tuple[Emoji, Glyph]]:
    """Those that the font has, without those that look like one before."""
    seen: set[bytes] = set()
    for number, one in enumerate(emoji, start=1):
        glyph = draw(one.sequence)
        if glyph is not None and glyph.key not in seen:
            seen.add(glyph.key)
            yield one, glyph
        tell(number, len(emoji))


def framed(picture: Image.Image, ground: tuple[int, int, int] | int, look: Look) -> Image.Image:
    """The picture as large as the margin lets it be, in the middle of a square."""
    room = look.size * (1 - 2 * look.margin)
    factor = room / max(picture.size)
    width, height = (max(round(side * factor), 1) for side in picture.size)
    canvas = Image.new(picture.mode, (look.size, look.size), ground)
    place = ((look.size - width) // 2, (look.size - height) // 2)
    canvas.paste(picture.resize((width, height), SMOOTH), place)
    return canvas
