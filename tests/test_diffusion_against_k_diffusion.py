"""Step for step against k-diffusion's own samplers and schedules.

Its sampling module is loaded alone: the package as a whole needs torchvision for its other parts.
"""

import importlib.util
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.diffusion.noise import BatchNoise, no_noise
from nodes.diffusion.prediction import Prediction, to_eps
from nodes.diffusion.samplers import Sampler, euler, euler_ancestral
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.diffusion.spacing import exponential, karras

SCHEDULE = NoiseSchedule(scaled_linear())
ALONE = "k_diffusion_alone"


def append_dims(x: Tensor, ndim: int) -> Tensor:
    return x[(...,) + (None,) * (ndim - x.ndim)]


@pytest.fixture(scope="module")
def k_diffusion() -> Any:
    found = importlib.util.find_spec("k_diffusion")
    assert found is not None, "k-diffusion is needed: pip install --no-deps k-diffusion"
    [folder] = found.submodule_search_locations or []
    package, utils = ModuleType(ALONE), ModuleType(f"{ALONE}.utils")
    package.__path__ = []
    vars(package)["utils"] = utils
    vars(utils)["append_dims"] = append_dims
    sys.modules.update({ALONE: package, f"{ALONE}.utils": utils})
    spec = importlib.util.spec_from_file_location(f"{ALONE}.sampling", Path(folder) / "sampling.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module


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
