"""Who waits for whom: tasks pulled from the targets, without threads."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from executor_support import entry, registry_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.graph import validate
from nodegraph.node import LAZY, node
from nodegraph.plan import Keys, make_plan
from nodegraph.schedule import Schedule
from nodegraph.tasks import State, Task, Value


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Add", category="t")
def add(a: int, b: int = 0, tag: int = 0) -> int:
    return a + b


@node("Late", category="t", lane="io")
def late(a: int, tag: int = 0) -> int:
    return a


@node("Pick", category="t", needs=lambda a: ["b"])
def pick(a: int, b: Annotated[int, LAZY]) -> int:
    return b


REGISTRY = registry_of(number, add, late, pick)


def never(task: Task) -> bool:
    return False


def schedule_of(
    document: dict[str, Any], *targets: str, recall: Callable[[Task], bool] = never
) -> Schedule:
    plan = make_plan(validate(document, REGISTRY, targets=targets), Keys())
    schedule = Schedule(plan, recall)
    schedule.demand([schedule.tasks[id] for id in plan.targets])
    return schedule


def finish(schedule: Schedule, task: Task, value: int) -> None:
    task.value = Value.of((value, None))
    schedule.finish(task)


def run(schedule: Schedule, *, failing: frozenset[str] = frozenset()) -> list[str]:
    """Runs everything, one task at a time; returns the ids in the order they ran."""
    order: list[str] = []
    while task := schedule.pop("compute") or schedule.pop("io"):
        order.append(task.id)
        if task.id in failing:
            schedule.fail(task)
            continue
        arguments = {
            name: task.taken[name].slots[0] if name in task.taken else value
            for name, value in task.node.inputs.items()
        }
        finish(schedule, task, task.node.type.function(**arguments))
    return order


DIAMOND = {
    "1": entry("Number", value=3),
    "2": entry("Add", a=["1", 0], b=1),
    "3": entry("Add", a=["1", 0], b=2),
    "4": entry("Add", a=["2", 0], b=["3", 0]),
}


def test_a_task_is_ready_when_all_it_reads_from_is_done() -> None:
    schedule = schedule_of(DIAMOND, "4")
    assert [schedule.tasks[id].state for id in "1234"] == [
        State.READY,
        State.WAITING,
        State.WAITING,
        State.WAITING,
    ]

    assert run(schedule) == ["1", "2", "3", "4"]
    assert schedule.outputs["4"].slots == (9,)
    assert (schedule.open, schedule.stuck) == (0, False)


def test_a_value_is_let_go_when_its_last_reader_is_done() -> None:
    schedule = schedule_of(DIAMOND, "4")
    one = schedule.tasks["1"]
    for id in ("1", "2"):
        task = schedule.pop("compute")
        assert task is not None
        assert task.id == id
        finish(schedule, task, 1)
    assert one.value is not None

    run(schedule)

    assert one.value is None
    assert [schedule.tasks[id].value is None for id in "1234"] == [True, True, True, False]


def test_what_the_cache_has_is_not_run_and_nor_is_what_it_was_made_from() -> None:
    def recall(task: Task) -> bool:
        task.value = Value.of((50, None)) if task.id == "2" else None
        return task.value is not None

    schedule = schedule_of(DIAMOND, "2", "3", recall=recall)
    news = schedule.take_news()

    assert news is not None
    assert [task.id for task in news.recalled] == ["2"]
    assert run(schedule) == ["1", "3"]
    assert schedule.outputs["2"].slots == (50,)


def test_there_is_news_once() -> None:
    schedule = schedule_of(DIAMOND, "4")

    news = schedule.take_news()

    assert news is not None
    assert news.woken == ["compute"]
    assert schedule.take_news() is None


def test_a_failure_skips_what_needs_it_and_drops_what_only_that_needed() -> None:
    document = {
        **DIAMOND,
        "5": entry("Add", a=["3", 0], tag=5),
        "6": entry("Add", a=["2", 0], b=["5", 0]),
        "7": entry("Add", a=["3", 0], tag=7),
    }
    schedule = schedule_of(document, "6", "7")

    ran = run(schedule, failing=frozenset("2"))

    assert ran == ["1", "2", "3", "7"]
    assert schedule.because == {"6": "2"}
    assert list(schedule.outputs) == ["7"]
    assert schedule.open == 0
    news = schedule.take_news()
    assert news is not None
    assert [task.id for task in news.dropped] == ["5"]
    assert schedule.tasks["5"].state is State.IDLE


def test_lazy_inputs_wait_until_they_are_asked_for() -> None:
    document = {
        "1": entry("Number", value=1),
        "2": entry("Number", value=2),
        "3": entry("Pick", a=["1", 0], b=["2", 0]),
    }
    schedule = schedule_of(document, "3")
    one = schedule.pop("compute")
    assert one is not None
    finish(schedule, one, 1)
    pick = schedule.pop("compute")
    assert pick is not None
    assert (pick.id, schedule.tasks["2"].state) == ("3", State.IDLE)

    schedule.wait_for(pick, ["b"])

    two = schedule.pop("compute")
    assert two is not None
    assert two.id == "2"
    finish(schedule, two, 2)
    assert schedule.pop("compute") is pick
    assert {name: value.slots for name, value in pick.taken.items()} == {"a": (1,), "b": (2,)}


def test_equal_work_is_waited_for() -> None:
    document = {"1": entry("Number", value=7), "2": entry("Number", value=7)}
    schedule = schedule_of(document, "1", "2")

    assert run(schedule) == ["1"]
    assert {id: value.slots for id, value in schedule.outputs.items()} == {"1": (7,), "2": (7,)}


def test_equal_work_is_done_by_the_next_when_the_first_fails() -> None:
    document = {str(i): entry("Number", value=7) for i in range(3)}
    schedule = schedule_of(document, *document)

    assert run(schedule, failing=frozenset("0")) == ["0", "1"]
    assert sorted(schedule.outputs) == ["1", "2"]
    assert schedule.open == 0


def test_a_lost_value_is_made_again_for_those_who_need_it() -> None:
    schedule = schedule_of(DIAMOND, "1", "4")
    for _ in range(2):
        task = schedule.pop("compute")
        assert task is not None
        finish(schedule, task, 5)
    three = schedule.pop("compute")
    assert three is not None
    assert three.id == "3"
    assert "1" in schedule.outputs

    schedule.lose([schedule.tasks["1"], schedule.tasks["2"]])
    schedule.again(three)

    assert schedule.outputs == {}
    assert schedule.open == 2
    assert three.state is State.WAITING
    assert run(schedule) == ["1", "2", "3", "4"]
    assert {id: value.slots for id, value in schedule.outputs.items()} == {"1": (3,), "4": (9,)}


def test_a_reader_of_a_lost_value_that_cannot_be_made_again_is_skipped() -> None:
    schedule = schedule_of(DIAMOND, "2", "4")
    one = schedule.pop("compute")
    assert one is not None
    finish(schedule, one, 3)
    two = schedule.pop("compute")
    assert two is not None
    schedule.lose([one])
    one_again = schedule.pop("compute")
    assert one_again is one
    schedule.fail(one)

    schedule.again(two)

    assert two.state is State.SKIPPED
    assert set(schedule.because) == {"2", "3", "4"}
    assert schedule.open == 0


def test_what_nobody_needs_any_more_is_dropped_instead_of_going_on() -> None:
    schedule = schedule_of(DIAMOND, "4")
    one = schedule.pop("compute")
    assert one is not None
    finish(schedule, one, 3)
    two, three = schedule.pop("compute"), schedule.pop("compute")
    assert two is not None
    assert three is not None
    schedule.fail(two)
    schedule.take_news()

    schedule.again(three)

    news = schedule.take_news()
    assert news is not None
    assert news.dropped == [three]
    assert (three.state, one.value) == (State.IDLE, None)
    assert schedule.pop("compute") is None


def test_nothing_is_popped_when_all_targets_have_ended() -> None:
    document = {
        "1": entry("Number"),
        "2": entry("Late", a=["1", 0]),
        "3": entry("Add", a=["1", 0], b=["2", 0]),
    }
    schedule = schedule_of(document, "3")
    one = schedule.pop("compute")
    assert one is not None
    finish(schedule, one, 1)
    two = schedule.pop("io")
    assert two is not None

    schedule.fail(two)

    assert schedule.pop("compute") is None
    assert schedule.open == 0


def test_a_schedule_knows_when_it_is_stuck() -> None:
    schedule = schedule_of(DIAMOND, "4")
    assert not schedule.stuck

    task = schedule.pop("compute")
    assert task is not None
    schedule.stop(task)

    assert schedule.stuck


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_graph_ends_with_the_right_values_whatever_fails_and_gets_lost(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 9))
    document: dict[str, Any] = {"0": entry("Number", value=data.draw(st.integers(0, 1)))}
    for i in range(1, count):
        a, b = (str(data.draw(st.integers(0, i - 1))) for _ in range(2))
        document[str(i)] = entry("Add", a=[a, 0], b=[b, 0])
    targets = data.draw(st.lists(st.sampled_from(list(document)), min_size=1, unique=True))
    failing = frozenset(data.draw(st.lists(st.sampled_from(list(document)), max_size=2)))
    schedule = schedule_of(document, *targets)

    for _ in range(200):
        task = schedule.pop("compute")
        if task is None:
            break
        if task.id in failing:
            schedule.fail(task)
            continue
        valued = [each for each in schedule.tasks.values() if each.value is not None]
        if valued and data.draw(st.integers(0, 5)) == 0:
            schedule.lose([data.draw(st.sampled_from(valued))])
            schedule.again(task)
            continue
        values = [task.taken[name].slots[0] for name in ("a", "b") if name in task.taken]
        finish(schedule, task, sum(values) if values else task.node.inputs["value"])
    else:
        pytest.fail("it never ends")

    assert schedule.open == 0
    ended = {id for id in targets if schedule.tasks[id].state in (State.FAILED, State.SKIPPED)}
    assert set(schedule.outputs) == set(targets) - ended
    assert ended <= in_danger(document, failing)
    for id, value in schedule.outputs.items():
        assert value.slots == (expected(document, id),)


def expected(document: dict[str, Any], id: str) -> int:
    inputs = document[id]["inputs"]
    if "value" in inputs:
        return int(inputs["value"])
    return sum(expected(document, inputs[name][0]) for name in ("a", "b"))


def in_danger(document: dict[str, Any], failing: frozenset[str]) -> set[str]:
    """The nodes that fail and all after them; an equal node may do the work of one of these."""
    found = set(failing)
    for id, each in document.items():
        sources = [each["inputs"][name][0] for name in ("a", "b") if name in each["inputs"]]
        if found.intersection(sources):
            found.add(id)
    return found
