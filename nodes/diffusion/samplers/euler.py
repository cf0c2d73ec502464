"""First-order steps: Euler's, with noise or without, and what is made of it."""

from __future__ import annotations

from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.prediction import to_eps
from nodes.diffusion.samplers.stepping import Sampler, ancestral_levels, steps_of


def euler(x: Tensor, sigmas: Tensor, _noise: NoiseSource) -> Sampler:
    """x ← x + (s − σ) (x − x̂_0)/σ   (arXiv:2206.00364, alg. 1 without its correction)"""
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        x = x + to_eps(predicted.denoised, x, sigma) * (s - sigma)
    return x


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


def lcm(x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Sampler:
    """x ← x̂_0 + s z   (latent consistency models, arXiv:2310.04378, algorithm 3)"""
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        x = predicted.denoised
        if s > 0:
            x = x + s * noise(x, sigma.item(), s.item())
    return x


def gradient_estimation(
    x: Tensor, sigmas: Tensor, _noise: NoiseSource, *, gamma: float = 2.0
) -> Sampler:
    """x ← x + (s − σ) (γ d + (1 − γ) d'), d = (x − x̂_0)/σ, d' that of the step before.

    arXiv:2306.04848, algorithm 1. The first step is Euler's; the step to 0 lands on x̂_0.
    """
    before = None
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        d = to_eps(predicted.denoised, x, sigma)
        if s == 0:
            x = predicted.denoised
        else:
            mean = d if before is None else gamma * d + (1 - gamma) * before
            x = x + mean * (s - sigma)
        before = d
    return x
