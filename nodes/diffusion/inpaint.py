"""Where a run starts, and masks: regenerate one part of a picture, keep the rest.

A mask m is 1 where the picture is made anew and 0 where the latent is kept; values between
blend. All tensors (B, C, h, w); masks broadcast against that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.diffusion.schedule import NoiseSchedule


def start(latent: Tensor, noise: Tensor, sigmas: Tensor, schedule: NoiseSchedule) -> Tensor:
    """x at the first level: latent + noise σ_0, the input of every sampler.

    At the schedule's highest level or above (relative 1e-5) it is latent + noise √(1 + σ_0²), the
    scale a network saw there in training. With no levels there is nothing to do: the latent.
    """
    if len(sigmas) == 0:
        return latent
    sigma = sigmas[0].to(latent.device)
    level = sigmas[0].item()
    if level > schedule.sigma_max or math.isclose(level, schedule.sigma_max, rel_tol=1e-5):
        return noise * torch.sqrt(1 + sigma**2) + latent
    return noise * sigma + latent


def resize_mask(mask: Tensor, shape: torch.Size) -> Tensor:
    """A mask (H, W), (B, H, W) or (B, 1 or C, H, W) made to fit latents of `shape` (B, C, h, w).

    Bilinear without antialias, then repeated (or cut) to the channels and the batch.
    """
    if mask.ndim not in (2, 3, 4):
        raise ValueError(f"mask: expected (H, W), (B, H, W) or (B, C, H, W), got {mask.shape}")
    if mask.ndim < 4:
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
    mask = torch.nn.functional.interpolate(mask, size=tuple(shape[-2:]), mode="bilinear")
    return repeat_to(repeat_to(mask, shape[0], dim=0), shape[1], dim=1)


def repeat_to(x: Tensor, size: int, *, dim: int = 0) -> Tensor:
    """x repeated along `dim`, then cut to `size`: a short batch starts over."""
    if x.shape[dim] == size:
        return x
    times = [1] * x.ndim
    times[dim] = math.ceil(size / x.shape[dim])
    return x.repeat(times).narrow(dim, 0, size)


@dataclass(frozen=True, eq=False)
class Gate:
    """A mask of greys as the moment from which each place is made anew (arXiv:2306.00950).

    At a level whose time has a share u of the walk's times still before it, m is 1 where the mask
    is at least u and 0 elsewhere: the lighter, the earlier. `strength` blends this hard mask
    with the mask itself. `sigmas`: the levels of the walk.
    """

    schedule: NoiseSchedule
    sigmas: Tensor
    strength: float = 1.0

    def __call__(self, mask: Tensor, sigma: float) -> Tensor:
        hard = (mask >= self.left(sigma)).to(mask.dtype)
        return self.strength * hard + (1 - self.strength) * mask

    def left(self, sigma: float) -> float:
        """The share u of the walk's times below this level's."""
        lowest = max(self.sigmas[-1].item(), self.schedule.sigma_min)
        levels = (sigma, self.sigmas[0].item(), lowest)
        now, first, last = (self.schedule.sigma_to_t(level) for level in levels)
        return (now - last) / (first - last) if first != last else 0.0


@dataclass(frozen=True, eq=False)
class Inpaint:
    """What a run keeps: `latent` where `mask` is 0; `noise` is what it is hidden under meanwhile.

    `mask` broadcasts against `latent` (see `resize_mask`); `noise` is shaped like `latent` (see
    `known_region_noise`). `gate` says what the mask is at a level; without one it stays as it is.
    """

    mask: Tensor
    latent: Tensor
    noise: Tensor
    gate: Gate | None = None

    def __post_init__(self) -> None:
        shape = self.latent.shape
        if self.noise.shape != shape:
            raise ValueError(f"inpainting noise: expected {shape}, got {self.noise.shape}")
        pairs = zip(reversed(self.mask.shape), reversed(shape), strict=False)
        if self.mask.ndim > len(shape) or any(m not in (1, n) for m, n in pairs):
            raise ValueError(
                f"inpainting mask: expected a shape that broadcasts against {shape}, "
                f"got {self.mask.shape}; resize_mask makes one"
            )

    def before(self, x: Tensor, sigma: Tensor) -> Tensor:
        """x m + (latent + noise σ)(1 − m): the known region at this level, for the network."""
        m = self.at(sigma)
        return x * m + (self.noise * sigma + self.latent) * (1 - m)

    def after(self, denoised: Tensor, sigma: Tensor) -> Tensor:
        """x̂_0 m + latent (1 − m)"""
        m = self.at(sigma)
        return denoised * m + self.latent * (1 - m)

    def at(self, sigma: Tensor) -> Tensor:
        """The mask m at this level."""
        return self.mask if self.gate is None else self.gate(self.mask, sigma.item())
