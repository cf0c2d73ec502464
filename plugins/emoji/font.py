"""The Noto Color Emoji font: where it is, and its glyphs as pictures.

The font holds bitmaps of 136 x 128 pixels (its table CBDT), which Pillow draws at size 109 alone.
Sequences of several characters need Pillow's layout by Raqm; without it (it needs the library
FriBiDi) they are left out.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFont, features

from .sequences import AS_PICTURE

FILE = "NotoColorEmoji.ttf"
SIZE = 109  # the only one there are bitmaps of
WIDTH, HEIGHT = 136, 128
BITMAPS = b"CBDT"

FOLDERS = (
    "/usr/share/fonts/truetype/noto",  # Debian, Ubuntu
    "/usr/share/fonts/google-noto-emoji-fonts",  # Fedora
    "/usr/share/fonts/google-noto-color-emoji-fonts",
    "/usr/share/fonts/noto",  # Arch, Alpine
    "/usr/share/fonts/noto-emoji",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/Library/Fonts",  # macOS
    "~/Library/Fonts",
    "~/AppData/Local/Microsoft/Windows/Fonts",
    "C:/Windows/Fonts",
)
INSTALL = {
    "linux": "install it with your system's packages: fonts-noto-color-emoji on Debian and Ubuntu, "
    "google-noto-color-emoji-fonts on Fedora, noto-fonts-emoji on Arch, font-noto-emoji on Alpine",
    "darwin": "install it: brew install --cask font-noto-color-emoji",
    "win32": f"download {FILE} from https://github.com/googlefonts/noto-emoji (folder fonts), and "
    "install it with a double click",
}


class FontMissing(Exception):
    """The font is not on this machine; the message says how it gets there."""

    def __init__(self, platform: str, unfit: Iterable[Path] = ()) -> None:
        how = INSTALL.get(platform, INSTALL["linux"])
        other = ", ".join(str(path) for path in unfit)
        found = f" ({other} has no bitmaps: a font with the table CBDT is needed)" if other else ""
        super().__init__(f"the font Noto Color Emoji is not there{found}: {how}")


@dataclass(frozen=True)
class Glyph:
    """A drawn emoji: its colours on white (RGB), and what it covers (L)."""

    colours: Image.Image
    alpha: Image.Image

    @property
    def key(self) -> bytes:
        """Equal for pictures that look the same."""
        return self.colours.tobytes() + self.alpha.tobytes()


@dataclass(frozen=True)
class Font:
    """The font in a file. shaped: whether sequences of several characters can be drawn."""

    path: Path
    shaped: bool

    @classmethod
    def installed(cls, folders: Iterable[str | Path] = FOLDERS) -> Font:
        """The one on this machine. Raises FontMissing."""
        unfit = []
        for folder in folders:
            path = Path(os.path.expanduser(folder)) / FILE
            if path.is_file():
                if has_bitmaps(path):
                    return cls(path, bool(features.check("raqm")))
                unfit.append(path)
        raise FontMissing(sys.platform, unfit)

    @cached_property
    def hash(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def _font(self) -> ImageFont.FreeTypeFont:
        engine = ImageFont.Layout.RAQM if self.shaped else ImageFont.Layout.BASIC
        return ImageFont.truetype(self.path, SIZE, layout_engine=engine)

    def draw(self, sequence: str) -> Glyph | None:
        """The glyph of a sequence, cut to what it covers; None where the font has no such one."""
        if not self.shaped:
            sequence = sequence.replace(AS_PICTURE, "")
        if self._font.getlength(sequence) > 1.5 * WIDTH:
            return None  # its parts, one after the other
        canvas = Image.new("RGBA", (WIDTH, HEIGHT))
        draw = ImageDraw.Draw(canvas)
        draw.text((0, 0), sequence, font=self._font, embedded_color=True)
        box = canvas.getchannel("A").getbbox()
        return None if box is None else _on_white(canvas.crop(box))


def _on_white(drawn: Image.Image) -> Glyph:
    """Drawn on nothing, colours are multiplied with alpha: on white they are c + 1 - alpha."""
    alpha = drawn.getchannel("A")
    beneath = Image.merge("RGB", [ImageChops.invert(alpha)] * 3)
    return Glyph(ImageChops.add(drawn.convert("RGB"), beneath), alpha)


def has_bitmaps(path: Path) -> bool:
    """Whether a font file has the table of colour bitmaps (OpenType, table directory)."""
    try:
        with path.open("rb") as file:
            (tables,) = struct.unpack(">4xH6x", file.read(12))
            return any(file.read(16)[:4] == BITMAPS for _ in range(tables))
    except (OSError, struct.error):
        return False
