"""GreedyDual-Size-Frequency: which key is let go first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache.ranking import LEAST_SECONDS, Ranking


def popped(ranking: Ranking) -> list[str]:
    keys = []
    while (key := ranking.pop()) is not None:
        keys.append(key)
    return keys


def test_what_is_cheap_for_its_size_goes_first() -> None:
    ranking = Ranking()
    ranking.add("dear and small", seconds=10, size=100)
    ranking.add("cheap and big", seconds=1, size=10_000)
    ranking.add("dear and big", seconds=10, size=10_000)
    ranking.add("cheap and small", seconds=1, size=100)

    assert popped(ranking) == ["cheap and big", "dear and big", "cheap and small", "dear and small"]


def test_equal_ones_go_in_the_order_in_which_they_came() -> None:
    ranking = Ranking()
    for key in "abc":
        ranking.add(key, seconds=1, size=1)

    assert popped(ranking) == ["a", "b", "c"]


def test_what_is_used_stays_longer() -> None:
    ranking = Ranking()
    for key in "abc":
        ranking.add(key, seconds=1, size=1)

    ranking.use("a")
    ranking.use("a")
    ranking.use("b")

    assert popped(ranking) == ["c", "b", "a"]


def test_priority_is_clock_plus_uses_times_seconds_by_bytes() -> None:
    ranking = Ranking()
    ranking.add("a", seconds=2, size=4)
    ranking.add("b", seconds=1, size=1)
    ranking.use("a")
    ranking.use("a")  # 3 * 2 / 4 = 1.5 against 1

    assert ranking.pop() == "b"
    assert ranking.clock == 1.0
    ranking.add("c", seconds=3, size=10)  # 1 + 0.3 < 1.5

    assert ranking.pop() == "c"
    assert ranking.clock == 1.3
    ranking.use("a")  # 1.3 + 4 * 0.5

    assert ranking.pop() == "a"
    assert ranking.clock == 3.3


def test_what_was_dear_but_is_not_used_any_more_goes_in_the_end() -> None:
    ranking = Ranking()
    ranking.add("old", seconds=10, size=1)

    gone: list[str | None] = []
    for number in range(30):
        ranking.add(f"new {number}", seconds=1, size=1)
        gone.append(ranking.pop())

    assert "old" in gone
    assert gone.index("old") >= 9


def test_what_took_no_time_is_ranked_by_size() -> None:
    ranking = Ranking()
    ranking.add("small", seconds=0, size=10)
    ranking.add("big", seconds=0, size=1000)
    ranking.add("empty", seconds=0, size=0)

    assert popped(ranking) == ["big", "small", "empty"]
    assert ranking.clock == LEAST_SECONDS


def test_what_was_removed_is_not_popped() -> None:
    ranking = Ranking()
    ranking.add("a", seconds=1, size=1)
    ranking.add("b", seconds=2, size=1)

    ranking.remove("a")
    ranking.remove("never there")

    assert "a" not in ranking
    assert len(ranking) == 1
    assert popped(ranking) == ["b"]


def test_adding_again_replaces() -> None:
    ranking = Ranking()
    ranking.add("a", seconds=1, size=1)
    ranking.add("b", seconds=2, size=1)

    ranking.add("a", seconds=3, size=1)

    assert popped(ranking) == ["b", "a"]


def test_the_heap_does_not_grow_with_what_was_removed() -> None:
    ranking = Ranking()
    for number in range(10_000):
        ranking.add(f"{number % 10}", seconds=1, size=1)

    assert len(ranking) == 10
    assert len(ranking._heap) <= 100


step = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("abcdef"), st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.just("use"), st.sampled_from("abcdef")),
    st.tuples(st.just("remove"), st.sampled_from("abcdef")),
    st.tuples(st.just("pop")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(step, max_size=40))
def test_it_is_the_plain_algorithm(steps: list[tuple]) -> None:
    ranking, clock = Ranking(), 0.0
    known: dict[str, list[float]] = {}  # value, uses, priority

    for action, *arguments in steps:
        if action == "add":
            key, seconds, size = arguments
            value = max(seconds, LEAST_SECONDS) / size
            known[key] = [value, 1, clock + value]
            ranking.add(key, seconds=seconds, size=size)
        elif action == "use" and arguments[0] in known:
            item = known[arguments[0]]
            item[1] += 1
            item[2] = clock + item[1] * item[0]
            ranking.use(arguments[0])
        elif action == "remove":
            known.pop(arguments[0], None)
            ranking.remove(arguments[0])
        elif action == "pop":
            lowest = min((item[2] for item in known.values()), default=None)
            key = ranking.pop()
            if lowest is None:
                assert key is None
            else:
                assert known.pop(key)[2] == lowest  # among equals either may go
                clock = lowest
                assert ranking.clock == clock
        assert ranking.order() == sorted(ranking.order(), key=lambda key: known[key][2])
        assert set(ranking.order()) == set(known)
