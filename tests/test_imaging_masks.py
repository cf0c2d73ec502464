"""Masks: combined, feathered, and grown as scipy's grey morphology grows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from nodes.imaging.masks import COMBINATIONS, combine, feather, grow, of_colour

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
SQUARE = np.ones((3, 3))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# -- combining -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "values"),
    [
        ("multiply", [0.0, 0.25, 0.125, 0.75]),
        ("add", [0.5, 1.0, 0.75, 1.0]),
        ("subtract", [0.0, 0.0, 0.25, 0.0]),
        ("and", [0, 0, 0, 1]),
        ("or", [0, 1, 0, 1]),
        ("xor", [0, 1, 0, 0]),
    ],
)
def test_two_masks_are_combined_cell_by_cell_and_clamped(
    operation: str, values: list[float]
) -> None:
    destination = torch.tensor([[[0.0, 0.25, 0.5, 0.75]]])
    source = torch.tensor([[[0.5, 1.0, 0.25, 1.0]]])

    combined = combine(destination, source, 0, 0, operation)

    assert combined[0, 0].tolist() == values


def test_beside_the_source_nothing_changes_and_what_overhangs_is_cut() -> None:
    destination, source = torch.ones(1, 3, 4), torch.full((1, 2, 3), 0.25)

    combined = combine(destination, source, 2, 2, "multiply")

    assert combined[0].tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0.25, 0.25]]
    assert torch.equal(destination, torch.ones(1, 3, 4))
    wide = combine(destination, torch.zeros(1, 1, 3), 0, 1, "multiply")
    assert wide[0].tolist() == [[1, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]]


@pytest.mark.parametrize("operation", COMBINATIONS)
def test_a_source_that_lies_elsewhere_changes_nothing(operation: str) -> None:
    destination = random(1, 3, 4)

    for x, y in ((4, 0), (0, 3), (400, 400)):
        assert torch.equal(combine(destination, random(1, 2, 2), x, y, operation), destination)


def test_as_many_masks_come_out_as_the_destination_has() -> None:
    few = torch.tensor([0.25, 0.5]).view(2, 1, 1)

    assert combine(torch.zeros(3, 1, 1), few, 0, 0, "add").flatten().tolist() == [0.25, 0.5, 0.25]
    assert combine(torch.zeros(1, 1), few, 0, 0, "add").flatten().tolist() == [0.25]


# -- by colour -------------------------------------------------------------------------------------


def test_a_colour_is_found_in_eight_bits() -> None:
    pixels = torch.tensor([[16, 32, 48], [16, 32, 49], [17, 32, 48], [16, 33, 48]])[None, None]

    assert of_colour(pixels / 255, 0x102030)[0, 0].tolist() == [1, 0, 0, 0]
    for off in (-0.4, 0.4):
        assert of_colour((pixels + off) / 255, 0x102030)[0, 0].tolist() == [1, 0, 0, 0]
    assert of_colour(torch.tensor([1.5, -0.2, 0.0]).view(1, 1, 1, 3), 0xFF0000).item() == 1


# -- feathering ------------------------------------------------------------------------------------


def test_each_side_has_a_ramp_of_its_own() -> None:
    ones = torch.ones(1, 1, 6)

    assert feather(ones, 3, 0, 0, 0)[0, 0].tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])
    assert feather(ones, 0, 0, 2, 0)[0, 0].tolist() == pytest.approx([1, 1, 1, 1, 1, 0.5])
    assert feather(ones.mT, 0, 2, 0, 0)[0, :, 0].tolist() == pytest.approx([0.5, 1, 1, 1, 1, 1])
    assert feather(ones.mT, 0, 0, 0, 4)[0, :, 0].tolist() == [1, 1, 1, 0.75, 0.5, 0.25]


def test_ramps_multiply_the_mask_and_one_another() -> None:
    mask = random(2, 4, 4)

    feathered = feather(mask, 2, 4, 0, 0)

    expected = torch.tensor([0.25, 0.5, 0.75, 1])[:, None] * torch.tensor([0.5, 1, 1, 1])
    torch.testing.assert_close(feathered, mask * expected)


def test_a_ramp_is_no_longer_than_the_picture() -> None:
    assert feather(torch.ones(2, 4), 100, 0, 0, 0)[0, 0].tolist() == [0.25, 0.5, 0.75, 1]


# -- growing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tapered", [True, False])
@pytest.mark.parametrize("cells", [-30, -3, -1, 0, 1, 2, 5, 30])
def test_growing_is_the_grey_morphology_of_scipy_one_cell_at_a_time(
    cells: int, tapered: bool
) -> None:
    mask = random(2, 9, 13)
    change = ndimage.grey_dilation if cells > 0 else ndimage.grey_erosion
    expected = mask.numpy()
    for _ in range(abs(cells)):
        footprint = CROSS if tapered else SQUARE
        expected = np.stack([change(one, footprint=footprint) for one in expected])

    grown = grow(mask, cells, tapered=tapered)

    assert np.array_equal(grown.numpy(), expected)


def test_a_point_grows_to_a_diamond_or_to_a_square() -> None:
    point = torch.zeros(7, 7)
    point[3, 3] = 1
    distance = (torch.arange(7) - 3).abs()

    diamond, square = (grow(point, 2, tapered=tapered)[0] for tapered in (True, False))

    assert torch.equal(diamond, (distance[:, None] + distance <= 2).float())
    assert torch.equal(square, (torch.maximum(distance[:, None], distance) <= 2).float())


@given(st.integers(1, 6), st.integers(1, 6), st.integers(-40, 40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_growing_never_darkens_and_shrinking_is_growing_the_rest(
    height: int, width: int, cells: int, tapered: bool
) -> None:
    mask = random(1, height, width, seed=height * 7 + width)

    grown = grow(mask, cells, tapered=tapered)

    assert grown.shape == mask.shape
    assert (grown >= mask).all() if cells >= 0 else (grown <= mask).all()
    # 1 - x rounds, so that the two agree but for the last bit
    torch.testing.assert_close(grown, 1 - grow(1 - mask, -cells, tapered=tapered))


def test_a_mask_that_does_not_grow_is_a_new_one_all_the_same() -> None:
    mask = random(1, 3, 3)

    for tapered in (True, False):
        assert grow(mask, 0, tapered=tapered).data_ptr() != mask.data_ptr()
