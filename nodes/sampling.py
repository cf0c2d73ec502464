"""Nodes that sample: KSampler and its kin, samplers with their options, noise levels.

Inputs stand in the ecosystem's order, in which some without a default follow some with one; a
signature can say that of keyword-only parameters alone.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from nodegraph import ChoiceOf, Context, Extension, Number, Seed, Tip, node
from nodes.denoising import Guidance
from nodes.denoising import denoise as run_sampler
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.spacing import SPACINGS, cut, sigmas_for
from nodes.types import Conditioning, Latent, Model, Sampler, Sigmas

SAMPLER_NAMES = Extension("samplers", SAMPLERS)
SCHEDULE_NAMES = Extension("schedules", SPACINGS)

Steps = Annotated[int, Number(min=1, max=10000)]
Cfg = Annotated[float, Number(min=0.0, max=100.0, step=0.1, round=0.01)]
Denoise = Annotated[float, Number(min=0.0, max=1.0, step=0.01)]
SamplerName = Annotated[str, ChoiceOf("samplers")]
ScheduleName = Annotated[str, ChoiceOf("schedules")]
Clipping = Annotated[
    Literal["none", "clip", "dynamic"],
    Tip("keep the estimated picture in range; for models that work on pixels"),
]
WHOLE = 10000
HOOKS = ("conditioning_kinds",)  # what is attached to conditioning acts in here


@node("KSampler", category="sampling", extensions=HOOKS)
def ksampler(
    model: Model,
    *,
    seed: Annotated[int, Seed()] = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: ScheduleName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Denoise = 1.0,
    context: Context,
) -> Latent:
    """Denoise a latent, guided by the positive conditioning and away from the negative."""
    sigmas = _levels(model, scheduler, steps, denoise, sampler_name, context)
    guidance = Guidance(positive, negative, cfg)
    return run_sampler(
        model, latent_image, guidance, Sampler(sampler_name), sigmas, seed=seed, context=context
    ).latent


@node(
    "KSamplerAdvanced",
    category="sampling",
    display_name="KSampler (Advanced)",
    extensions=HOOKS,
)
def ksampler_advanced(
    model: Model,
    *,
    add_noise: Literal["enable", "disable"],
    noise_seed: Annotated[int, Seed()] = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: ScheduleName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: Annotated[int, Number(min=0, max=WHOLE)] = 0,
    end_at_step: Annotated[int, Number(min=0, max=WHOLE)] = WHOLE,
    return_with_leftover_noise: Literal["disable", "enable"],
    context: Context,
) -> Latent:
    """Denoise between two steps of a schedule, for pictures made in stages."""
    whole = _levels(model, scheduler, steps, 1.0, sampler_name, context)
    leftover = return_with_leftover_noise == "enable"
    sigmas = Sigmas(cut(whole, start_at_step, end_at_step, leftover=leftover))
    return run_sampler(
        model,
        latent_image,
        Guidance(positive, negative, cfg),
        Sampler(sampler_name),
        sigmas,
        seed=noise_seed,
        add_noise=add_noise == "enable",
        context=context,
    ).latent


class Sampled(NamedTuple):
    output: Latent
    denoised_output: Latent


@node("SamplerCustom", category="sampling/custom_sampling", extensions=HOOKS)
def sampler_custom(
    model: Model,
    *,
    add_noise: bool = True,
    noise_seed: Annotated[int, Seed()] = 0,
    cfg: Cfg = 8.0,
    positive: Conditioning,
    negative: Conditioning,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
    context: Context,
) -> Sampled:
    """Denoise with any sampler over any noise levels; also gives the last estimated picture."""
    guidance = Guidance(positive, negative, cfg)
    result = run_sampler(
        model,
        latent_image,
        guidance,
        sampler,
        sigmas,
        seed=noise_seed,
        add_noise=add_noise,
        context=context,
    )
    return Sampled(result.latent, result.estimate)


@node("KSamplerSelect", category="sampling/custom_sampling/samplers")
def ksampler_select(sampler_name: SamplerName) -> Sampler:
    """A sampler by name."""
    return Sampler(sampler_name)


@node("SamplerDDPM", category="sampling/custom_sampling/samplers", display_name="SamplerDDPM")
def sampler_ddpm(
    variance: Annotated[
        Literal["beta_tilde", "beta", "learned"],
        Tip("of the reverse step: the posterior's, the forward step's, or the network's own"),
    ] = "beta_tilde",
    clipping: Clipping = "none",
    percentile: Annotated[float, Number(min=0.5, max=1.0, step=0.001)] = 0.995,
) -> Sampler:
    """DDPM's ancestral sampling (arXiv:2006.11239, algorithm 2)."""
    return Sampler("ddpm", (("variance", variance),), clipping, percentile)


@node("SamplerDDIM", category="sampling/custom_sampling/samplers", display_name="SamplerDDIM")
def sampler_ddim(
    eta: Annotated[float, Number(min=0.0, max=1.0, step=0.01), Tip("0: no noise; 1: DDPM's")] = 0.0,
    clipping: Clipping = "none",
    percentile: Annotated[float, Number(min=0.5, max=1.0, step=0.001)] = 0.995,
    spacing: Annotated[
        Literal["given", "leading", "linspace", "trailing"],
        Tip("which training times are visited; given: those of the noise levels"),
    ] = "given",
) -> Sampler:
    """DDIM (arXiv:2010.02502, eq. 12), from deterministic to as random as DDPM."""
    return Sampler("ddim", (("eta", eta),), clipping, percentile, spacing)


@node("BasicScheduler", category="sampling/custom_sampling/schedulers")
def basic_scheduler(
    model: Model,
    scheduler: ScheduleName,
    steps: Steps = 20,
    denoise: Denoise = 1.0,
    *,
    context: Context,
) -> Sigmas:
    """The noise levels of a schedule, from a model's own range."""
    return _levels(model, scheduler, steps, denoise, "", context)


def _levels(
    model: Model, name: str, steps: int, share: float, sampler: str, context: Context
) -> Sigmas:
    spacings = context.extensions.get("schedules", SPACINGS)
    schedule = model.sampling.schedule
    return Sigmas(
        sigmas_for(schedule, name, steps, denoise=share, sampler=sampler, spacings=spacings)
    )
