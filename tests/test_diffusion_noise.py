"""The rules that say which random numbers a picture gets."""

import pytest
import torch

from nodes.diffusion.noise import (
    BatchNoise,
    PerImageNoise,
    initial_noise,
    initial_noise_per_image,
    known_region_noise,
    no_noise,
)

SHAPE = (3, 4, 5, 6)


def drawn(seed: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=source) for shape in shapes]


def test_the_initial_noise_is_one_draw_for_the_batch_from_the_seed() -> None:
    [expected] = drawn(7, SHAPE)

    noise = initial_noise(SHAPE, 7)

    assert torch.equal(noise, expected)
    assert noise.dtype == torch.float32
    assert noise.device.type == "cpu"


def test_the_first_numbers_of_a_known_seed() -> None:
    noise = initial_noise((1, 1, 1, 3), 0)

    assert noise.flatten().tolist() == pytest.approx([1.5410, -0.2934, -2.1788], abs=1e-4)


def test_a_batch_index_picks_one_draw_per_index() -> None:
    one = (1, *SHAPE[1:])
    draws = drawn(7, one, one, one, one, one)

    noise = initial_noise(SHAPE, 7, batch_index=[4, 1, 4])

    assert torch.equal(noise, torch.cat([draws[4], draws[1], draws[4]]))


@pytest.mark.parametrize("batch_index", [[0, 1], [0, 1, -2]])
def test_a_batch_index_that_does_not_fit_is_refused(batch_index: list[int]) -> None:
    with pytest.raises(ValueError, match="expected 3 indices >= 0"):
        initial_noise(SHAPE, 7, batch_index=batch_index)


def test_step_noise_on_the_cpu_starts_one_seed_later_and_goes_on() -> None:
    x = torch.zeros(SHAPE)
    expected = drawn(8, SHAPE, SHAPE)
    noise = BatchNoise(7)

    assert torch.equal(noise(x, 2.0, 1.0), expected[0])
    assert torch.equal(noise(x, 1.0, 0.5), expected[1])


def test_the_largest_seed_has_step_noise_too() -> None:
    [expected] = drawn(0, SHAPE)

    assert torch.equal(BatchNoise(2**64 - 1)(torch.zeros(SHAPE), 1.0, 0.5), expected)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed: expected"):
        initial_noise(SHAPE, seed)


def test_an_image_with_its_own_seed_is_that_of_a_batch_of_one() -> None:
    x, one = torch.zeros(SHAPE), (1, *SHAPE[1:])

    first = initial_noise_per_image(SHAPE, [5, 6, 7])
    step, alone = PerImageNoise([5, 6, 7]), BatchNoise(6)

    assert torch.equal(first[1:2], initial_noise(one, 6))
    for _ in range(2):
        assert torch.equal(step(x, 2.0, 1.0)[1:2], alone(x[:1], 2.0, 1.0))


def test_per_image_noise_needs_a_seed_for_each_image() -> None:
    with pytest.raises(ValueError, match="expected one per image, 3, got 2"):
        PerImageNoise([1, 2])(torch.zeros(SHAPE), 2.0, 1.0)
    with pytest.raises(ValueError, match="expected one per image, 3, got 2"):
        initial_noise_per_image(SHAPE, [1, 2])


def test_only_ddim_draws_again_for_the_known_region() -> None:
    noise = initial_noise(SHAPE, 7)
    [second] = drawn(8, SHAPE)

    assert known_region_noise("euler", noise, 7) is noise
    assert torch.equal(known_region_noise("ddim", noise, 7), second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_step_noise_has_the_precision_of_x(dtype: torch.dtype) -> None:
    x = torch.ones(SHAPE, dtype=dtype)

    for noise in (BatchNoise(1), PerImageNoise([1, 2, 3]), no_noise):
        assert noise(x, 2.0, 1.0).dtype == dtype
        assert noise(x, 2.0, 1.0).shape == SHAPE
    assert not no_noise(x, 2.0, 1.0).any()


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()

    initial_noise(SHAPE, 7)
    initial_noise_per_image(SHAPE, [1, 2, 3])
    known_region_noise("ddim", torch.zeros(SHAPE), 1)
    BatchNoise(1)(torch.zeros(SHAPE), 2.0, 1.0)
    PerImageNoise([1, 2, 3])(torch.zeros(SHAPE), 2.0, 1.0)

    assert torch.equal(torch.get_rng_state(), before)
