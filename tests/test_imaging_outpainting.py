"""The canvas around a picture, and the mask that fades into it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.imaging.outpainting import pad_to_paint


def by_the_rule(
    height: int, width: int, margins: tuple[int, int, int, int], feathering: int
) -> Tensor:
    """The mask inside the picture, from the definition, cell by cell."""
    left, top, right, bottom = margins
    mask = torch.zeros(height, width)
    if feathering == 0 or min(height, width) <= 2 * feathering:
        return mask
    for i in range(height):
        for j in range(width):
            distances = [
                distance
                for margin, distance in ((top, i), (bottom, height - i), (left, j))
                if margin
            ]
            distances += [width - j] if right else []
            d = min(distances, default=feathering)
            if d < feathering:
                mask[i, j] = ((feathering - d) / feathering) ** 2
    return mask


def test_the_picture_lies_on_grey_and_only_the_grey_is_painted() -> None:
    picture = torch.rand(2, 4, 5, 3)

    canvas, mask = pad_to_paint(picture, 1, 2, 3, 4, 0)

    assert canvas.shape == (2, 10, 9, 3)
    assert torch.equal(canvas[:, 2:6, 1:6], picture)
    assert mask.shape == (1, 10, 9)
    assert mask[:, 2:6, 1:6].eq(0).all()
    outside = mask[0].bool()
    assert outside.sum() == 10 * 9 - 4 * 5
    assert canvas[:, outside].eq(0.5).all()


@pytest.mark.parametrize(
    "margins",
    [(8, 0, 0, 0), (0, 8, 0, 0), (0, 0, 8, 0), (0, 0, 0, 8), (8, 16, 0, 8), (1, 1, 1, 1)],
)
@pytest.mark.parametrize("feathering", [0, 1, 5, 8, 9])
def test_towards_a_moved_border_the_mask_rises_by_the_square(
    margins: tuple[int, int, int, int], feathering: int
) -> None:
    height, width = 17, 21
    left, top = margins[:2]

    _, mask = pad_to_paint(torch.zeros(1, height, width, 3), *margins, feathering)

    inside = mask[0, top : top + height, left : left + width]
    torch.testing.assert_close(inside, by_the_rule(height, width, margins, feathering))


def test_known_values_at_the_left_and_at_the_right() -> None:
    picture = torch.zeros(1, 9, 9, 3)

    left, right = pad_to_paint(picture, 2, 0, 0, 0, 4)[1], pad_to_paint(picture, 0, 0, 2, 0, 4)[1]

    assert left[0, 4, :8].tolist() == [1, 1, 1, 9 / 16, 1 / 4, 1 / 16, 0, 0]
    assert right[0, 4, 5:].tolist() == [0, 1 / 16, 1 / 4, 9 / 16, 1, 1]


def test_without_margins_nothing_is_painted() -> None:
    picture = torch.rand(1, 30, 30, 3)

    canvas, mask = pad_to_paint(picture, 0, 0, 0, 0, 10)

    assert torch.equal(canvas, picture)
    assert canvas.data_ptr() != picture.data_ptr()
    assert not mask.any()


def test_a_picture_that_is_all_border_is_not_faded() -> None:
    _, mask = pad_to_paint(torch.zeros(1, 16, 40, 3), 8, 8, 8, 8, 8)

    assert mask[0, 8:24, 8:48].eq(0).all()
