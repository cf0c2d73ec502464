"""Nodes that crop, flip and turn latents, and their noise masks with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal

from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph import Number, Tip, node
from nodes.types import Latent

Place = Annotated[int, Number(min=0, max=16384, step=8), Tip("in pixels")]
Side = Annotated[int, Number(min=64, max=16384, step=8), Tip("in pixels")]
SMALLEST_SIDE = 8  # cells that are left of a latent that has as many
ROWS, COLUMNS = -2, -1
TURNS = ("none", "90 degrees", "180 degrees", "270 degrees")


@node("LatentCrop", category="latent/transform", display_name="Crop Latent")
def latent_crop(
    samples: Latent, width: Side = 512, height: Side = 512, x: Place = 0, y: Place = 0
) -> Latent:
    """A part of a latent, in whole cells; what would be beyond its border is left out."""
    rows, columns = _span(samples, ROWS, y, height), _span(samples, COLUMNS, x, width)
    mask = samples.noise_mask
    part = samples.samples[..., rows, columns].clone()  # a view would keep all of it in memory
    high, wide = (side * samples.factor for side in part.shape[-2:])
    return replace(
        samples,
        samples=part,
        noise_mask=None if mask is None else _cut(mask, samples, rows, columns),
        pixels=None if samples.pixels is None else (wide, high),
    )


@node("LatentFlip", category="latent/transform", display_name="Flip Latent")
def latent_flip(
    samples: Latent, flip_method: Literal["x-axis: vertically", "y-axis: horizontally"]
) -> Latent:
    """A latent upside down (x) or mirrored (y)."""
    side = ROWS if flip_method.startswith("x") else COLUMNS
    return _changed(samples, lambda layer: layer.flip(side))


@node("LatentRotate", category="latent/transform", display_name="Rotate Latent")
def latent_rotate(
    samples: Latent, rotation: Literal["none", "90 degrees", "180 degrees", "270 degrees"]
) -> Latent:
    """A latent turned clockwise."""
    turns = TURNS.index(rotation)
    if turns == 0:
        return samples
    turned = _changed(samples, lambda layer: layer.rot90(turns, (COLUMNS, ROWS)).contiguous())
    if turns % 2 == 0 or samples.pixels is None:
        return turned
    width, height = samples.pixels
    return replace(turned, pixels=(height, width))


def _changed(latent: Latent, change: Callable[[Tensor], Tensor]) -> Latent:
    mask = latent.noise_mask
    return replace(
        latent,
        samples=change(latent.samples),
        noise_mask=None if mask is None else change(mask),
    )


def _span(latent: Latent, axis: int, start: int, length: int) -> slice:
    """Which cells along an axis a part in pixels is; at least SMALLEST_SIDE where there are."""
    cells = latent.samples.shape[axis]
    first = min(start // latent.factor, max(0, cells - SMALLEST_SIDE))
    return slice(first, min(cells, first + max(1, length // latent.factor)))


def _cut(mask: Tensor, latent: Latent, rows: slice, columns: slice) -> Tensor:
    """The same part of a mask, which is stretched over the latent.

    One that does not divide into the latent's cells is first made what the sampler would see.
    """
    cells = latent.samples.shape[-2:]
    if mask.shape[-2] % cells[0] or mask.shape[-1] % cells[1]:
        mask = interpolate(mask, cells, mode="bilinear")
    high, wide = (there // side for there, side in zip(mask.shape[-2:], cells, strict=True))
    part = mask[
        ...,
        rows.start * high : rows.stop * high,
        columns.start * wide : columns.stop * wide,
    ]
    return part.clone()
