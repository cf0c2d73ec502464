"""Latents that come together in one node: of one kind, of one size, with their masks.

An empty latent has no channels or cells of its own yet, so it takes those of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph import NodeGraphError
from nodes.diffusion.inpaint import repeat_to
from nodes.imaging.resize import resize
from nodes.types import Latent


def alike(first: Latent, second: Latent) -> tuple[Latent, Latent]:
    """Both with the same channels and pixels per cell; two empty ones stay empty.

    Raises NodeGraphError where they were made by different VAEs.
    """
    if first.pixels is not None and second.pixels is not None:
        return first, second
    if first.pixels is not None:
        return _shaped(first, second), second
    if second.pixels is not None:
        return first, _shaped(second, first)
    kinds = [(latent.samples.shape[1], latent.factor) for latent in (first, second)]
    if kinds[0] != kinds[1]:
        said = " and ".join(f"{c} channels at {f} pixels a cell" for c, f in kinds)
        raise NodeGraphError(
            f"the two latents have {said}: they were made by different VAEs; encode both with one"
        )
    return first, second


def matched(
    first: Latent, second: Latent, method: Literal["bilinear", "bicubic"] = "bilinear"
) -> tuple[Latent, Tensor]:
    """The first, and the second's samples (B, C, h, w) as the first has them.

    Other sizes are scaled, the longer side trimmed; a shorter batch starts over, a longer is cut.
    Raises NodeGraphError like `alike`.
    """
    first, second = alike(first, second)
    samples = repeat_to(scaled(second, first, method).samples, len(first.samples))
    return first, samples.to(first.samples)


def scaled(
    latent: Latent, like: Latent, method: Literal["bilinear", "bicubic"] = "bilinear"
) -> Latent:
    """A latent of the size of another, the longer side trimmed to its aspect, and so its masks."""
    rows, columns = like.samples.shape[-2:]
    if latent.samples.shape[-2:] == (rows, columns):
        return latent
    return replace(
        latent,
        samples=resize(latent.samples, columns, rows, method, "center"),
        noise_mask=trimmed_mask(latent, columns * like.factor, rows * like.factor),
    )


def trimmed_mask(latent: Latent, width: int, height: int) -> Tensor | None:
    """The noise mask in pixels of a latent whose longer side is trimmed to a size in pixels.

    A mask is stretched over its latent, so it has to be so before it can be trimmed like it.
    """
    if latent.noise_mask is None:
        return None
    pixels = tuple(side * latent.factor for side in latent.samples.shape[-2:])
    stretched = interpolate(latent.noise_mask, pixels, mode="bilinear")
    return resize(stretched, width, height, "bilinear", "center")


def masks_of(latent: Latent) -> Tensor | None:
    """The noise mask: None, one for all images (1, 1, H, W), or one for each (B, 1, H, W)."""
    mask = latent.noise_mask
    if mask is None or len(mask) == 1:
        return mask
    return repeat_to(mask, len(latent.samples))


def joined_masks(latents: Sequence[Latent]) -> Tensor | None:
    """A noise mask for each image of latents put one after another; None where none has any.

    Images without one are made anew. Masks of different sizes become as large as the picture.
    """
    sizes = {latent.noise_mask.shape[-2:] for latent in latents if latent.noise_mask is not None}
    if not sizes:
        return None
    first = latents[0]
    picture = [side * first.factor for side in first.samples.shape[-2:]]
    rows, columns = sizes.pop() if len(sizes) == 1 else picture
    return torch.cat([_each(latent, rows, columns) for latent in latents])


def indices_of(latent: Latent, start: int = 0) -> tuple[int, ...]:
    """Which draw of the noise each image takes; one that does not say so counts from `start`."""
    return latent.batch_index or tuple(range(start, start + len(latent.samples)))


def _each(latent: Latent, rows: int, columns: int) -> Tensor:
    mask = latent.noise_mask
    if mask is None:
        return torch.ones(len(latent.samples), 1, rows, columns)
    if mask.shape[-2:] != (rows, columns):
        mask = interpolate(mask, (rows, columns), mode="bilinear")
    return repeat_to(mask, len(latent.samples))


def _shaped(empty: Latent, like: Latent) -> Latent:
    width, height = empty.size
    rows, columns = height // like.factor, width // like.factor
    if not rows or not columns:
        raise NodeGraphError(
            f"an empty latent of {width} x {height} pixels is smaller than one cell "
            f"({like.factor} x {like.factor}) of the latent it is put together with"
        )
    shape = (len(empty.samples), like.samples.shape[1], rows, columns)
    return empty.with_samples(like.samples.new_zeros(shape), factor=like.factor)
