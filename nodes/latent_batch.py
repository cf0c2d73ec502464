"""Nodes that put latents into batches, and say which noise each image of a batch takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Annotated, Literal

import torch

from nodegraph import Number, Tip, node
from nodes.latent_fitting import alike, indices_of, joined_masks, scaled
from nodes.types import Latent


@node("LatentBatch", category="latent/batch", display_name="Latent Batch")
def latent_batch(samples1: Latent, samples2: Latent) -> Latent:
    """Two latents in one batch; the second is made as large as the first.

    Each image keeps its noise: those of the second count from 0 again, unless they know better.
    Where the first alone has noise masks, they start over for the images of the second.
    """
    first, second = alike(samples1, samples2)
    second = scaled(second, first)
    mask = first.noise_mask if second.noise_mask is None else joined_masks([first, second])
    return replace(
        first,
        samples=torch.cat([first.samples, second.samples.to(first.samples)]),
        noise_mask=mask,
        batch_index=indices_of(first) + indices_of(second),
    )


@node("RebatchLatents", category="latent/batch", display_name="Rebatch Latents")
def rebatch_latents(
    latents: list[Latent], batch_size: Annotated[int, Number(min=1, max=4096)] = 1
) -> list[Latent]:
    """The images of a list of latents in batches of another size.

    Neighbours share a batch where they are of one size and kind. Each image gets its own noise.
    """
    groups = groupby(_placed(latents), key=_kind)
    return [batch for _, group in groups for batch in _batches(list(group), batch_size)]


@node(
    "LatentBatchSeedBehavior", category="latent/advanced", display_name="Latent Batch Seed Behavior"
)
def latent_batch_seed_behavior(
    samples: Latent,
    seed_behavior: Annotated[
        Literal["random", "fixed"],
        Tip("random: each image its own noise; fixed: all the noise of the first"),
    ] = "fixed",
) -> Latent:
    """Whether the images of a batch start from different noise, or all from the same."""
    if seed_behavior == "random":
        return replace(samples, batch_index=None)
    index = indices_of(samples)[:1]
    return replace(samples, batch_index=index * len(samples.samples))


def _placed(latents: Sequence[Latent]) -> Iterator[Latent]:
    """Latents whose images know their places in the whole list."""
    start = 0
    for latent in latents:
        yield replace(latent, batch_index=indices_of(latent, start))
        start += len(latent.samples)


def _kind(latent: Latent) -> tuple[object, ...]:
    return (latent.samples.shape[1:], latent.factor, latent.pixels)


def _batches(group: Sequence[Latent], size: int) -> Iterator[Latent]:
    """The images of latents of one kind, `size` in each batch but the last."""
    samples = torch.cat([latent.samples for latent in group])
    index = sum((indices_of(latent) for latent in group), ())
    masks = joined_masks(group)
    for start in range(0, len(samples), size):
        part = slice(start, start + size)
        mask = None if masks is None else masks[part].clone()
        yield replace(
            group[0],
            samples=samples[part].clone(),
            noise_mask=None if mask is None or bool((mask == 1).all()) else mask,
            batch_index=index[part],
        )
