"""Areas in pixels, in shares and around masks, as cells of a latent."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodegraph import NodeGraphError
from nodes.areas import cells_of
from nodes.diffusion.area import Area as Cells
from nodes.types import Area, Condition


def latents(height: int, width: int) -> Tensor:
    return torch.zeros(1, 4, height, width)


def cells(area: Area, height: int = 64, width: int = 96, factor: int = 8) -> Cells | None:
    return cells_of(Condition(None, area=area), latents(height, width), factor)


def around(mask: Tensor, height: int = 20, width: int = 30) -> Cells | None:
    return cells_of(Condition(None, mask=mask, within_mask=True), latents(height, width), 8)


def test_pixels_are_whole_cells_of_the_models_latent() -> None:
    area = Area(width=136, height=72, x=264, y=47)

    assert cells(area) == Cells(height=9, width=17, top=5, left=33)
    assert cells(area, factor=4) == Cells(height=18, width=30, top=11, left=66)  # cut off at 96
    assert cells(Area(2, 3, 5, 7), factor=1) == Cells(3, 2, 7, 5)


def test_an_area_smaller_than_a_cell_is_one_cell() -> None:
    assert cells(Area(width=3, height=3, x=16, y=8)) == Cells(1, 1, 1, 2)
    assert cells(Area(0.0, 0.001, 0.5, 0.5, shares=True)) == Cells(1, 1, 32, 48)


def test_shares_are_rounded_to_cells() -> None:
    area = Area(width=0.33, height=0.5, x=0.67, y=0.25, shares=True)

    assert cells(area, 15, 10) == Cells(height=8, width=3, top=4, left=7)
    # 2.5 and 7.5 are rounded to even
    assert cells(Area(0.25, 0.75, 0.25, 0, shares=True), 10, 10) == Cells(8, 2, 0, 2)


def test_what_reaches_out_of_the_picture_is_cut_off() -> None:
    assert cells(Area(1024, 1024, 700, 500)) == Cells(2, 9, 62, 87)
    assert cells(Area(1.0, 1.0, 0.5, 0.25, shares=True)) == Cells(48, 48, 16, 48)


@pytest.mark.parametrize(
    ("area", "named"),
    [
        (Area(64, 128, 768, 0), r"64 x 128 at \(768, 0\)"),
        (Area(64, 128, 0, 512), r"64 x 128 at \(0, 512\)"),
        (Area(0.5, 0.25, 1.0, 0.1, shares=True), r"50% x 25% at \(100%, 10%\)"),
    ],
)
def test_an_area_outside_the_picture_is_refused_with_both_sizes(area: Area, named: str) -> None:
    with pytest.raises(NodeGraphError, match=rf"{named}.*outside the picture of 768 x 512 pixels"):
        cells(area)


def test_without_an_area_an_entry_sees_everything() -> None:
    mask = torch.zeros(1, 20, 30)

    assert cells_of(Condition(None), latents(20, 30), 8) is None
    assert cells_of(Condition(None, mask=mask), latents(20, 30), 8) is None
    assert cells_of(Condition(None, within_mask=True), latents(20, 30), 8) is None


def test_the_bounds_of_a_mask_hold_all_of_it_whatever_the_area_says() -> None:
    mask = torch.zeros(2, 20, 30)
    mask[0, 3, 5:16] = 0.01
    mask[1, 13, 9] = 1
    entry = Condition(None, mask=mask, within_mask=True, area=Area(8, 8, 0, 0))

    assert cells_of(entry, latents(20, 30), 8) == Cells(height=11, width=11, top=3, left=5)


def test_the_bounds_are_those_of_the_mask_as_the_latent_has_it() -> None:
    mask = torch.zeros(1, 160, 240)
    mask[0, 80:, 120:] = 1

    assert around(mask) == Cells(10, 15, 10, 15)


def test_bounds_are_eight_cells_or_more_where_there_is_room() -> None:
    mask = torch.zeros(1, 20, 30)
    mask[0, 2, 4] = 1
    corner = torch.zeros(1, 20, 30)
    corner[0, 19, 27] = 1

    assert around(mask) == Cells(8, 8, 2, 4)
    assert around(corner) == Cells(1, 3, 19, 27)


def test_the_bounds_of_an_empty_mask_are_the_corner() -> None:
    assert around(torch.zeros(1, 20, 30)) == Cells(8, 8, 0, 0)
    assert around(torch.zeros(1, 4, 30), 4, 30) == Cells(4, 8, 0, 0)
