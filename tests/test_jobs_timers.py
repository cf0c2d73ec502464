"""Timers with names: of two with one name the newer, or the nearer."""

import asyncio
from collections.abc import Callable

import pytest

from nodegraph.jobs.timers import Timers


def called(plan: Callable[[Timers, list[str]], None], until: int) -> list[str]:
    """Which calls were made, until there were so many and then none for a while."""
    calls: list[str] = []

    async def scenario() -> None:
        timers = Timers()
        plan(timers, calls)
        while len(calls) < until:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        timers.close()

    asyncio.run(asyncio.wait_for(scenario(), 30))
    return calls


def test_what_is_due_is_called_once_and_in_order() -> None:
    def plan(timers: Timers, calls: list[str]) -> None:
        for name, seconds in (("late", 0.06), ("now", -5.0), ("soon", 0.03)):
            timers.after(name, seconds, lambda name=name: calls.append(name))  # type: ignore[misc]

    assert called(plan, 3) == ["now", "soon", "late"]


@pytest.mark.parametrize(
    ("first", "second", "how", "expected"),
    [
        (0.01, 0.02, "after", "second"),
        (0.02, 0.01, "after", "second"),
        (0.01, 0.02, "within", "first"),
        (0.03, 0.01, "within", "second"),
    ],
)
def test_of_two_with_one_name_one_is_called(
    first: float, second: float, how: str, expected: str
) -> None:
    def plan(timers: Timers, calls: list[str]) -> None:
        timers.after("name", first, lambda: calls.append("first"))
        getattr(timers, how)("name", second, lambda: calls.append("second"))

    assert called(plan, 1) == [expected]


def test_what_is_forgotten_is_not_called() -> None:
    def plan(timers: Timers, calls: list[str]) -> None:
        for name in ("one", "two", "three"):
            timers.after(name, 0.01, lambda name=name: calls.append(name))  # type: ignore[misc]
        timers.forget("one", "three", "nobody")

    assert called(plan, 1) == ["two"]


def test_nothing_is_called_after_closing() -> None:
    def plan(timers: Timers, calls: list[str]) -> None:
        timers.after("one", 0.01, lambda: calls.append("one"))
        timers.close()

    assert called(plan, 0) == []


def test_a_name_can_be_used_again_by_what_it_calls() -> None:
    def plan(timers: Timers, calls: list[str]) -> None:
        def again() -> None:
            calls.append("again")
            if len(calls) < 3:
                timers.within("name", 0.01, again)

        timers.within("name", 0.01, again)

    assert called(plan, 3) == ["again"] * 3
