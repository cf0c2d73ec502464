"""What a control network adds to a UNet: weighed, changed and added up."""

from __future__ import annotations

import pytest
import torch

from nodes.models.control import Control


def control(*values: float, middle: float | None = None, rows: int = 2) -> Control:
    """Constant features, ever coarser from place to place."""
    skips = (torch.full((rows, 2, 4 - i, 4 - i), float(v)) for i, v in enumerate(values))
    return Control(
        tuple(skips), None if middle is None else torch.full((rows, 2, 1, 1), float(middle))
    )


def values(control: Control) -> list[list[float]]:
    """For each row, the value at each place, the middle last."""
    places = [*control.skips, *([] if control.middle is None else [control.middle])]
    assert all((place == place[:, :1, :1, :1]).all() for place in places)
    return torch.stack([place[:, 0, 0, 0] for place in places], dim=1).tolist()


def test_weights_count_row_by_row_and_place_by_place_the_middle_last() -> None:
    weights = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]])

    weighted = control(1, 10, middle=100).weighted(weights)

    assert values(weighted) == [[1, 20, 300], [0, 5, -100]]
    assert [skip.shape[2:] for skip in weighted.skips] == [(4, 4), (3, 3)]


def test_without_a_middle_its_weight_has_nothing_to_act_on() -> None:
    weighted = control(1, 10).weighted(torch.tensor([[2.0, 3.0, 9.0]] * 2))

    assert weighted.middle is None
    assert values(weighted) == [[2, 30]] * 2


def test_weights_of_another_number_than_the_places_are_refused() -> None:
    with pytest.raises(ValueError):
        control(1, 10, middle=100).weighted(torch.ones(2, 2))


def test_weighing_keeps_the_features_dtype() -> None:
    half = control(1, 2, middle=3).each(lambda feature: feature.half())

    weighted = half.weighted(torch.ones(2, 3))

    assert {skip.dtype for skip in weighted.skips} == {torch.float16}


def test_two_controls_add_up() -> None:
    assert values(control(1, 2, middle=3) + control(10, 20, middle=30)) == [[11, 22, 33]] * 2


def test_a_control_without_a_middle_leaves_the_others() -> None:
    alone, other = control(1, 2), control(10, 20, middle=30)

    assert values(alone + other) == [[11, 22, 30]] * 2
    assert values(other + alone) == [[11, 22, 30]] * 2
    assert (alone + alone).middle is None


def test_means_over_the_grid_add_to_whole_grids() -> None:
    pooled = control(1, 2, middle=3).each(lambda feature: feature.mean((2, 3), keepdim=True))

    both = pooled + control(10, 20, middle=30)

    assert values(both) == [[11, 22, 33]] * 2
    assert both.skips[0].shape == (2, 2, 4, 4)


def test_controls_of_different_architectures_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="for 2 and for 3 skip connections"):
        control(1, 2) + control(1, 2, 3)


def test_nothing_is_changed_in_place() -> None:
    one, other = control(1, 2, middle=3), control(10, 20, middle=30)

    one.weighted(torch.zeros(2, 3))
    one + other
    one.each(lambda feature: feature * 0)

    assert values(one) == [[1, 2, 3]] * 2
    assert values(other) == [[10, 20, 30]] * 2
