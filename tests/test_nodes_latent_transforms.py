"""Cropping, flipping and turning: cells go where they should, and masks go with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latents import noise, seeded
from torch import Tensor

from nodes.diffusion.inpaint import resize_mask
from nodes.latent import empty_latent_image
from nodes.latent_transforms import latent_crop, latent_flip, latent_rotate
from nodes.types import Latent

FLIPS = ("x-axis: vertically", "y-axis: horizontally")
TURNS = ("none", "90 degrees", "180 degrees", "270 degrees")


def small() -> Latent:
    """Cells 1 2 3 / 4 5 6."""
    return Latent(torch.arange(1.0, 7).view(1, 1, 2, 3))


def grid(latent: Latent) -> list[list[float]]:
    return latent.samples[0, 0].tolist()  # type: ignore[no-any-return]


def seen(latent: Latent) -> Tensor:
    """The mask as a sampler gets it."""
    assert latent.noise_mask is not None
    return resize_mask(latent.noise_mask, latent.samples.shape)


# -- LatentCrop ------------------------------------------------------------------------------------


def test_a_crop_is_whole_cells_at_a_place_in_pixels() -> None:
    latent = seeded(2, 4, 20, 30)

    crop = latent_crop(latent, width=71, height=64, x=63, y=17)

    assert torch.equal(crop.samples, latent.samples[..., 2:10, 7:15])


def test_a_crop_counts_in_the_latents_own_pixels_per_cell() -> None:
    latent = seeded(1, 4, 40, 60, factor=4)

    crop = latent_crop(latent, width=64, height=80, x=8, y=16)

    assert torch.equal(crop.samples, latent.samples[..., 4:24, 2:18])
    assert crop.size == (64, 80)


def test_a_crop_ends_at_the_border_and_keeps_at_least_8_cells_a_side() -> None:
    latent = seeded(1, 4, 12, 16)

    assert torch.equal(latent_crop(latent, x=40, y=0).samples, latent.samples[..., 5:])
    far = latent_crop(latent, width=64, height=64, x=16384, y=16384)
    assert torch.equal(far.samples, latent.samples[..., 4:, 8:])


def test_of_a_latent_smaller_than_that_the_side_is_kept_whole() -> None:
    latent = seeded(1, 4, 3, 16)

    assert torch.equal(latent_crop(latent, x=0, y=8).samples, latent.samples)


def test_a_crop_of_cells_larger_than_itself_is_one_cell() -> None:
    latent = seeded(1, 4, 9, 9, factor=128)

    assert latent_crop(latent, width=64, height=64).samples.shape == (1, 4, 1, 1)


def test_a_crop_does_not_keep_the_whole_in_memory() -> None:
    latent = seeded(1, 4, 20, 20, noise_mask=torch.ones(1, 1, 160, 160))

    crop = latent_crop(latent, width=64, height=64)

    assert crop.samples.untyped_storage().nbytes() == crop.samples.nbytes
    assert crop.noise_mask is not None
    assert crop.noise_mask.untyped_storage().nbytes() == crop.noise_mask.nbytes


def test_a_crop_of_an_empty_latent_is_an_empty_latent_of_that_size() -> None:
    crop = latent_crop(empty_latent_image(256, 128, 2), width=96, height=64, x=200, y=0)

    assert crop.pixels == (64, 64)
    assert crop.samples.shape == (2, 4, 8, 8)


def test_a_mask_in_pixels_is_cropped_in_pixels() -> None:
    mask = noise(2, 1, 160, 240)

    crop = latent_crop(seeded(2, 4, 20, 30, noise_mask=mask), width=64, height=72, x=16, y=80)

    assert crop.noise_mask is not None
    assert torch.equal(crop.noise_mask, mask[..., 80:152, 16:80])


@given(
    rows=st.integers(8, 14),
    columns=st.integers(8, 14),
    mask_rows=st.integers(1, 120),
    mask_columns=st.integers(1, 120),
    x=st.integers(0, 8),
    y=st.integers(0, 8),
)
def test_a_sampler_sees_the_cropped_mask_as_the_crop_of_what_it_saw(
    rows: int, columns: int, mask_rows: int, mask_columns: int, x: int, y: int
) -> None:
    latent = seeded(1, 4, rows, columns, noise_mask=noise(1, 1, mask_rows, mask_columns))

    crop = latent_crop(latent, width=64, height=64, x=x * 8, y=y * 8)

    x, y = min(x, columns - 8), min(y, rows - 8)
    expected = seen(latent)[..., y : y + 8, x : x + 8]
    torch.testing.assert_close(seen(crop), expected)


# -- LatentFlip and LatentRotate -------------------------------------------------------------------


def test_a_flip_about_the_x_axis_is_upside_down_and_about_the_y_axis_mirrored() -> None:
    assert grid(latent_flip(small(), FLIPS[0])) == [[4, 5, 6], [1, 2, 3]]
    assert grid(latent_flip(small(), FLIPS[1])) == [[3, 2, 1], [6, 5, 4]]


def test_turns_are_clockwise() -> None:
    assert grid(latent_rotate(small(), "90 degrees")) == [[4, 1], [5, 2], [6, 3]]
    assert grid(latent_rotate(small(), "180 degrees")) == [[6, 5, 4], [3, 2, 1]]
    assert grid(latent_rotate(small(), "270 degrees")) == [[3, 6], [2, 5], [1, 4]]
    latent = small()
    assert latent_rotate(latent, "none") is latent


@pytest.mark.parametrize("flip", FLIPS)
def test_flipping_twice_changes_nothing(flip: str) -> None:
    latent = seeded(2, 4, 3, 5, noise_mask=noise(1, 1, 10, 7), batch_index=(2, 3), factor=4)

    flipped = latent_flip(latent, flip)  # type: ignore[arg-type]
    back = latent_flip(flipped, flip)  # type: ignore[arg-type]

    assert latent.noise_mask is not None
    assert back.noise_mask is not None
    assert torch.equal(back.samples, latent.samples)
    assert torch.equal(back.noise_mask, latent.noise_mask)
    assert (flipped.batch_index, flipped.factor) == ((2, 3), 4)


@pytest.mark.parametrize(
    "change",
    [lambda latent, how=flip: latent_flip(latent, how) for flip in FLIPS]
    + [lambda latent, how=turn: latent_rotate(latent, how) for turn in TURNS],
)
def test_masks_are_changed_like_what_they_cover(change: Callable[[Latent], Latent]) -> None:
    mask = noise(2, 1, 13, 29)
    latent = Latent(resize_mask(mask, torch.Size((2, 1, 3, 5))), mask)

    changed = change(latent)

    torch.testing.assert_close(seen(changed), changed.samples)


def test_an_empty_latent_turned_by_a_quarter_exchanges_its_sides() -> None:
    empty = empty_latent_image(96, 64)

    assert latent_rotate(empty, "90 degrees").pixels == (64, 96)
    assert latent_rotate(empty, "180 degrees").pixels == (96, 64)
    assert latent_rotate(empty, "270 degrees").samples.shape == (1, 4, 12, 8)
    assert latent_flip(empty, FLIPS[0]).pixels == (96, 64)


def test_a_turned_latent_lies_in_memory_row_by_row() -> None:
    assert latent_rotate(seeded(1, 4, 3, 5), "90 degrees").samples.is_contiguous()
