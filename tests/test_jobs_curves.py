"""Curves of figures: about a thousand points, each the mean of what it stands for."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.events import Measured
from nodegraph.jobs.curves import LETTERS, MOST, NAMES, POINTS, Curve
from nodegraph.jobs.messages import Story
from nodegraph.outputs import SavedFile

WHO = {"node": "5", "class_type": "Train", "parent": None}
SHEET = SavedFile("step-000002.png", "training/diffusion-a/samples", "output")


def test_each_step_of_a_short_run_is_a_point() -> None:
    curve = Curve()

    points = [curve.add(step, 6, {"loss": float(step)}) for step in range(1, 7)]

    assert points == [{"loss": float(step)} for step in range(1, 7)]


@given(st.integers(1, 30_000))
def test_a_long_run_has_a_thousand_points_that_are_means_and_its_last(total: int) -> None:
    curve = Curve()

    told = {
        step: point
        for step in range(1, total + 1)
        if (point := curve.add(step, total, {"loss": float(step)}))
    }

    assert min(total, POINTS // 2) <= len(told) <= POINTS + 2
    assert max(told) == total
    before = 0
    for step, point in told.items():
        assert point["loss"] == pytest.approx((before + 1 + step) / 2)
        before = step


def test_whatever_a_node_says_there_is_an_end() -> None:
    curve, wild = Curve(), {f"{n}{'n' * 100}": 1.0 for n in range(100)}

    points = [curve.add(step, 0, wild) for step in range(3 * MOST)]

    kept = [point for point in points if point]
    assert len(kept) < MOST
    assert len(kept[0]) == NAMES
    assert max(map(len, kept[0])) == LETTERS


def test_what_is_no_number_is_left_out() -> None:
    curve = Curve()

    assert curve.add(1, 2, {"loss": math.nan, "rate": 0.5, "norm": math.inf}) == {"rate": 0.5}
    assert curve.add(2, 2, {"loss": math.nan}) is None


def test_figures_are_messages_that_are_numbered_and_kept() -> None:
    story = Story("job")

    [first] = story.tell(Measured(**WHO, step=1, total=2, figures={"loss": 0.5}))
    [second] = story.tell(Measured(**WHO, step=2, total=2, figures={}, sample=SHEET))
    nothing = list(story.tell(Measured(**WHO, step=2, total=2, figures={})))

    assert (first.type, first.passing, second.n) == ("figures", False, first.n + 1)
    assert first.data == {
        "node": "5",
        "display_node": "5",
        "step": 1,
        "total": 2,
        "figures": {"loss": 0.5},
        "sample": None,
        "prompt_id": "job",
    }
    assert second.data["figures"] == {}
    assert second.data["sample"] == {
        "filename": "step-000002.png",
        "subfolder": "training/diffusion-a/samples",
        "type": "output",
    }
    assert nothing == []
