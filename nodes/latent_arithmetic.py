"""Nodes that compute with latents.

The second latent is made as large as the first, the longer side trimmed, and its batch is repeated
or cut to the first's. Noise mask and batch index are those of the first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from nodegraph import Number, Tip, node
from nodes.diffusion.mixing import blend, interpolate
from nodes.latent_fitting import matched
from nodes.types import Latent

Ratio = Annotated[float, Number(min=0.0, max=1.0, step=0.01), Tip("the first latent's share")]
Share = Annotated[float, Number(min=0, max=1, step=0.01), Tip("the first latent's share")]


@node("LatentAdd", category="latent/advanced", display_name="Latent Add")
def latent_add(samples1: Latent, samples2: Latent) -> Latent:
    """The sum of two latents, cell by cell."""
    first, second = matched(samples1, samples2)
    return replace(first, samples=first.samples + second)


@node("LatentSubtract", category="latent/advanced", display_name="Latent Subtract")
def latent_subtract(samples1: Latent, samples2: Latent) -> Latent:
    """The first latent less the second, cell by cell."""
    first, second = matched(samples1, samples2)
    return replace(first, samples=first.samples - second)


@node("LatentMultiply", category="latent/advanced", display_name="Latent Multiply")
def latent_multiply(
    samples: Latent, multiplier: Annotated[float, Number(min=-10.0, max=10.0, step=0.01)] = 1.0
) -> Latent:
    """A latent times a number."""
    return replace(samples, samples=samples.samples * multiplier)


@node("LatentInterpolate", category="latent/advanced", display_name="Latent Interpolate")
def latent_interpolate(samples1: Latent, samples2: Latent, ratio: Ratio = 1.0) -> Latent:
    """Between two latents, without the loss of contrast that a blend has."""
    first, second = matched(samples1, samples2)
    return replace(first, samples=interpolate(first.samples, second, ratio))


@node("LatentBlend", category="_for_testing", display_name="Latent Blend")
def latent_blend(samples1: Latent, samples2: Latent, blend_factor: Share = 0.5) -> Latent:
    """A weighted mean of two latents."""
    first, second = matched(samples1, samples2, "bicubic")
    return replace(first, samples=blend(first.samples, second, blend_factor))
