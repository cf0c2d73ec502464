"""Whatever JSON comes: a document, or one kind of error."""

import json
from typing import Any

import standin_nodes
from editor_files import text_to_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.errors import DocumentError, InvalidGraph
from nodegraph.graph import validate
from nodegraph.registry import Registry
from nodegraph.workflow import convert

REGISTRY = Registry()
REGISTRY.register(standin_nodes)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-30, 30), st.floats(), st.text(max_size=4), st.just("-10")
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
TYPES = st.sampled_from(
    [*REGISTRY.nodes, "Reroute", "PrimitiveNode", "Note", "sub", "deep", "workflow>g", "Unknown"]
)
IDS = st.integers(-20, 6) | st.sampled_from(["-10", "-20", "1:2"])
SLOT = st.fixed_dictionaries(
    {"name": st.sampled_from(["model", "seed", "width", "images", "vae", "a"]), "type": JSON},
    optional={"link": st.integers(0, 8) | JSON, "widget": JSON | st.just({"name": "width"})},
)
NODE = st.fixed_dictionaries(
    {"id": IDS, "type": TYPES},
    optional={
        "mode": st.sampled_from([0, 2, 4]) | JSON,
        "inputs": st.lists(SLOT, max_size=4),
        "outputs": st.lists(SLOT, max_size=3),
        "widgets_values": st.lists(SCALARS, max_size=8) | JSON,
        "properties": st.fixed_dictionaries({"proxyWidgets": JSON}),
        "title": JSON,
    },
)
LINK = st.tuples(st.integers(0, 8), IDS, st.integers(-1, 3), IDS, st.integers(-1, 3)).map(list)
LEVEL = {
    "nodes": st.lists(NODE, max_size=6, unique_by=lambda node: str(node["id"])),
    "links": st.lists(LINK, max_size=6, unique_by=lambda link: link[0]),
}
SUBGRAPH = {**LEVEL, "inputs": st.lists(SLOT, max_size=3), "outputs": st.lists(SLOT, max_size=2)}
FILE = st.fixed_dictionaries(
    LEVEL,
    optional={
        "definitions": st.fixed_dictionaries(
            {
                "subgraphs": st.tuples(
                    st.fixed_dictionaries({"id": st.just("sub"), **SUBGRAPH}),
                    st.fixed_dictionaries({"id": st.just("deep"), **SUBGRAPH}),
                ).map(list)
            }
        ),
        "extra": st.fixed_dictionaries(
            {"groupNodes": st.fixed_dictionaries({"g": st.fixed_dictionaries(LEVEL)})}
        ),
    },
)


def convert_or_refuse(data: Any) -> dict[str, Any] | None:
    try:
        return convert(data, REGISTRY).document
    except DocumentError as error:
        assert "the workflow" in str(error)
        return None


@given(FILE)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_file_gives_a_document_or_a_document_error(data: dict[str, Any]) -> None:
    document = convert_or_refuse(data)

    for id, entry in (document or {}).items():
        assert isinstance(id, str)
        assert set(entry) == {"class_type", "inputs", "_meta"}
        assert entry["class_type"] not in ("Reroute", "PrimitiveNode", "Note")
        for value in entry["inputs"].values():
            assert not isinstance(value, list) or value[0] in (document or {})


@given(FILE)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_converted_can_be_validated(data: dict[str, Any]) -> None:
    document = convert_or_refuse(data)

    if document is not None:
        try:
            validate(document, REGISTRY)
        except InvalidGraph as error:
            assert error.faults


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_good_file_with_one_part_replaced_gives_a_document_or_a_document_error(
    data: st.DataObject,
) -> None:
    file = text_to_image()
    place: Any = file
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = inner

    document = convert_or_refuse(file)

    assert document is None or json.loads(json.dumps(document)) is not None


def test_values_nested_beyond_any_measure_are_passed_on_untouched() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]

    document = convert(
        {"nodes": [{"id": 1, "type": "Anything", "widgets_values": [nested]}]}, REGISTRY
    ).document

    assert document["1"]["inputs"]["items"]["__value__"] is nested
