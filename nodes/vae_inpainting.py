"""The node that encodes a picture without the part that is to be made anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from nodegraph import Context, Number, Tip, node
from nodes.diffusion.inpaint import repeat_to
from nodes.imaging.holes import fitted, greyed, grown
from nodes.types import Image, Latent, Mask, Vae
from nodes.vae import vae_encode


@node("VAEEncodeForInpaint", category="latent/inpaint", display_name="VAE Encode (for Inpainting)")
def vae_encode_for_inpaint(
    pixels: Image,
    vae: Vae,
    mask: Mask,
    grow_mask_by: Annotated[
        int, Number(min=0, max=64, step=1), Tip("in pixels: what is around the hole fits it better")
    ] = 6,
    *,
    context: Context,
) -> Latent:
    """A latent of a picture that is grey where the mask is white, to be made anew there.

    For inpainting models, at full denoise: nothing is left of what was under the mask.
    """
    height, width = pixels.shape[1:3]
    hole = fitted(mask, height, width)
    shown = greyed(pixels, repeat_to(hole, len(pixels)) if len(hole) > 1 else hole)
    latent = vae_encode(Image(shown), vae, context=context)
    rows, columns = height // vae.factor * vae.factor, width // vae.factor * vae.factor
    top, left = (height - rows) // 2, (width - columns) // 2  # the centre, as the encoder takes it
    cropped = hole[..., top : top + rows, left : left + columns]
    return replace(latent, noise_mask=grown(cropped, grow_mask_by))
