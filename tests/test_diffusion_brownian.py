"""Noise from one Brownian path: its law, that parts fit together, and who shares a path."""

import math
import sys

import pytest
import torch

from nodes.diffusion.brownian import BrownianNoise
from nodes.diffusion.noise import BatchNoise, PerImageNoise
from nodes.diffusion.samplers import SAMPLERS, euler_ancestral, noise_for

SIGMAS = torch.tensor([14.6146421, 8.0, 3.0, 1.0, 0.0291675, 0.0])
X = torch.zeros(2, 4, 8, 8)


def test_an_increment_is_the_sum_of_its_parts() -> None:
    noise = BrownianNoise(SIGMAS, 3)

    whole = noise(X, 8.0, 1.0) * math.sqrt(7)

    parts = noise(X, 8.0, 3.0) * math.sqrt(5) + noise(X, 3.0, 1.0) * math.sqrt(2)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-4)


def test_increments_are_standard_normal_and_independent() -> None:
    noise, x = BrownianNoise(SIGMAS, 3), torch.zeros(1, 100_000)

    one, two = noise(x, 8.0, 3.0), noise(x, 3.0, 1.0)

    for z in (one, two):
        assert z.mean().item() == pytest.approx(0, abs=0.02)
        assert z.std().item() == pytest.approx(1, abs=0.02)
    assert (one * two).mean().item() == pytest.approx(0, abs=0.02)


def test_the_path_depends_on_the_seed_alone_not_on_the_order_of_questions() -> None:
    one, other = BrownianNoise(SIGMAS, 3), BrownianNoise(SIGMAS, 3)
    other(X, 3.0, 1.0)
    other(X, 14.0, 5.0)

    assert torch.equal(one(X, 8.0, 3.0), other(X, 8.0, 3.0))
    assert not torch.allclose(one(X, 8.0, 3.0), BrownianNoise(SIGMAS, 4)(X, 8.0, 3.0))


def test_going_back_undoes_the_increment() -> None:
    noise = BrownianNoise(SIGMAS, 3)

    assert torch.equal(noise(X, 8.0, 3.0), -noise(X, 3.0, 8.0))


def test_with_a_seed_for_each_image_it_gets_what_it_gets_alone() -> None:
    together = BrownianNoise(SIGMAS, [3, 9])

    z = together(X, 8.0, 3.0)

    for i, seed in enumerate((3, 9)):
        assert torch.equal(z[i : i + 1], BrownianNoise(SIGMAS, [seed])(X[:1], 8.0, 3.0))
    shared = BrownianNoise(SIGMAS, 3)(X, 8.0, 3.0)
    assert not torch.allclose(z[1], shared[1])


def test_it_has_the_shape_and_type_of_x_and_reaches_the_ends_of_the_walk() -> None:
    for dtype in (torch.float32, torch.float64):
        z = BrownianNoise(SIGMAS, 3)(X.to(dtype), SIGMAS[0].item(), SIGMAS[-2].item())
        assert (z.shape, z.dtype) == (X.shape, dtype)


def test_the_seeds_are_as_many_as_the_images() -> None:
    with pytest.raises(ValueError, match="expected one per image, 2, got 3"):
        BrownianNoise(SIGMAS, [1, 2, 3])(X, 8.0, 3.0)


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()

    BrownianNoise(SIGMAS, 3)(X, 8.0, 3.0)

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("euler", BatchNoise),
        ("euler_ancestral", BatchNoise),
        ("dpmpp_sde", BrownianNoise),
        ("dpmpp_2m_sde_heun_gpu", BrownianNoise),
    ],
)
def test_a_sampler_gets_the_noise_it_is_meant_for(name: str, expected: type) -> None:
    assert type(noise_for(SAMPLERS[name], SIGMAS, 1, "cpu")) is expected


def test_a_sampler_that_is_a_plain_function_gets_a_draw_for_each_step() -> None:
    assert type(noise_for(euler_ancestral, SIGMAS, 1, "cpu")) is BatchNoise
    assert type(noise_for(euler_ancestral, SIGMAS, [1, 2], "cpu")) is PerImageNoise


def test_only_the_names_with_gpu_draw_on_the_device_of_x() -> None:
    on_device = {name: method for name, method in SAMPLERS.items() if name.endswith("_gpu")}

    assert len(on_device) == 4
    for name in on_device:
        plain = noise_for(SAMPLERS[name.removesuffix("_gpu")], SIGMAS, 1, "meta")
        assert plain(X, 8.0, 3.0).device.type == "cpu"
        with pytest.raises((NotImplementedError, RuntimeError), match=r"(?i)meta"):
            noise_for(SAMPLERS[name], SIGMAS, 1, "meta")(X, 8.0, 3.0)


def test_without_torchsde_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchsde", None)

    with pytest.raises(ModuleNotFoundError, match="pip install torchsde"):
        BrownianNoise(SIGMAS, 3)(X, 8.0, 3.0)
