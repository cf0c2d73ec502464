"""Whatever JSON comes: a document, or one kind of error."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

import standin_nodes
from editor_files import text_to_image
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.errors import DocumentError
from nodegraph.graph import check
from nodegraph.registry import Registry
from nodegraph.workflow import convert

REGISTRY = Registry()
REGISTRY.register(standin_nodes)

SCALARS = st.sampled_from([None, True, False, 0, 1, -3, 7.5, float("nan"), "", "fixed", "-10", "x"])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
TYPES = [
    *REGISTRY.nodes,
    "Reroute",
    "PrimitiveNode",
    "Note",
    *["sub", "deep", "workflow>g"] * 3,
    "Other",
]
IDS = [1, 2, 3, 4, "5", -10, -20, "1:2"]
NAMES = ["model", "seed", "width", "images", "vae", "value", "control_after_generate"]
SLOTS = [-1, 0, 0, 1, 2]
MODES = [0, 0, 0, 2, 4]


@dataclass(frozen=True)
class Maker:
    """Makes files that hang together more or less, now and then with something else in them."""

    random: Random
    junk: Any

    def level(self) -> dict[str, Any]:
        pick = self.random.choice
        ids = self.random.sample(IDS, self.random.randint(0, 5))
        links = [
            [n, pick(IDS), pick(SLOTS), pick(IDS), pick(SLOTS), pick(["*", "IMAGE"])]
            for n in range(1, self.random.randint(1, 8))
        ]
        return {"nodes": [self.node(id) for id in ids], "links": links}

    def node(self, id: int | str) -> dict[str, Any]:
        pick = self.random.choice
        pairs = [[str(pick(IDS)), pick(NAMES)] for _ in range(self.random.randint(0, 3))]
        node = {
            "id": id,
            "type": pick(TYPES),
            "mode": pick(MODES),
            "inputs": [self.slot() for _ in range(self.random.randint(0, 4))],
            "outputs": [self.slot() for _ in range(self.random.randint(0, 3))],
            "widgets_values": [pick([1, "fixed", None, [1]]) for _ in range(pick([0, 2, 7]))],
            "properties": {"proxyWidgets": pick([pairs, json.dumps(pairs), self.junk])},
        }
        if self.random.random() < 0.05:
            node[pick(list(node))] = self.junk
        return node

    def slot(self) -> dict[str, Any]:
        pick = self.random.choice
        slot = {"name": pick(NAMES), "type": pick(["*", "IMAGE", "MODEL", 0, ["a"], self.junk])}
        extra = {
            "link": pick([None, *range(9)]),
            "widget": pick([{"name": pick(NAMES)}, self.junk]),
        }
        return slot | {key: value for key, value in extra.items() if pick([True, False])}

    def file(self) -> dict[str, Any]:
        definitions = [
            {"id": id, **self.level(), "inputs": [self.slot()], "outputs": [self.slot()]}
            for id in ("sub", "deep")
        ]
        group = self.level() | {"config": {"0": {"input": {"seed": {"visible": False}}}}}
        return {
            **self.level(),
            "definitions": {"subgraphs": definitions},
            "extra": {"groupNodes": {"g": group}},
        }


FILES = st.builds(
    lambda seed, junk: Maker(Random(seed), junk).file(), st.integers(0, 2**32 - 1), JSON
)


def convert_or_refuse(data: Any) -> dict[str, Any] | None:
    try:
        return convert(data, REGISTRY, title="the file").document
    except DocumentError:
        return None


@given(FILES)
@settings(max_examples=400, deadline=None)
def test_any_file_gives_a_document_or_a_document_error(data: dict[str, Any]) -> None:
    document = convert_or_refuse(data)

    for id, entry in (document or {}).items():
        assert isinstance(id, str)
        assert set(entry) == {"class_type", "inputs", "_meta"}
        assert entry["class_type"] not in ("Reroute", "PrimitiveNode", "Note")
        for value in entry["inputs"].values():
            assert not isinstance(value, list) or value[0] in (document or {})


@given(FILES)
@settings(max_examples=100, deadline=None)
def test_what_is_converted_can_be_checked(data: dict[str, Any]) -> None:
    document = convert_or_refuse(data) or {}

    checked = check(document, REGISTRY)

    assert checked.graph is not None or checked.faults
    assert not any(fault.type in ("invalid_node", "missing_inputs") for fault in checked.faults)


@given(JSON | st.fixed_dictionaries({"nodes": st.lists(JSON, max_size=2), "links": JSON}))
@settings(max_examples=100, deadline=None)
def test_any_json_gives_a_document_or_a_document_error(data: Any) -> None:
    document = convert_or_refuse(data)

    assert document is None or isinstance(data, dict)


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
