"""Documents nobody would write: whatever comes in, only graph errors come out."""

import copy
import json
from typing import Annotated, Any, Literal

import pytest
from executor_support import entry, registry_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.errors import DocumentError, InvalidGraph
from nodegraph.graph import check, parse, validate
from nodegraph.node import OPTIONAL, Number, node
from nodegraph.outputs import Shown
from nodegraph.plan import Keys, make_plan


@node("Number", category="t")
def number(value: Annotated[int, Number(0, 100)] = 1) -> int:
    return value


@node("Mix", category="t")
def mix(
    a: int,
    b: float = 0.5,
    how: Literal["add", "multiply"] = "add",
    anything: Any = None,
    items: Annotated[list[int], OPTIONAL] = [],  # noqa: B006
) -> int:
    return a


@node("Show", category="t", check=lambda value, **rest: "zero" if value == 0 else None)
def show(value: int, label: str = "") -> Shown:
    return Shown()


REGISTRY = registry_of(number, mix, show)
VALID: dict[str, Any] = {
    "1": entry("Number", value=3),
    "2": entry("Mix", a=["1", 0], b=0.25, how="multiply", anything={"x": [1, 2]}),
    "3": entry("Mix", a=["2", "INT"], items={"__value__": [1, 2]}),
    "9": entry("Show", value=["3", 0], label="end"),
}

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, 2**64, -(2**70), 0.0, -0.0, 1e308])
    | st.floats()
    | st.text()
    | st.sampled_from(["1", "2", "3", "9", "INT", "Number", "Mix", "Show", "add", "__value__"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["class_type", "inputs", "_meta", "__value__", "a", "value"]) | st.text()


def judged(document: Any, **options: Any) -> None:
    """The document is valid, and then it can be planned, or there are faults JSON can carry."""
    try:
        checked = check(document, REGISTRY, **options)
    except DocumentError:
        assert not isinstance(document, dict)
        return
    if checked.graph is not None:
        assert all(step.key for step in make_plan(checked.graph, Keys()).steps)
    if checked.faults:
        with pytest.raises(InvalidGraph) as error:
            checked.require()
        assert str(error.value)
        json.dumps(error.value.node_errors(), allow_nan=False)
    else:
        assert checked.require() is checked.graph


@settings(max_examples=300, deadline=None)
@given(JSON, st.booleans())
def test_any_json_is_judged(document: Any, strict: bool) -> None:
    judged(document, strict=strict)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["1", "2", "3", "9"]) | st.text(),
        st.fixed_dictionaries(
            {"class_type": st.sampled_from(["Number", "Mix", "Show", "Shwo"]) | JSON},
            optional={
                "inputs": st.dictionaries(
                    st.sampled_from(["a", "b", "how", "value", "items", "anything", "label"]),
                    JSON
                    | st.tuples(st.sampled_from(["1", "2", "3"]), st.integers(-1, 2)).map(list),
                )
                | JSON,
                "_meta": JSON,
            },
        )
        | JSON,
        max_size=5,
    ),
    st.none() | st.lists(st.sampled_from(["1", "2", "9", "x"])),
)
def test_any_object_of_something_like_nodes_is_judged(
    document: dict[str, Any], targets: list[str] | None
) -> None:
    judged(document, targets=targets)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """VALID with a few places replaced, removed or added."""
    document = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 4))):
        place: Any = document
        while True:
            if not isinstance(place, (dict, list)) or not place:
                break
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            child = place[key]
            if isinstance(child, (dict, list)) and child and draw(st.booleans()):
                place = child
                continue
            match draw(st.sampled_from(["replace", "remove", "add"])):
                case "replace":
                    place[key] = draw(JSON)
                case "remove":
                    del place[key]
                case "add" if isinstance(place, dict):
                    place[draw(KEYS)] = draw(JSON)
                case "add":
                    place.append(draw(JSON))
            break
    return document


@settings(max_examples=400, deadline=None)
@given(mutated(), st.booleans())
def test_a_valid_graph_with_places_changed_is_judged(
    document: dict[str, Any], strict: bool
) -> None:
    judged(document, strict=strict)


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary() | mutated().map(json.dumps))
def test_any_text_is_json_or_a_document_error(text: str | bytes) -> None:
    try:
        document = parse(text)
    except DocumentError:
        with pytest.raises(ValueError):
            json.loads(text)
    else:
        judged(document)


def test_the_valid_graph_is_valid() -> None:
    assert validate(VALID, REGISTRY, strict=True).targets == ("9",)
