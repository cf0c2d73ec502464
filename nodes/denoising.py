"""From what stands on a sampling node's ports to one job of the diffusion driver, and back.

In: a model handle, conditioning, a latent in the VAE's scale. Out: a latent in the VAE's scale.
Between the two, x is the latent times the model's scale, on the run's device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeGraphError
from nodes.diffusion.driver import sample
from nodes.diffusion.guidance import Clip as ClipX0
from nodes.diffusion.guidance import DynamicThreshold, Threshold, needs_uncond
from nodes.diffusion.inpaint import Inpaint, resize_mask, start
from nodes.diffusion.job import Job
from nodes.diffusion.noise import BatchNoise, initial_noise, known_region_noise
from nodes.diffusion.packing import Network
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.samplers import Sampler as Steps
from nodes.diffusion.times import spaced_times
from nodes.fitting import conditions, fit
from nodes.previews import LatentPreview, maps_in
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
    NodeGraphError where latent, conditioning and model do not fit each other, Cancelled within a
    step of being asked to stop.
    """
    latent = fit(latent, model)
    sigmas = respaced(sampler, sigmas, model)
    if len(sigmas) < 2:
        return Denoised(latent, latent)
    estimates = _Estimates(model, context)
    job = _job(model, latent, guidance, sampler, sigmas, seed, add_noise, estimates)
    with context.need_models().lease(model.source, context.device) as module:
        result = sample(job, network_of(module))
    estimate = result if estimates.last is None else estimates.last
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


def respaced(sampler: Sampler, sigmas: Tensor, model: Model) -> Tensor:
    """The levels this sampler walks: as given, or at as many training times spaced its own way.

    A walk over a part of the range has its times spaced over that part, and ends where it ended.
    """
    if sampler.spacing == "given" or len(sigmas) < 2:
        return sigmas
    schedule = model.sampling.schedule
    first, last = schedule.sigma_to_t(float(sigmas[0])), float(sigmas[-1])
    lowest = schedule.sigma_to_t(last) + 1 if last > 0 else 0
    total, span = len(schedule.sigmas), first - lowest
    steps = min(len(sigmas) - 1, span + 1)
    if steps < 1:
        return sigmas
    spaced = spaced_times(sampler.spacing, steps, total)
    times = [lowest + round(t * span / (total - 1)) for t in spaced]
    return schedule.sigmas_at(list(dict.fromkeys(times)), last=last)


class _Estimates:
    """Called at each step: keeps the last estimate, offers it as a preview, reports progress, and
    so notices a cancel."""

    def __init__(self, model: Model, context: Context) -> None:
        self.context = context
        self.model = model
        cache = None if context.folders is None else context.folders.cache
        self.maps = maps_in(None if cache is None else cache / "previews")
        self.last: Tensor | None = None

    def __call__(self, step: int, total: int, _x: Tensor, denoised: Tensor) -> None:
        self.last = denoised
        self.context.progress(step + 1, total)
        self.context.preview(
            LatentPreview(denoised, self.model, self.context.need_models(), self.maps)
        )


def _job(
    model: Model,
    latent: Latent,
    guidance: Guidance,
    sampler: Sampler,
    sigmas: Tensor,
    seed: int,
    add_noise: bool,
    estimates: _Estimates,
) -> Job:
    context = estimates.context
    latents = latent.samples.to(context.device, torch.float32) * model.scale
    noise = _noise(latent, seed, add_noise).to(latents.device)
    x = start(latents, noise, sigmas, model.sampling.schedule)
    mask, uncond = latent.noise_mask, needs_uncond(guidance.cfg)
    return Job(
        sampler=_steps(sampler, x, sigmas, seed, context),
        sigmas=sigmas,
        model=model.sampling,
        positive=conditions(guidance.positive, model, latents, mask),
        negative=conditions(guidance.negative, model, latents, mask) if uncond else (),
        cfg=guidance.cfg,
        inpaint=_inpaint(mask, latents, noise, sampler, seed),
        threshold=_threshold(sampler),
        on_step=estimates,
    )


def _steps(sampler: Sampler, x: Tensor, sigmas: Tensor, seed: int, context: Context) -> Steps:
    factories = context.extensions.get("samplers", SAMPLERS)
    if sampler.name not in factories:
        raise NodeGraphError(
            f"there is no sampler {sampler.name!r}: choose one of {', '.join(factories)}, or load "
            "the plugin it came from"
        )
    steps: Steps = factories[sampler.name](
        x, sigmas, BatchNoise(seed, x.device), **dict(sampler.options)
    )
    return steps


def _noise(latent: Latent, seed: int, add_noise: bool) -> Tensor:
    shape = latent.samples.shape
    if not add_noise:
        return torch.zeros(shape)
    return initial_noise(shape, seed, batch_index=latent.batch_index)


def _inpaint(
    mask: Tensor | None, latents: Tensor, noise: Tensor, sampler: Sampler, seed: int
) -> Inpaint | None:
    if mask is None:
        return None
    fitted = resize_mask(mask.to(latents), latents.shape)
    return Inpaint(fitted, latents, known_region_noise(sampler.name, noise, seed))


def _threshold(sampler: Sampler) -> Threshold | None:
    match sampler.clipping:
        case "clip":
            return ClipX0()
        case "dynamic":
            return DynamicThreshold(sampler.percentile)
        case _:
            return None
