"""Sixteen-bit colour through Pillow, whose colour modes hold eight bits a channel.

Pillow unpacks a 16-bit channel by keeping its high byte. Unpacked as if the file had the other
byte order, the same data gives the low byte: two passes give all 16 bits. 16-bit grey with alpha
takes one pass, because its four bytes a pixel can be unpacked as they are.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from .opening import Source, open_picture, stream_of

_NATIVE_SWAPPED = "B" if sys.byteorder == "little" else "L"
_OTHER_ORDER = {
    f"{mode};16{order}": f"{mode};16{swapped}"
    for mode in ("RGB", "RGBX", "RGBA")
    for order, swapped in (("B", "L"), ("L", "B"), ("N", _NATIVE_SWAPPED))
}


def deep_colour(
    image: ImageFile.ImageFile, source: Source, frame: int
) -> NDArray[np.uint16] | None:
    """The pixels (H, W, 3 or 4) of an opened 16-bit colour picture, None of any other picture.

    `image` stands at `frame` with its pixels not yet loaded; this loads them.
    """
    if image.format != "TIFF" and getattr(image, "is_animated", False):
        return None  # the frames of an animated PNG are composed in eight bits
    layouts = {_layout(tile[3]) for tile in image.tile}
    layout = layouts.pop() if len(layouts) == 1 else ""
    if layout == "LA;16B":
        planes = _unpacked(source, frame, "RGBA").astype(np.uint16)
        pairs = planes[..., 0::2] << 8 | planes[..., 1::2]
        return pairs[..., [0, 0, 0, 1]]
    if layout in _OTHER_ORDER:
        low = _unpacked(source, frame, _OTHER_ORDER[layout])
        return np.array(image).astype(np.uint16) << 8 | low
    return None


def _layout(arguments: Any) -> str:
    """How a tile's bytes lie: the first argument of Pillow's decoders."""
    first = arguments[0] if isinstance(arguments, tuple) else arguments
    return first if isinstance(first, str) else ""


def _unpacked(source: Source, frame: int, layout: str) -> NDArray[np.uint8]:
    """The pixels with the bytes of each tile taken to lie as `layout`."""
    with stream_of(source) as stream, open_picture(stream) as image:
        image.seek(frame)
        tiles: list[Any] = []
        for *place, arguments in image.tile:
            rest = (layout, *arguments[1:]) if isinstance(arguments, tuple) else layout
            tiles.append((*place, rest))
        image.tile = tiles
        return np.array(image)
