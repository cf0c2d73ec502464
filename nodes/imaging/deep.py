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
        grey_alpha = _unpacked(source, frame, "RGBA").view(">u2")
        return grey_alpha[..., [0, 0, 0, 1]].astype(np.uint16)
    if layout in _OTHER_ORDER:
        image.load()
        low = _unpacked(source, frame, _OTHER_ORDER[layout])
        both = np.stack([np.array(image), low], axis=-1)
        return both.view(">u2")[..., 0].astype(np.uint16)
    return None


def _layout(arguments: Any) -> str:
    """How a tile's bytes lie: the first argument of Pillow's decoders."""
    first = arguments[0] if isinstance(arguments, tuple) else arguments
    return first if isinstance(first, str) else ""


def _unpacked(source: Source, frame: int, layout: str) -> NDArray[np.uint8]:
    """The pixels with the bytes of each tile taken to lie as `layout`."""
    with stream_of(source) as stream, open_picture(stream) as image:
        image.seek(frame)
        image.tile = [_relaid(tile, layout) for tile in image.tile]
        image.load()
        return np.array(image)


def _relaid(tile: Any, layout: str) -> Any:
    """A tile of Pillow's (a named tuple since Pillow 11) whose bytes are taken to lie so."""
    *place, arguments = tile
    changed = (layout, *arguments[1:]) if isinstance(arguments, tuple) else layout
    return tile._replace(args=changed) if hasattr(tile, "_replace") else (*place, changed)
