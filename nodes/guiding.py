"""Sampling taken apart: noise, guider, sampler and levels as nodes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from nodegraph import OPTIONAL, Context, PortType, Seed, Tip, node, structural
from nodes.denoising import Guidance, denoise
from nodes.randomness import Noise
from nodes.sampling import HOOKS, Cfg, Sampled
from nodes.types import Conditioning, Latent, Model, Sampler, Sigmas

NOISES = "sampling/custom_sampling/noise"
GUIDERS = "sampling/custom_sampling/guiders"


@dataclass(frozen=True, eq=False)
class Guider:
    """A model, and what its answers are pulled towards."""

    model: Model
    guidance: Guidance


NOISE = PortType("NOISE", Noise, color="#78909c", codec=structural(Noise))
GUIDER = PortType("GUIDER", Guider, color="#66ffff")


@node("RandomNoise", category=NOISES)
def random_noise(
    noise_seed: Annotated[int, Seed()] = 0,
    per_image: Annotated[
        bool,
        OPTIONAL,
        Tip("each image of a batch gets the noise of seed + its place, whatever the others are"),
    ] = False,
) -> Noise:
    """Noise from a seed: where a run starts, and what its sampler adds."""
    return Noise(noise_seed, per_image=per_image)


@node("DisableNoise", category=NOISES)
def disable_noise() -> Noise:
    """No noise on the latent; a sampler that adds noise takes it from seed 0."""
    return Noise(0, added=False)


@node("BasicGuider", category=GUIDERS)
def basic_guider(model: Model, conditioning: Conditioning) -> Guider:
    """The model as the conditioning has it, without guidance."""
    return Guider(model, Guidance(conditioning, None, 1.0))


@node("CFGGuider", category=GUIDERS)
def cfg_guider(
    model: Model, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0
) -> Guider:
    """Guided by the positive conditioning and away from the negative (arXiv:2207.12598)."""
    return Guider(model, Guidance(positive, negative, cfg))


@node("DualCFGGuider", category=GUIDERS)
def dual_cfg_guider(
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Annotated[Cfg, Tip("from cond2 to cond1")] = 8.0,
    cfg_cond2_negative: Annotated[Cfg, Tip("from negative to cond2")] = 8.0,
    *,
    style: Annotated[
        Literal["regular", "nested"], Tip("nested scales the first leg by the second as well")
    ],
) -> Guider:
    """Guided in two legs, as for editing by instruction (arXiv:2211.09800, eq. 3)."""
    guidance = Guidance(
        cond1, negative, cfg_conds, cond2, cfg_cond2_negative, nested=style == "nested"
    )
    return Guider(model, guidance)


@node("SamplerCustomAdvanced", category="sampling/custom_sampling", extensions=HOOKS)
def sampler_custom_advanced(
    noise: Noise,
    guider: Guider,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
    *,
    context: Context,
) -> Sampled:
    """Denoise with any noise, guider, sampler and levels; also gives the last estimate."""
    result = denoise(
        guider.model,
        latent_image,
        guider.guidance,
        sampler,
        sigmas,
        seed=noise.seed,
        add_noise=noise.added,
        per_image=noise.per_image,
        context=context,
    )
    return Sampled(result.latent, result.estimate)
