"""Nodes for networks that see more than the latent: a hole, a depth map, a picture to edit.

What they attach is data of the conditioning; a model that has no place for it leaves it aside.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import torch

from nodegraph import Context, Tip, node
from nodes.diffusion.inpaint import repeat_to
from nodes.imaging.depth import as_depth
from nodes.imaging.holes import fitted, greyed
from nodes.types import Conditioning, Image, Latent, Mask, Vae
from nodes.vae import vae_encode


class Both(NamedTuple):
    positive: Conditioning
    negative: Conditioning


class BothAndLatent(NamedTuple):
    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node("InpaintModelConditioning", category="conditioning/inpaint")
def inpaint_model_conditioning(
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    pixels: Image,
    mask: Mask,
    noise_mask: Annotated[bool, Tip("keep what is not under the mask exactly as it is")] = True,
    *,
    context: Context,
) -> BothAndLatent:
    """For inpainting models: a picture to sample from, and the same with the mask's part grey."""
    height, width = pixels.shape[1:3]
    hole = fitted(mask, height, width)
    hidden = greyed(pixels, repeat_to(hole, len(pixels)) if len(hole) > 1 else hole)
    latent = vae_encode(pixels, vae, context=context)
    kept = vae_encode(Image(hidden), vae, context=context).samples
    rows, columns = height // vae.factor * vae.factor, width // vae.factor * vae.factor
    top, left = (height - rows) // 2, (width - columns) // 2  # the centre, as the encoder takes it
    hole = hole[..., top : top + rows, left : left + columns].contiguous()
    shown = _both(positive, negative, kept=kept, hole=hole)
    return BothAndLatent(*shown, replace(latent, noise_mask=hole if noise_mask else None))


@node("DepthConditioning", category="conditioning/depth")
def depth_conditioning(
    positive: Conditioning,
    negative: Conditioning,
    depth: Annotated[Image | Mask, Tip("white is near; each picture's own range is used")],
) -> Both:
    """For models that see a depth map next to the latent, such as Stable Diffusion 2 depth."""
    return _both(positive, negative, depth=as_depth(depth))


@node("InstructPixToPixConditioning", category="conditioning/instructpix2pix")
def instruct_pix_to_pix_conditioning(
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    pixels: Image,
    *,
    context: Context,
) -> BothAndLatent:
    """For models that edit a picture by instruction (arXiv:2211.09800); sampling starts from noise.

    The paper's two scales are those of DualCFGGuider: cond1 and cond2 the outputs for the
    instruction and for an empty prompt, negative the empty prompt itself.
    """
    latent = vae_encode(pixels, vae, context=context)
    shown = _both(positive, negative, edited=latent.samples)
    return BothAndLatent(*shown, replace(latent, samples=torch.zeros_like(latent.samples)))


def _both(positive: Conditioning, negative: Conditioning, **carried: Any) -> Both:
    """Every entry of both carries this as well."""
    changed = (
        Conditioning(tuple(replace(entry, **carried) for entry in side.entries))
        for side in (positive, negative)
    )
    return Both(*changed)
