"""Samplers in the variables x = x_0 + σ ε. Notation: DDPM (arXiv:2006.11239), DDIM (2010.02502).

A sampler is a generator: it yields (x, σ), σ a float, is sent the `Prediction` at (x, σ), and
returns the last x. It never calls a model, so a driver can run it alone or step many in one batch.
Each is made by a function (x, sigmas, noise, **options), listed by name in `SAMPLERS`:

    x       (B, ...) at level sigmas[0]; the walk keeps its dtype and device
    sigmas  (n + 1,) levels, all but the last > 0; with fewer than two there is nothing to do and
            x comes back. They descend; steps without noise also go up, from a picture to noise
    noise   z ~ N(0, I) for the steps that add noise; `noise_for` makes the one that is meant

σ is the current level, s the next. In the variables of the DDPM and DDIM papers x_t is
x / √(1 + σ²) and ᾱ is 1 / (1 + σ²). λ = −log σ is half the logarithm of the signal-to-noise ratio.
"""

from nodes.diffusion.samplers.ddpm import VARIANCES, Variance, ddim, ddpm
from nodes.diffusion.samplers.dpm_solver import dpm_adaptive, dpm_fast
from nodes.diffusion.samplers.euler import euler, euler_ancestral, gradient_estimation, lcm
from nodes.diffusion.samplers.exponential import (
    dpmpp_2m,
    res_multistep,
    res_multistep_ancestral,
    uni_pc,
)
from nodes.diffusion.samplers.methods import SAMPLERS, Method, noise_for
from nodes.diffusion.samplers.multistep import deis, ipndm, ipndm_v, lms
from nodes.diffusion.samplers.sde import dpmpp_2m_sde, dpmpp_3m_sde, dpmpp_sde
from nodes.diffusion.samplers.second_order import dpm_2, dpm_2_ancestral, dpmpp_2s_ancestral, heun
from nodes.diffusion.samplers.stepping import Sampler, SamplerFactory, ancestral_levels, steps_of

__all__ = [
    "SAMPLERS",
    "VARIANCES",
    "Method",
    "Sampler",
    "SamplerFactory",
    "Variance",
    "ancestral_levels",
    "ddim",
    "ddpm",
    "deis",
    "dpm_2",
    "dpm_2_ancestral",
    "dpm_adaptive",
    "dpm_fast",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_2s_ancestral",
    "dpmpp_3m_sde",
    "dpmpp_sde",
    "euler",
    "euler_ancestral",
    "gradient_estimation",
    "heun",
    "ipndm",
    "ipndm_v",
    "lcm",
    "lms",
    "noise_for",
    "res_multistep",
    "res_multistep_ancestral",
    "steps_of",
    "uni_pc",
]
