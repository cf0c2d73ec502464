"""Nodes that make, resize, batch and mask latents."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph import Number, Tip, node
from nodes.imaging.resize import resize
from nodes.types import Latent, Mask

Pixels = Annotated[int, Number(min=16, max=16384, step=8)]
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
    width: Annotated[int, Number(min=0, max=16384, step=8), Tip("in pixels; 0 keeps the aspect")],
    height: Annotated[int, Number(min=0, max=16384, step=8), Tip("in pixels; 0 keeps the aspect")],
    crop: Crop,
) -> Latent:
    """Resize a latent to a size in pixels."""
    if width == 0 and height == 0:
        return samples
    columns, rows = (
        max(side // samples.factor, SMALLEST_SIDE) if side else 0 for side in (width, height)
    )
    return samples.with_samples(resize(samples.samples, columns, rows, upscale_method, crop))


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
    size = len(samples.samples)
    mask = samples.noise_mask
    if mask is not None and len(mask) > 1:
        mask = mask[:size].repeat(amount, 1, 1, 1)
    index = samples.batch_index
    if index is not None:
        span = max(index) - min(index) + 1
        index = tuple(i + round_ * span for round_ in range(amount) for i in index)
    tensor = samples.samples.repeat(amount, 1, 1, 1)
    if samples.pixels is not None:  # still empty, and shaped by the sampler
        return Latent(tensor, mask, index, samples.factor, samples.pixels)
    return samples.with_samples(tensor, noise_mask=mask, batch_index=index)


@node("LatentFromBatch", category="latent/batch", display_name="Latent From Batch")
def latent_from_batch(
    samples: Latent,
    batch_index: Annotated[int, Number(min=0, max=63)] = 0,
    length: Annotated[int, Number(min=1, max=64)] = 1,
) -> Latent:
    """Some images of a batch, which keep the noise they would have had in it."""
    size = len(samples.samples)
    first = min(batch_index, size - 1)
    last = min(first + length, size)
    mask = samples.noise_mask
    if mask is not None and len(mask) > 1:
        mask = mask.repeat(-(-size // len(mask)), 1, 1, 1)[first:last]
    index = (samples.batch_index or tuple(range(size)))[first:last]
    tensor = samples.samples[first:last].clone()
    return Latent(tensor, mask, index, samples.factor, samples.pixels)


@node("SetLatentNoiseMask", category="latent/inpaint", display_name="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """Make anew where the mask is white, keep the rest."""
    return Latent(
        samples.samples,
        mask.reshape(-1, 1, *mask.shape[-2:]),
        samples.batch_index,
        samples.factor,
        samples.pixels,
    )
