"""One picture on top of another, cell by cell."""

from __future__ import annotations

import torch

from nodes.imaging.pasting import fade, paste


def test_the_upper_picture_covers_the_lower_from_its_corner_on() -> None:
    below, above = torch.zeros(1, 1, 3, 4), torch.tensor([[1.0, 2], [3, 4]]).view(1, 1, 2, 2)

    assert paste(below, above, 1, 1)[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0]]
    assert paste(below, above, 3, 2)[0, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert torch.equal(paste(below, above, 9, 9), below)
    assert not below.any()


def test_a_mask_of_rows_and_columns_mixes_the_two() -> None:
    below, above = torch.full((2, 3, 1, 2), 4.0), torch.full((1, 3, 1, 2), 8.0)

    mixed = paste(below, above, 0, 0, torch.tensor([[0.25, 1.0]]))

    assert mixed.shape == (2, 3, 1, 2)
    assert mixed[1, 2, 0].tolist() == [5, 8]


def test_sides_that_are_not_at_the_border_fade_in() -> None:
    below, above = torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 3, 4)

    assert fade(below, above, 0, 0, 0).eq(1).all()
    corner = fade(below, above, 0, 6, 2)
    assert corner.tolist() == [[0.5, 0.5, 0.5, 0.25], [1, 1, 1, 0.5], [1, 1, 1, 0.5]]
    corner = fade(below, above, 5, 0, 2)
    assert corner.tolist() == [[0.5, 1, 1, 1], [0.5, 1, 1, 1], [0.25, 0.5, 0.5, 0.5]]


def test_more_cells_than_there_are_fade_in_without_reaching_the_whole() -> None:
    mask = fade(torch.zeros(1, 1, 1, 5), torch.zeros(1, 1, 1, 2), 3, 0, 4)

    assert mask.tolist() == [[0.25, 0.5]]


def test_what_does_not_lie_on_the_lower_picture_has_no_side_there() -> None:
    mask = fade(torch.zeros(1, 1, 1, 5), torch.zeros(1, 1, 1, 4), 3, 0, 2)

    assert mask[0, :2].tolist() == [0.5, 1]
