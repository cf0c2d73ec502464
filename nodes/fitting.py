"""A latent and conditioning as one model takes them, or why it cannot take them.

h x w are the cells of the latent, C the model's latent channels. "The model's scale" is the VAE's
times `model.scale`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.areas import cells_of
from nodes.beside import beside
from nodes.diffusion.condition import Condition as DiffusionCondition
from nodes.diffusion.hooks import Hook
from nodes.models.class_table import ClassTable
from nodes.types import Condition, Conditioning, Latent, Model


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
    Raises NodeGraphError for tokens, a class or a vector that the network cannot read, for an area
    outside the picture, and for what is missing next to the latent (see `nodes.beside`).
    """
    schedule = model.sampling.schedule
    return tuple(
        DiffusionCondition(
            context=tokens_of(entry, model, latents.device),
            strength=entry.strength,
            start_sigma=schedule.percent_to_sigma(entry.start),
            end_sigma=schedule.percent_to_sigma(entry.end),
            mask=entry.mask,
            mask_strength=entry.mask_strength,
            concat=beside(entry, model, latents, mask),
            hooks=hooks(entry),
            area=cells_of(entry, latents, model.factor),
            y=y_of(entry, model, latents.device),
        )
        for entry in conditioning.entries
    )


def tokens_of(entry: Condition, model: Model, device: torch.device) -> Tensor | None:
    """An entry's tokens, if the model reads any. Raises NodeGraphError for those it cannot read."""
    if model.context is None:
        return None
    if entry.context is None:
        raise NodeGraphError(
            f"the conditioning has no tokens, but the model reads some, {model.context} wide: "
            "encode a prompt with the text encoder that belongs to the model"
        )
    width = entry.context.shape[-1]
    if width != model.context:
        raise NodeGraphError(_misfit(entry.origin, width, model))
    return entry.context.to(device)


def y_of(entry: Condition, model: Model, device: torch.device) -> Tensor | None:
    """What the network adds to the time: an entry's class, or its vector; None if it reads neither.

    Raises NodeGraphError where the entry has none, or one that the model does not know.
    """
    if model.classes is not None:
        return _label(entry, model.classes).to(device)
    if model.vector is None:
        return None
    width = None if entry.pooled is None else entry.pooled.shape[-1]
    if entry.pooled is None or width != model.vector:
        has = "none" if width is None else f"one {width} wide"
        raise NodeGraphError(
            f"the model reads a vector {model.vector} wide beside the tokens, and the conditioning "
            f"has {has}: encode the prompt with the encoder that belongs to the model"
        )
    return entry.pooled.to(device)


def _label(entry: Condition, table: ClassTable) -> Tensor:
    if entry.label is None:
        remedy = "ConditioningClass has an output `null` for that"
        if not table.null:
            remedy = "it has no class that stands for none, so name one, or sample at cfg 1"
        raise NodeGraphError(
            f"the model draws by class, one of {table.classes}, and the conditioning names none: "
            f"use ConditioningClass; where none is meant, {remedy}"
        )
    if (highest := int(entry.label.max())) >= table.rows:
        raise NodeGraphError(
            f"the conditioning asks for class {highest}, but the model's are 0 to "
            f"{table.rows - 1}: connect this model to ConditioningClass"
        )
    return entry.label


def _misfit(origin: str, width: int, model: Model) -> str:
    which = f"the model ({model.family})" if model.family else "the model"
    if origin:
        return (
            f"{origin} gives tokens {width} wide, but {which} reads {model.context}: load an "
            "encoder that was trained with this model"
        )
    return (
        f"the conditioning has tokens {width} wide, but {which} reads {model.context}: encode the "
        "prompt with the text encoder that belongs to the model"
    )
