"""Lists: one call for each item, or the whole list in one call."""

from typing import Annotated, Any, NamedTuple

import pytest
from executor_support import entry, rig_of

from nodegraph.context import Context
from nodegraph.events import Executed, Warned
from nodegraph.node import LAZY, Number, node
from nodegraph.outputs import SavedFile, Shown
from nodegraph.values import Many


class Split(NamedTuple):
    items: list[int]
    count: int
    shown: Shown


@node("Range", category="t")
def numbers(count: int, start: int = 0) -> list[int]:
    return list(range(start, start + count))


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Add", category="t")
def add(a: int, b: int = 100) -> int:
    return a + b


@node("Sum", category="t")
def total(values: list[int], plus: int = 0) -> int:
    return sum(values) + plus


@node("Repeat", category="t")
def repeat(value: int, times: int = 2) -> list[int]:
    return [value] * times


@node("Save", category="t")
def save(value: int) -> Shown:
    return Shown((SavedFile(f"{value}.png", "", "output"),), values={"value": [value]})


@node("Split", category="t")
def split(values: list[int]) -> Split:
    return Split(values, len(values), Shown(values={"count": [len(values)]}))


NODES = (numbers, number, add, total, repeat, save, split)


def test_a_node_is_called_once_for_each_item() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {"1": entry("Range", count=3), "2": entry("Add", a=["1", 0])}, targets=["1", "2"]
        ).require()

    assert result["1"] == (Many((0, 1, 2)),)
    assert result["2"] == (Many((100, 101, 102)),)


def test_a_list_port_gets_the_whole_list_in_one_call() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {"1": entry("Range", count=4), "2": entry("Sum", values=["1", 0], plus=1)},
            targets=["2"],
        ).require()

    assert result["2"] == (7,)


def test_a_list_port_makes_a_list_of_a_single_value() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {
                "1": entry("Number", value=5),
                "2": entry("Sum", values=["1", 0]),
                "3": entry("Sum", values={"__value__": [1, 2]}),
                "4": entry("Sum", values=9),
            },
            targets=["2", "3", "4"],
        ).require()

    assert (result["2"], result["3"], result["4"]) == ((5,), (3,), (9,))


def test_a_single_value_that_is_a_python_list_stays_one_item_of_a_list_port() -> None:
    @node("Listed", category="t")
    def listed() -> Any:
        return [1, 2, 3]

    @node("Count", category="t")
    def count(values: list[Any]) -> int:
        return len(values)

    with rig_of(listed, count) as rig:
        result = rig.run(
            {"1": entry("Listed"), "2": entry("Count", values=["1", 0])}, targets=["2"]
        ).require()

    assert result["2"] == (1,)


def test_shorter_lists_repeat_their_last_item_with_a_warning() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {
                "1": entry("Range", count=4),
                "2": entry("Range", count=2, start=10),
                "3": entry("Add", a=["1", 0], b=["2", 0]),
            },
            targets=["3"],
        ).require()

    assert result["3"] == (Many((10, 12, 13, 14)),)
    assert [event.node for event in rig.of(Warned)] == ["3"]
    assert "a has 4, b has 2" in rig.of(Warned)[0].message


@pytest.mark.parametrize("length", [1, 3])
def test_lists_of_one_length_or_of_one_item_give_no_warning(length: int) -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {
                "1": entry("Range", count=3),
                "2": entry("Range", count=length, start=10),
                "3": entry("Add", a=["1", 0], b=["2", 0]),
            },
            targets=["3"],
        ).require()

    assert result["3"] == (Many((10, 12, 14) if length == 3 else (10, 11, 12)),)
    assert rig.of(Warned) == []


def test_an_empty_list_means_no_calls_and_an_empty_list() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {
                "0": entry("Range", count=0),
                "1": entry("Add", a=["0", 0]),
                "2": entry("Sum", values=["1", 0]),
                "3": entry("Save", value=["1", 0]),
                "4": entry("Repeat", value=["1", 0]),
            },
            targets=["1", "2", "3", "4"],
        ).require()

    assert (result["1"], result["2"], result["3"]) == ((Many(()),), (0,), ())
    assert result["4"] == (Many(()),)
    assert "3" not in result.shown


def test_lists_that_come_of_several_calls_are_put_end_to_end() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {"1": entry("Range", count=2), "2": entry("Repeat", value=["1", 0])}, targets=["2"]
        ).require()

    assert result["2"] == (Many((0, 0, 1, 1)),)


def test_a_list_of_one_item_still_counts_as_a_list() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {"1": entry("Range", count=1), "2": entry("Add", a=["1", 0])}, targets=["2"]
        ).require()

    assert result["2"] == (Many((100,)),)


def test_what_several_calls_show_is_shown_together() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run({"1": entry("Range", count=2), "2": entry("Save", value=["1", 0])})

    assert [file.filename for file in result.shown["2"].files] == ["0.png", "1.png"]
    assert result.shown["2"].values == {"value": [0, 1]}
    assert len(rig.of(Executed)) == 1


def test_several_outputs_are_told_apart() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run(
            {"1": entry("Range", count=2), "2": entry("Split", values=["1", 0])}, targets=["2"]
        ).require()

    assert result["2"] == (Many((0, 1)), 2)
    assert result.shown["2"].values == {"count": [2]}


def test_a_node_may_change_the_list_it_is_given_but_not_for_the_next_call() -> None:
    @node("Take", category="t")
    def take(values: list[int], which: int) -> int:
        return values.pop() + which

    with rig_of(take, *NODES) as rig:
        result = rig.run(
            {
                "1": entry("Range", count=3),
                "2": entry("Repeat", value=5),
                "3": entry("Take", values=["1", 0], which=["2", 0]),
            },
            targets=["3", "1"],
        ).require()

    assert result["3"] == (Many((7, 7)),)
    assert result["1"] == (Many((0, 1, 2)),)


def test_each_item_is_checked_against_the_port() -> None:
    @node("Small", category="t")
    def small(values: list[Annotated[int, Number(max=1)]]) -> int:
        return len(values)

    with rig_of(small, *NODES) as rig:
        result = rig.run(
            {"1": entry("Range", count=3), "2": entry("Small", values=["1", 0])}, targets=["2"]
        )

    assert "2 is above the largest value, 1" in str(result.errors["2"])


def test_a_list_output_that_is_no_list_is_the_node_s_failure() -> None:
    @node("Wrong", category="t")
    def wrong() -> list[int]:
        return 5  # type: ignore[return-value]

    with rig_of(wrong) as rig:
        result = rig.run({"1": entry("Wrong")}, targets=["1"])

    assert "output INT is a list, but it gave int" in str(result.errors["1"])


def test_lazy_inputs_are_asked_for_once_for_all_items() -> None:
    @node("Pick", category="t", needs=lambda which, a, b: ["a" if which == 0 else "b"])
    def pick(which: int, a: Annotated[int, LAZY] = -1, b: Annotated[int, LAZY] = -2) -> int:
        return a if which == 0 else b

    document = {
        "1": entry("Range", count=2),
        "a": entry("Number", value=10),
        "b": entry("Number", value=20),
        "2": entry("Pick", which=["1", 0], a=["a", 0], b=["b", 0]),
    }
    with rig_of(pick, *NODES) as rig:
        result = rig.run(document, targets=["2"]).require()

    assert result["2"] == (Many((10, 20)),)


def test_each_call_is_told_the_key_of_its_work_which_no_other_has() -> None:
    @node("Key", category="t")
    def key_of(value: int, *, context: Context) -> str:
        return f"{value} {context.key}"

    def keys(first: str) -> list[str]:
        with rig_of(numbers, key_of) as rig:
            document = {first: entry("Range", count=3), "k": entry("Key", value=[first, 0])}
            result = rig.run(document, targets=["k"]).require()
        many = result["k"][0]
        assert isinstance(many, Many)
        return list(many.items)

    found = keys("a")
    assert found == keys("b")  # ids do not matter
    assert len({line.partition(" ")[2] for line in found}) == 3
    assert [line.partition(" ")[0] for line in found] == ["0", "1", "2"]
    assert not any(line.endswith("None") for line in found)
