"""Masks (B, H, W) made, combined, and changed at their edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from .matching import as_masks, repeat_to

Combination = Callable[[Tensor, Tensor], Tensor]


def _logic(function: Combination) -> Combination:
    """`function` of truth values: a half and less is false (1/2 rounds to even)."""
    return lambda d, s: function(d.round().bool(), s.round().bool()).float()


# d of the destination, s of the source; results are clamped to [0, 1].
COMBINATIONS: Mapping[str, Combination] = {
    "multiply": torch.mul,
    "add": torch.add,
    "subtract": torch.sub,
    "and": _logic(torch.logical_and),
    "or": _logic(torch.logical_or),
    "xor": _logic(torch.logical_xor),
}


def combine(destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> Tensor:
    """`operation` of both where `source`, its upper left corner at (x, y), covers `destination`.

    As many masks come out as `destination` has; a short `source` starts over.
    """
    result = as_masks(destination).clone()
    above = repeat_to(as_masks(source), len(result)).to(result)
    place = result[:, y : y + above.shape[1], x : x + above.shape[2]]
    place.copy_(COMBINATIONS[operation](place, above[:, : place.shape[1], : place.shape[2]]))
    return result.clamp_(0, 1)


def of_colour(image: Tensor, colour: int) -> Tensor:
    """1 where the picture (B, H, W, >= 3), rounded to bytes, has the colour 0xRRGGBB."""
    levels = (image[..., :3].clamp(0, 1) * 255).round().to(torch.int32)
    wanted = levels.new_tensor([colour >> 16 & 255, colour >> 8 & 255, colour & 255])
    return (levels == wanted).all(dim=-1).float()


def feather(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """The mask times ramps 1/n, 2/n, ..., 1 over the n cells next to each border of the picture.

    A ramp longer than the picture is as long as the picture.
    """
    masks = as_masks(mask)
    height, width = masks.shape[-2:]
    rows = _rise(height, top) * _rise(height, bottom).flip(0)
    columns = _rise(width, left) * _rise(width, right).flip(0)
    return masks * rows[:, None].to(masks) * columns.to(masks)


def _rise(side: int, length: int) -> Tensor:
    length = min(length, side)
    ramp = torch.ones(side)
    ramp[:length] = torch.arange(1, length + 1) / max(length, 1)
    return ramp


def grow(mask: Tensor, cells: int, *, tapered: bool) -> Tensor:
    """Grey dilation by `cells` cells, erosion where that is below 0.

    Each cell takes the largest (smallest) value within that distance: |dx| + |dy| if `tapered`,
    which makes a square's corners slant, else max(|dx|, |dy|). Beyond the picture is nothing.
    """
    masks = as_masks(mask)[:, None]
    if cells < 0:
        return -_dilate(-masks, -cells, tapered=tapered)[:, 0]
    return _dilate(masks, cells, tapered=tapered)[:, 0]


def _dilate(x: Tensor, cells: int, *, tapered: bool) -> Tensor:
    """(B, 1, H, W); a diamond is as many crosses after one another as it has cells."""
    height, width = x.shape[-2:]
    if not tapered:
        return _along(_along(x, min(cells, width - 1), 0), min(cells, height - 1), 1)
    for _ in range(min(cells, height + width - 2)):
        x = torch.maximum(_along(x, 1, 0), _along(x, 1, 1))
    return x if cells else x.clone()


def _along(x: Tensor, cells: int, axis: int) -> Tensor:
    """The maximum over `cells` neighbours on either side, along the width (0) or height (1)."""
    kernel = (1, 2 * cells + 1) if axis == 0 else (2 * cells + 1, 1)
    padding = (0, cells) if axis == 0 else (cells, 0)
    return functional.max_pool2d(x, kernel, stride=1, padding=padding)
