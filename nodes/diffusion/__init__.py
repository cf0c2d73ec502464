"""The mathematics of diffusion in torch alone: schedules, predictions, samplers, guidance.

`sigmas_for` picks the levels, `start` makes the first x, a function of `SAMPLERS` makes a sampler
from both, a `Job` adds conditions and guidance, and `sample` or `sample_together` runs it.
"""

from nodes.diffusion.brownian import BrownianNoise
from nodes.diffusion.condition import Condition
from nodes.diffusion.driver import Run, sample, sample_together, step_together
from nodes.diffusion.guidance import Clip, DynamicThreshold
from nodes.diffusion.inpaint import Gate, Inpaint, resize_mask, start
from nodes.diffusion.job import Job, Middle
from nodes.diffusion.noise import (
    BatchNoise,
    NoiseSource,
    PerImageNoise,
    initial_noise,
    initial_noise_per_image,
    known_region_noise,
    no_noise,
)
from nodes.diffusion.packing import Network
from nodes.diffusion.prediction import ModelSampling, Prediction, PredictionKind
from nodes.diffusion.samplers import SAMPLERS, Method, Sampler, SamplerFactory, noise_for
from nodes.diffusion.schedule import NoiseSchedule
from nodes.diffusion.spacing import SPACINGS, Spacing, cut, sigmas_for
from nodes.diffusion.times import TIME_SPACINGS, spaced_times

__all__ = [
    "SAMPLERS",
    "SPACINGS",
    "TIME_SPACINGS",
    "BatchNoise",
    "BrownianNoise",
    "Clip",
    "Condition",
    "DynamicThreshold",
    "Gate",
    "Inpaint",
    "Job",
    "Method",
    "Middle",
    "ModelSampling",
    "Network",
    "NoiseSchedule",
    "NoiseSource",
    "PerImageNoise",
    "Prediction",
    "PredictionKind",
    "Run",
    "Sampler",
    "SamplerFactory",
    "Spacing",
    "cut",
    "initial_noise",
    "initial_noise_per_image",
    "known_region_noise",
    "no_noise",
    "noise_for",
    "resize_mask",
    "sample",
    "sample_together",
    "sigmas_for",
    "spaced_times",
    "start",
    "step_together",
]
