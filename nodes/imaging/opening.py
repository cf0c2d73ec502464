"""Picture files opened through Pillow, with every fault of a hostile file as one PictureError."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from PIL import Image, ImageFile, UnidentifiedImageError

from .errors import PictureError

Source: TypeAlias = str | os.PathLike[str] | bytes
"""A file's path, or the bytes of a file."""

# Pillow reads more than these; the rest is left out because it runs other programs (EPS calls
# Ghostscript) or serves no picture anyone makes today, and every decoder is attack surface.
FORMATS = (
    "PNG",
    "JPEG",
    "MPO",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "PPM",
    "TGA",
    "ICO",
    "JPEG2000",
    "AVIF",
    "QOI",
)


def stream_of(source: Source) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def name_of(source: Source) -> str:
    """What messages call it: the last part of the path only, so that anyone may read them."""
    return "the picture" if isinstance(source, bytes) else Path(source).name


def open_picture(stream: IO[bytes]) -> ImageFile.ImageFile:
    """The picture of a stream, its header read and its pixels not yet."""
    Image.init()
    return Image.open(stream, formats=[name for name in FORMATS if name in Image.OPEN])


@contextmanager
def reading(source: Source) -> Iterator[IO[bytes]]:
    """The stream of `source`; whatever goes wrong inside becomes a PictureError that names it."""
    try:
        with stream_of(source) as stream:
            yield stream
    # Decoders fed with damaged bytes raise nearly anything (struct.error, KeyError,
    # SyntaxError, ZeroDivisionError ...), so no shorter list would hold.
    except Exception as error:
        raise PictureError(f"{name_of(source)}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, PictureError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return f"not a picture in a known format; known are {', '.join(FORMATS)}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        limit = Image.MAX_IMAGE_PIXELS
        return f"it has more pixels than Pillow's limit allows (warns at {limit}, refuses at twice)"
    if isinstance(error, OSError) and error.strerror:
        return f"the file cannot be read: {error.strerror}"
    return f"the picture is damaged or cut short ({type(error).__name__}: {error})"
