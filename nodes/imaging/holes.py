"""Masks that say which part of a picture is to be made anew: 1 there, 0 where it is kept."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

GREY = 0.5
RGB = 3


def fitted(mask: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W) or (H, W) -> (B, 1, height, width), bilinear without antialias."""
    layers = mask.reshape(-1, 1, *mask.shape[-2:])
    return interpolate(layers, (height, width), mode="bilinear")


def greyed(image: Tensor, hole: Tensor) -> Tensor:
    """(B, H, W, C) with grey in its colours where `hole` (B or 1, 1, H, W) rounds to 1, no alpha.

    A new tensor: an encoder is to see nothing of what is not kept.
    """
    kept = 1 - hole.round().movedim(1, -1)
    return (image[..., :RGB] - GREY) * kept + GREY


def grown(hole: Tensor, side: int) -> Tensor:
    """The rounded mask (B, 1, H, W) dilated by a box of side x side cells; side 0 only rounds.

    A cell is in it where any cell of the box around it was. A box of even side has no middle: it
    reaches a cell further up and to the left, so the mask grows that much more down and right.
    """
    mask = hole.round()
    if side == 0:
        return mask
    reach = math.ceil((side - 1) / 2)
    tall = max_pool2d(mask, (side, 1), stride=1, padding=(reach, 0))
    wide = max_pool2d(tall, (1, side), stride=1, padding=(0, reach))
    return wide[..., : mask.shape[-2], : mask.shape[-1]].contiguous()
