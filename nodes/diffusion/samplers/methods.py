"""The table of samplers: each with its noise, its paper and the order that is measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor

from nodes.diffusion.brownian import BrownianNoise
from nodes.diffusion.noise import BatchNoise, Device, NoiseSource, PerImageNoise
from nodes.diffusion.samplers import cfg_pp as pp
from nodes.diffusion.samplers.ddpm import ddim, ddpm
from nodes.diffusion.samplers.dpm_solver import dpm_adaptive, dpm_fast
from nodes.diffusion.samplers.euler import euler, euler_ancestral, gradient_estimation, lcm
from nodes.diffusion.samplers.exponential import (
    dpmpp_2m,
    res_multistep,
    res_multistep_ancestral,
    uni_pc,
)
from nodes.diffusion.samplers.multistep import deis, ipndm, ipndm_v, lms
from nodes.diffusion.samplers.sde import dpmpp_2m_sde, dpmpp_3m_sde, dpmpp_sde
from nodes.diffusion.samplers.second_order import dpm_2, dpm_2_ancestral, dpmpp_2s_ancestral, heun
from nodes.diffusion.samplers.stepping import Sampler, SamplerFactory

Kind = Literal["none", "step", "path", "path on the device"]


@dataclass(frozen=True)
class Method:
    """A sampler as the table lists it; called like the function that makes it.

    paper: where it comes from. noise: "none"; "step", a draw for each step; "path", increments of a
    Brownian path drawn on the CPU, or on the device of x. looks: network evaluations per step, but
    for the last. order: of convergence along the probability flow, as measured between 80 and 160
    steps without the one to 0; None where there is noise or the steps are not those given.
    uncond: whether it looks at the unconditional prediction.
    """

    make: SamplerFactory
    paper: str
    noise: Kind = "none"
    looks: int = 1
    order: float | None = None
    uncond: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, x: Tensor, sigmas: Tensor, noise: NoiseSource, **options: Any) -> Sampler:
        return self.make(x, sigmas, noise, **{**self.options, **options})


def noise_for(
    sampler: SamplerFactory, sigmas: Tensor, seeds: int | Sequence[int], device: Device
) -> NoiseSource:
    """The noise a sampler is meant to run on, from one seed, or from a seed for each image.

    A sampler that is not a `Method` gets a draw for each step, on the device of x.
    """
    kind = sampler.noise if isinstance(sampler, Method) else "step"
    if kind == "path":
        return BrownianNoise(sigmas, seeds)
    if kind == "path on the device":
        return BrownianNoise(sigmas, seeds, device)
    return BatchNoise(seeds, device) if isinstance(seeds, int) else PerImageNoise(seeds, device)


EDM, PLUS, FIRST = "arXiv:2206.00364", "arXiv:2211.01095", "arXiv:2206.00927"
DDPM, DDIM, CFG_PP = "arXiv:2006.11239", "arXiv:2010.02502", "arXiv:2406.08070"
RES, PNDM, DEIS = "arXiv:2308.02157", "arXiv:2202.09778", "arXiv:2204.13902"
UNI_PC, LCM, ESTIMATION = "arXiv:2302.04867", "arXiv:2310.04378", "arXiv:2306.04848"
ADAMS = "Bashforth & Adams 1883"
HEUN = {"solver": "heun"}
DEVICE: Kind = "path on the device"

# In the ecosystem's order.
SAMPLERS: Mapping[str, SamplerFactory] = MappingProxyType(
    {
        "euler": Method(euler, EDM, order=1.0),
        "euler_cfg_pp": Method(pp.euler_cfg_pp, CFG_PP, order=1.0, uncond=True),
        "euler_ancestral": Method(euler_ancestral, DDPM, "step"),
        "euler_ancestral_cfg_pp": Method(pp.euler_ancestral_cfg_pp, CFG_PP, "step", uncond=True),
        "heun": Method(heun, EDM, looks=2, order=2.0),
        "dpm_2": Method(dpm_2, FIRST, looks=2, order=2.0),
        "dpm_2_ancestral": Method(dpm_2_ancestral, FIRST, "step", looks=2),
        "lms": Method(lms, ADAMS, order=3.7),
        "dpm_fast": Method(dpm_fast, FIRST),
        "dpm_adaptive": Method(dpm_adaptive, FIRST, looks=3),
        "dpmpp_2s_ancestral": Method(dpmpp_2s_ancestral, PLUS, "step", looks=2),
        "dpmpp_2s_ancestral_cfg_pp": Method(
            pp.dpmpp_2s_ancestral_cfg_pp, CFG_PP, "step", looks=2, uncond=True
        ),
        "dpmpp_sde": Method(dpmpp_sde, PLUS, "path", looks=2),
        "dpmpp_sde_gpu": Method(dpmpp_sde, PLUS, DEVICE, looks=2),
        "dpmpp_2m": Method(dpmpp_2m, PLUS, order=2.0),
        "dpmpp_2m_cfg_pp": Method(pp.dpmpp_2m_cfg_pp, CFG_PP, order=2.0, uncond=True),
        "dpmpp_2m_sde": Method(dpmpp_2m_sde, PLUS, "path"),
        "dpmpp_2m_sde_gpu": Method(dpmpp_2m_sde, PLUS, DEVICE),
        "dpmpp_2m_sde_heun": Method(dpmpp_2m_sde, PLUS, "path", options=HEUN),
        "dpmpp_2m_sde_heun_gpu": Method(dpmpp_2m_sde, PLUS, DEVICE, options=HEUN),
        "dpmpp_3m_sde": Method(dpmpp_3m_sde, PLUS, "path"),
        "dpmpp_3m_sde_gpu": Method(dpmpp_3m_sde, PLUS, DEVICE),
        "ddpm": Method(ddpm, DDPM, "step"),
        "lcm": Method(lcm, LCM, "step"),
        "ipndm": Method(ipndm, PNDM, order=2.0),
        "ipndm_v": Method(ipndm_v, PNDM, order=3.7),
        "deis": Method(deis, DEIS, order=2.9),
        "res_multistep": Method(res_multistep, RES, order=2.0),
        "res_multistep_cfg_pp": Method(pp.res_multistep_cfg_pp, CFG_PP, order=2.0, uncond=True),
        "res_multistep_ancestral": Method(res_multistep_ancestral, RES, "step"),
        "res_multistep_ancestral_cfg_pp": Method(
            pp.res_multistep_ancestral_cfg_pp, CFG_PP, "step", uncond=True
        ),
        "gradient_estimation": Method(gradient_estimation, ESTIMATION, order=1.0),
        "gradient_estimation_cfg_pp": Method(
            pp.gradient_estimation_cfg_pp, CFG_PP, order=1.0, uncond=True
        ),
        "ddim": Method(ddim, DDIM, order=1.0),
        "uni_pc": Method(uni_pc, UNI_PC, order=2.2),
        "uni_pc_bh2": Method(uni_pc, UNI_PC, order=2.2, options={"bh2": True}),
    }
)
