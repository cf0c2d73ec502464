"""From what stands on a sampling node's ports to one job of the diffusion driver, and back.

In: a model handle, conditioning, a latent in the VAE's scale. Out: a latent in the VAE's scale.
Between the two, x is the latent times the model's scale, on the run's device.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeGraphError
from nodes.diffusion.condition import Condition
from nodes.diffusion.driver import sample
from nodes.diffusion.guidance import Clip as ClipX0
from nodes.diffusion.guidance import DynamicThreshold, Threshold, needs_uncond
from nodes.diffusion.inpaint import Gate, Inpaint, resize_mask, start
from nodes.diffusion.job import Job, Middle
from nodes.diffusion.packing import Network
from nodes.diffusion.pairing import paired
from nodes.diffusion.samplers import SAMPLERS, Method, SamplerFactory, noise_for
from nodes.diffusion.samplers import Sampler as Steps
from nodes.diffusion.times import spaced_times
from nodes.fitting import conditions, fit
from nodes.kinds import Binding, shared
from nodes.models.control import Control
from nodes.models.freeu import FreeU
from nodes.previews import LatentPreview, maps_in
from nodes.randomness import Noise
from nodes.types import Conditioning, Latent, Model, Sampler


@dataclass(frozen=True)
class Guidance:
    """What pulls where: conditioning for and against, and how hard.

    `middle` stands between the two: `middle_cfg` pulls from the negative to it, `cfg` from it to
    the positive; see `nodes.diffusion.job.Middle`. `negative` None: there is nothing to pull from.
    """

    positive: Conditioning
    negative: Conditioning | None
    cfg: float
    middle: Conditioning | None = None
    middle_cfg: float = 1.0
    nested: bool = False

    @property
    def needs_negative(self) -> bool:
        return needs_uncond(self.cfg if self.middle is None else self.middle_cfg)


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
    per_image: bool = False,
    context: Context,
) -> Denoised:
    """Run a sampler from `latent` under noise of level sigmas[0] down the levels `sigmas`.

    `seed`, `add_noise` and `per_image` are a `Noise`. With fewer than two levels there is nothing
    to do, and the latent comes back. Raises NodeGraphError where latent, conditioning and model do
    not fit each other, Cancelled within a step of being asked to stop.
    """
    latent = fit(latent, model)
    sigmas = respaced(sampler, sigmas, model)
    if len(sigmas) < 2:
        return Denoised(latent, latent)
    estimates = _Estimates(model, context)
    noise = Noise(seed, add_noise, per_image)
    with ExitStack() as stack:
        job = _job(model, latent, guidance, sampler, sigmas, noise, estimates, stack)
        module = stack.enter_context(context.need_models().lease(model.source, context.device))
        result = sample(job, network_of(module, model.tweaks.freeu))
    estimate = result if estimates.last is None else estimates.last
    return Denoised(
        latent.with_samples(result / model.scale), latent.with_samples(estimate / model.scale)
    )


def network_of(module: nn.Module, freeu: Sequence[FreeU] = ()) -> Network:
    """A UNet as the driver calls it: float32 outside, the module's own dtype inside."""
    dtype = next(module.parameters()).dtype
    always: dict[str, Any] = {"freeu": tuple(freeu)} if freeu else {}

    def network(
        x: Tensor, t: Tensor, tokens: Tensor | None, control: Control | None = None, **options: Any
    ) -> Tensor:
        given = None if tokens is None else tokens.to(dtype)
        if control is not None:
            options["control"] = control.each(lambda feature: feature.to(dtype))
        output: Tensor = module(x.to(dtype), t, given, **always, **options)
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
    total, span = schedule.last_time + 1, first - lowest
    steps = min(len(sigmas) - 1, span + 1)
    if steps < 1:
        return sigmas
    spaced = spaced_times(sampler.spacing, steps, total)
    times = [lowest + round(t * span / (total - 1)) for t in spaced]
    return schedule.sigmas_at(list(dict.fromkeys(times)), last=last)


class _Estimates:
    """Called at each step: offers the estimate as a preview and reports progress. `keep` is called
    with every estimate, also those within a step. Both notice a cancel."""

    def __init__(self, model: Model, context: Context) -> None:
        self.context = context
        self.model = model
        cache = None if context.folders is None else context.folders.cache
        self.maps = maps_in(None if cache is None else cache / "previews")
        self.last: Tensor | None = None

    def keep(self, denoised: Tensor) -> None:
        self.context.cancel.check()
        self.last = denoised

    def __call__(self, step: int, total: int, _x: Tensor, denoised: Tensor) -> None:
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
    noise: Noise,
    estimates: _Estimates,
    stack: ExitStack,
) -> Job:
    context, tweaks = estimates.context, model.tweaks
    latents = latent.samples.to(context.device, torch.float32) * model.scale
    initial = noise.initial(latent).to(latents.device)
    x = start(latents, initial, sigmas, model.sampling.schedule)
    mask, factory = latent.noise_mask, _factory(sampler, context)
    uncond = isinstance(factory, Method) and factory.uncond

    binding = Binding(model, latents, sigmas, context, stack)

    def side(conditioning: Conditioning | None) -> tuple[Condition, ...]:
        if conditioning is None:
            return ()
        given = shared(guidance.positive, conditioning)
        return conditions(given, model, latents, mask, binding.hooks)

    negative = _negative(guidance, sampler, uncond)
    positive, middle, against = paired(*map(side, (guidance.positive, guidance.middle, negative)))
    return Job(
        sampler=_steps(factory, sampler, x, sigmas, noise.seeds(latent)),
        sigmas=sigmas,
        model=model.sampling,
        positive=positive,
        negative=against,
        cfg=guidance.cfg,
        inpaint=_inpaint(latent, latents, initial, sampler.name, noise, _gate(model, sigmas)),
        threshold=_threshold(sampler),
        on_step=estimates,
        always_uncond=uncond,
        middle=_middle(guidance, middle),
        rescale=tweaks.rescale,
        perturbed=tweaks.perturbed,
        on_estimate=estimates.keep,
    )


def _negative(guidance: Guidance, sampler: Sampler, uncond: bool) -> Conditioning | None:
    """The negative side, where anybody looks at it."""
    if not (uncond or guidance.needs_negative):
        return None
    if guidance.negative is None:
        raise NodeGraphError(
            f"the sampler {sampler.name} looks at what the model draws without the prompt, but "
            "this guider has no negative conditioning: use CFGGuider"
        )
    return guidance.negative


def _middle(guidance: Guidance, conditions: tuple[Condition, ...]) -> Middle | None:
    if guidance.middle is None:
        return None
    return Middle(conditions, guidance.middle_cfg, guidance.nested)


def _factory(sampler: Sampler, context: Context) -> SamplerFactory:
    factories = context.extensions.get("samplers", SAMPLERS)
    if sampler.name not in factories:
        raise NodeGraphError(
            f"there is no sampler {sampler.name!r}: choose one of {', '.join(factories)}, or load "
            "the plugin it came from"
        )
    factory: SamplerFactory = factories[sampler.name]
    return factory


def _steps(
    factory: SamplerFactory, sampler: Sampler, x: Tensor, sigmas: Tensor, seeds: int | list[int]
) -> Steps:
    noise = noise_for(factory, sigmas, seeds, x.device)
    return factory(x, sigmas, noise, **dict(sampler.options))


def _inpaint(
    latent: Latent, latents: Tensor, initial: Tensor, name: str, noise: Noise, gate: Gate | None
) -> Inpaint | None:
    if latent.noise_mask is None:
        return None
    fitted = resize_mask(latent.noise_mask.to(latents), latents.shape)
    return Inpaint(fitted, latents, noise.known_region(name, initial, latent), gate)


def _gate(model: Model, sigmas: Tensor) -> Gate | None:
    strength = model.tweaks.gate
    return None if strength is None else Gate(model.sampling.schedule, sigmas, strength)


def _threshold(sampler: Sampler) -> Threshold | None:
    match sampler.clipping:
        case "clip":
            return ClipX0()
        case "dynamic":
            return DynamicThreshold(sampler.percentile)
        case _:
            return None
