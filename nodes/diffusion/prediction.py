"""What a network says about x, in every form it is said in.

Two sets of variables describe the same process. Variance exploding: x = x_0 + σ ε. Variance
preserving, what networks are trained on: x_t = √ᾱ x_0 + √(1−ᾱ) ε with ᾱ = 1/(1 + σ²), so
x_t = x / √(1 + σ²). A network's output is ε, x_0 or v = √ᾱ ε − √(1−ᾱ) x_0 (arXiv:2202.00512).

Every function works on any shape; σ and ᾱ are tensors that broadcast against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nodes.diffusion.schedule import NoiseSchedule

PredictionKind = Literal["eps", "x0", "v"]
PREDICTION_KINDS: tuple[PredictionKind, ...] = ("eps", "x0", "v")
Use = Literal["plain", "lcm", "img_to_img"]
SMALLEST_VARIANCE = 1e-20  # log β̃ is −∞ where the next level is 0


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to a sampler that asked about (x, σ); every tensor is shaped like x.

    `denoised`: x̂_0 after guidance, clipping and masks. `eps`: the noise (x − x̂_0)/σ as it was
    before clipping. `uncond`: the unconditional x̂_0, None where it was not computed.
    `log_variance`: the second half of a network with 2C outputs, None for others; it says where
    log σ² lies between log β̃ (−1) and log β (+1), see `learned_log_variance`.
    """

    denoised: Tensor
    eps: Tensor
    uncond: Tensor | None = None
    log_variance: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ModelSampling:
    """How a network was trained: its noise levels, and what its output stands for.

    use: "lcm" mixes x̂_0 with x as a consistency model does; "img_to_img" shows x as it is.
    """

    schedule: NoiseSchedule
    kind: PredictionKind = "eps"
    use: Use = "plain"

    def __post_init__(self) -> None:
        _check_kind(self.kind)

    def network_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """What the network sees of x at a level σ, a tensor of one value."""
        return x if self.use == "img_to_img" else scaled_input(x, sigma)

    def denoised(self, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """x̂_0 from what the network says about x at a level σ, a tensor of one value."""
        x_0 = to_denoised(self.kind, output, x, sigma)
        if self.use == "lcm":
            return consistent(x_0, x, self.schedule.sigma_to_t(sigma.item()))
        return x_0


def _check_kind(kind: str) -> None:
    if kind not in PREDICTION_KINDS:
        raise ValueError(f"prediction {kind!r}: expected one of {', '.join(PREDICTION_KINDS)}")


def scaled_input(x: Tensor, sigma: Tensor) -> Tensor:
    """x_t = x / √(σ² + 1), what the network sees."""
    return x / (sigma**2 + 1) ** 0.5


def unscaled(x_t: Tensor, sigma: Tensor) -> Tensor:
    """x = x_t √(σ² + 1)"""
    return x_t * (sigma**2 + 1) ** 0.5


def to_denoised(kind: PredictionKind, output: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """x̂_0 from a network's output and x = x_0 + σ ε.

    ε: x − ε σ;  v: x / (σ² + 1) − v σ / √(σ² + 1);  x_0: the output itself.
    """
    _check_kind(kind)
    if kind == "eps":
        return x - output * sigma
    if kind == "v":
        return x / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5
    return output


def consistent(x_0: Tensor, x: Tensor, t: int, sigma_data: float = 0.5) -> Tensor:
    """c_skip x + c_out x̂_0, which is x itself at t = 0 (arXiv:2310.04378, eq. 9).

    c_skip = σ_d² / (s² + σ_d²) and c_out = s / √(s² + σ_d²), s = 10 t.
    """
    s = 10.0 * t
    c_skip = sigma_data**2 / (s**2 + sigma_data**2)
    return c_skip * x + s / (s**2 + sigma_data**2) ** 0.5 * x_0


def to_eps(denoised: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """ε̂ = (x − x̂_0) / σ, which is also dx/dσ of the probability flow (arXiv:2206.00364, eq. 1)."""
    return (x - denoised) / sigma


def noised(x_0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = √ᾱ x_0 + √(1 − ᾱ) ε   (DDPM, eq. 4)"""
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


def training_target(kind: PredictionKind, x_0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """What a network of this kind should answer at x_t = `noised`(x_0, ε, ᾱ)."""
    _check_kind(kind)
    if kind == "eps":
        return eps
    if kind == "v":
        return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0
    return x_0


def x0_from(kind: PredictionKind, output: Tensor, x_t: Tensor, alpha_bar: Tensor) -> Tensor:
    """x̂_0 from a network's output at x_t: the inverse of `training_target`.

    ε: (x_t − √(1−ᾱ) ε) / √ᾱ;  v: √ᾱ x_t − √(1−ᾱ) v;  x_0: the output itself.
    """
    _check_kind(kind)
    if kind == "eps":
        return (x_t - (1 - alpha_bar).sqrt() * output) / alpha_bar.sqrt()
    if kind == "v":
        return alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * output
    return output


def split_variance(output: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
    """(prediction, log variance or None): a network of 2C outputs learned its variance.

    `output` is (N, C, ...) or (N, 2C, ...) where C is `channels`; ValueError for anything else.
    """
    if output.shape[1] == channels:
        return output, None
    if output.shape[1] == 2 * channels:
        prediction, log_variance = output.chunk(2, dim=1)
        return prediction, log_variance
    raise ValueError(
        f"the network returned {output.shape[1]} channels: expected {channels} "
        f"(a prediction) or {2 * channels} (a prediction and a log variance)"
    )


def learned_log_variance(v: Tensor, beta: Tensor, beta_tilde: Tensor) -> Tensor:
    """log σ² = f log β + (1 − f) log β̃ with f = (v + 1)/2   (arXiv:2102.09672, eq. 15)"""
    f = (v + 1) / 2
    return f * torch.log(beta) + (1 - f) * torch.log(beta_tilde.clamp_min(SMALLEST_VARIANCE))
