"""Nodes that give a sampler with its options."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph import Number, Tip, node
from nodes.types import Sampler

SAMPLERS = "sampling/custom_sampling/samplers"

Amount = Annotated[float, Number(min=0.0, max=100.0, step=0.01, round=False)]
Eta = Annotated[Amount, Tip("how much noise is renewed: 0 none, 1 as much as the process has")]
NoiseScale = Annotated[Amount, Tip("what the new noise is multiplied by")]
NoiseDevice = Annotated[
    Literal["gpu", "cpu"],
    Tip("where the noise is drawn; the CPU draws the same for every device"),
]


@node("SamplerEulerAncestral", category=SAMPLERS)
def sampler_euler_ancestral(eta: Eta = 1.0, s_noise: NoiseScale = 1.0) -> Sampler:
    """Euler's steps with new noise after each."""
    return Sampler("euler_ancestral", (("eta", eta), ("s_noise", s_noise)))


@node("SamplerLMS", category=SAMPLERS)
def sampler_lms(
    order: Annotated[int, Number(min=1, max=100), Tip("how many steps it remembers")] = 4,
) -> Sampler:
    """Adams-Bashforth's steps."""
    return Sampler("lms", (("order", order),))


@node("SamplerDPMPP_SDE", category=SAMPLERS)
def sampler_dpmpp_sde(
    eta: Eta = 1.0,
    s_noise: NoiseScale = 1.0,
    r: Annotated[Amount, Tip("where in a step the second look is")] = 0.5,
    *,
    noise_device: NoiseDevice,
) -> Sampler:
    """DPM-Solver++ for the stochastic equation, two looks per step."""
    options = (("eta", eta), ("s_noise", s_noise), ("r", r))
    return Sampler(_on("dpmpp_sde", noise_device), options)


@node("SamplerDPMPP_2M_SDE", category=SAMPLERS)
def sampler_dpmpp_2m_sde(
    solver_type: Literal["midpoint", "heun"],
    eta: Eta = 1.0,
    s_noise: NoiseScale = 1.0,
    *,
    noise_device: NoiseDevice,
) -> Sampler:
    """DPM-Solver++ for the stochastic equation, one look per step, remembering one."""
    options = (("solver", solver_type), ("eta", eta), ("s_noise", s_noise))
    return Sampler(_on("dpmpp_2m_sde", noise_device), options)


def _on(name: str, device: str) -> str:
    return f"{name}_gpu" if device == "gpu" else name
