"""How fast the error of each deterministic sampler falls with the number of steps.

The data are N(2, 0.5²), whose probability flow keeps (x − μ)/√(std² + σ²). The step to 0, which
every sampler takes in its own simple way, is left out.
"""

import math

import pytest
import torch
from gaussian_data import MEAN, STD, exact, run
from torch import Tensor

from nodes.diffusion.noise import no_noise
from nodes.diffusion.prediction import Prediction
from nodes.diffusion.samplers import SAMPLERS, Method
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.diffusion.spacing import karras

SCHEDULE = NoiseSchedule(scaled_linear())
START = torch.tensor([3.0, -9.0, 20.0], dtype=torch.float64)
METHODS = {name: m for name, m in SAMPLERS.items() if isinstance(m, Method)}
ORDERS = {name: method.order for name, method in METHODS.items() if method.order is not None}


def error(name: str, steps: int) -> float:
    sigmas = karras(SCHEDULE, steps + 1).double()[:-1]
    kept = math.hypot(STD, sigmas[-1].item()) / math.hypot(STD, sigmas[0].item())
    x = run(SAMPLERS[name](START, sigmas, no_noise))
    return (x - MEAN - (START - MEAN) * kept).abs().max().item()


@pytest.mark.parametrize("name", ORDERS)
def test_the_order_of_a_sampler_is_the_one_in_the_table(name: str) -> None:
    measured = math.log2(error(name, 80) / error(name, 160))

    assert measured == pytest.approx(ORDERS[name], abs=0.06)


def test_every_sampler_without_noise_has_an_order_but_those_that_choose_their_own_steps() -> None:
    without = {name for name, method in METHODS.items() if method.noise == "none"}

    assert set(ORDERS) == without - {"dpm_fast", "dpm_adaptive"}


def test_methods_of_higher_order_are_closer_at_the_same_number_of_looks() -> None:
    looks = {name: 60 // METHODS[name].looks for name in ("euler", "heun", "dpmpp_2m", "uni_pc")}
    errors = {name: error(name, steps) for name, steps in looks.items()}

    assert errors["uni_pc"] < errors["dpmpp_2m"] < errors["heun"] < errors["euler"]


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"dpm_fast", "dpm_adaptive"}))
def test_a_sampler_looks_as_often_as_the_table_says_and_once_in_the_step_to_zero(name: str) -> None:
    looks = 0

    def predict(x: Tensor, sigma: float) -> Prediction:
        nonlocal looks
        looks += 1
        return exact(x, sigma)

    run(SAMPLERS[name](START, karras(SCHEDULE, 10).double(), no_noise), predict)

    assert looks == 9 * METHODS[name].looks + 1
