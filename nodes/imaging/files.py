"""Picture files: decoding to an image and a mask, encoding to bytes with texts inside.

IMAGE float32 (B, H, W, 3) in [0, 1], MASK float32 (B, H, W), 1 where transparent.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile
from torch import Tensor

from . import exif
from .deep import deep_colour
from .errors import PictureError, TextSizeError
from .metadata import MANIFEST, metadata, metadata_json, png_text
from .opening import Source, open_picture, reading
from .pixels import count_nan, dequantise, quantise, upright

__all__ = [
    "MANIFEST",
    "MAX_PIXELS",
    "Format",
    "Picture",
    "PictureError",
    "Source",
    "TextSizeError",
    "count_nan",
    "decode",
    "encode",
    "encode_png",
    "metadata",
    "metadata_json",
]

MAX_PIXELS = 2**27
"""Pixels decoded from one file unless the caller says otherwise: 16384 x 8192, over all frames."""

Format: TypeAlias = Literal["png", "jpeg", "webp"]

_FRAMES_ARE_A_BATCH = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")
_NO_ALPHA = (64, 64)  # the side of the all-zero mask that stands for "no alpha" in this ecosystem
_JPEG_EXIF_LIMIT = 65533  # a JPEG segment's length is 16 bits and counts itself
_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Picture:
    """`image` (B, H, W, 3); `mask` (B, H, W) is 1 - alpha, or zeros (B, 64, 64) without alpha."""

    image: Tensor
    mask: Tensor


def decode(source: Source, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture file (or its bytes), the way up its EXIF orientation says.

    The frames of an animation and the pages of a TIFF become a batch; those of another size than
    the first are left out. 8-bit values are divided by 255, 16-bit ones by 65535; integers beyond
    16 bits are clamped to 65535 and floats to [0, 1]. Colours keep their values under alpha.

    Raises PictureError for a file that is absent, damaged, cut short, no picture, or of more than
    `max_pixels` pixels over all its frames (Pillow's own limit holds as well).
    """
    with reading(source) as stream, open_picture(stream) as image:
        frames = list(_frames(image, source, max_pixels))
    pixels, alphas = zip(*frames, strict=True)
    if any(alpha is not None for alpha in alphas):
        opaque = torch.ones(pixels[0].shape[:2])
        alphas = tuple(opaque if alpha is None else alpha for alpha in alphas)
        return Picture(_batch(pixels), 1 - _batch(alphas))
    return Picture(_batch(pixels), torch.zeros(len(pixels), *_NO_ALPHA))


def _batch(frames: tuple[Tensor, ...]) -> Tensor:
    """Stacked; a single frame, the usual case, is not copied."""
    return frames[0][None] if len(frames) == 1 else torch.stack(frames)


def _frames(
    image: ImageFile.ImageFile, source: Source, max_pixels: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The colours (H, W, 3) and alpha (H, W) of every frame that has the first one's size."""
    count = getattr(image, "n_frames", 1) if image.format in _FRAMES_ARE_A_BATCH else 1
    shape, pixels = None, 0
    for index in range(count):
        image.seek(index)
        # a frame costs a mask whatever its size
        pixels += max(image.width * image.height, _NO_ALPHA[0] * _NO_ALPHA[1])
        if pixels > max_pixels:
            raise PictureError(
                f"it has more than {max_pixels} pixels ({count} of {image.width} x {image.height}),"
                " the most that are decoded from one file; make it smaller first"
            )
        colour, alpha = _frame(image, source, index)
        shape = shape or colour.shape
        if colour.shape == shape:
            yield colour, alpha


def _frame(image: ImageFile.ImageFile, source: Source, index: int) -> tuple[Tensor, Tensor | None]:
    """The colours and alpha, in [0, 1], of the frame that `image` stands at."""
    deep = deep_colour(image, source, index)
    image.load()
    if deep is not None:
        pixels = _with_key(_scaled(deep, 65535), deep, image)
    elif image.mode.startswith("I") or image.mode == "F":
        pixels = _grey(image)
    else:
        colours = image.convert("RGBA" if image.has_transparency_data else "RGB")
        pixels = torch.from_numpy(np.array(colours))
    pixels = upright(pixels, _orientation(image))
    if pixels.dtype == torch.uint8:  # made floats only now, and apart: a copy less at the peak
        return dequantise(pixels[..., :3]), _alpha(pixels, dequantise)
    return pixels[..., :3].contiguous(), _alpha(pixels, Tensor.contiguous)


def _alpha(pixels: Tensor, as_floats: Callable[[Tensor], Tensor]) -> Tensor | None:
    return as_floats(pixels[..., 3]) if pixels.shape[-1] == 4 else None


def _grey(image: ImageFile.ImageFile) -> Tensor:
    """(H, W, 3 or 4) of a greyscale of more than eight bits."""
    values = np.array(image)[..., None]
    scaled = _scaled(values, 1 if image.mode == "F" else 65535)
    return _with_key(scaled.expand(-1, -1, 3), values, image)


def _scaled(values: NDArray[Any], top: int) -> Tensor:
    """values / top as float32, clamped to [0, 1]."""
    return torch.from_numpy(values.astype(np.float32)).div_(top).nan_to_num_(nan=0).clamp_(0, 1)


def _with_key(pixels: Tensor, values: NDArray[Any], image: ImageFile.ImageFile) -> Tensor:
    """With alpha 0 where the raw values are the one colour a PNG calls transparent, if it does."""
    key = image.info.get("transparency")
    if key is None or pixels.shape[-1] == 4:
        return pixels
    opaque = torch.from_numpy((values != np.array(key)).any(axis=-1, keepdims=True))
    return torch.cat([pixels, opaque.to(pixels.dtype)], dim=-1)


def _orientation(image: ImageFile.ImageFile) -> int:
    """The EXIF orientation left to apply; 1 where there is none, or none that can be read."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    # A camera's broken EXIF block is no reason to refuse its pixels, and raises nearly anything.
    except Exception:
        return 1
    return orientation if isinstance(orientation, int) else 1


def encode(
    image: Tensor,
    format: Format,
    *,
    text: Mapping[str, str] | None = None,
    quality: int = 90,
    lossless: bool = False,
    compress_level: int = 4,
) -> bytes:
    """The bytes of a file that holds `image` (H, W, 3 or 4), values in [0, 1], as floor(255 x).

    Values outside are clamped and NaN become 0 (`count_nan` says how many). `text` goes along:
    PNG in text chunks, JPEG and WebP in EXIF, `prompt` in tag 0x0110 and the rest from 0x010f
    downwards. `quality` 1 .. 100 is for JPEG and WebP, `lossless` for WebP, `compress_level`
    0 .. 9 for PNG. Raises PictureError when the format cannot hold the picture or its texts.
    """
    if format not in get_args(Format):
        raise PictureError(f"pictures are written as {', '.join(get_args(Format))}, not {format!r}")
    if format == "png":
        return encode_png(image, text=text, compress_level=compress_level)
    if not 1 <= quality <= 100:
        raise PictureError(f"quality goes from 1 to 100, not {quality}")
    block = exif.pack(text) if text else b""
    if format == "webp":
        return _saved(image, "WEBP", exif=block, quality=quality, lossless=lossless, exact=lossless)
    if image.shape[-1] == 4:
        raise PictureError("a JPEG holds no alpha: give three channels, or write PNG or WebP")
    if len(block) > _JPEG_EXIF_LIMIT:
        raise TextSizeError(
            f"the texts take {len(block)} bytes and a JPEG holds {_JPEG_EXIF_LIMIT}: "
            "write PNG or WebP, or leave some out",
            size=len(block),
            limit=_JPEG_EXIF_LIMIT,
        )
    return _saved(image, "JPEG", exif=block, quality=quality)


def encode_png(
    image: Tensor, *, text: Mapping[str, str] | None = None, compress_level: int = 4
) -> bytes:
    """`encode` as PNG. Texts in ASCII, as JSON is, are tEXt chunks, which all tools read."""
    if not 0 <= compress_level <= 9:
        raise PictureError(f"the compression level goes from 0 to 9, not {compress_level}")
    return _saved(image, "PNG", pnginfo=png_text(text or {}), compress_level=compress_level)


def _saved(image: Tensor, format: str, **options: Any) -> bytes:
    if image.ndim != 3 or image.shape[-1] not in (3, 4) or 0 in image.shape:
        raise PictureError(f"a picture to write is (H, W, 3 or 4), not {tuple(image.shape)}")
    file = io.BytesIO()
    try:
        Image.fromarray(quantise(image).numpy()).save(file, format, **options)
    except (OSError, ValueError) as error:
        height, width = image.shape[:2]
        raise PictureError(f"cannot write {width} x {height} pixels as {format}: {error}") from None
    return file.getvalue()
