"""Holes: where they are, what is left of the picture, and how they grow."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from nodes.imaging.holes import fitted, greyed, grown


def mask(rows: int, columns: int, seed: int = 0, *, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, rows, columns, generator=generator)


def test_a_mask_is_stretched_over_the_picture_bilinearly() -> None:
    small = mask(5, 7, count=2)

    expected = interpolate(small, size=(9, 4), mode="bilinear")
    assert torch.equal(fitted(small[:, 0], 9, 4), expected)
    assert torch.equal(fitted(small[0, 0], 9, 4), expected[:1])


def test_colours_under_the_rounded_mask_become_grey_and_the_others_stay() -> None:
    picture = torch.rand(2, 1, 4, 4)
    hole = torch.tensor([0.0, 0.5, 0.51, 1.0]).view(1, 1, 1, 4)  # a half is rounded to even

    grey = greyed(picture, hole)

    assert grey.shape == (2, 1, 4, 3)
    torch.testing.assert_close(grey[:, :, :2], picture[:, :, :2, :3])
    assert torch.equal(grey[:, :, 2:], torch.full((2, 1, 2, 3), 0.5))


def test_each_picture_has_a_hole_of_its_own() -> None:
    hole = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])

    grey = greyed(torch.ones(2, 2, 2, 3), hole)

    assert grey[0].eq(1).all()
    assert grey[1].eq(0.5).all()


def test_a_box_of_odd_side_grows_evenly_and_one_of_even_side_down_and_right() -> None:
    dot = torch.zeros(1, 1, 7, 7)
    dot[..., 3, 3] = 0.6

    assert grown(dot, 3)[0, 0, 3].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert grown(dot, 4)[0, 0, 3].tolist() == [0, 0, 1, 1, 1, 1, 0]
    assert grown(dot, 4)[0, 0, :, 3].tolist() == [0, 0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("side", [0, 1])
def test_a_box_of_one_cell_or_none_only_rounds(side: int) -> None:
    hole = mask(6, 6)

    assert torch.equal(grown(hole, side), hole.round())


@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    side=st.integers(1, 24),
    seed=st.integers(0, 99),
)
def test_growing_is_a_convolution_with_a_box_of_ones(
    rows: int, columns: int, side: int, seed: int
) -> None:
    hole = mask(rows, columns, seed, count=2) * 0.6  # a sixth of it is in

    box = torch.ones(1, 1, side, side)
    convolved = conv2d(hole.round(), box, padding=-(-(side - 1) // 2)).clamp(0, 1)
    assert torch.equal(grown(hole, side), convolved[..., :rows, :columns].round())
