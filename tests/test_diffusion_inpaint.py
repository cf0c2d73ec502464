"""Where a run starts, and what a mask does to it, against values worked out by hand."""

import math

import pytest
import torch

from nodes.diffusion.inpaint import Gate, Inpaint, repeat_to, resize_mask, start
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear

SCHEDULE = NoiseSchedule(scaled_linear())
LATENT, NOISE = torch.full((1, 1, 1, 2), 3.0), torch.tensor([[[[1.0, -1.0]]]])


def test_a_run_starts_from_the_latent_under_noise() -> None:
    x = start(LATENT, NOISE, torch.tensor([2.0, 1.0, 0.0]), SCHEDULE)

    assert x.flatten().tolist() == [3 + 2, 3 - 2]


@pytest.mark.parametrize("sigma", [SCHEDULE.sigma_max, SCHEDULE.sigma_max * (1 - 9e-6), 80.0])
def test_at_the_highest_level_the_noise_has_the_scale_of_training(sigma: float) -> None:
    x = start(LATENT, NOISE, torch.tensor([sigma, 0.0]), SCHEDULE)

    expected = math.sqrt(1 + sigma**2)
    assert x.flatten().tolist() == pytest.approx([3 + expected, 3 - expected], rel=1e-6)


def test_just_below_the_highest_level_it_has_not() -> None:
    sigma = SCHEDULE.sigma_max * (1 - 2e-5)

    x = start(LATENT, NOISE, torch.tensor([sigma, 0.0]), SCHEDULE)

    assert x.flatten().tolist() == pytest.approx([3 + sigma, 3 - sigma], rel=1e-6)


def test_without_levels_the_latent_stays() -> None:
    assert start(LATENT, NOISE, torch.empty(0), SCHEDULE) is LATENT


def test_a_mask_is_resized_bilinearly_and_not_rounded() -> None:
    mask = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])

    resized = resize_mask(mask, torch.Size((1, 1, 1, 2)))

    assert resized.flatten().tolist() == [0, 0.25]


@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (2, 4, 6), (2, 1, 4, 6), (2, 3, 4, 6)])
def test_a_mask_of_any_rank_fits_the_latent(shape: tuple[int, ...]) -> None:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0))

    resized = resize_mask(mask, torch.Size((5, 3, 4, 6)))

    assert resized.shape == (5, 3, 4, 6)
    images = mask.reshape(-1, *(shape[1:] if len(shape) == 4 else (1, 4, 6)))
    torch.testing.assert_close(resized[4], images[4 % len(images)].expand(3, 4, 6))


def test_a_mask_of_one_number_is_refused() -> None:
    with pytest.raises(ValueError, match="mask: expected"):
        resize_mask(torch.ones(5), torch.Size((1, 1, 1, 2)))


def test_a_short_batch_starts_over_and_a_long_one_is_cut() -> None:
    x = torch.arange(2)

    assert repeat_to(x, 5).tolist() == [0, 1, 0, 1, 0]
    assert repeat_to(x, 1).tolist() == [0]
    assert repeat_to(x, 2) is x


def test_the_known_region_is_under_noise_before_and_clean_after() -> None:
    inpaint = Inpaint(torch.tensor([[[[1.0, 0.25]]]]), LATENT, NOISE)
    x = torch.tensor([[[[10.0, 20.0]]]])

    before, after = inpaint.before(x, torch.tensor(2.0)), inpaint.after(x, torch.tensor(2.0))

    assert before.flatten().tolist() == [10, 0.25 * 20 + 0.75 * (3 - 2)]
    assert after.flatten().tolist() == [10, 0.25 * 20 + 0.75 * 3]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="inpainting noise: expected"):
        Inpaint(torch.ones(1, 1, 1, 2), LATENT, NOISE.repeat(2, 1, 1, 1))
    for mask in (torch.ones(1, 1, 1, 3), torch.ones(1, 1, 1, 1, 2)):
        with pytest.raises(ValueError, match="resize_mask makes one"):
            Inpaint(mask, LATENT, NOISE)


# -- differential diffusion ------------------------------------------------------------------------

WALK = SCHEDULE.sigmas_at([999, 749, 500, 250])
GREYS = torch.tensor([[[[0.0, 0.3, 0.6, 1.0]]]])


@pytest.mark.parametrize(
    ("time", "expected"),
    [(999, [0, 0, 0, 1]), (749, [0, 0, 0, 1]), (500, [0, 0, 1, 1]), (250, [0, 1, 1, 1])],
)
def test_the_lighter_a_place_the_earlier_it_is_made_anew(time: int, expected: list[int]) -> None:
    gate = Gate(SCHEDULE, WALK)

    mask = gate(GREYS, SCHEDULE.sigmas[time].item())

    assert mask.flatten().tolist() == expected


def test_a_gate_of_half_the_strength_is_half_way_to_the_mask() -> None:
    gate = Gate(SCHEDULE, WALK, strength=0.25)

    mask = gate(GREYS, SCHEDULE.sigmas[500].item())

    assert mask.flatten().tolist() == pytest.approx([0, 0.225, 0.7, 1])


def test_a_walk_that_ends_under_noise_opens_everything_there() -> None:
    gate = Gate(SCHEDULE, SCHEDULE.sigmas_at([800, 600, 400])[:-1])

    assert gate.left(SCHEDULE.sigmas[400].item()) == 0
    assert gate.left(SCHEDULE.sigmas[600].item()) == 0.5
    assert gate(GREYS, SCHEDULE.sigmas[400].item()).flatten().tolist() == [1, 1, 1, 1]
    assert Gate(SCHEDULE, WALK[:1]).left(WALK[0].item()) == 0


def test_a_gated_mask_keeps_before_and_after_the_network() -> None:
    mask = torch.tensor([[[[0.3, 0.9]]]])
    inpaint = Inpaint(mask, LATENT, NOISE, Gate(SCHEDULE, WALK))
    x, sigma = torch.full_like(LATENT, 10.0), SCHEDULE.sigmas[500]

    before, after = inpaint.before(x, sigma), inpaint.after(x, sigma)

    assert before.flatten().tolist() == pytest.approx([3 + sigma.item(), 10])
    assert after.flatten().tolist() == [3, 10]
