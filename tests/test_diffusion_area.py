"""Areas of a latent: what is in them, and how they fade."""

from __future__ import annotations

import pytest
import torch

from nodes.diffusion.area import Area

WHOLE = torch.arange(40 * 48.0).reshape(1, 1, 40, 48)


def test_an_area_is_a_crop_that_goes_back_to_its_place() -> None:
    area = Area(height=3, width=5, top=7, left=2)

    crop = area.of(WHOLE)
    canvas = area.placed(crop, WHOLE)

    assert torch.equal(crop, WHOLE[..., 7:10, 2:7])
    assert torch.equal(canvas[..., 7:10, 2:7], crop)
    assert int((canvas != 0).sum()) == 15
    assert canvas.shape == WHOLE.shape


def test_an_area_fades_over_eight_cells_at_the_sides_inside_the_picture() -> None:
    weights = Area(height=40, width=32, top=0, left=8).faded(WHOLE)

    up = [n / 8 for n in range(1, 9)]
    assert weights.shape == (40, 32)
    assert weights[0].tolist() == [*up, *[1.0] * 16, *reversed(up)]
    assert torch.equal(weights, weights[:1].expand(40, 32))  # it touches the border there


def test_a_small_area_fades_over_a_quarter_of_its_side() -> None:
    weights = Area(height=12, width=3, top=1, left=1).faded(WHOLE)

    third = torch.tensor([1 / 3, 2 / 3, 1.0, *[1.0] * 6, 1.0, 2 / 3, 1 / 3])
    torch.testing.assert_close(weights, third[:, None].expand(12, 3))


def test_the_fading_of_two_sides_multiplies_in_their_corner() -> None:
    weights = Area(height=8, width=8, top=4, left=4).faded(WHOLE)

    assert weights[0].tolist() == [0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert weights[1].tolist() == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("area", "faded"),
    [
        (Area(8, 8, 0, 0), [False, True, False, True]),
        (Area(8, 8, 32, 40), [True, False, True, False]),
        (Area(40, 48), [False, False, False, False]),
    ],
)
def test_a_side_at_the_border_does_not_fade(area: Area, faded: list[bool]) -> None:
    weights = area.faded(WHOLE)
    row, column = area.height // 2, area.width // 2

    sides = [weights[0, column], weights[-1, column], weights[row, 0], weights[row, -1]]

    assert [bool(side < 1) for side in sides] == faded


def test_an_area_contains_what_lies_in_it() -> None:
    area = Area(4, 6, 2, 3)

    assert area.contains(area)
    assert area.contains(Area(2, 2, 3, 5))
    outside = [Area(4, 6, 1, 3), Area(4, 6, 2, 2), Area(5, 6, 2, 3), Area(4, 7, 2, 3)]
    assert not any(area.contains(other) for other in outside)


def test_areas_that_are_none_are_refused() -> None:
    for numbers in [(0, 1, 0, 0), (1, 0, 0, 0), (1, 1, -1, 0), (1, 1, 0, -1)]:
        with pytest.raises(ValueError, match="area: expected sizes from 1 up"):
            Area(*numbers)
    for area in (Area(2, 2, 39, 0), Area(2, 2, 0, 47)):
        with pytest.raises(ValueError, match=r"reaches out of a latent of \(40, 48\)"):
            area.of(WHOLE)
