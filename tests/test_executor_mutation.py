"""Nodes that change an input in place: caught, named, and of no harm to anybody else."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import pytest
import torch
from executor_support import entry, rig_of, wait_for
from torch import Tensor

from nodegraph.errors import BadValue, InputChanged
from nodegraph.events import NodeFailed, NodeStarted, Warned
from nodegraph.node import LAZY, node
from nodegraph.types import PortType


@dataclass(frozen=True)
class Box:
    inner: Tensor


TENSOR = PortType("TENSOR", Tensor)
BOX = PortType("BOX", Box)


class Pair(NamedTuple):
    whole: Tensor
    part: Tensor


made: list[str] = []  # what `make` was called for; emptied by each test that looks


@node("Make", category="t")
def make(wrap: str = "", value: float = 1.0) -> Any:
    made.append(wrap)
    tensor = torch.full((4,), value)
    return {
        "": tensor,
        "dataclass": Box(tensor),
        "list": [tensor, 2],
        "dict": {"inner": [tensor]},
        "array": tensor.numpy(),
    }[wrap]


def tensor_in(value: Any) -> Any:
    match value:
        case Box(inner):
            return inner
        case [inner, *_]:
            return inner
        case {"inner": [inner]}:
            return inner
        case _:
            return value


def add_in_place(tensor: Tensor) -> None:
    tensor.add_(1)


def write_through_numpy(tensor: Tensor) -> None:
    tensor.numpy()[0] = 9


def write_through_data(tensor: Tensor) -> None:
    tensor.data[1] = 7


def write_into_a_view(tensor: Tensor) -> None:
    tensor.view(2, 2)[1].zero_()


WAYS: dict[str, Callable[[Tensor], None]] = {
    "add_": add_in_place,
    "numpy": write_through_numpy,
    "data": write_through_data,
    "view": write_into_a_view,
}


@node("Spoil", category="t")
def spoil(value: Any, way: str = "add_") -> int:
    WAYS[way](tensor_in(value))
    return 1


@node("Sum", category="t")
def total(value: Any, after: int = 0) -> float:
    return float(tensor_in(value).sum())


NODES = (TENSOR, BOX, make, spoil, total)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrap", ["", "dataclass", "list", "dict"])
def test_the_node_is_named_and_the_others_get_the_right_value(way: str, wrap: str) -> None:
    document = {
        "1": entry("Make", wrap=wrap),
        "2": entry("Spoil", value=["1", 0], way=way),
        "3": entry("Sum", value=["1", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["2", "3", "1"])
        again = rig.run(document, targets=["1", "3"])

    error = result.errors["2"]
    assert isinstance(error, InputChanged)
    assert (error.node, error.class_type, error.input) == ("2", "Spoil", "value")
    assert "node 2 (Spoil) changed its input value in place" in str(error)
    assert result["3"] == (4.0,)
    for each in (result, again):
        assert torch.equal(tensor_in(each["1"][0]), torch.ones(4))
    assert list(result.errors) == ["2"]


def test_the_changed_value_is_made_again_only_where_it_is_needed() -> None:
    made.clear()
    document = {"1": entry("Make"), "2": entry("Spoil", value=["1", 0])}
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["2"])
        assert made == [""]
        rig.run({"7": entry("Make")}, targets=["7"])

    assert list(result.errors) == ["2"]
    assert made == ["", ""], "the spoilt value must not have stayed in the cache"


def test_containers_count_as_inputs_too() -> None:
    @node("Append", category="t")
    def append(value: Any) -> int:
        value.append(3)
        return 1

    @node("Put", category="t")
    def put(value: Any) -> int:
        value["new"] = 3
        return 1

    document = {
        "1": entry("Make", wrap="list"),
        "2": entry("Append", value=["1", 0]),
        "3": entry("Make", wrap="dict"),
        "4": entry("Put", value=["3", 0]),
    }
    with rig_of(append, put, *NODES) as rig:
        result = rig.run(document, targets=["1", "2", "3", "4"])

    assert sorted(result.errors) == ["2", "4"]
    assert {type(error) for error in result.errors.values()} == {InputChanged}
    assert len(result["1"][0]) == 2
    assert set(result["3"][0]) == {"inner"}


def test_a_node_that_changes_an_input_and_fails_is_caught_as_well() -> None:
    @node("Crash", category="t")
    def crash(value: Any) -> int:
        value.add_(1)
        raise ValueError("too late")

    document = {
        "1": entry("Make"),
        "2": entry("Crash", value=["1", 0]),
        "3": entry("Sum", value=["1", 0]),
    }
    with rig_of(crash, *NODES) as rig:
        result = rig.run(document, targets=["2", "3"])

    assert isinstance(result.errors["2"], InputChanged)
    assert result["3"] == (4.0,)


def test_a_value_that_shares_memory_with_the_changed_one_is_made_again_too() -> None:
    @node("Split", category="t")
    def split(value: Any) -> Pair:
        return Pair(value, value[:2])

    document = {
        "1": entry("Make"),
        "2": entry("Split", value=["1", 0]),
        "3": entry("Spoil", value=["2", "part"]),
        "4": entry("Sum", value=["2", "whole"]),
        "5": entry("Sum", value=["1", 0]),
    }
    with rig_of(split, *NODES) as rig:
        result = rig.run(document, targets=["3", "4", "5", "1", "2"])

    assert list(result.errors) == ["3"]
    assert (result["4"], result["5"]) == ((4.0,), (4.0,))
    assert torch.equal(result["1"][0], torch.ones(4))
    assert torch.equal(result["2"][0], torch.ones(4))


def test_a_node_may_give_its_input_on() -> None:
    @node("Same", category="t")
    def same(value: Any) -> Any:
        return value

    document = {"1": entry("Make"), "2": entry("Same", value=["1", 0])}
    with rig_of(same, *NODES) as rig:
        result = rig.run(document, targets=["1", "2"]).require()

    assert torch.equal(result["2"][0], torch.ones(4))


def test_a_node_may_change_the_lists_a_document_gives_it() -> None:
    @node("Sort", category="t")
    def sort(values: list[int], anything: Any) -> int:
        values.sort()
        anything["seen"] = True
        return values[0]

    document = {"1": entry("Sort", values={"__value__": [3, 1, 2]}, anything={"a": 1})}
    with rig_of(sort) as rig:
        plan = rig.plan(document, ["1"])
        first = rig.executor.run(plan).require()
        rig.cache.free(device="cpu")
        second = rig.executor.run(plan).require()

    assert (first["1"], second["1"]) == ((1,), (1,))
    assert plan.steps[0].node.inputs == {"values": [3, 1, 2], "anything": {"a": 1}}


def test_every_node_of_a_kind_that_spoils_is_named() -> None:
    made.clear()
    document = {"1": entry("Make")}
    for i in range(20):
        document[f"s{i}"] = entry("Spoil", value=["1", 0])
        document[f"t{i}"] = entry("Sum", value=["1", 0], after=i)

    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=[id for id in document if id != "1"])

    assert sorted(result.errors) == sorted(f"s{i}" for i in range(20))
    assert {type(error) for error in result.errors.values()} == {InputChanged}
    assert {result[f"t{i}"] for i in range(20)} == {(4.0,)}
    assert len(made) <= 3, "after the first, its kind works on copies"


# -- several at work at once ---------------------------------------------------------------------


class Race:
    """Two nodes that read one value at the same time, one of which changes it."""

    def __init__(self, *, innocent_first: bool) -> None:
        self.innocent_first = innocent_first
        self.spoilt, self.read = threading.Event(), threading.Event()
        self.reading = threading.Event()

    def nodes(self) -> list[Any]:
        @node("Culprit", category="t")
        def culprit(value: Any) -> int:
            wait_for(self.reading)
            value.add_(1)
            self.spoilt.set()
            if self.innocent_first:
                wait_for(self.read)
            return 1

        @node("Innocent", category="t", lane="io")
        def innocent(value: Any) -> float:
            self.reading.set()
            wait_for(self.spoilt)
            found = float(value.sum())
            self.read.set()
            return found

        return [culprit, innocent]


@pytest.mark.parametrize("innocent_first", [True, False])
def test_of_two_that_read_a_value_at_once_the_innocent_one_is_not_blamed(
    innocent_first: bool,
) -> None:
    document = {
        "1": entry("Make"),
        "2": entry("Culprit", value=["1", 0]),
        "3": entry("Innocent", value=["1", 0]),
    }
    for _ in range(5):
        race = Race(innocent_first=innocent_first)
        with rig_of(*race.nodes(), *NODES) as rig:
            result = rig.run(document, targets=["2", "3", "1"])

        assert {id: type(e) for id, e in result.errors.items()} == {"2": InputChanged}
        assert result["3"] == (4.0,)
        assert torch.equal(result["1"][0], torch.ones(4))
        assert [event.node for event in rig.of(NodeFailed)] == ["2"]


def test_nor_is_one_that_reads_the_same_memory_through_another_value() -> None:
    race = Race(innocent_first=False)

    @node("Part", category="t", lane="io")
    def part(value: Any) -> Any:
        return value[:2]

    document = {
        "1": entry("Make"),
        "2": entry("Part", value=["1", 0]),
        "3": entry("Culprit", value=["1", 0]),
        "4": entry("Innocent", value=["2", 0]),
    }
    with rig_of(*race.nodes(), part, *NODES) as rig:
        result = rig.run(document, targets=["3", "4"])

    assert list(result.errors) == ["3"]
    assert result["4"] == (2.0,)


def test_nor_is_one_of_another_run() -> None:
    race = Race(innocent_first=True)
    with rig_of(*race.nodes(), *NODES) as rig:
        rig.run({"1": entry("Make")}, targets=["1"])  # now both runs get it from the cache
        plans = [
            rig.plan({"1": entry("Make"), "2": entry(kind, value=["1", 0])}, ["2"])
            for kind in ("Culprit", "Innocent")
        ]
        results: dict[int, Any] = {}
        threads = [
            threading.Thread(
                target=lambda i=i: results.update({i: rig.executor.run(plans[i])}), daemon=True
            )
            for i in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert isinstance(results[0].errors["2"], InputChanged)
    assert results[1].require()["2"] == (4.0,)


def test_a_careful_second_run_of_an_innocent_node_sees_the_right_lazy_value() -> None:
    race = Race(innocent_first=True)

    @node("Lazy", category="t", lane="io", needs=lambda value: ["value"])
    def lazy(value: Annotated[Any, LAZY]) -> float:
        race.reading.set()
        wait_for(race.spoilt)
        found = float(value.sum())
        race.read.set()
        return found

    document = {
        "1": entry("Make"),
        "2": entry("Culprit", value=["1", 0]),
        "3": entry("Lazy", value=["1", 0]),
    }
    with rig_of(race.nodes()[0], lazy, *NODES) as rig:
        result = rig.run(document, targets=["2", "3"])

    assert list(result.errors) == ["2"]
    assert result["3"] == (4.0,)


def test_a_value_that_never_stays_as_it_is_ends_in_an_error_that_names_its_maker() -> None:
    class Restless:
        """Something opaque whose hash is never the same."""

        count = 0

        def __hash__(self) -> int:
            Restless.count += 1
            return Restless.count

    @node("Restless", category="t")
    def restless() -> Any:
        return [Restless()]

    @node("Other", category="t", lane="io")
    def other() -> int:
        started.set()
        wait_for(done)
        return 1

    @node("Use", category="t")
    def use(value: Any) -> int:
        wait_for(started)
        return 1

    started, done = threading.Event(), threading.Event()
    document = {
        "1": entry("Restless"),
        "2": entry("Use", value=["1", 0]),
        "3": entry("Other"),
    }

    def note(event: Any) -> None:
        if isinstance(event, NodeFailed):
            done.set()

    with rig_of(restless, other, use) as rig:
        result = rig.run(document, targets=["2", "3"], emit=note)

    told = [event.message for event in rig.of(Warned, "2")]
    assert set(told) == {"its input value was changed by somebody; it runs again on a copy"}
    assert isinstance(result.errors["2"], BadValue)
    assert "the value that node 1 made keeps changing" in str(result.errors["2"])
    assert result["3"] == (1,)


@pytest.mark.parametrize("attempt", range(3))
def test_many_that_spoil_and_read_at_once_are_told_apart(attempt: int) -> None:
    @node("SpoilHere", category="t")
    def spoil_here(value: Any, i: int) -> int:
        value.add_(1)
        return i

    @node("SpoilThere", category="t", lane="io")
    def spoil_there(value: Any, i: int) -> int:
        value.mul_(3)
        return i

    @node("ReadHere", category="t")
    def read_here(value: Any, i: int) -> float:
        return float(value.sum()) + i

    @node("ReadThere", category="t", lane="io")
    def read_there(value: Any, i: int) -> float:
        return float(value.sum()) + i

    @node("Double", category="t", lane="io")
    def double(value: Any) -> Any:
        return value * 2

    document = {"1": entry("Make"), "2": entry("Double", value=["1", 0])}
    for i in range(8):
        for kind in ("SpoilHere", "SpoilThere", "ReadHere", "ReadThere"):
            source = ["1", 0] if (i + attempt) % 2 else ["2", 0]
            document[f"{kind}{i}"] = entry(kind, value=source, i=i)

    with rig_of(spoil_here, spoil_there, read_here, read_there, double, *NODES) as rig:
        result = rig.run(document, targets=[id for id in document if id not in "12"])

    spoilers = sorted(id for id in document if id.startswith("Spoil"))
    assert sorted(result.errors) == spoilers
    assert {type(error) for error in result.errors.values()} == {InputChanged}
    for id in document:
        if id.startswith("Read"):
            i = int(id[-1])
            assert result[id] == ((4.0 if (i + attempt) % 2 else 8.0) + i,)


def test_a_node_that_was_alone_is_named_without_running_twice() -> None:
    document = {"1": entry("Make"), "2": entry("Spoil", value=["1", 0])}
    with rig_of(*NODES) as rig:
        rig.run(document, targets=["2"])

    assert len(rig.of(NodeStarted, "2")) == 1
