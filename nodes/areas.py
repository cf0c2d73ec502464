"""Areas of a picture as cells of a latent."""

from __future__ import annotations

import torch
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.diffusion.area import Area as Cells
from nodes.diffusion.inpaint import resize_mask
from nodes.types import Area, Condition

SMALLEST = 8  # cells, of the sides of an area around a mask


def cells_of(entry: Condition, latents: Tensor, factor: int) -> Cells | None:
    """The entry's area in a latent (B, C, h, w) of `factor` pixels a cell; None: all of it.

    What reaches out of the picture is cut off. Raises NodeGraphError where nothing is left.
    """
    height, width = latents.shape[-2:]
    if entry.within_mask and entry.mask is not None:
        masks = entry.mask.reshape(-1, *entry.mask.shape[-2:])
        return _around(resize_mask(masks, torch.Size((len(masks), 1, height, width))))
    if entry.area is None:
        return None
    inside = _cut(*_in_cells(entry.area, height, width, factor), height, width)
    if inside is None:
        raise NodeGraphError(
            f"an area of conditioning, {_named(entry.area)}, lies outside the picture of "
            f"{width * factor} x {height * factor} pixels: move it, or make the picture larger"
        )
    return inside


def _in_cells(area: Area, height: int, width: int, factor: int) -> tuple[int, int, int, int]:
    """Its height, width, top and left: whole cells of pixels, or shares rounded."""
    if area.shares:
        tall, wide = round(area.height * height), round(area.width * width)
        return max(1, tall), max(1, wide), round(area.y * height), round(area.x * width)
    tall, wide, top, left = (
        int(pixels // factor) for pixels in (area.height, area.width, area.y, area.x)
    )
    return max(1, tall), max(1, wide), top, left


def _cut(tall: int, wide: int, top: int, left: int, height: int, width: int) -> Cells | None:
    """The part of an area that lies in a latent; None where there is none."""
    if top >= height or left >= width:
        return None
    return Cells(min(tall, height - top), min(wide, width - left), top, left)


def _around(mask: Tensor) -> Cells:
    """The smallest area around what is not 0 in a batch of masks (B, 1, h, w), 8 cells a side or
    more where there is room; the corner at the top left for an empty mask."""
    height, width = mask.shape[-2:]
    rows, columns = torch.nonzero((mask != 0).any(dim=0)[0], as_tuple=True)
    if len(rows) == 0:
        return Cells(min(SMALLEST, height), min(SMALLEST, width))
    top, left = int(rows.min()), int(columns.min())
    tall = max(SMALLEST, int(rows.max()) - top + 1)
    wide = max(SMALLEST, int(columns.max()) - left + 1)
    return Cells(min(tall, height - top), min(wide, width - left), top, left)


def _named(area: Area) -> str:
    numbers = (area.width, area.height, area.x, area.y)
    if area.shares:
        wide, tall, x, y = (f"{share:.0%}" for share in numbers)
    else:
        wide, tall, x, y = (f"{pixels:g}" for pixels in numbers)
    return f"{wide} x {tall} at ({x}, {y})"
