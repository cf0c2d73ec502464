"""Depth maps as networks want them."""

from __future__ import annotations

import torch

from nodes.imaging.depth import as_depth, normalised


def test_a_picture_is_as_near_as_it_is_light_and_its_alpha_does_not_count() -> None:
    image = torch.tensor([0.1, 0.2, 0.6, 0.9]).expand(2, 3, 5, 4)

    depth = as_depth(image)

    assert depth.shape == (2, 1, 3, 5)
    torch.testing.assert_close(depth, torch.full((2, 1, 3, 5), 0.3))


def test_a_mask_is_taken_as_it_is_with_and_without_a_batch() -> None:
    mask = torch.rand(2, 3, 5)

    assert torch.equal(as_depth(mask), mask[:, None])
    assert torch.equal(as_depth(mask[0]), mask[:1, None])


def test_each_map_is_spread_over_its_own_range() -> None:
    maps = torch.tensor([[1.0, 2.0, 5.0], [-4.0, 0.0, 4.0]]).reshape(2, 1, 1, 3)

    assert normalised(maps).flatten().tolist() == [-1, -0.5, 1, -1, 0, 1]


def test_a_map_of_one_value_is_zero_and_not_a_division_by_zero() -> None:
    maps = torch.stack([torch.full((1, 2, 2), 7.0), torch.arange(4.0).reshape(1, 2, 2)])

    found = normalised(maps)

    assert torch.equal(found[0], torch.zeros(1, 2, 2))
    assert (found[1].min(), found[1].max()) == (-1, 1)
