"""Step for step against k-diffusion's own samplers and schedules."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from k_diffusion_alone import append_dims, load
from torch import Tensor

from nodes.diffusion.brownian import BrownianNoise
from nodes.diffusion.noise import BatchNoise, no_noise
from nodes.diffusion.prediction import Prediction, to_eps
from nodes.diffusion.samplers import (
    SAMPLERS,
    Sampler,
    dpm_adaptive,
    dpm_fast,
    euler,
    euler_ancestral,
)
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.diffusion.spacing import exponential, karras

SCHEDULE = NoiseSchedule(scaled_linear())


@pytest.fixture(scope="module")
def k_diffusion() -> Any:
    return load()


def model(x: Tensor, sigma: Tensor) -> Tensor:
    """Some smooth denoiser with no special structure."""
    return torch.tanh(x / (1 + append_dims(sigma, x.ndim))) + 0.1 * x.roll(1, -1)


def walk(sampler: Sampler) -> list[Tensor]:
    """Every x the sampler asked about, and the last."""
    asked = []
    try:
        x, sigma = next(sampler)
        while True:
            asked.append(x)
            denoised = model(x, torch.full((len(x),), sigma, dtype=x.dtype))
            eps = to_eps(denoised, x, torch.tensor(sigma, dtype=x.dtype))
            x, sigma = sampler.send(Prediction(denoised, eps))
    except StopIteration as finished:
        return [*asked, finished.value]


def recorded(sample: Callable[..., Tensor], x: Tensor, sigmas: Tensor, **options: Any) -> list:
    asked: list[Tensor] = []
    last = sample(
        model, x, sigmas, callback=lambda s: asked.append(s["x"]), disable=True, **options
    )
    return [*asked, last]


def begin(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    sigmas = karras(SCHEDULE, 15).to(dtype)
    return x * sigmas[0], sigmas


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_euler_is_k_diffusions_to_the_last_bit(k_diffusion: Any, dtype: torch.dtype) -> None:
    x, sigmas = begin(dtype)

    ours = walk(euler(x, sigmas, no_noise))

    theirs = recorded(k_diffusion.sample_euler, x, sigmas)
    assert len(ours) == len(theirs) == 16
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("eta", "s_noise"), [(1.0, 1.0), (0.6, 1.0), (1.0, 1.1), (0.0, 1.0)])
def test_euler_ancestral_is_k_diffusions_with_the_same_noise(
    k_diffusion: Any, dtype: torch.dtype, eta: float, s_noise: float
) -> None:
    x, sigmas = begin(dtype)
    source = BatchNoise(5)

    ours = walk(euler_ancestral(x, sigmas, BatchNoise(5), eta=eta, s_noise=s_noise))

    theirs = recorded(
        k_diffusion.sample_euler_ancestral,
        x,
        sigmas,
        eta=eta,
        s_noise=s_noise,
        noise_sampler=lambda sigma, s: source(x, sigma, s),
    )
    bound = 2e-6 if dtype == torch.float32 else 1e-13
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=bound, atol=bound)
    if dtype == torch.float32:
        assert all(torch.equal(a, b) for a, b in zip(ours[:-1], theirs[:-1], strict=True))


@pytest.mark.parametrize("steps", [1, 2, 20, 33])
def test_karras_and_exponential_levels_are_k_diffusions(k_diffusion: Any, steps: int) -> None:
    low, high = SCHEDULE.sigma_min, SCHEDULE.sigma_max

    assert torch.equal(karras(SCHEDULE, steps), k_diffusion.get_sigmas_karras(steps, low, high))
    assert torch.equal(
        exponential(SCHEDULE, steps), k_diffusion.get_sigmas_exponential(steps, low, high)
    )


# -- every question the sampler asks of the model, and where it ends -------------------------------

BOUND = {torch.float32: 1e-5, torch.float64: 1e-11}  # relative to the largest value of the walk
DTYPES = [torch.float32, torch.float64]
Case = tuple[str, dict[str, Any], dict[str, Any]]
CASES: list[Case] = [
    ("heun", {}, {}),
    ("dpm_2", {}, {}),
    ("dpm_2_ancestral", {"eta": 1.0, "s_noise": 1.1}, {}),
    ("dpm_2_ancestral", {"eta": 0.4}, {}),
    ("lms", {}, {}),
    ("lms", {"order": 2}, {}),
    ("dpmpp_2s_ancestral", {"eta": 1.0, "s_noise": 0.9}, {}),
    ("dpmpp_2s_ancestral", {"eta": 0.0}, {}),
    ("dpmpp_sde", {"eta": 1.0, "s_noise": 1.1}, {}),
    ("dpmpp_sde", {"eta": 0.5, "r": 0.3}, {}),
    ("dpmpp_sde", {"eta": 0.0}, {}),
    ("dpmpp_2m", {}, {}),
    ("dpmpp_2m_sde", {"eta": 1.0, "s_noise": 1.1}, {}),
    ("dpmpp_2m_sde", {"eta": 0.3}, {}),
    ("dpmpp_2m_sde", {"eta": 0.0}, {}),
    ("dpmpp_2m_sde_heun", {"eta": 1.0}, {"solver_type": "heun"}),
    ("dpmpp_3m_sde", {"eta": 1.0, "s_noise": 1.1}, {}),
    ("dpmpp_3m_sde", {"eta": 0.6}, {}),
    ("dpmpp_3m_sde", {"eta": 0.0}, {}),
]
WITHOUT_NOISE = ("heun", "dpm_2", "lms", "dpmpp_2m")


def asked(sample: Callable[..., Tensor], *given: Any, **options: Any) -> list[Tensor]:
    """What k-diffusion asks the model about, and what it returns."""
    questions: list[Tensor] = []

    def watched(x: Tensor, sigma: Tensor) -> Tensor:
        questions.append(x)
        return model(x, sigma)

    last = sample(watched, *given, disable=True, **options)
    return [*questions, last]


def assert_same_walk(
    ours: list[Tensor], theirs: list[Tensor], dtype: torch.dtype = torch.float64
) -> None:
    """Equal to the rounding of `dtype`."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert ((a - b).abs().max() / b.abs().max()).item() < BOUND[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options", "renamed"), CASES)
def test_a_sampler_asks_what_k_diffusions_asks_and_ends_where_it_ends(
    k_diffusion: Any,
    name: str,
    options: dict[str, Any],
    renamed: dict[str, Any],
    dtype: torch.dtype,
) -> None:
    x, sigmas = begin(dtype)
    source = BatchNoise(5)
    theirs_options = {**options, **renamed}
    if name not in WITHOUT_NOISE:
        theirs_options["noise_sampler"] = lambda sigma, s: source(x, sigma, s)

    ours = walk(SAMPLERS[name](x, sigmas, BatchNoise(5), **options))

    sample = getattr(k_diffusion, f"sample_{name.removesuffix('_heun')}")
    assert_same_walk(ours, asked(sample, x, sigmas, **theirs_options), dtype)


@pytest.mark.parametrize("name", WITHOUT_NOISE)
def test_a_walk_that_ends_above_zero_is_k_diffusions(k_diffusion: Any, name: str) -> None:
    x, sigmas = begin(torch.float64)

    ours = walk(SAMPLERS[name](x, sigmas[:-1], no_noise))

    assert_same_walk(ours, asked(getattr(k_diffusion, f"sample_{name}"), x, sigmas[:-1]))


@pytest.mark.parametrize("steps", [2, 3, 4, 9, 10, 11])
@pytest.mark.parametrize(  # theirs is not a number in float64 with noise
    ("eta", "dtype"), [(0.0, torch.float32), (0.0, torch.float64), (0.7, torch.float32)]
)
def test_dpm_fast_is_k_diffusions_for_every_remainder_of_three(
    k_diffusion: Any, steps: int, eta: float, dtype: torch.dtype
) -> None:
    sigmas = karras(SCHEDULE, steps).to(dtype)
    x = begin(dtype)[0]
    source = BatchNoise(5)

    ours = walk(dpm_fast(x, sigmas, BatchNoise(5), eta=eta, s_noise=1.1))

    ends = (sigmas[-2].clone(), sigmas[0].clone())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it copies tensors the way torch advises against
        theirs = asked(
            k_diffusion.sample_dpm_fast,
            x,
            *ends,
            steps,
            eta=eta,
            s_noise=1.1,
            noise_sampler=(lambda sigma, s: source(x, sigma, s)) if eta else None,
        )
    assert_same_walk(ours, theirs, torch.float32)  # which its steps in λ have


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_dpm_adaptive_takes_k_diffusions_steps(
    k_diffusion: Any, order: int, eta: float, dtype: torch.dtype
) -> None:
    x, sigmas = begin(dtype)
    source = BatchNoise(5)

    ours = walk(dpm_adaptive(x, sigmas, BatchNoise(5), order=order, eta=eta))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = asked(
            k_diffusion.sample_dpm_adaptive,
            x,
            sigmas[-2].clone(),
            sigmas[0].clone(),
            order=order,
            eta=eta,
            noise_sampler=lambda sigma, s: source(x, sigma, s),
        )
    assert len(ours) > 20
    assert_same_walk(ours, theirs, torch.float32)  # which its tolerances have


@pytest.mark.parametrize("seeds", [7, [7, 2**64 - 1]])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_brownian_path_is_k_diffusions(
    k_diffusion: Any, seeds: int | list[int], dtype: torch.dtype
) -> None:
    x, sigmas = begin(dtype)
    tree = k_diffusion.BrownianTreeNoiseSampler(x, sigmas[-2], sigmas[0], seed=seeds)

    noise = BrownianNoise(sigmas, seeds)

    for sigma, s in pairwise(sigmas[:-1]):
        middle = (sigma * s).sqrt()
        for a, b in ((sigma, middle), (sigma, s)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its ends are not rounded as the tree's are
                theirs = tree(a, b)
            torch.testing.assert_close(noise(x, a.item(), b.item()), theirs, rtol=1e-4, atol=1e-4)
