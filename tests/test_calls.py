"""One node's call: inputs, fan-out, outputs."""

from typing import Annotated, Any, NamedTuple

import numpy as np
import pytest
from executor_support import entry, registry_of
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.calls import UNKNOWN, arguments_of, asked_for, fan_out, gather, joined, outcome
from nodegraph.errors import BadValue, NodeFailed
from nodegraph.graph import Node, validate
from nodegraph.literals import Literals
from nodegraph.node import LAZY, Number, node
from nodegraph.outputs import SavedFile, Shown
from nodegraph.types import PortType
from nodegraph.values import Many


class Image: ...


class Two(NamedTuple):
    one: int
    many: list[int]
    shown: Shown


@node("Source", category="t")
def source() -> Any:
    return 1


@node("Take", category="t", needs=lambda **known: [n for n, v in known.items() if v is None])
def take(
    count: Annotated[int, Number(0, 9)] = 0,
    ratio: float = 0.5,
    values: list[int] = [],  # noqa: B006
    image: Image | None = None,
    either: Image | int = 1,
    extra: Any = None,
    lazy: Annotated[int, LAZY] = 7,
) -> int:
    return count


@node("Two", category="t")
def two() -> Two:
    raise AssertionError


@node("Show", category="t")
def show() -> Shown:
    raise AssertionError


@node("Log", category="t", output=True)
def log() -> None: ...


@node("Need", category="t", needs=lambda lazy: "lazy" if lazy is None else None)
def need(lazy: Annotated[int, LAZY]) -> int:
    return lazy


REGISTRY = registry_of(PortType("IMAGE", Image), source, take, two, show, log, need)
LITERALS = Literals(REGISTRY)


def node_of(class_type: str, **inputs: Any) -> Node:
    document = {"s": entry("Source"), "n": entry(class_type, **inputs)}
    return validate(document, REGISTRY, targets=["n"]).nodes["n"]


def linked(*names: str) -> Node:
    return node_of("Take", **{name: ["s", 0] for name in names})


# -- gathering -----------------------------------------------------------------------------------


def test_inputs_are_literals_defaults_and_what_arrived() -> None:
    node = node_of("Take", count=3, ratio=["s", 0], lazy=["s", 0])

    inputs = gather(node, {"ratio": 1}, LITERALS)

    assert inputs["count"] == 3
    assert (inputs["ratio"], type(inputs["ratio"])) == (1.0, float)
    assert inputs["values"] == []
    assert inputs["lazy"] is UNKNOWN


@pytest.mark.parametrize(
    ("name", "arrived", "expected"),
    [
        ("count", 4.0, 4),
        ("count", Many((1, 2.0)), Many((1, 2))),
        ("count", np.int64(4), 4),
        ("ratio", np.float32(0.5), 0.5),
        ("values", 4, [4]),
        ("values", Many((1, 2)), [1, 2]),
        ("values", Many(()), []),
        ("either", 5, 5),
        ("extra", [1, {"a": 2}], [1, {"a": 2}]),
    ],
)
def test_what_arrives_is_brought_to_the_port_s_type(name: str, arrived: Any, expected: Any) -> None:
    found = gather(linked(name), {name: arrived}, LITERALS)[name]

    assert found == expected
    assert type(found) is type(expected)


def test_a_value_of_a_socket_type_passes_as_it_is() -> None:
    image = Image()

    inputs = gather(linked("image", "either"), {"image": image, "either": image}, LITERALS)

    assert inputs["image"] is image
    assert inputs["either"] is image


@pytest.mark.parametrize(
    ("name", "arrived", "complaint"),
    [
        ("count", 10, "10 is above the largest value, 9"),
        ("count", 2.5, "2.5 is not a whole number"),
        ("count", "x", "'x' is not a whole number"),
        ("count", None, "None is not a whole number"),
        ("count", Image(), "is not a whole number"),
        ("ratio", Many((1.0, float("nan"))), "nan is not a finite number"),
        ("values", Many((1, "x")), "'x' is not a whole number"),
    ],
)
def test_a_value_that_does_not_fit_names_node_and_input(
    name: str, arrived: Any, complaint: str
) -> None:
    with pytest.raises(BadValue) as error:
        gather(linked(name), {name: arrived}, LITERALS)

    assert (error.value.node, error.value.class_type, error.value.input) == ("n", "Take", name)
    assert str(error.value).startswith(f"node n (Take): {name} arrived over a link: ")
    assert complaint in str(error.value)


# -- fanning out ---------------------------------------------------------------------------------


def test_without_lists_there_is_one_call() -> None:
    calls = fan_out(REGISTRY.nodes["Take"], {"count": 1, "values": [1, 2]})

    assert (calls.arguments, calls.many, calls.warning) == (
        [{"count": 1, "values": [1, 2]}],
        False,
        "",
    )


@given(st.lists(st.integers(), max_size=5), st.lists(st.integers(), max_size=5))
def test_the_shorter_list_repeats_its_last_item(one: list[int], other: list[int]) -> None:
    inputs = {"count": Many(tuple(one)), "ratio": Many(tuple(other)), "extra": "same"}

    calls = fan_out(REGISTRY.nodes["Take"], inputs)

    assert calls.many
    if not one or not other:
        assert calls.arguments == []
    else:
        assert len(calls.arguments) == max(len(one), len(other))
        for i, arguments in enumerate(calls.arguments):
            assert arguments == {
                "count": one[min(i, len(one) - 1)],
                "ratio": other[min(i, len(other) - 1)],
                "extra": "same",
            }
    assert bool(calls.warning) == (len(one) != len(other) and 1 not in (len(one), len(other)))


# -- arguments -----------------------------------------------------------------------------------


def test_lists_of_the_document_and_of_the_engine_are_each_call_s_own() -> None:
    node = node_of("Take", values=["s", 0], extra={"a": [1]})
    inputs = gather(node, {"values": Many((1, 2))}, LITERALS)

    one, other = arguments_of(node, inputs), arguments_of(node, inputs)
    one["values"].append(3)
    one["extra"]["a"].append(2)

    assert other["values"] == [1, 2]
    assert other["extra"] == node.inputs["extra"] == {"a": [1]}


def test_a_list_that_another_node_made_is_passed_as_it_is() -> None:
    value = [1, 2]
    node = linked("extra")

    assert arguments_of(node, gather(node, {"extra": value}, LITERALS))["extra"] is value


def test_an_input_nobody_asked_for_is_its_default_or_none() -> None:
    for one, expected in ((linked("lazy"), 7), (node_of("Need", lazy=["s", 0]), None)):
        assert arguments_of(one, gather(one, {}, LITERALS))["lazy"] == expected


# -- lazy inputs ---------------------------------------------------------------------------------


def test_the_hook_is_told_what_is_known_and_asks_for_the_rest() -> None:
    node = linked("lazy", "count")

    calls = fan_out(node.type, gather(node, {"count": 1}, LITERALS))

    assert asked_for(node, calls) == ["lazy"]


def test_what_is_known_already_is_not_asked_for_again() -> None:
    node = node_of("Need", lazy=["s", 0])

    assert asked_for(node, fan_out(node.type, gather(node, {}, LITERALS))) == ["lazy"]
    assert asked_for(node, fan_out(node.type, gather(node, {"lazy": 3}, LITERALS))) == []
    assert asked_for(node_of("Source"), fan_out(REGISTRY.nodes["Source"], {})) == []


# -- outcomes ------------------------------------------------------------------------------------


def test_results_are_sorted_into_slots_and_what_is_shown() -> None:
    shown = Shown(values={"a": [1]})

    made = outcome(node_of("Two"), [Two(1, [2, 3], shown)], fanned=False)

    assert made.slots == (1, Many((2, 3)))
    assert made.shown is shown
    assert made.outputs == (1, Many((2, 3)), shown)
    assert outcome(node_of("Source"), [5], fanned=False).outputs == (5, None)
    assert outcome(node_of("Show"), [shown], fanned=False).outputs == (shown,)
    assert outcome(node_of("Log"), [None], fanned=False).outputs == (None,)


def test_results_of_several_calls_become_lists() -> None:
    results = [Two(1, [2, 3], Shown(values={"a": [1]})), Two(4, [], Shown(values={"b": [2]}))]

    made = outcome(node_of("Two"), results, fanned=True)

    assert made.slots == (Many((1, 4)), Many((2, 3)))
    assert made.shown == Shown(values={"a": [1], "b": [2]})
    assert outcome(node_of("Source"), [], fanned=True).outputs == (Many(()), None)


@pytest.mark.parametrize(
    ("class_type", "result", "complaint"),
    [
        ("Two", 5, "returned a int, not its NamedTuple"),
        ("Two", (1, [2]), ""),
        ("Two", (1,), "returned 1 values for 2 outputs"),
        ("Two", (1, 2), "output many is a list, but it gave int"),
    ],
)
def test_results_that_do_not_fit_are_the_node_s_failure(
    class_type: str, result: Any, complaint: str
) -> None:
    node = node_of(class_type)
    if not complaint:
        assert outcome(node, [result], fanned=False).slots == (1, Many((2,)))
        return
    with pytest.raises(NodeFailed, match=complaint) as error:
        outcome(node, [result], fanned=False)
    assert error.value.node == "n"


def test_what_is_shown_is_put_together() -> None:
    one = Shown((SavedFile("a", "", "output"),), "latents", {"x": [1], "y": [2]})
    other = Shown((SavedFile("b", "", "output"),), "images", {"y": [3]})

    assert joined([]) is None
    assert joined([one]) is one
    assert joined([one, other]) == Shown(
        (SavedFile("a", "", "output"), SavedFile("b", "", "output")),
        "latents",
        {"x": [1], "y": [2, 3]},
    )
