"""Nodes that make, resize, batch and mask latents."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from nodegraph import Number, Tip, node
from nodes.imaging.resize import resize
from nodes.latent_fitting import masks_of, trimmed_mask
from nodes.types import Latent, Mask

Pixels = Annotated[int, Number(min=16, max=16384, step=8)]
Side = Annotated[int, Number(min=0, max=16384, step=8), Tip("in pixels; 0 keeps the aspect")]
LatentMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
Crop = Literal["disabled", "center"]
SMALLEST_SIDE = 8  # cells, of a latent made by LatentUpscale


@node("EmptyLatentImage", category="latent", display_name="Empty Latent Image")
def empty_latent_image(
    width: Pixels = 512,
    height: Pixels = 512,
    batch_size: Annotated[int, Number(min=1, max=4096)] = 1,
) -> Latent:
    """An empty latent for pictures of this size; the sampler shapes it for its model."""
    return Latent.empty(width, height, batch_size)


@node("LatentUpscale", category="latent", display_name="Upscale Latent")
def latent_upscale(
    samples: Latent,
    upscale_method: LatentMethod,
    *,
    width: Side = 512,
    height: Side = 512,
    crop: Crop,
) -> Latent:
    """Resize a latent to a size in pixels, at least 8 cells a side."""
    if width == 0 and height == 0:
        return samples
    rows, columns = samples.samples.shape[-2:]
    smallest, cell = SMALLEST_SIDE * samples.factor, samples.factor
    wide = max(smallest, width or round(columns * max(smallest, height) / rows))
    high = max(smallest, height or round(rows * max(smallest, width) / columns))
    wide, high = wide // cell, high // cell
    scaled = samples.with_samples(resize(samples.samples, wide, high, upscale_method, crop))
    if crop == "disabled":
        return scaled
    return replace(scaled, noise_mask=trimmed_mask(samples, wide * cell, high * cell))


@node("LatentUpscaleBy", category="latent", display_name="Upscale Latent By")
def latent_upscale_by(
    samples: Latent,
    upscale_method: LatentMethod,
    scale_by: Annotated[float, Number(min=0.01, max=8.0, step=0.01)] = 1.5,
) -> Latent:
    """Resize a latent by a factor."""
    rows, columns = (max(1, round(side * scale_by)) for side in samples.samples.shape[-2:])
    return samples.with_samples(resize(samples.samples, columns, rows, upscale_method))


@node("RepeatLatentBatch", category="latent/batch", display_name="Repeat Latent Batch")
def repeat_latent_batch(
    samples: Latent, amount: Annotated[int, Number(min=1, max=64)] = 1
) -> Latent:
    """The whole batch again and again; each repetition gets noise of its own."""
    mask = masks_of(samples)
    index = samples.batch_index
    if index is not None:
        span = max(index) - min(index) + 1
        index = tuple(i + turn * span for turn in range(amount) for i in index)
    return replace(
        samples,
        samples=samples.samples.repeat(amount, 1, 1, 1),
        noise_mask=mask if mask is None or len(mask) == 1 else mask.repeat(amount, 1, 1, 1),
        batch_index=index,
    )


@node("LatentFromBatch", category="latent/batch", display_name="Latent From Batch")
def latent_from_batch(
    samples: Latent,
    batch_index: Annotated[int, Number(min=0, max=63)] = 0,
    length: Annotated[int, Number(min=1, max=64)] = 1,
) -> Latent:
    """Some images of a batch, which keep the noise they would have had in it."""
    size = len(samples.samples)
    first = min(batch_index, size - 1)
    kept = slice(first, min(first + length, size))
    mask = masks_of(samples)
    # Clones: a view would keep the whole batch in memory.
    return replace(
        samples,
        samples=samples.samples[kept].clone(),
        noise_mask=mask if mask is None or len(mask) == 1 else mask[kept].clone(),
        batch_index=(samples.batch_index or tuple(range(size)))[kept],
    )


@node("SetLatentNoiseMask", category="latent/inpaint", display_name="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Make anew where the mask is white, keep the rest."""
    return replace(samples, noise_mask=mask.reshape(-1, 1, *mask.shape[-2:]))
