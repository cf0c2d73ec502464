"""Batches of one length, channels as many as wanted, masks of one shape."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nodes.imaging.matching import apart, as_masks, repeat_to, together, with_channels


def numbered(length: int, *shape: int) -> Tensor:
    return torch.arange(length, dtype=torch.float32).view(-1, *[1] * len(shape)).expand(-1, *shape)


@given(st.integers(1, 6), st.integers(1, 20))
def test_a_short_batch_starts_over_and_a_long_one_is_cut(there: int, wanted: int) -> None:
    assert repeat_to(numbered(there), wanted).tolist() == [i % there for i in range(wanted)]


def test_an_empty_batch_cannot_start_over() -> None:
    with pytest.raises(ValueError, match="without pictures or masks is to give 2"):
        repeat_to(numbered(0), 2)
    assert len(repeat_to(numbered(0), 0)) == 0


def test_batches_are_as_long_as_the_longest() -> None:
    images, masks, alone = together(numbered(2, 3), numbered(5, 4), numbered(1, 6))

    assert images[:, 0].tolist() == [0, 1, 0, 1, 0]
    assert masks[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert alone.shape == (5, 6)


def test_with_an_empty_batch_nothing_is_left() -> None:
    assert [len(batch) for batch in together(numbered(2, 3), numbered(0, 3))] == [0, 0]


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5), (1, 1, 4, 5)])
def test_a_mask_of_any_shape_is_a_batch_of_masks(shape: tuple[int, ...]) -> None:
    assert as_masks(torch.zeros(shape)).shape == (1, 4, 5)


def test_a_row_is_no_mask() -> None:
    with pytest.raises(ValueError, match=r"a mask is \(B, H, W\), not \(4,\)"):
        as_masks(torch.zeros(4))


def test_alpha_is_left_out_or_added_opaque_and_a_grey_is_spread() -> None:
    colour = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 1, 1, 4)

    assert torch.equal(with_channels(colour, 3), colour[..., :3])
    assert torch.equal(with_channels(colour, 4), colour)
    assert with_channels(colour[..., :3], 4)[0, 0, 0, 3] == 1
    assert torch.equal(with_channels(colour[..., :1], 3), colour[..., :1].repeat(1, 1, 1, 3))
    assert with_channels(colour[..., :1], 4)[0, 0, 0, 3] == 1
    assert torch.equal(with_channels(colour[..., :3], 1), colour[..., :1])


def test_a_picture_is_taken_apart_into_colours_and_alpha() -> None:
    picture = torch.rand(2, 3, 5, 4)

    colours, alpha = apart(picture)

    assert torch.equal(colours, picture[..., :3])
    assert torch.equal(alpha, picture[..., 3])
    assert torch.equal(apart(picture[..., :3])[1], torch.ones(2, 3, 5))
