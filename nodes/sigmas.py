"""Nodes that make noise levels and cut them up."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from nodegraph import Number, node
from nodes.diffusion import levels
from nodes.diffusion.spacing import beta as beta_levels
from nodes.types import Model, Sigmas

SCHEDULERS = "sampling/custom_sampling/schedulers"
SIGMAS = "sampling/custom_sampling/sigmas"

Steps = Annotated[int, Number(min=1, max=10000)]
Denoise = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]
Level = Annotated[float, Number(min=0.0, max=5000.0, step=0.01, round=False)]
Rho = Annotated[float, Number(min=0.0, max=100.0, step=0.01, round=False)]
Shape = Annotated[float, Number(min=0.0, max=50.0, step=0.01, round=False)]
HIGHEST, LOWEST = 14.614642, 0.0291675  # of Stable Diffusion


@node("KarrasScheduler", category=SCHEDULERS)
def karras_scheduler(
    steps: Steps = 20, sigma_max: Level = HIGHEST, sigma_min: Level = LOWEST, rho: Rho = 7.0
) -> Sigmas:
    """Levels crowded towards the low end, the more the larger rho (arXiv:2206.00364, eq. 5)."""
    return Sigmas(levels.karras(steps, sigma_min, sigma_max, rho))


@node("ExponentialScheduler", category=SCHEDULERS)
def exponential_scheduler(
    steps: Steps = 20, sigma_max: Level = HIGHEST, sigma_min: Level = LOWEST
) -> Sigmas:
    """Levels each a constant share of the one before."""
    return Sigmas(levels.exponential(steps, sigma_min, sigma_max))


@node("PolyexponentialScheduler", category=SCHEDULERS)
def polyexponential_scheduler(
    steps: Steps = 20, sigma_max: Level = HIGHEST, sigma_min: Level = LOWEST, rho: Rho = 1.0
) -> Sigmas:
    """Levels whose logarithm follows a power rho; 1 is exponential."""
    return Sigmas(levels.polyexponential(steps, sigma_min, sigma_max, rho))


@node("VPScheduler", category=SCHEDULERS)
def vp_scheduler(
    steps: Steps = 20,
    beta_d: Level = 19.9,
    beta_min: Level = 0.1,
    eps_s: Annotated[float, Number(min=0.0, max=1.0, step=0.0001, round=False)] = 0.001,
) -> Sigmas:
    """Levels of the continuous variance-preserving process (arXiv:2206.00364, table 1)."""
    return Sigmas(levels.variance_preserving(steps, beta_d, beta_min, eps_s))


@node("BetaSamplingScheduler", category=SCHEDULERS)
def beta_sampling_scheduler(
    model: Model, steps: Steps = 20, alpha: Shape = 0.6, beta: Shape = 0.6
) -> Sigmas:
    """A model's levels at the quantiles of a Beta distribution over time (arXiv:2407.12173)."""
    return Sigmas(beta_levels(model.sampling.schedule, steps, alpha, beta))


@node("SDTurboScheduler", category=SCHEDULERS)
def sd_turbo_scheduler(
    model: Model,
    steps: Annotated[int, Number(min=1, max=10)] = 1,
    denoise: Annotated[float, Number(min=0, max=1.0, step=0.01)] = 1.0,
) -> Sigmas:
    """Every hundredth time from the top, for models distilled to one or a few steps."""
    return Sigmas(levels.turbo(model.sampling.schedule, steps, denoise))


@node("AlignYourStepsScheduler", category=SCHEDULERS)
def align_your_steps_scheduler(
    model_type: Literal["SD1", "SDXL", "SVD"], steps: Steps = 10, denoise: Denoise = 1.0
) -> Sigmas:
    """Levels found best for a family of models at ten steps (arXiv:2404.14507)."""
    return Sigmas(levels.align_your_steps(model_type, steps, denoise))


class Parts(NamedTuple):
    high_sigmas: Sigmas
    low_sigmas: Sigmas


@node("SplitSigmas", category=SIGMAS)
def split_sigmas(sigmas: Sigmas, step: Annotated[int, Number(min=0, max=10000)] = 0) -> Parts:
    """The levels of the first steps, and of the rest."""
    high, low = levels.split(sigmas, step)
    return Parts(Sigmas(high), Sigmas(low))


@node("SplitSigmasDenoise", category=SIGMAS)
def split_sigmas_denoise(sigmas: Sigmas, denoise: Denoise = 1.0) -> Parts:
    """Split so that the second part is a share of the steps."""
    high, low = levels.split_share(sigmas, denoise)
    return Parts(Sigmas(high), Sigmas(low))


@node("FlipSigmas", category=SIGMAS)
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """Levels that rise: a sampler without noise walks them from a picture to its noise."""
    return Sigmas(levels.flipped(sigmas))
