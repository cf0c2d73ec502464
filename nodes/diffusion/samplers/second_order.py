"""Steps that look twice: Heun's, DPM-Solver-2's, and DPM-Solver++(2S)'s.

d = (x − x̂_0)/σ is dx/dσ along the probability flow; λ = −log σ.
"""

from __future__ import annotations

from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.prediction import to_eps
from nodes.diffusion.samplers.stepping import Sampler, ancestral_levels, steps_of


def heun(x: Tensor, sigmas: Tensor, _noise: NoiseSource) -> Sampler:
    """x ← x + (s − σ) (d + d')/2, d' the slope where Euler's step ends (arXiv:2206.00364, alg. 1).

    The step to 0 is Euler's.
    """
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        d = to_eps(predicted.denoised, x, sigma)
        if s > 0:
            euler = x + d * (s - sigma)
            predicted = yield euler, s.item()
            d = (d + to_eps(predicted.denoised, euler, s)) / 2
        x = x + d * (s - sigma)
    return x


def between(sigma: Tensor, s: Tensor, share: float = 0.5) -> Tensor:
    """The level at a share of the way from σ to s, in λ: σ^(1−share) s^share."""
    return sigma.log().lerp(s.log(), share).exp()


def dpm_2(x: Tensor, sigmas: Tensor, _noise: NoiseSource) -> Sampler:
    """x ← x + (s − σ) d_m, d_m the slope at √(σ s) (DPM-Solver-2, arXiv:2206.00927, alg. 1).

    Euler to the middle, then the whole step with the slope found there; the step to 0 is Euler's.
    """
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        d = to_eps(predicted.denoised, x, sigma)
        if s > 0:
            middle = between(sigma, s)
            halfway = x + d * (middle - sigma)
            predicted = yield halfway, middle.item()
            d = to_eps(predicted.denoised, halfway, middle)
        x = x + d * (s - sigma)
    return x


def dpm_2_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """`dpm_2` to `down`, then noise of deviation `up`; see `ancestral_levels`."""
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        d = to_eps(predicted.denoised, x, sigma)
        down, up = ancestral_levels(sigma, s, eta)
        if down > 0:
            middle = between(sigma, down)
            halfway = x + d * (middle - sigma)
            predicted = yield halfway, middle.item()
            d = to_eps(predicted.denoised, halfway, middle)
        x = x + d * (down - sigma)
        if s > 0:
            x = x + noise(x, sigma.item(), s.item()) * s_noise * up
    return x


def dpmpp_2s_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """DPM-Solver++(2S) to `down` (arXiv:2211.01095, alg. 1, r = 1/2), then noise of `up`.

    x_m = (σ_m/σ) x + (1 − σ_m/σ) x̂_0 in the middle of λ, and the whole step with x̂_0 from there.
    """
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        down, up = ancestral_levels(sigma, s, eta)
        if down > 0:
            middle = between(sigma, down)
            halfway = toward(predicted.denoised, x, sigma, middle)
            predicted = yield halfway, middle.item()
        x = toward(predicted.denoised, x, sigma, down)
        if s > 0:
            x = x + noise(x, sigma.item(), s.item()) * s_noise * up
    return x


def toward(denoised: Tensor, x: Tensor, sigma: Tensor, s: Tensor) -> Tensor:
    """(s/σ) x + (1 − s/σ) x̂_0: the exact way from σ to s where x̂_0 stays what it is."""
    h = sigma.log() - s.log()
    return (s / sigma) * x - (-h).expm1() * denoised
