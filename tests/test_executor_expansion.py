"""Nodes that stand for a subgraph."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from executor_support import entry, rig_of, wait_for

from nodegraph.context import Context
from nodegraph.errors import NodeFailed
from nodegraph.events import Executed, NodeFinished, NodesCached, NodeSkipped, NodeStarted
from nodegraph.events import NodeFailed as NodeFailedEvent
from nodegraph.expansion import Builder, Expansion, Link
from nodegraph.node import node
from nodegraph.outputs import SavedFile, Shown
from nodegraph.types import PortType
from nodegraph.values import Many

ran: list[str] = []


class Image: ...


IMAGE = PortType("IMAGE", Image)


class Two(NamedTuple):
    total: int
    product: int


class Noted(NamedTuple):
    value: int
    shown: Shown


@node("Number", category="t")
def number(value: int = 1) -> int:
    return value


@node("Add", category="t")
def add(a: int, b: int = 1) -> int:
    ran.append(f"add {a} {b}")
    return a + b


@node("Multiply", category="t")
def multiply(a: int, b: int) -> int:
    return a * b


@node("Show", category="t")
def show(value: int) -> Shown:
    return Shown((SavedFile(f"{value}.png", "", "output"),))


@node("Range", category="t")
def numbers(count: int) -> list[int]:
    return list(range(count))


@node("AddMany", category="t")
def add_many(a: int, times: int, *, context: Context) -> int | Expansion:
    build = Builder()
    link: Any = context.links.get("a", a)
    if times == 0:
        return a
    for _ in range(times):
        link = build.add("Add", a=link)
    return build.result(link)


@node("Both", category="t")
def both(a: int, b: int, *, context: Context) -> Two | Expansion:
    build = Builder()
    total = build.add("Add", a=context.links["a"], b=context.links["b"])
    product = build.add("Multiply", a=context.links["a"], b=context.links["b"])
    return build.result(total, product)


@node("Loop", category="t")
def loop(value: int, times: int) -> int | Expansion:
    """Itself, `times` times inside each other."""
    if times == 0:
        return value
    build = Builder()
    more = build.add("Add", a=value)
    return build.result(build.add("Loop", value=more, times=times - 1))


NODES = (IMAGE, number, add, multiply, show, numbers, add_many, both, loop)


def expander(result: Callable[[Context], Any]) -> Any:
    """A node `Expand` of one INT output that returns this."""

    @node("Expand", category="t")
    def expand(a: int = 0, *, context: Context) -> int | Expansion:
        return result(context)  # type: ignore[no-any-return]

    return expand


def test_the_nodes_of_an_expansion_run_in_its_place() -> None:
    document = {
        "1": entry("Number", value=10),
        "2": entry("AddMany", a=["1", 0], times=3),
        "3": entry("Add", a=["2", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["3", "2"]).require()

    assert (result["2"], result["3"]) == ((13,), (14,))
    inner = [event for event in rig.of(NodeFinished) if event.parent is not None]
    assert [event.node for event in inner] == ["2.0.1", "2.0.2", "2.0.3"]
    assert {event.parent for event in inner} == {"2"}


def test_each_output_comes_from_the_node_it_names() -> None:
    document = {
        "1": entry("Number", value=3),
        "2": entry("Number", value=4),
        "3": entry("Both", a=["1", 0], b=["2", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["3"]).require()

    assert result["3"] == (7, 12)


def test_results_may_name_outputs_and_hold_plain_values() -> None:
    @node("Mixed", category="t")
    def mixed(a: int, *, context: Context) -> Two | Expansion:
        build = Builder()
        inner = build.add("Both", a=context.links["a"], b=context.links["a"])
        return build.result(Link(inner.node, "product"), 5)

    document = {"1": entry("Number", value=3), "2": entry("Mixed", a=["1", 0])}
    with rig_of(mixed, *NODES) as rig:
        result = rig.run(document, targets=["2"]).require()

    assert result["2"] == (9, 5)


def test_an_expansion_may_be_nothing_but_one_of_its_inputs() -> None:
    expand = expander(lambda context: Expansion({}, (context.links["a"],)))
    document = {"1": entry("Number", value=3), "2": entry("Expand", a=["1", 0])}
    with rig_of(expand, *NODES) as rig:
        result = rig.run(document, targets=["2"]).require()

    assert result["2"] == (3,)


def test_expansions_nest() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run({"1": entry("Loop", value=1, times=40)}, targets=["1"]).require()

    assert result["1"] == (41,)


def test_an_expansion_that_never_ends_is_stopped() -> None:
    with rig_of(*NODES) as rig:
        result = rig.run({"1": entry("Loop", value=1, times=-1)}, targets=["1"])

    [error] = result.errors.values()
    assert "expands inside 1000 expansions: does it ever end?" in str(error)
    assert "1" in result.skipped


def test_an_expansion_into_the_very_same_work_is_stopped_too() -> None:
    @node("Same", category="t")
    def same(value: int) -> int | Expansion:
        build = Builder()
        return build.result(build.add("Same", value=value))

    document = {"1": entry("Same", value=3), "2": entry("Number")}
    with rig_of(same, *NODES) as rig:
        result = rig.run(document, targets=["1", "2"])

    [error] = result.errors.values()
    assert "does it ever end?" in str(error)
    assert result["2"] == (1,)


def test_an_expansion_nobody_needs_any_more_is_not_run() -> None:
    expanding, failed = threading.Event(), threading.Event()
    other: list[str] = []

    @node("Slow", category="t", lane="io")
    def slow() -> int | Expansion:
        expanding.set()
        wait_for(failed)
        build = Builder()
        return build.result(build.add("Inner"))

    @node("Inner", category="t", lane="io")
    def inner() -> int:
        other.append("ran")
        return 1

    @node("Bad", category="t")
    def bad() -> int:
        wait_for(expanding)
        raise ValueError("no")

    @node("Last", category="t", lane="io")
    def last() -> int:
        wait_for(failed)
        return 1

    def note(event: Any) -> None:
        if isinstance(event, NodeFailedEvent):
            failed.set()

    document = {
        "1": entry("Slow"),
        "2": entry("Bad"),
        "3": entry("Add", a=["1", 0], b=["2", 0]),
        "4": entry("Last"),
        "5": entry("Add", a=["4", 0]),
    }
    with rig_of(slow, inner, bad, last, *NODES) as rig:
        result = rig.run(document, targets=["3", "5"], emit=note)

    assert result.skipped == {"3": "2"}
    assert result["5"] == (2,)
    assert other == []


def test_an_expansion_is_run_for_each_item_of_a_list() -> None:
    document = {"1": entry("Range", count=3), "2": entry("AddMany", a=5, times=["1", 0])}
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["2"]).require()

    assert result["2"] == (Many((5, 6, 7)),)


def test_a_list_output_may_be_expanded() -> None:
    @node("Listed", category="t")
    def listed(how: str) -> list[int] | Expansion:
        build = Builder()
        match how:
            case "link":
                return build.result(build.add("Range", count=2))
            case "single":
                return build.result(build.add("Add", a=1))
            case _:
                return build.result([7, 8])

    document = {how: entry("Listed", how=how) for how in ("link", "single", "plain")}
    with rig_of(listed, *NODES) as rig:
        result = rig.run(document, targets=list(document)).require()

    assert result["link"] == (Many((0, 1)),)
    assert result["single"] == (Many((2,)),)
    assert result["plain"] == (Many((7, 8)),)


def test_literal_lists_can_be_given_to_the_nodes_of_an_expansion() -> None:
    @node("Sum", category="t")
    def total(values: list[int]) -> int:
        return sum(values)

    def result(context: Context) -> Expansion:
        build = Builder()
        return build.result(build.add("Sum", values=[1, 2, 3]))

    with rig_of(total, expander(result), *NODES) as rig:
        assert rig.run({"1": entry("Expand")}, targets=["1"]).require()["1"] == (6,)


def test_an_equal_expansion_is_not_run_again() -> None:
    ran.clear()
    with rig_of(*NODES) as rig:
        rig.run({"1": entry("AddMany", a=1, times=2)}, targets=["1"]).require()
        rig.run({"9": entry("AddMany", a=1, times=2)}, targets=["9"]).require()
        assert rig.of(NodesCached)[0].nodes == ("9",)
        rig.run({"9": entry("AddMany", a=1, times=3)}, targets=["9"]).require()

    assert ran == ["add 1 1", "add 2 1", "add 3 1"]


def test_what_the_nodes_of_an_expansion_show_is_shown_by_the_node_that_expands() -> None:
    @node("Preview", category="t", output=True)
    def preview(a: int, *, context: Context) -> int | Expansion:
        build = Builder()
        more = build.add("Add", a=context.links["a"])
        build.add("Show", value=more)
        return build.result(more)

    document = {"1": entry("Number", value=3), "2": entry("Preview", a=["1", 0])}
    with rig_of(preview, *NODES) as rig:
        rig.executor.files_exist = lambda shown: True  # type: ignore[method-assign]
        result = rig.run(document).require()
        again = rig.run(document).require()

    for each in (result, again):
        assert [file.filename for file in each.shown["2"].files] == ["4.png"]
    assert [(e.node, e.cached) for e in rig.of(Executed)] == [("2", True)]


def test_a_failure_inside_is_named_and_skips_the_node_that_expands() -> None:
    @node("Fail", category="t")
    def fail(a: int) -> int:
        raise ValueError("inner trouble")

    def result(context: Context) -> Expansion:
        build = Builder()
        return build.result(build.add("Fail", a=1))

    document = {
        "1": entry("Expand"),
        "2": entry("Add", a=["1", 0]),
        "3": entry("Number", value=1),
    }
    with rig_of(fail, expander(result), *NODES) as rig:
        run = rig.run(document, targets=["2", "3"])

    assert str(run.errors["1.0.1"]) == "node 1.0.1 (Fail) failed: ValueError: inner trouble"
    assert run.skipped == {"1": "1.0.1", "2": "1.0.1"}
    assert run["3"] == (1,)
    assert {event.because for event in rig.of(NodeSkipped)} == {"1.0.1"}


def test_ids_of_the_document_are_not_taken_over_by_an_expansion() -> None:
    document = {
        "1": entry("AddMany", a=1, times=1),
        "1.0.1": entry("Number", value=50),
        "2": entry("Add", a=["1.0.1", 0], b=["1", 0]),
    }
    with rig_of(*NODES) as rig:
        result = rig.run(document, targets=["2", "1.0.1"]).require()

    assert (result["2"], result["1.0.1"]) == ((52,), (50,))
    assert len({event.node for event in rig.of(NodeStarted)}) == 4


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (Expansion({}, ()), "expanded into 0 results for 1 outputs"),
        (Expansion({}, (1, 2)), "expanded into 2 results for 1 outputs"),
        (Expansion({}, (Link("nobody"),)), "a result of node nobody, which it has not"),
        (Expansion({}, (Link("1"),)), "a result of node 1, which it has not"),
        (Expansion({}, (Link("4"),)), "a result of node 4, which it has not"),
        (Expansion({"a": entry("Number")}, (Link("a", 3),)), "output 3 of 2.0.a, which has none"),
        (Expansion({"a": entry("Number")}, (Link("a", "x"),)), "output 'x' of 2.0.a"),
        (Expansion({"a": entry("Picture")}, (Link("a"),)), "IMAGE for output INT of INT"),
        (Expansion({"a": entry("Nmber")}, (Link("a"),)), "did you mean Number?"),
        (Expansion({"a": entry("Add", a=["4", 0])}, (1,)), "the link goes to node '4'"),
        (Expansion({"a": entry("Add", a=["2", 0])}, (1,)), "the link goes to node '2'"),
        (Expansion({"a": entry("Add", a=[["x"], 0])}, (1,)), "is not a link"),
        (Expansion({"a": entry("Add", a=["a", 0])}, (1,)), "wait for each other"),
        (Expansion({"a": 5}, (1,)), "a node is an object"),
        (Expansion({"^1": entry("Number")}, (1,)), "ids that begin with ^"),
        (Expansion(None, (1,)), "without nodes by id and results"),  # type: ignore[arg-type]
        (Expansion({}, [1]), "without nodes by id and results"),  # type: ignore[arg-type]
    ],
)
def test_an_expansion_that_cannot_run_is_the_failure_of_its_node(
    made: Expansion, complaint: str
) -> None:
    @node("Picture", category="t")
    def picture() -> Image:
        return Image()

    document = {
        "1": entry("Number"),
        "2": entry("Expand"),
        "4": entry("Add", a=["2", 0]),
        "5": entry("Number", value=5),
    }
    with rig_of(picture, expander(lambda context: made), *NODES) as rig:
        result = rig.run(document, targets=["4", "5"])

    error = result.errors["2"]
    assert isinstance(error, NodeFailed)
    assert (error.node, error.class_type) == ("2", "Expand")
    assert complaint in str(error)
    assert result.skipped == {"4": "2"}
    assert result["5"] == (5,)


def test_local_ids_may_be_numbers() -> None:
    made = Expansion({1: entry("Number", value=4), 2: entry("Add", a=[1, 0])}, (Link("2"),))  # type: ignore[dict-item]
    with rig_of(expander(lambda context: made), *NODES) as rig:
        result = rig.run({"x": entry("Expand")}, targets=["x"]).require()

    assert result["x"] == (5,)
