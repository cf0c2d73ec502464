"""A picture on a larger canvas, to be painted on beyond its borders."""

from __future__ import annotations

import torch
from torch import Tensor

GREY = 0.5


def pad_to_paint(
    image: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[Tensor, Tensor]:
    """The picture (B, H, W, C) on a larger grey canvas, and where to paint: (1, H', W').

    The mask is 1 beyond the picture and v = ((f - d) / f)^2 inside, at distance d < f (the
    feathering) from a border that has been moved; 0 further in. It is 0 everywhere inside where
    the picture is not larger than 2 f on both sides.
    """
    batch, height, width, channels = image.shape
    size = (top + height + bottom, left + width + right)
    canvas = image.new_full((batch, *size, channels), GREY)
    mask = torch.ones(1, *size)
    rows, columns = slice(top, top + height), slice(left, left + width)
    canvas[:, rows, columns] = image
    mask[:, rows, columns] = 0
    if 0 < 2 * feathering < min(height, width):
        down, across = _distance(height, top, bottom), _distance(width, left, right)
        d = torch.minimum(down[:, None], across)
        v = ((feathering - d) / feathering).clamp(min=0)
        mask[:, rows, columns] = (v * v).float()
    return canvas, mask


def _distance(side: int, before: int, after: int) -> Tensor:
    """Of each cell from an end that moved: 0, 1, ... after the first, ..., 2, 1 before the last."""
    cells = torch.arange(side, dtype=torch.float64)
    far = torch.full_like(cells, side)
    return torch.minimum(cells if before else far, side - cells if after else far)
