"""Pixel values: bytes to [0, 1] and back, and the eight EXIF orientations."""

from __future__ import annotations

import torch
from torch import Tensor


def quantise(image: Tensor) -> Tensor:
    """floor(255 x) as uint8 on the host, clamped to 0 .. 255; a NaN becomes 0. Any shape."""
    scaled = image.detach().to("cpu", torch.float32) * 255
    # what a NaN is cast to is undefined, so it is named
    return scaled.clamp_(0, 255).nan_to_num_(nan=0).to(torch.uint8)


def dequantise(values: Tensor) -> Tensor:
    """uint8 / 255 as float32. Any shape."""
    return values.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def count_nan(image: Tensor) -> int:
    """How many pixels of (..., C) hold a NaN in some channel; `quantise` makes those 0."""
    return int(torch.isnan(image).any(dim=-1).sum())


def upright(image: Tensor, orientation: int) -> Tensor:
    """(H, W, ...) turned the way an EXIF orientation 1 .. 8 says it is to be seen.

    Source: Exif 2.3, tag 0x0112; 5 .. 8 exchange height and width. Any other number is 1.
    """
    if orientation in (5, 6, 7, 8):
        image = image.transpose(0, 1)
    flipped = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    return (image.flip(flipped) if flipped else image).contiguous()
