"""Latents whose images can be told apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nodes.types import Latent


def numbered(count: int, *, first: int = 0, masks: int = 0, **options: Any) -> Latent:
    """A batch (count, 4, 2, 3): image i is filled with first + i, mask i with i / 10."""
    numbers = torch.arange(float(first), first + count)
    samples = numbers.view(-1, 1, 1, 1).expand(count, 4, 2, 3).clone()
    mask = torch.arange(float(masks)).view(-1, 1, 1, 1).expand(masks, 1, 16, 24) / 10
    return Latent(samples, mask.clone() if masks else None, **options)


def seeded(*shape: int, seed: int = 0, **options: Any) -> Latent:
    """Normal numbers."""
    return Latent(noise(*shape, seed=seed), **options)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def filled(tensor: Tensor | None, scale: float = 1) -> list[int]:
    """Which numbers the images are filled with, times `scale`."""
    assert tensor is not None
    return [round(float(one.mean()) * scale) for one in tensor]
