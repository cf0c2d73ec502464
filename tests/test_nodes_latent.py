"""Making, resizing, batching and masking latents: sizes, masks, and whose noise is whose."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latents import filled, numbered

from nodes.diffusion.noise import initial_noise
from nodes.latent import (
    empty_latent_image,
    latent_from_batch,
    latent_upscale,
    latent_upscale_by,
    repeat_latent_batch,
    set_latent_noise_mask,
)
from nodes.types import Latent, Mask


def test_an_empty_latent_knows_its_size_in_pixels() -> None:
    latent = empty_latent_image(96, 64, 3)

    assert latent.pixels == (96, 64)
    assert latent.samples.shape == (3, 4, 8, 12)
    assert not latent.samples.any()


@pytest.mark.parametrize(
    ("rows", "columns", "width", "height", "expected"),
    [
        (8, 8, 128, 96, (12, 16)),
        (8, 16, 64, 0, (8, 8)),  # 32 pixels high would be less than 64
        (10, 20, 256, 0, (16, 32)),
        (10, 7, 0, 64, (8, 8)),  # 44.8 pixels wide would be less than 64
        (7, 10, 0, 64, (8, 11)),  # round(91.4) = 91 pixels are 11 cells
        (20, 10, 0, 8, (8, 8)),  # 8 pixels high are 64 at least
        (8, 32, 0, 8, (8, 32)),
        (8, 8, 16, 24, (8, 8)),
        (8, 8, 100, 100, (12, 12)),
    ],
)
def test_upscaling_gives_whole_cells_of_at_least_64_pixels_and_keeps_the_aspect(
    rows: int, columns: int, width: int, height: int, expected: tuple[int, int]
) -> None:
    latent = Latent(torch.randn(1, 4, rows, columns))

    scaled = latent_upscale(latent, "nearest-exact", width=width, height=height, crop="disabled")

    assert scaled.samples.shape[-2:] == expected


def test_upscaling_to_no_size_at_all_changes_nothing() -> None:
    latent = empty_latent_image(64, 64)

    assert latent_upscale(latent, "bilinear", width=0, height=0, crop="disabled") is latent


def test_upscaling_counts_in_the_latents_own_pixels_per_cell() -> None:
    latent = Latent(torch.randn(1, 4, 16, 16), factor=4)

    scaled = latent_upscale(latent, "bilinear", width=128, height=64, crop="disabled")

    assert scaled.samples.shape[-2:] == (16, 32)
    assert scaled.size == (128, 64)


def test_upscaling_with_a_centre_crop_trims_the_longer_side() -> None:
    columns = torch.arange(32.0).expand(1, 4, 8, 32)

    scaled = latent_upscale(Latent(columns), "nearest-exact", width=64, height=64, crop="center")

    assert scaled.samples[0, 0, 0].tolist() == [12, 13, 14, 15, 16, 17, 18, 19]


def test_a_noise_mask_is_trimmed_with_its_latent_and_else_stretched_over_it() -> None:
    mask = torch.arange(256.0).expand(1, 1, 64, 256)
    latent = Latent(torch.zeros(1, 4, 8, 32), mask)

    trimmed = latent_upscale(latent, "bilinear", width=64, height=64, crop="center")
    stretched = latent_upscale(latent, "bilinear", width=64, height=64, crop="disabled")

    assert trimmed.noise_mask is not None
    assert torch.equal(trimmed.noise_mask, mask[..., 96:160])
    assert stretched.noise_mask is mask


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"])
def test_every_method_keeps_an_even_latent_even(method: str) -> None:
    latent = Latent(torch.full((2, 4, 8, 8), 0.5))

    scaled = latent_upscale_by(latent, method, 1.5)  # type: ignore[arg-type]

    torch.testing.assert_close(scaled.samples, torch.full((2, 4, 12, 12), 0.5))


def test_scaling_by_a_factor_rounds_to_whole_cells_and_keeps_at_least_one() -> None:
    latent = Latent(torch.randn(1, 4, 5, 7), factor=4, batch_index=(2,))

    assert latent_upscale_by(latent, "bilinear", 1.5).samples.shape[-2:] == (8, 10)  # 7.5, 10.5
    assert latent_upscale_by(latent, "bilinear", 0.01).samples.shape[-2:] == (1, 1)
    assert latent_upscale_by(latent, "bilinear", 1.5).batch_index == (2,)


def test_a_scaled_empty_latent_is_four_channels_at_eight_pixels() -> None:
    scaled = latent_upscale_by(empty_latent_image(64, 64), "bilinear", 2.0)

    assert scaled.pixels is None
    assert scaled.samples.shape == (1, 4, 16, 16)


def test_repeating_puts_whole_batches_one_after_another() -> None:
    repeated = repeat_latent_batch(numbered(3), 2)

    assert filled(repeated.samples) == [0, 1, 2, 0, 1, 2]
    assert repeated.batch_index is None


def test_repeating_an_empty_latent_leaves_it_empty() -> None:
    repeated = repeat_latent_batch(empty_latent_image(64, 32, 2), 3)

    assert repeated.pixels == (64, 32)
    assert len(repeated.samples) == 6


def test_repeated_indices_go_on_after_the_span_of_the_first() -> None:
    repeated = repeat_latent_batch(numbered(3, batch_index=(2, 5, 3)), 3)

    assert repeated.batch_index == (2, 5, 3, 6, 9, 7, 10, 13, 11)


def test_one_mask_for_all_stays_one_and_several_are_repeated_with_their_images() -> None:
    one, many = numbered(2, masks=1), numbered(2, masks=2)

    assert filled(repeat_latent_batch(one, 3).noise_mask, 10) == [0]
    assert filled(repeat_latent_batch(many, 2).noise_mask, 10) == [0, 1, 0, 1]


def test_fewer_masks_than_images_start_over_in_each_repetition() -> None:
    repeated = repeat_latent_batch(numbered(3, masks=2), 2)

    assert filled(repeated.noise_mask, 10) == [0, 1, 0, 0, 1, 0]


def test_more_masks_than_images_are_cut_before_they_are_repeated() -> None:
    repeated = repeat_latent_batch(numbered(2, masks=3), 2)

    assert filled(repeated.noise_mask, 10) == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("first", "length", "expected"),
    [(0, 1, [0]), (1, 2, [1, 2]), (3, 9, [3]), (40, 2, [3]), (2, 64, [2, 3])],
)
def test_images_taken_from_a_batch_are_cut_to_what_there_is(
    first: int, length: int, expected: list[int]
) -> None:
    taken = latent_from_batch(numbered(4), first, length)

    assert filled(taken.samples) == expected
    assert taken.batch_index == tuple(expected)


def test_images_taken_from_taken_images_keep_their_first_indices() -> None:
    taken = latent_from_batch(latent_from_batch(numbered(6), 2, 3), 1, 2)

    assert filled(taken.samples) == [3, 4]
    assert taken.batch_index == (3, 4)


def test_masks_are_taken_with_their_images() -> None:
    assert filled(latent_from_batch(numbered(4, masks=4), 2, 2).noise_mask, 10) == [2, 3]
    assert filled(latent_from_batch(numbered(4, masks=1), 2, 2).noise_mask, 10) == [0]
    assert filled(latent_from_batch(numbered(4, masks=3), 3, 1).noise_mask, 10) == [0]


def test_taking_images_does_not_keep_the_whole_batch_in_memory() -> None:
    batch = numbered(8, masks=8)

    taken = latent_from_batch(batch, 2, 1)

    assert taken.samples.untyped_storage().nbytes() == taken.samples.nbytes
    assert taken.noise_mask is not None
    assert taken.noise_mask.untyped_storage().nbytes() == taken.noise_mask.nbytes


@given(count=st.integers(1, 6), first=st.integers(0, 7), length=st.integers(1, 8))
def test_an_image_taken_from_an_empty_batch_keeps_the_noise_it_would_have_had(
    count: int, first: int, length: int
) -> None:
    batch = empty_latent_image(32, 32, count)
    every = initial_noise(batch.samples.shape, 11, batch_index=range(count))

    taken = latent_from_batch(batch, first, length)

    noise = initial_noise(taken.samples.shape, 11, batch_index=taken.batch_index)
    start = min(first, count - 1)
    assert torch.equal(noise, every[start : start + length])
    assert taken.pixels == (32, 32)


@given(
    index=st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
    amount=st.integers(1, 4),
)
def test_no_two_repeated_images_share_their_noise(index: list[int], amount: int) -> None:
    batch = numbered(len(index), batch_index=tuple(index))

    repeated = repeat_latent_batch(batch, amount)

    assert repeated.batch_index is not None
    assert len(set(repeated.batch_index)) == len(index) * amount


def test_a_noise_mask_is_attached_as_it_is_and_nothing_else_changes() -> None:
    latent = empty_latent_image(64, 64, 2)
    mask = torch.rand(2, 10, 20)

    masked = set_latent_noise_mask(latent, Mask(mask))

    assert masked.noise_mask is not None
    assert torch.equal(masked.noise_mask, mask[:, None])
    assert masked.samples is latent.samples
    assert masked.pixels == (64, 64)


def test_a_mask_without_a_batch_is_one_mask() -> None:
    masked = set_latent_noise_mask(empty_latent_image(64, 64), Mask(torch.ones(10, 20)))

    assert masked.noise_mask is not None
    assert masked.noise_mask.shape == (1, 1, 10, 20)
