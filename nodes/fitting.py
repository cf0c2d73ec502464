"""A latent and conditioning as one model takes them, or why it cannot take them.

h x w are the cells of the latent, C the model's latent channels. "The model's scale" is the VAE's
times `model.scale`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.diffusion.condition import Condition as DiffusionCondition
from nodes.diffusion.hooks import Hook
from nodes.diffusion.inpaint import repeat_to
from nodes.imaging.resize import resize
from nodes.types import Condition, Conditioning, Latent, Model

# What the VAE of Stable Diffusion makes of mid-grey, in the model's scale.
GREY = (0.8223, -0.6876, 0.6364, 0.1380)


def fit(latent: Latent, model: Model) -> Latent:
    """The latent as this model takes it: an empty one gets its channels and cells.

    Raises NodeGraphError for a latent with other channels that is not all zeros.
    """
    samples = latent.samples
    size = samples.shape[-2:]
    if latent.pixels is not None:
        size = torch.Size(side // model.factor for side in reversed(latent.pixels))
    elif samples.shape[1] == model.channels:
        return latent.with_samples(samples, factor=model.factor)
    elif samples.any():
        raise NodeGraphError(
            f"the latent has {samples.shape[1]} channels, but the model works on {model.channels}: "
            "encode the picture with the VAE that belongs to this model"
        )
    if 0 in size:
        width, height = latent.size
        raise NodeGraphError(
            f"a picture of {width} x {height} pixels is smaller than the model's latent cell of "
            f"{model.factor} x {model.factor}"
        )
    empty = torch.zeros(len(samples), model.channels, *size)
    return latent.with_samples(empty, factor=model.factor)


def conditions(
    conditioning: Conditioning,
    model: Model,
    latents: Tensor,
    mask: Tensor | None,
    hooks: Callable[[Condition], tuple[Hook, ...]] = lambda _: (),
) -> tuple[DiffusionCondition, ...]:
    """What the driver is given for one side.

    `latents` (B, C, h, w) in the model's scale and the noise mask `mask` (B or 1, 1, H, W) are what
    an inpainting network is shown where the conditioning brings nothing of its own. `hooks` makes
    those of what is attached to an entry.
    Raises NodeGraphError for tokens the network cannot read.
    """
    schedule = model.sampling.schedule
    return tuple(
        DiffusionCondition(
            context=_tokens(entry, model, latents.device),
            strength=entry.strength,
            start_sigma=schedule.percent_to_sigma(entry.start),
            end_sigma=schedule.percent_to_sigma(entry.end),
            mask=entry.mask,
            mask_strength=entry.mask_strength,
            concat=_beside(entry, model, latents, mask),
            hooks=hooks(entry),
        )
        for entry in conditioning.entries
    )


def _tokens(entry: Condition, model: Model, device: torch.device) -> Tensor | None:
    if model.context is None:
        return None
    if entry.context is None:
        raise NodeGraphError(
            f"the conditioning has no tokens, but the model reads some, {model.context} wide: "
            "encode a prompt with the text encoder that belongs to the model"
        )
    width = entry.context.shape[-1]
    if width != model.context:
        raise NodeGraphError(
            f"the conditioning has tokens {width} wide, but the model reads {model.context}: "
            "encode the prompt with the text encoder that belongs to the model"
        )
    return entry.context.to(device)


def _beside(entry: Condition, model: Model, latents: Tensor, mask: Tensor | None) -> Tensor | None:
    """(B, 1 + C, h, w) for an inpainting network: the hole, and the latent of what is kept."""
    if model.inputs == model.channels:
        return None
    kept, hole = latents, mask
    if entry.kept is not None and entry.hole is not None:
        kept, hole = _scaled(entry.kept, model, latents), entry.hole
    if hole is None:
        return torch.cat([torch.ones_like(latents[:, :1]), _grey(latents)], dim=1)
    return torch.cat([_rounded(hole, latents), kept], dim=1)


def _scaled(kept: Tensor, model: Model, latents: Tensor) -> Tensor:
    if kept.shape[1:] != latents.shape[1:]:
        raise NodeGraphError(
            f"the conditioning carries the latent of a masked picture of {_size(kept, model)}, but "
            f"the latent to be sampled is of {_size(latents, model)}: make both of one picture"
        )
    return repeat_to(kept, len(latents)).to(latents) * model.scale


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
