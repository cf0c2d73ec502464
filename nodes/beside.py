"""What a network with concatenated inputs sees next to the latent, as channels of the same size.

Stable Diffusion's variants tell by their number of inputs, C being the latent's channels:

2C + 1   inpainting: the hole (0 or 1), and the latent of what is kept
C + 1    depth: a depth map in [-1, 1] (Stable Diffusion 2, depth)
2C       editing by instruction: the latent of the picture to be edited, unscaled (arXiv:2211.09800)

h x w are the cells of the latent. "The model's scale" is the VAE's times `model.scale`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.diffusion.inpaint import repeat_to
from nodes.imaging.depth import normalised
from nodes.imaging.resize import resize
from nodes.types import Condition, Model

# What the VAE of Stable Diffusion makes of mid-grey, in the model's scale.
GREY = (0.8223, -0.6876, 0.6364, 0.1380)


def beside(entry: Condition, model: Model, latents: Tensor, mask: Tensor | None) -> Tensor | None:
    """(B, K, h, w) for a model of C + K inputs; None for one of C.

    `latents` (B, C, h, w) in the model's scale and the noise mask `mask` (B or 1, 1, H, W) are what
    an inpainting network is shown where the entry brings nothing of its own. What an entry carries
    for another kind of network is left aside.
    Raises NodeGraphError for what is missing or does not fit, and for an unknown number of inputs.
    """
    extra = model.inputs - model.channels
    if extra == 0:
        return None
    if extra == model.channels + 1:
        return _inpainting(entry, model, latents, mask)
    if extra == 1:
        return _depth(entry, latents)
    if extra == model.channels:
        return _edited(entry, model, latents)
    raise NodeGraphError(
        f"the model reads {extra} channels next to the {model.channels} of its latent, and nothing "
        f"here makes them: known are 1 (depth), {model.channels} (editing) and "
        f"{model.channels + 1} (inpainting)"
    )


def _inpainting(entry: Condition, model: Model, latents: Tensor, mask: Tensor | None) -> Tensor:
    """(B, 1 + C, h, w): the hole, and the latent of what is kept."""
    kept, hole = latents, mask
    if entry.kept is not None and entry.hole is not None:
        kept = _fitting(entry.kept, model, latents, "masked") * model.scale
        hole = entry.hole
    if hole is None:
        return torch.cat([torch.ones_like(latents[:, :1]), _grey(latents)], dim=1)
    return torch.cat([_rounded(hole, latents), kept], dim=1)


def _depth(entry: Condition, latents: Tensor) -> Tensor:
    """(B, 1, h, w) in [-1, 1]."""
    if entry.depth is None:
        raise NodeGraphError(
            "the model sees a depth map next to the latent, but the conditioning carries none: "
            "put DepthConditioning between the prompts and the sampler"
        )
    height, width = latents.shape[-2:]
    depth = normalised(resize(entry.depth.to(latents), width, height, "bicubic"))
    return repeat_to(depth, len(latents))


def _edited(entry: Condition, model: Model, latents: Tensor) -> Tensor:
    """(B, C, h, w), as the VAE made it: the network was trained on unscaled latents."""
    if entry.edited is None:
        return torch.zeros_like(latents)
    return _fitting(entry.edited, model, latents, "edited")


def _fitting(carried: Tensor, model: Model, latents: Tensor, what: str) -> Tensor:
    if carried.shape[1:] != latents.shape[1:]:
        raise NodeGraphError(
            f"the conditioning carries the latent of {what} pictures of {_size(carried, model)}, "
            f"but the latent to be sampled is of {_size(latents, model)}: make both of one picture"
        )
    return repeat_to(carried, len(latents)).to(latents)


def _size(latents: Tensor, model: Model) -> str:
    channels, height, width = latents.shape[1:]
    return f"{width * model.factor} x {height * model.factor} pixels and {channels} channels"


def _rounded(hole: Tensor, latents: Tensor) -> Tensor:
    """(B, 1, h, w) of zeros and ones."""
    mask = hole[:, :1].to(latents)
    height, width = latents.shape[-2:]
    if mask.shape[-2:] != latents.shape[-2:]:
        mask = resize(mask, width, height, "bilinear", "center")
    return repeat_to(mask.round(), len(latents))


def _grey(latents: Tensor) -> Tensor:
    """The latent of a grey picture, where it is known, else zeros; shaped like `latents`."""
    if latents.shape[1] != len(GREY):
        return torch.zeros_like(latents)
    return latents.new_tensor(GREY).view(1, -1, 1, 1).expand_as(latents)
