"""Pictures as CLIP's image encoder sees them: S x S pixels, normalised.

Scaled so that the shorter side is S, by bicubic interpolation that smooths before it shrinks, then
cut to the centre; or squashed to the square. The mean and deviation are those of the pictures it
was trained on (source: openai/CLIP, `clip.load`), and like those they have 8 bits a colour.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .errors import ArchitectureError

Crop = Literal["center", "none"]

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
RGB = 3
LEVELS = 255


def clip_pixels(image: Tensor, size: int, crop: Crop) -> Tensor:
    """(B, H, W, C) in [0, 1], alpha left out -> (B, 3, size, size).

    Raises ArchitectureError for pictures without three colours, or of no size.
    """
    if image.ndim != 4 or image.shape[-1] < RGB or 0 in image.shape:
        raise ArchitectureError(
            f"an image encoder reads pictures (B, H, W, C) in red, green and blue, not "
            f"{tuple(image.shape)}"
        )
    x = image[..., :RGB].movedim(-1, 1).to(torch.float32)
    x = (_square(x, size, crop) * LEVELS).clamp(0, LEVELS).round() / LEVELS
    mean, deviation = (x.new_tensor(values).view(1, RGB, 1, 1) for values in (MEAN, DEVIATION))
    return (x - mean) / deviation


def _square(x: Tensor, size: int, crop: Crop) -> Tensor:
    """(B, 3, H, W) -> (B, 3, size, size)."""
    sides = x.shape[-2:]
    if sides == (size, size):
        return x
    if crop == "none":
        return interpolate(x, (size, size), mode="bicubic", antialias=True)
    scale = size / min(sides)
    high, wide = (round(scale * side) for side in sides)
    scaled = interpolate(x, (high, wide), mode="bicubic", antialias=True)
    top, left = (high - size) // 2, (wide - size) // 2
    return scaled[..., top : top + size, left : left + size]
