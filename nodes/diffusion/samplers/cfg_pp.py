"""CFG++ (arXiv:2406.08070): the guided answer, noised again along the unguided direction.

D is the guided x̂_0 and U the unconditional one, so that DDIM's step becomes

    x_s = D + s (x − U)/σ   (algorithm 2, in these variables).

Scales are small here: 1 is full strength. These samplers need U whatever the scale is.
"""

from __future__ import annotations

from torch import Tensor

from nodes.diffusion.noise import NoiseSource
from nodes.diffusion.prediction import Prediction, to_eps
from nodes.diffusion.samplers.exponential import phi_1, phi_2
from nodes.diffusion.samplers.second_order import between, toward
from nodes.diffusion.samplers.stepping import Sampler, ancestral_levels, steps_of


def _uncond(predicted: Prediction) -> Tensor:
    if predicted.uncond is None:
        raise ValueError(
            "a CFG++ sampler needs the unconditional prediction: run it with a negative "
            "conditioning and always_uncond"
        )
    return predicted.uncond


def euler_cfg_pp(x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Sampler:
    """x ← D + s (x − U)/σ"""
    return euler_ancestral_cfg_pp(x, sigmas, noise, eta=0.0)


def euler_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """x ← D + down (x − U)/σ + up z; see `ancestral_levels`."""
    for sigma, s in steps_of(sigmas, x, may_ascend=eta == 0):
        predicted = yield x, sigma.item()
        down, up = ancestral_levels(sigma, s, eta)
        x = predicted.denoised + to_eps(_uncond(predicted), x, sigma) * down
        if eta > 0 and s > 0:
            x = x + noise(x, sigma.item(), s.item()) * s_noise * up
    return x


def dpmpp_2s_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """`dpmpp_2s_ancestral` from x + D − U in place of x, in both of its legs."""
    for sigma, s in steps_of(sigmas, x):
        predicted = yield x, sigma.item()
        down, up = ancestral_levels(sigma, s, eta)
        shifted = x + predicted.denoised - _uncond(predicted)
        if down > 0:
            middle = between(sigma, down)
            predicted = yield toward(predicted.denoised, shifted, sigma, middle), middle.item()
        x = toward(predicted.denoised, shifted, sigma, down)
        if s > 0:
            x = x + noise(x, sigma.item(), s.item()) * s_noise * up
    return x


def dpmpp_2m_cfg_pp(x: Tensor, sigmas: Tensor, _noise: NoiseSource) -> Sampler:
    """x ← D + (s/σ) (x − U) + (1 − e^{−h}) (D − U')/2r, r = h'/h; U' and h' of the step before."""
    before: tuple[Tensor, Tensor] | None = None  # (U', h')
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        D, U = predicted.denoised, _uncond(predicted)
        h = sigma.log() - s.log()
        x = D + (s / sigma) * (x - U)
        if before is not None and s > 0:
            x = x - (-h).expm1() * (h / (2 * before[1])) * (D - before[0])
        before = U, h
    return x


def res_multistep_cfg_pp(x: Tensor, sigmas: Tensor, noise: NoiseSource) -> Sampler:
    """`res_multistep_ancestral_cfg_pp` without noise."""
    return res_multistep_ancestral_cfg_pp(x, sigmas, noise, eta=0.0)


def res_multistep_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """`res_multistep_ancestral` on U, from x + D − U in place of x."""
    before: tuple[Tensor, Tensor] | None = None  # (U', h')
    for sigma, s in steps_of(sigmas, x, may_ascend=eta == 0):
        predicted = yield x, sigma.item()
        D, U = predicted.denoised, _uncond(predicted)
        down, up = ancestral_levels(sigma, s, eta)
        h = sigma.log() - down.log()
        if before is None or down == 0:
            x = D + to_eps(U, x, sigma) * down
        else:
            b_2 = phi_2(-h) / (-before[1] / h)
            x = (-h).exp() * (x + D - U) + h * ((phi_1(-h) - b_2) * U + b_2 * before[0])
        if eta > 0 and s > 0:
            x = x + noise(x, sigma.item(), s.item()) * s_noise * up
        before = U, h
    return x


def gradient_estimation_cfg_pp(
    x: Tensor, sigmas: Tensor, _noise: NoiseSource, *, gamma: float = 2.0
) -> Sampler:
    """x ← D + s d + (γ − 1) (s − σ) (d − d'), d = (x − U)/σ, d' that of the step before."""
    before = None
    for sigma, s in steps_of(sigmas, x, may_ascend=True):
        predicted = yield x, sigma.item()
        d = to_eps(_uncond(predicted), x, sigma)
        x = predicted.denoised + d * s
        if before is not None and s > 0:
            x = x + (gamma - 1) * (s - sigma) * (d - before)
        before = d
    return x
