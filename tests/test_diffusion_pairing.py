"""Areas on one side of guidance get counterparts on the others."""

from __future__ import annotations

import torch

from nodes.diffusion.area import Area
from nodes.diffusion.condition import Condition
from nodes.diffusion.hooks import Hook
from nodes.diffusion.pairing import paired

LARGE, SMALL, ELSEWHERE = Area(8, 8, 0, 0), Area(4, 4, 2, 2), Area(4, 4, 8, 8)
Side = tuple[Condition, ...]


def entry(value: float, area: Area | None = None, **options: object) -> Condition:
    return Condition(torch.full((1, 1, 1), float(value)), area=area, **options)  # type: ignore[arg-type]


def said(side: Side) -> list[tuple[float, Area | None]]:
    """What each entry of a side asks for, and where."""
    return [(c.context.item(), c.area) for c in side if c.context is not None]


def test_an_area_gets_what_the_other_side_says_everywhere() -> None:
    positive, negative = paired((entry(1, SMALL),), (entry(5),))

    assert said(positive) == [(1, SMALL)]
    assert said(negative) == [(5, None), (5, SMALL)]


def test_an_area_of_the_negative_side_gets_one_on_the_positive() -> None:
    positive, negative = paired((entry(1),), (entry(5, SMALL),))

    assert said(positive) == [(1, None), (1, SMALL)]
    assert said(negative) == [(5, SMALL)]


def test_of_several_that_contain_it_the_smallest_answers() -> None:
    nested = (entry(5), entry(6, Area(10, 10)), entry(7, LARGE), entry(8, ELSEWHERE))

    positive, negative = paired((entry(1, SMALL),), nested)

    assert said(negative)[4:] == [(7, SMALL)]
    # and each area of the negative side that the positive does not cover stays alone
    assert said(positive) == [(1, SMALL)]


def test_an_entry_with_an_area_counts_more_than_one_without_whatever_their_order() -> None:
    for others in [(entry(5), entry(7, LARGE)), (entry(7, LARGE), entry(5))]:
        _, negative = paired((entry(1, SMALL),), others)

        assert said(negative)[2:] == [(7, SMALL)]


def test_the_first_of_several_unrestricted_entries_answers() -> None:
    _, negative = paired((entry(1, SMALL),), (entry(5), entry(6)))

    assert said(negative)[2:] == [(5, SMALL)]


def test_an_equal_area_is_a_counterpart_already() -> None:
    sides = (entry(1, SMALL),), (entry(5), entry(6, SMALL))

    assert paired(*sides) == sides


def test_an_area_that_nothing_covers_stays_alone() -> None:
    sides = (entry(1, SMALL),), (entry(5, ELSEWHERE),)

    assert paired(*sides) == sides


def test_sides_without_areas_or_without_entries_stay_as_they_are() -> None:
    sides: tuple[Side, ...] = (entry(1), entry(2)), (entry(5),), ()

    assert paired(*sides) == sides


def test_each_of_three_sides_gets_counterparts() -> None:
    positive, middle, negative = paired((entry(1, SMALL),), (entry(3),), (entry(5),))

    assert (said(positive), said(middle)) == ([(1, SMALL)], [(3, None), (3, SMALL)])
    assert said(negative) == [(5, None), (5, SMALL)]


def test_several_areas_get_one_each_also_of_counterparts_made_before() -> None:
    """The counterpart of the larger area is the smallest that contains the smaller one."""
    _, negative = paired((entry(1, LARGE), entry(2, SMALL)), (entry(5),))

    assert said(negative) == [(5, None), (5, LARGE), (5, SMALL)]


class Local(Hook):
    local = True


def test_a_hook_of_the_place_comes_with_the_area_and_one_of_the_prompt_with_the_prompt() -> None:
    theirs, ours = (Hook(), Local()), (Hook(), Local())

    _, (_, made) = paired((entry(1, SMALL, hooks=ours),), (entry(5, hooks=theirs),))

    assert made.hooks == (theirs[0], ours[1])


def test_where_how_much_and_when_are_the_areas_and_all_else_the_counterparts() -> None:
    mask, hook = torch.rand(8, 8), Hook()
    area = entry(1, SMALL, strength=2.0, mask=mask, mask_strength=0.5, start_sigma=3.0, end_sigma=1)
    other = entry(5, concat=torch.ones(1, 1, 8, 8), hooks=(hook,), strength=7.0, end_sigma=2.0)

    _, (_, made) = paired((area,), (other,))

    assert (made.area, made.mask, made.mask_strength, made.strength) == (SMALL, mask, 0.5, 2.0)
    assert (made.start_sigma, made.end_sigma) == (3.0, 1)
    assert (made.context, made.concat, made.hooks) == (other.context, other.concat, (hook,))


def test_a_counterpart_has_the_class_of_the_entry_that_it_repeats() -> None:
    red, null = torch.tensor([0]), torch.tensor([3])

    _, negative = paired((entry(1, SMALL, y=red),), (entry(5, y=null),))

    assert [c.y for c in negative] == [null, null]
