"""The exception tree, and faults as clients see them."""

import inspect
import re

import pytest

from nodegraph import errors
from nodegraph.errors import Cancelled, Fault, InvalidGraph, NodeFailed, NodeGraphError, RunFailed
from nodegraph.tasks import RunResult


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    classes = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == errors.__name__
    }
    drawn: dict[str, str] = {}
    above = ["Exception"]
    for indent, name in re.findall(r"^( *)[*+-] (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 2
        drawn[name] = above[depth]
        above[depth + 1 :] = [name]

    assert drawn == {
        name: kind.__base__.__name__ for name, kind in classes.items() if kind.__base__
    }
    assert all(issubclass(kind, NodeGraphError) for kind in classes.values())


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("t", "m", "too large"), "too large"),
        (Fault("t", "m", "too large", "3"), "node 3: too large"),
        (Fault("t", "m", "too large", "3", "steps"), "node 3, input steps: too large"),
        (
            Fault("t", "m", "too large", "3", "steps", "KSampler"),
            "node 3 (KSampler), input steps: too large",
        ),
    ],
)
def test_a_fault_says_where_it_is(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_faults_have_the_shape_of_the_protocol() -> None:
    faults = [
        Fault("prompt_no_outputs", "Prompt has no outputs", "nothing"),
        Fault("a", "A", "first", "3", "steps", "KSampler", {"received_value": 0}),
        Fault("b", "B", "second", "3", None, "KSampler"),
    ]

    error = InvalidGraph(faults, {"3": ("9",)})

    assert error.node_errors() == {
        "3": {
            "errors": [
                {
                    "type": "a",
                    "message": "A",
                    "details": "first",
                    "extra_info": {"received_value": 0, "input_name": "steps"},
                },
                {"type": "b", "message": "B", "details": "second", "extra_info": {}},
            ],
            "dependent_outputs": ["9"],
            "class_type": "KSampler",
        }
    }
    assert str(error).startswith("the graph has 3 faults:\n  nothing\n  node 3 (KSampler), input")
    assert str(InvalidGraph(faults[:1], {})).startswith("the graph has a fault:")


def result(**changes: object) -> RunResult:
    fields: dict[str, object] = {
        "outputs": {"1": (5,)},
        "shown": {},
        "errors": {},
        "skipped": {},
        "accounts": (),
        "seconds": 0.5,
    }
    return RunResult(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_result_gives_the_values_of_its_targets() -> None:
    assert result().require()["1"] == (5,)


def test_requiring_a_result_raises_what_went_wrong() -> None:
    one = NodeFailed("node 2 failed", node="2", class_type="A")
    two = NodeFailed("node 3 failed", node="3", class_type="B")

    with pytest.raises(RunFailed, match=r"node 2 failed \(and 1 more\)") as error:
        result(errors={"2": one, "3": two}).require()
    assert error.value.__cause__ is one
    assert error.value.result.errors == {"2": one, "3": two}
    with pytest.raises(RunFailed, match=r"^node 2 failed$"):
        result(errors={"2": one}).require()
    with pytest.raises(Cancelled):
        result(cancelled=True, errors={"2": one}).require()
