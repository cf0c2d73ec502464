"""Nodes that put one latent onto another. Noise mask and batch index are those of the lower one.

Places are given in pixels and rounded down to whole cells.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from nodegraph import Number, Tip, node
from nodes.diffusion.inpaint import repeat_to, resize_mask
from nodes.imaging.pasting import fade, paste
from nodes.imaging.resize import resize
from nodes.latent_fitting import alike
from nodes.types import Latent, Mask

Place = Annotated[int, Number(min=0, max=16384, step=8), Tip("in pixels")]


@node("LatentComposite", category="latent", display_name="Latent Composite")
def latent_composite(
    samples_to: Latent, samples_from: Latent, x: Place = 0, y: Place = 0, feather: Place = 0
) -> Latent:
    """One latent on another, its sides faded in, except where they are at the border."""
    below, above = alike(samples_to, samples_from)
    left, top, cells = (pixels // below.factor for pixels in (x, y, feather))
    mask = fade(below.samples, above.samples, left, top, cells)
    return _pasted(below, above.samples, left, top, mask)


@node("LatentCompositeMasked", category="latent", display_name="Latent Composite Masked")
def latent_composite_masked(
    destination: Latent,
    source: Latent,
    x: Place = 0,
    y: Place = 0,
    resize_source: Annotated[bool, Tip("stretch it to the size of the other")] = False,
    mask: Mask | None = None,
) -> Latent:
    """One latent on another, where the mask, stretched over it, is white."""
    below, above = alike(destination, source)
    left, top = x // below.factor, y // below.factor
    samples = above.samples
    if resize_source:
        rows, columns = below.samples.shape[-2:]
        samples = resize(samples, columns, rows, "bilinear")
    size = torch.Size((len(below.samples), 1, *samples.shape[-2:]))
    shown = None if mask is None else resize_mask(mask, size).to(samples)
    return _pasted(below, samples, left, top, shown)


def _pasted(below: Latent, above: Tensor, left: int, top: int, mask: Tensor | None) -> Latent:
    repeated = repeat_to(above, len(below.samples)).to(below.samples)
    return below.with_samples(paste(below.samples, repeated, left, top, mask))
