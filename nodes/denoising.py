"""From what stands on a sampling node's ports to one job of the diffusion driver, and back.

In: a model handle, conditioning, a latent in the VAE's scale. Out: a latent in the VAE's scale.
Between the two, x is the latent times the model's scale, on the run's device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeGraphError
from nodes.diffusion.condition import Condition as DiffusionCondition
from nodes.diffusion.driver import sample
from nodes.diffusion.guidance import Clip as ClipX0
from nodes.diffusion.guidance import DynamicThreshold, Threshold, needs_uncond
from nodes.diffusion.inpaint import Inpaint, repeat_to, resize_mask, start
from nodes.diffusion.job import Job
from nodes.diffusion.noise import BatchNoise, initial_noise, known_region_noise
from nodes.diffusion.packing import Network
from nodes.diffusion.samplers import SAMPLERS, SamplerFactory
from nodes.diffusion.times import spaced_times
from nodes.types import Conditioning, Latent, Model, Sampler


@dataclass(frozen=True)
class Guidance:
    """What pulls where: conditioning for and against, and how hard."""

    positive: Conditioning
    negative: Conditioning
    cfg: float


@dataclass(frozen=True)
class Denoised:
    """Both in the VAE's scale: where the sampler ended, and its last estimate of the picture."""

    latent: Latent
    estimate: Latent


def denoise(
    model: Model,
    latent: Latent,
    guidance: Guidance,
    sampler: Sampler,
    sigmas: Tensor,
    *,
    seed: int,
    add_noise: bool = True,
    context: Context,
) -> Denoised:
    """Run a sampler from `latent` under noise of level sigmas[0] down the levels `sigmas`.

    With fewer than two levels there is nothing to do, and the latent comes back. Raises
    NodeGraphError where latent, conditioning and model do not fit each other.
    """
    latent = fit(latent, model)
    sigmas = respaced(sampler, sigmas, model)
    if len(sigmas) < 2:
        return Denoised(latent, latent)
    device = context.device
    latents = latent.samples.to(device, torch.float32) * model.scale
    noise = _noise(latent, seed, add_noise).to(device)
    x = start(latents, noise, sigmas, model.sampling.schedule)
    factory: SamplerFactory = context.extensions.get("samplers", SAMPLERS)[sampler.name]
    estimates = _Estimates(context)
    job = Job(
        sampler=factory(x, sigmas, BatchNoise(seed, device), **dict(sampler.options)),
        sigmas=sigmas,
        model=model.sampling,
        positive=_conditions(guidance.positive, model, x),
        negative=_conditions(guidance.negative, model, x) if needs_uncond(guidance.cfg) else (),
        cfg=guidance.cfg,
        inpaint=_inpaint(latent, latents, noise, sampler, seed),
        threshold=_threshold(sampler),
        on_step=estimates,
    )
    with context.need_models().lease(model.source, device) as module:
        result = sample(job, network_of(module))
    estimate = estimates.last if estimates.last is not None else result
    return Denoised(
        latent.with_samples(result / model.scale), latent.with_samples(estimate / model.scale)
    )


def network_of(module: nn.Module) -> Network:
    """A UNet as the driver calls it: float32 outside, the module's own dtype inside."""
    dtype = next(module.parameters()).dtype

    def network(x: Tensor, t: Tensor, tokens: Tensor | None) -> Tensor:
        given = None if tokens is None else tokens.to(dtype)
        output: Tensor = module(x.to(dtype), t, given)
        return output.float()

    return network


def fit(latent: Latent, model: Model) -> Latent:
    """The latent as this model takes it: an empty one gets its channels and cells."""
    samples = latent.samples
    if latent.pixels is not None:
        width, height = latent.pixels
        shape = (len(samples), model.channels, height // model.factor, width // model.factor)
        return Latent(
            torch.zeros(shape), latent.noise_mask, latent.batch_index, model.factor, None
        )
    if samples.shape[1] == model.channels:
        return latent
    if not samples.any():
        shape = (len(samples), model.channels, *samples.shape[-2:])
        return latent.with_samples(torch.zeros(shape))
    raise NodeGraphError(
        f"the latent has {samples.shape[1]} channels, but the model works on {model.channels}: "
        "was it encoded by another family's VAE?"
    )


def respaced(sampler: Sampler, sigmas: Tensor, model: Model) -> Tensor:
    """The levels this sampler walks: as given, or at as many training times spaced its own way.

    A walk that starts below the highest level keeps to the times at or below its start.
    """
    if sampler.spacing == "given" or len(sigmas) < 2:
        return sigmas
    schedule = model.sampling.schedule
    total = len(schedule.sigmas)
    highest = schedule.sigma_to_t(float(sigmas[0]))
    steps = min(len(sigmas) - 1, highest + 1)
    times = [round(t * highest / (total - 1)) for t in spaced_times(sampler.spacing, steps, total)]
    return schedule.sigmas_at(list(dict.fromkeys(times)))


class _Estimates:
    """Called at each step: keeps the last estimate, reports progress, and so notices a cancel."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.last: Tensor | None = None

    def __call__(self, step: int, total: int, x: Tensor, denoised: Tensor) -> None:
        self.last = denoised
        self.context.progress(step + 1, total)
        self.context.preview(denoised)


def _noise(latent: Latent, seed: int, add_noise: bool) -> Tensor:
    shape = latent.samples.shape
    if not add_noise:
        return torch.zeros(shape)
    return initial_noise(shape, seed, batch_index=latent.batch_index)


def _conditions(
    conditioning: Conditioning, model: Model, x: Tensor
) -> tuple[DiffusionCondition, ...]:
    schedule = model.sampling.schedule
    made = []
    for entry in conditioning.entries:
        context = entry.context.to(x.device)
        if model.context is not None and context.shape[-1] != model.context:
            raise NodeGraphError(
                f"the conditioning has tokens of width {context.shape[-1]}, but the model attends "
                f"to width {model.context}: use the text encoder of the model's own family"
            )
        made.append(
            DiffusionCondition(
                context=None if model.context is None else context,
                strength=entry.strength,
                start_sigma=schedule.percent_to_sigma(entry.start),
                end_sigma=schedule.percent_to_sigma(entry.end),
                mask=entry.mask,
                mask_strength=entry.mask_strength,
                concat=_concat(entry.concat, model, x),
            )
        )
    return tuple(made)


def _concat(given: Tensor | None, model: Model, x: Tensor) -> Tensor | None:
    """The extra channels of an inpainting network; without any, "everything is to be made"."""
    extra = model.inputs - model.channels
    if extra <= 0:
        return None
    if given is None:
        mask = torch.ones(1, extra - model.channels, *x.shape[-2:])
        given = torch.cat([mask, torch.zeros(1, model.channels, *x.shape[-2:])], dim=1)
    if given.shape[1] != extra:
        raise NodeGraphError(
            f"the model takes {extra} extra channels next to the latent, the conditioning carries "
            f"{given.shape[1]}"
        )
    return repeat_to(given.to(x), len(x))


def _inpaint(
    latent: Latent, latents: Tensor, noise: Tensor, sampler: Sampler, seed: int
) -> Inpaint | None:
    if latent.noise_mask is None:
        return None
    mask = resize_mask(latent.noise_mask.float(), latents.shape).to(latents.device)
    return Inpaint(mask, latents, known_region_noise(sampler.name, noise, seed))


def _threshold(sampler: Sampler) -> Threshold | None:
    match sampler.clipping:
        case "clip":
            return ClipX0()
        case "dynamic":
            return DynamicThreshold(sampler.percentile)
        case _:
            return None
