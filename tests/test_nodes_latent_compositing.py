"""One latent on another: where it lands, how it fades in, what shows through a mask."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latents import filled, noise, numbered, seeded
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph import NodeGraphError
from nodes.latent import empty_latent_image
from nodes.latent_compositing import latent_composite, latent_composite_masked
from nodes.types import Latent, Mask

Two = Callable[[Latent, Latent], Latent]
BOTH = pytest.mark.parametrize("node", [latent_composite, latent_composite_masked])


def flat(rows: int, columns: int, value: float, count: int = 1, **options: int) -> Latent:
    return Latent(torch.full((count, 4, rows, columns), float(value)), **options)  # type: ignore[arg-type]


def grid(latent: Latent) -> list[list[float]]:
    return [[round(float(v), 4) for v in row] for row in latent.samples[0, 0]]


# -- LatentComposite -------------------------------------------------------------------------------


def test_a_latent_lands_at_whole_cells_of_its_place_in_pixels() -> None:
    result = latent_composite(flat(3, 4, 0), flat(1, 2, 1), x=15, y=16)

    assert grid(result) == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]


def test_places_are_counted_in_the_latents_own_pixels_per_cell() -> None:
    result = latent_composite(flat(2, 4, 0, factor=4), flat(1, 1, 1, factor=4), x=8, y=4)

    assert grid(result) == [[0, 0, 0, 0], [0, 0, 1, 0]]


def test_what_is_beyond_the_border_is_cut_off() -> None:
    assert grid(latent_composite(flat(2, 3, 0), flat(5, 5, 1), x=16, y=8)) == [[0, 0, 0], [0, 0, 1]]
    assert not latent_composite(flat(2, 3, 0), flat(5, 5, 1), x=24, y=80).samples.any()


def test_sides_fade_in_except_at_the_border() -> None:
    free = latent_composite(flat(1, 7, 0), flat(1, 5, 12), x=8, feather=24)
    left = latent_composite(flat(1, 7, 0), flat(1, 5, 12), x=0, feather=24)
    right = latent_composite(flat(1, 7, 0), flat(1, 9, 12), x=16, feather=24)
    under = latent_composite(flat(3, 1, 0), flat(3, 1, 12), y=8, feather=16)

    assert grid(free)[0] == [0, 4, 8, 12, 8, 4, 0]
    assert grid(left)[0] == [12, 12, 12, 8, 4, 0, 0]
    assert grid(right)[0] == [0, 0, 4, 8, 12, 12, 12]
    assert grid(under) == [[0], [6], [12]]


def test_corners_fade_along_both_sides() -> None:
    result = latent_composite(flat(4, 4, 0), flat(2, 2, 16), x=8, y=8, feather=16)

    assert grid(result)[1] == [0, 4, 4, 0]  # (1/2)^2 at each of the four corners


def test_what_is_below_shows_through_where_it_fades() -> None:
    result = latent_composite(flat(1, 3, 2), flat(1, 1, 6), x=8, feather=16)

    assert grid(result) == [[2, 3, 2]]  # both sides at a half: a quarter of the difference


def by_hand(below: Tensor, above: Tensor, x: int, y: int, feather: int) -> Tensor:
    """Cell by cell."""
    result = below.clone()
    high, wide = (min(above.shape[axis], below.shape[axis] - at) for axis, at in ((-2, y), (-1, x)))
    for row in range(high):
        for column in range(wide):
            m = 1.0
            if feather:
                m *= min(1, (row + 1) / feather) if y else 1
                m *= min(1, (high - row) / feather) if y + high < below.shape[-2] else 1
                m *= min(1, (column + 1) / feather) if x else 1
                m *= min(1, (wide - column) / feather) if x + wide < below.shape[-1] else 1
            there = below[..., y + row, x + column]
            result[..., y + row, x + column] = above[..., row, column] * m + there * (1 - m)
    return result


@given(
    x=st.integers(0, 4),
    y=st.integers(0, 3),
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    feather=st.integers(0, 5),
)
def test_every_cell_is_as_computed_by_hand(
    x: int, y: int, rows: int, columns: int, feather: int
) -> None:
    below, above = noise(2, 4, 4, 5), noise(2, 4, rows, columns, seed=1)

    result = latent_composite(Latent(below), Latent(above), x * 8, y * 8, feather * 8)

    torch.testing.assert_close(result.samples, by_hand(below, above, x, y, feather))


# -- LatentCompositeMasked -------------------------------------------------------------------------


def test_a_mask_is_stretched_over_the_upper_latent() -> None:
    mask = Mask(torch.cat([torch.ones(1, 32, 16), torch.zeros(1, 32, 16)], dim=-1))

    result = latent_composite_masked(flat(3, 4, 0), flat(2, 2, 1), x=16, y=8, mask=mask)

    assert grid(result) == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]


def test_a_grey_mask_mixes_and_no_mask_covers() -> None:
    below, above = seeded(1, 4, 3, 3), seeded(1, 4, 3, 3, seed=1)

    grey = latent_composite_masked(below, above, mask=Mask(torch.full((1, 9, 9), 0.25)))
    whole = latent_composite_masked(below, above)

    torch.testing.assert_close(grey.samples, 0.25 * above.samples + 0.75 * below.samples)
    assert torch.equal(whole.samples, above.samples)


def test_a_mask_reaching_beyond_the_border_is_cut_where_the_latent_is() -> None:
    mask = torch.rand(1, 5, 6, generator=torch.Generator().manual_seed(2))
    below, above = noise(1, 4, 4, 4), noise(1, 4, 3, 4, seed=1)

    result = latent_composite_masked(Latent(below), Latent(above), x=16, y=16, mask=Mask(mask))

    m = interpolate(mask[None], size=(3, 4), mode="bilinear")[..., :2, :2]
    expected = below.clone()
    expected[..., 2:, 2:] = above[..., :2, :2] * m + below[..., 2:, 2:] * (1 - m)
    torch.testing.assert_close(result.samples, expected)


def test_the_upper_latent_can_be_stretched_to_the_lower() -> None:
    below, above = seeded(1, 4, 3, 4), seeded(1, 4, 6, 5, seed=1)

    result = latent_composite_masked(below, above, resize_source=True)

    expected = interpolate(above.samples, size=(3, 4), mode="bilinear")
    torch.testing.assert_close(result.samples, expected)


def test_each_image_is_shown_through_a_mask_of_its_own() -> None:
    masks = Mask(torch.stack([torch.zeros(4, 4), torch.ones(4, 4)]))

    result = latent_composite_masked(flat(2, 2, 0, count=3), flat(2, 2, 1), mask=masks)

    assert filled(result.samples) == [0, 1, 0]


# -- both ------------------------------------------------------------------------------------------


@BOTH
def test_a_shorter_batch_starts_over_and_a_longer_one_is_cut(node: Two) -> None:
    assert filled(node(numbered(3), numbered(2, first=5)).samples) == [5, 6, 5]
    assert filled(node(numbered(1), numbered(2, first=5)).samples) == [5]


@BOTH
def test_mask_and_index_are_those_of_the_lower(node: Two) -> None:
    below = numbered(2, masks=1, batch_index=(4, 5))

    result = node(below, numbered(1, batch_index=(1,)))

    assert result.noise_mask is below.noise_mask
    assert result.batch_index == (4, 5)


@BOTH
def test_an_empty_latent_below_or_above_is_zeros_like_the_other(node: Two) -> None:
    pixels = Latent(torch.ones(1, 3, 16, 16), factor=1)
    empty = empty_latent_image(24, 16)

    below, above = node(empty, pixels), node(pixels, empty)

    assert below.samples.shape == (1, 3, 16, 24)
    assert below.factor == 1
    assert below.samples.sum() == 3 * 16 * 16
    assert not above.samples.any()


@BOTH
def test_latents_of_different_vaes_are_refused(node: Two) -> None:
    with pytest.raises(NodeGraphError, match="different VAEs"):
        node(numbered(1), seeded(1, 16, 2, 3))


@BOTH
def test_neither_input_is_changed(node: Two) -> None:
    below, above = seeded(1, 4, 3, 3), seeded(1, 4, 2, 2, seed=1)

    node(below, above)

    assert torch.equal(below.samples, noise(1, 4, 3, 3))
    assert torch.equal(above.samples, noise(1, 4, 2, 2, seed=1))
