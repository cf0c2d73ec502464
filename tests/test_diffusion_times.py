"""Time-step spacings against the values of their table (arXiv:2305.08891, table 2)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.times import TIME_SPACINGS, spaced_times


def test_ten_of_a_thousand_times_are_those_of_the_paper() -> None:
    assert spaced_times("leading", 10, offset=1) == [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]
    assert spaced_times("linspace", 10) == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    assert spaced_times("trailing", 10) == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]


def test_all_steps_are_all_times_whatever_the_spacing() -> None:
    for name in TIME_SPACINGS:
        assert spaced_times(name, 50, 50) == list(range(49, -1, -1))


@given(name=st.sampled_from(sorted(TIME_SPACINGS)), steps=st.integers(1, 1000))
def test_every_spacing_descends_within_the_training_times(name: str, steps: int) -> None:
    times = spaced_times(name, steps)

    assert len(times) == steps
    assert all(a > b for a, b in pairwise(times))
    assert times[0] <= 999
    assert times[-1] >= 0


def test_bad_requests_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="expected one of leading, linspace, trailing"):
        spaced_times("middle", 10)
    with pytest.raises(ValueError, match=r"expected 1\.\.1000"):
        spaced_times("leading", 1001)
    with pytest.raises(ValueError, match=r"out of 0\.\.999"):
        spaced_times("linspace", 10, offset=1)
