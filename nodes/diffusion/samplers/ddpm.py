"""DDPM and DDIM: the ancestral samplers of the papers, in the package's variables."""

from __future__ import annotations

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
from nodes.diffusion.samplers.stepping import Sampler, ancestral_levels, steps_of

Variance = Literal["beta_tilde", "beta", "learned"]
VARIANCES: tuple[Variance, ...] = ("beta_tilde", "beta", "learned")


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
