"""Step for step against diffusers' schedulers, given the same answers of the same network.

diffusers works on x_t, we on x = x_t √(1 + σ²); both are compared as x_t, to 1e-5.
"""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from nodes.diffusion.guidance import Clip, DynamicThreshold, Threshold
from nodes.diffusion.prediction import (
    Prediction,
    PredictionKind,
    scaled_input,
    split_variance,
    to_denoised,
    to_eps,
    unscaled,
)
from nodes.diffusion.samplers import Sampler, ddim, ddpm
from nodes.diffusion.schedule import (
    NoiseSchedule,
    cosine,
    linear,
    scaled_linear,
    zero_terminal_snr,
)
from nodes.diffusion.times import spaced_times

KINDS: dict[str, PredictionKind] = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
SHAPE = (2, 3, 4, 4)
STEPS = 20


def network(x_t: Tensor, t: int) -> Tensor:
    """Some smooth answer, as large as real ones, that depends on place and time."""
    return torch.tanh(x_t + 0.3 * x_t.roll(1, -1)) + t / 2000


def learned(x_t: Tensor, t: int) -> Tensor:
    """The same with a log variance that goes beyond both bounds."""
    return torch.cat([network(x_t, t), 1.2 * torch.sin(3 * x_t)], dim=1)


def first() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Noise:
    """The draws of diffusers' generator, in its order."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(x.shape, generator=self.generator, dtype=x.dtype)


def ours(
    sampler: Sampler, times: list[int], kind: PredictionKind, threshold: Threshold | None, net: Any
) -> list[Tensor]:
    """x_t after each step."""
    visited = []
    remaining = iter(times)
    try:
        x, level = next(sampler)
        while True:
            sigma = torch.tensor(level, dtype=x.dtype)
            x_t = scaled_input(x, sigma)
            visited.append(x_t)
            output, log_variance = split_variance(net(x_t, next(remaining)), SHAPE[1])
            free = to_denoised(kind, output, x, sigma)
            x_0 = free if threshold is None else threshold(free)
            answer = Prediction(x_0, to_eps(free, x, sigma), log_variance=log_variance)
            x, level = sampler.send(answer)
    except StopIteration as finished:
        return [*visited[1:], finished.value]


def theirs(scheduler: Any, x_t: Tensor, net: Any, **options: Any) -> list[Tensor]:
    visited = []
    for t in scheduler.timesteps.tolist():
        x_t = scheduler.step(net(x_t, t), t, x_t, **options).prev_sample
        visited.append(x_t)
    return visited


def assert_same(a: list[Tensor], b: list[Tensor]) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        torch.testing.assert_close(x, y, **CLOSE)


@pytest.mark.parametrize(
    ("name", "alpha_bar"),
    [
        ("linear", linear()),
        ("scaled_linear", scaled_linear(beta_1=0.0001, beta_T=0.02)),
        ("squaredcos_cap_v2", cosine()),
    ],
)
def test_the_schedules_are_those_of_diffusers(name: str, alpha_bar: Tensor) -> None:
    plain = DDPMScheduler(beta_schedule=name).alphas_cumprod.double()
    shifted = DDPMScheduler(beta_schedule=name, rescale_betas_zero_snr=True).alphas_cumprod

    torch.testing.assert_close(alpha_bar, plain, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(zero_terminal_snr(alpha_bar), shifted.double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
def test_the_time_steps_are_those_of_diffusers_for_every_number_of_steps(spacing: str) -> None:
    scheduler = DDPMScheduler(timestep_spacing=spacing)
    for steps in range(1, 1001, 3):
        scheduler.set_timesteps(steps)
        # its trailing spacing has one time too many where rounding lets it
        assert spaced_times(spacing, steps) == scheduler.timesteps.tolist()[:steps]


@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large", "learned_range"])
@pytest.mark.parametrize("spacing", ["leading", "linspace"])
@pytest.mark.parametrize("clip", [True, False])
def test_ddpm_with_each_variance(variance: str, spacing: str, clip: bool) -> None:
    scheduler = DDPMScheduler(variance_type=variance, timestep_spacing=spacing, clip_sample=clip)
    scheduler.set_timesteps(STEPS)
    times = spaced_times(spacing, STEPS)
    net = learned if variance == "learned_range" else network
    name = {"fixed_small": "beta_tilde", "fixed_large": "beta", "learned_range": "learned"}
    sigmas = NoiseSchedule(linear()).sigmas_at(times, dtype=torch.float64)

    sampler = ddpm(unscaled(first(), sigmas[0]), sigmas, Noise(1), variance=name[variance])  # type: ignore[arg-type]
    a = ours(sampler, times, "eps", Clip() if clip else None, net)

    b = theirs(scheduler, first(), net, generator=torch.Generator().manual_seed(1))
    assert_same(a, b)


@pytest.mark.parametrize("prediction", sorted(KINDS))
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_ddpm_with_each_prediction_and_schedule(prediction: str, schedule: str) -> None:
    scheduler = DDPMScheduler(
        beta_schedule=schedule, prediction_type=prediction, timestep_spacing="trailing"
    )
    scheduler.set_timesteps(STEPS)
    times = spaced_times("trailing", STEPS)
    alpha_bar = {
        "linear": linear(),
        "scaled_linear": scaled_linear(beta_1=0.0001, beta_T=0.02),
        "squaredcos_cap_v2": cosine(),
    }[schedule]
    sigmas = NoiseSchedule(alpha_bar).sigmas_at(times, dtype=torch.float64)

    sampler = ddpm(unscaled(first(), sigmas[0]), sigmas, Noise(1))
    a = ours(sampler, times, KINDS[prediction], Clip(), network)

    b = theirs(scheduler, first(), network, generator=torch.Generator().manual_seed(1))
    assert_same(a, b)


def test_ddpm_at_full_length() -> None:
    """Both with the table in double precision: a thousand steps add up the rounding of theirs."""
    scheduler = DDPMScheduler()
    scheduler.alphas_cumprod = linear()
    times = list(range(999, -1, -1))
    sigmas = NoiseSchedule(linear()).sigmas_at(times, dtype=torch.float64)

    a = ours(ddpm(unscaled(first(), sigmas[0]), sigmas, Noise(1)), times, "eps", Clip(), network)

    b = theirs(scheduler, first(), network, generator=torch.Generator().manual_seed(1))
    assert_same(a, b)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("prediction", sorted(KINDS))
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("clip", [True, False])
def test_ddim_over_whole_walks(eta: float, prediction: str, spacing: str, clip: bool) -> None:
    scheduler = DDIMScheduler(
        prediction_type=prediction, timestep_spacing=spacing, clip_sample=clip
    )
    scheduler.set_timesteps(STEPS)
    times = spaced_times(spacing, STEPS)
    sigmas = NoiseSchedule(linear()).sigmas_at(times, dtype=torch.float64)

    sampler = ddim(unscaled(first(), sigmas[0]), sigmas, Noise(1), eta=eta, unclipped_eps=True)
    a = ours(sampler, times, KINDS[prediction], Clip() if clip else None, network)

    b = theirs(scheduler, first(), network, eta=eta, generator=torch.Generator().manual_seed(1))
    assert_same(a, b)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("clip", [True, False])
def test_ddim_from_each_time_of_the_linspace_spacing(eta: float, clip: bool) -> None:
    """There diffusers steps back by T // steps, not to the next time it visits: one step each."""
    scheduler = DDIMScheduler(timestep_spacing="linspace", clip_sample=clip)
    scheduler.set_timesteps(STEPS)
    schedule = NoiseSchedule(linear())
    for t in spaced_times("linspace", STEPS)[:-1]:
        sigmas = schedule.sigmas_at([t, t - 1000 // STEPS], dtype=torch.float64)[:2]
        sampler = ddim(unscaled(first(), sigmas[0]), sigmas, Noise(1), eta=eta, unclipped_eps=True)

        [x] = ours(sampler, [t], "eps", Clip() if clip else None, network)

        generator = torch.Generator().manual_seed(1)
        step = scheduler.step(network(first(), t), t, first(), eta=eta, generator=generator)
        torch.testing.assert_close(scaled_input(x, sigmas[1]), step.prev_sample, **CLOSE)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_as_stable_diffusion_configures_it(eta: float) -> None:
    """scaled linear β, an offset of one time, and a walk that ends on the first level, not on 0."""
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.set_timesteps(STEPS)
    schedule = NoiseSchedule(scaled_linear())
    times = spaced_times("leading", STEPS, offset=1)
    last = schedule.sigmas_at([0], dtype=torch.float64)[0]
    sigmas = schedule.sigmas_at(times, last=last.item(), dtype=torch.float64)

    a = ours(
        ddim(unscaled(first(), sigmas[0]), sigmas, Noise(1), eta=eta), times, "eps", None, network
    )

    b = theirs(scheduler, first(), network, eta=eta, generator=torch.Generator().manual_seed(1))
    assert times == scheduler.timesteps.tolist()
    assert_same([*a[:-1], scaled_input(a[-1], last)], b)


def test_ddim_with_the_eps_of_the_clipped_prediction() -> None:
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(STEPS)
    times = spaced_times("leading", STEPS)
    sigmas = NoiseSchedule(linear()).sigmas_at(times, dtype=torch.float64)

    a = ours(ddim(unscaled(first(), sigmas[0]), sigmas, Noise(1)), times, "eps", Clip(), network)

    assert_same(a, theirs(scheduler, first(), network, use_clipped_model_output=True))


@pytest.mark.parametrize("maximum", [1.0, 1.5, 100.0])
def test_dynamic_thresholding(maximum: float) -> None:
    scheduler = DDIMScheduler(
        thresholding=True, dynamic_thresholding_ratio=0.9, sample_max_value=maximum
    )
    scheduler.set_timesteps(STEPS)
    times = spaced_times("leading", STEPS)
    sigmas = NoiseSchedule(linear()).sigmas_at(times, dtype=torch.float64)
    x = 3 * first()

    sampler = ddim(unscaled(x, sigmas[0]), sigmas, Noise(1), unclipped_eps=True)
    a = ours(sampler, times, "eps", DynamicThreshold(0.9, maximum), network)

    assert_same(a, theirs(scheduler, x, network))


def test_v_prediction_at_zero_terminal_signal() -> None:
    """diffusers has ᾱ = 0 at the last time, we 4.9e-8; given ours it takes the same steps."""
    alpha_bar = zero_terminal_snr(scaled_linear())
    scheduler = DDIMScheduler(
        prediction_type="v_prediction", timestep_spacing="trailing", clip_sample=False
    )
    scheduler.alphas_cumprod = alpha_bar
    scheduler.set_timesteps(STEPS)
    times = spaced_times("trailing", STEPS)
    sigmas = NoiseSchedule(alpha_bar).sigmas_at(times, dtype=torch.float64)

    sampler = ddim(unscaled(first(), sigmas[0]), sigmas, Noise(1))
    a = ours(sampler, times, "v", None, network)

    assert_same(a, theirs(scheduler, first(), network))
