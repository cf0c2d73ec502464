"""Pictures looked at and made anew by Pillow, which takes none that would fill the memory.

Everything here computes: call it in a thread. What is wrong with a picture is a Refused (400).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Literal

from .answers import Refused, bad_request

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile
    from PIL.PngImagePlugin import PngInfo

# The formats that may be uploaded, with the suffixes of their names, the usual one first. Pillow
# reads more: some run other programs (EPS), and every decoder can be attacked.
SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PNG": (".png", ".apng"),
        "JPEG": (".jpg", ".jpeg", ".jfif"),
        "MPO": (".jpg", ".jpeg", ".mpo"),
        "WEBP": (".webp",),
        "GIF": (".gif",),
        "BMP": (".bmp",),
        "TIFF": (".tiff", ".tif"),
        "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
        "TGA": (".tga",),
        "ICO": (".ico",),
        "JPEG2000": (".jp2", ".j2k", ".jpx"),
        "AVIF": (".avif",),
        "QOI": (".qoi",),
    }
)
LARGEST = 16383  # pixels of a side that WebP can have

Channel = Literal["rgba", "rgb", "a"]


@dataclass(frozen=True)
class Conversion:
    """What a picture is made into.

    format:  WEBP, JPEG or PNG. A JPEG has no transparency: it becomes a WEBP if that is asked for.
    quality: of the lossy ones, 0 to 100.
    channel: all channels, colours alone, or the transparency alone over black.
    size:    pixels that its longer side has at most; None: as many as it has.
    """

    format: Literal["WEBP", "JPEG", "PNG"]
    quality: int = 90
    channel: Channel | None = None
    size: int | None = None

    @property
    def target(self) -> str:
        lossless = self.format == "JPEG" and self.channel in ("rgba", "a")
        return "WEBP" if lossless else self.format

    @property
    def media(self) -> str:
        """The media type of the result."""
        return f"image/{self.target.lower()}"


def convert(path: Path, conversion: Conversion) -> bytes:
    """A picture as another one. Refused (400, 404)."""
    from PIL import ImageOps

    with opened(path) as picture:
        picture.load()
        image = _channels(_eight_bits(ImageOps.exif_transpose(picture)), conversion.channel)
        if conversion.size is not None:
            image.thumbnail((conversion.size, conversion.size))
        if conversion.target == "JPEG":
            image = image.convert("RGB")
        if conversion.target != "PNG":
            image.thumbnail((LARGEST, LARGEST))
        options = {"compress_level": 1} if conversion.target == "PNG" else {}
        out = io.BytesIO()
        image.save(out, conversion.target, quality=conversion.quality, **options)
    return out.getvalue()


def format_of(file: IO[bytes]) -> str:
    """The format of a picture, after all of it could be decoded. Refused (400)."""
    with opened(file) as picture:
        picture.load()
        # A picture in a JPEG's second place is what cameras add; many are cut short on the way.
        if picture.format != "MPO":
            _load_frames(picture)
        return str(picture.format)


def masked(original: Path, mask: IO[bytes]) -> bytes:
    """The original with the transparency of the mask, as PNG, with the texts it had.

    Refused (400) if one of them is no picture, or if their sizes differ.
    """
    from PIL import ImageOps

    with opened(mask) as picture:
        alpha = ImageOps.exif_transpose(picture).convert("RGBA").getchannel("A")
    with opened(original) as picture:
        texts = _texts(picture)
        image = _eight_bits(ImageOps.exif_transpose(picture)).convert("RGBA")
        if image.size != alpha.size:
            sizes = f"{_size(alpha)} pixels over {_size(image)}"
            raise bad_request("The mask has another size than the original", sizes)
        image.putalpha(alpha)
        out = io.BytesIO()
        image.save(out, "PNG", compress_level=4, pnginfo=texts)
    return out.getvalue()


@contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[ImageFile]:
    """A picture, its pixels not yet decoded; whatever goes wrong inside is Refused (400, 404)."""
    from PIL import Image

    try:
        Image.init()
        formats = [name for name in SUFFIXES if name in Image.OPEN]
        with Image.open(source, formats=formats) as picture:
            _check_size(picture)
            yield picture
    except Refused:
        raise
    # Decoders fed with damaged bytes raise nearly anything (struct.error, KeyError, SyntaxError,
    # ZeroDivisionError ...), so no shorter list would hold.
    except Exception as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> Refused:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return Refused(404, "not_found", "There is no such file")
    if isinstance(error, UnidentifiedImageError):
        known = f"known are {', '.join(SUFFIXES)}"
        return bad_request("This is not a picture", known, type="invalid_image")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return _too_many_pixels()
    if isinstance(error, OSError) and error.strerror:
        return bad_request("The picture cannot be read", error.strerror, type="invalid_image")
    reason = f"{type(error).__name__}: {error}"
    return bad_request("The picture is damaged or cut short", reason, type="invalid_image")


def _check_size(image: Image) -> None:
    """Refuse what Pillow warns of: it would do so on the standard error only."""
    from PIL.Image import MAX_IMAGE_PIXELS

    if MAX_IMAGE_PIXELS is not None and image.width * image.height > MAX_IMAGE_PIXELS:
        raise _too_many_pixels()


def _too_many_pixels() -> Refused:
    from PIL.Image import MAX_IMAGE_PIXELS

    details = f"it may have {MAX_IMAGE_PIXELS:,}, so that none can fill the memory"
    return bad_request("The picture has too many pixels", details, type="image_too_large")


def _load_frames(picture: ImageFile) -> None:
    """Decode the other frames as well, as many as one large picture has pixels."""
    from PIL.Image import MAX_IMAGE_PIXELS

    pixels = picture.width * picture.height
    while pixels < (MAX_IMAGE_PIXELS or 0):
        try:
            picture.seek(picture.tell() + 1)
        except EOFError:
            return
        _check_size(picture)
        picture.load()
        pixels += picture.width * picture.height


def _eight_bits(image: Image) -> Image:
    """A greyscale of more than eight bits as one of eight, which Pillow would cut off at 255."""
    if image.mode == "F":
        grey = image.point(lambda value: value * 255 + 0.5).convert("L")
    elif image.mode.startswith("I"):
        grey = image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    else:
        return image
    grey.info.pop("transparency", None)  # of the deeper values
    return grey


def _channels(image: Image, channel: Channel | None) -> Image:
    from PIL import Image as Pillow

    if channel == "rgb":
        return image.convert("RGB")
    if channel == "a":
        alpha = image.convert("RGBA").getchannel("A")
        black = Pillow.new("RGBA", image.size)
        black.putalpha(alpha)
        return black
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _texts(picture: ImageFile) -> PngInfo:
    """The texts of a PNG, with the graph that made it."""
    from PIL.PngImagePlugin import PngImageFile, PngInfo

    info = PngInfo()
    if isinstance(picture, PngImageFile):
        for name, text in picture.text.items():
            info.add_text(name, text)
    return info


def _size(image: Image) -> str:
    return f"{image.width}x{image.height}"
