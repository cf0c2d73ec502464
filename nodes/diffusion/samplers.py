"""Samplers in the variables x = x_0 + σ ε. Notation: DDPM (arXiv:2006.11239), DDIM (2010.02502).

A sampler is a generator: it yields (x, σ), σ a float, is sent the `Prediction` at (x, σ), and
returns the last x. It never calls a model, so a driver can run it alone or step many in one batch.
Each is made by a function (x, sigmas, noise, **options), listed by name in `SAMPLERS`:

    x       (B, ...) at level sigmas[0]; the walk keeps its dtype and device
    sigmas  (n + 1,) levels, all but the last > 0; with fewer than two there is nothing to do and
            x comes back. They descend; steps without noise also go up, from a picture to noise
    noise   z ~ N(0, I) for the steps that add noise (`noise.NoiseSource`)

σ is the current level, s the next. In the variables of the DDPM and DDIM papers x_t is
x / √(1 + σ²) and ᾱ is 1 / (1 + σ²).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.prediction import (
    Prediction,
    learned_log_variance,
    scaled_input,
    to_eps,
    unscaled,
)

Sampler = Generator[tuple[Tensor, float], Prediction, Tensor]
SamplerFactory = Callable[..., Sampler]  # (x, sigmas, noise, **options)
Variance = Literal["beta_tilde", "beta", "learned"]
VARIANCES: tuple[Variance, ...] = ("beta_tilde", "beta", "learned")


def steps_of(sigmas: Tensor, x: Tensor, *, may_ascend: bool = False) -> list[tuple[Tensor, Tensor]]:
    """[(σ, s), ...]: each level with the next, on x's device and in at least its precision.

    Raises ValueError for levels a sampler cannot walk; a step with noise cannot go up.
    """
    if sigmas.ndim != 1 or not bool(torch.isfinite(sigmas).all()):
        raise ValueError("sigmas: expected a vector of finite levels")
    if bool((sigmas[:-1] <= 0).any()) or bool((sigmas < 0).any()):
        raise ValueError(f"sigmas: expected levels above 0 (the last may be 0): {sigmas.tolist()}")
    if not may_ascend and bool((sigmas[1:] > sigmas[:-1]).any()):
        raise ValueError(
            f"sigmas: this sampler adds noise and needs levels that descend: {sigmas.tolist()}; "
            "euler, or ddim with eta 0, walks up"
        )
    levels = sigmas.to(x.device, torch.promote_types(sigmas.dtype, x.dtype)).unbind()
    return list(pairwise(levels))


def euler(x: Tensor, sigmas: Tensor, _noise: NoiseSource) -> Sampler:
    """x ← x + (s − σ) (x − x̂_0)/σ   (arXiv:2206.00364, alg. 1 without its correction)"""
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        x = x + to_eps(predicted.denoised, x, sigma) * (s - sigma)
    return x


def ancestral_levels(sigma: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """(down, up) with down² + up² = s²: go down to `down`, then add noise of deviation `up`.

    up = η √(s² (σ² − s²) / σ²), at most s; with η = 1 this is the deviation √β̃ of DDPM's posterior
    (DDIM, eq. 16, in these variables).
    """
    if eta == 0:
        return s, torch.zeros_like(s)
    up = torch.minimum(s, eta * (s**2 * (sigma**2 - s**2) / sigma**2) ** 0.5)
    return (s**2 - up**2) ** 0.5, up


def euler_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """An Euler step to `down`, then noise of deviation `up`; see `ancestral_levels`.

    A step that goes down to 0 lands on x̂_0. `s_noise` scales the noise.
    """
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        down, up = ancestral_levels(sigma, s, eta)
        d = to_eps(predicted.denoised, x, sigma)
        x = x + d * (down - sigma) if down > 0 else predicted.denoised
        if s > 0:
            x = x + noise(x, sigma.item(), s.item()) * s_noise * up
    return x


def ddim(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource,
    *,
    eta: float = 0.0,
    unclipped_eps: bool = False,
) -> Sampler:
    """x ← x̂_0 + √(s² − up²) ε̂ + up z   (DDIM, eq. 12)

    η = 0 is deterministic and then the same arithmetic as `euler`; η = 1 has the variance of DDPM's
    posterior. ε̂ is (x − x̂_0)/σ of the final x̂_0; with `unclipped_eps` the model's own ε̂ from
    before clipping. The two differ only where x̂_0 was clipped.
    """
    for sigma, s in steps_of(sigmas, x, may_ascend=eta == 0):
        predicted = yield x, sigma.item()
        down, up = ancestral_levels(sigma, s, eta)
        if unclipped_eps:
            x = predicted.denoised + down * predicted.eps
        else:
            x = x + to_eps(predicted.denoised, x, sigma) * (down - sigma)
        if eta > 0 and s > 0:
            x = x + up * noise(x, sigma.item(), s.item())
    return x


def ddpm(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, variance: Variance = "beta_tilde"
) -> Sampler:
    """x_s = 1/√α (x_t − (1−α)/√(1−ᾱ_t) ε) + √variance z, α = ᾱ_t/ᾱ_s   (DDPM, algorithm 2)

    Over all training levels this is DDPM at full length; over fewer it is the respaced process
    with β = 1 − α. `variance`: "beta_tilde" (the posterior's), "beta", or "learned" (the network's
    own, between the two in log space). No noise at the last step.
    """
    if variance not in VARIANCES:
        raise ValueError(f"variance {variance!r}: expected one of {', '.join(VARIANCES)}")
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        alpha_bar_t, alpha_bar_s = 1 / (sigma**2 + 1), 1 / (s**2 + 1)
        alpha = alpha_bar_t / alpha_bar_s
        eps = to_eps(predicted.denoised, x, sigma)
        x_t = scaled_input(x, sigma)
        x = (1 / alpha).sqrt() * (x_t - (1 - alpha) * eps / (1 - alpha_bar_t).sqrt())
        if s > 0:
            beta_tilde = (1 - alpha) * (1 - alpha_bar_s) / (1 - alpha_bar_t)
            deviation = _deviation(variance, predicted, 1 - alpha, beta_tilde)
            x = unscaled(x + deviation * noise(x, sigma.item(), s.item()), s)
    return x


def _deviation(
    variance: Variance, predicted: Prediction, beta: Tensor, beta_tilde: Tensor
) -> Tensor:
    if variance == "beta_tilde":
        return beta_tilde.sqrt()
    if variance == "beta":
        return beta.sqrt()
    if predicted.log_variance is None:
        raise ValueError(
            "variance 'learned': the network returned no log variance (it needs 2C output "
            "channels); use 'beta_tilde' or 'beta' with this model"
        )
    return torch.exp(0.5 * learned_log_variance(predicted.log_variance, beta, beta_tilde))


SAMPLERS: Mapping[str, SamplerFactory] = MappingProxyType(
    {"euler": euler, "euler_ancestral": euler_ancestral, "ddpm": ddpm, "ddim": ddim}
)
