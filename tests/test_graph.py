"""Documents: what a graph becomes, and every fault at once where it is none."""

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from executor_support import entry, registry_of

from nodegraph.errors import DocumentError, Fault, InvalidGraph
from nodegraph.expansion import Link
from nodegraph.graph import MAX_NODES, Checked, check, check_expansion, parse, read, validate
from nodegraph.node import SOCKET, Number, node
from nodegraph.outputs import Shown
from nodegraph.plan import Keys, make_plan
from nodegraph.registry import Registry
from nodegraph.types import PortType


class Model: ...


class Image: ...


class Loaded(NamedTuple):
    model: Model
    second_model: Model
    Image: Image


@node("Load", category="t")
def load(name: str = "a") -> Loaded:
    raise AssertionError


@node("Sample", category="t")
def sample(
    model: Model,
    steps: Annotated[int, Number(1, 100)] = 20,
    sampler: Literal["euler", "dpmpp_2m"] = "euler",
    image: Image | None = None,
) -> Image:
    raise AssertionError


@node("Save", category="t")
def save(image: Image, prefix: str = "x") -> Shown:
    raise AssertionError


def even(a: int, b: int) -> str | None:
    if b < 0:
        raise ValueError("negative")
    return None if a % 2 == 0 else f"{a} is odd"


@node("Even", category="t", check=even)
def even_node(a: int, b: int = 0) -> int:
    raise AssertionError


@node("Socket", category="t")
def socket(value: Annotated[int, SOCKET], anything: Any = None) -> int:
    raise AssertionError


@node("Gather", category="t")
def gather(values: list[int]) -> int:
    raise AssertionError


TYPES = (PortType("MODEL", Model), PortType("IMAGE", Image))
REGISTRY = registry_of(*TYPES, load, sample, save, even_node, socket, gather)
GOOD = {
    "4": {"class_type": "Load", "inputs": {}, "_meta": {"title": "The model"}},
    "3": entry("Sample", model=["4", 0], steps=7.0),
    "9": entry("Save", image=["3", 0]),
}


def with_changes(**changes: Any) -> dict[str, Any]:
    """GOOD with other inputs at the node Sample; None leaves one out."""
    inputs = {**GOOD["3"]["inputs"], **changes}
    return {**GOOD, "3": entry("Sample", **{k: v for k, v in inputs.items() if v is not None})}


def only_fault(document: Any, **options: Any) -> Fault:
    [fault] = check(document, REGISTRY, **options).faults
    return fault


# -- a good document -----------------------------------------------------------------------------


def test_a_document_becomes_a_graph_of_typed_nodes() -> None:
    graph = validate(GOOD, REGISTRY)

    assert graph.targets == ("9",)
    assert graph.document == GOOD
    assert graph.warnings == ()
    assert graph.nodes["4"].title == "The model"
    sampled = graph.nodes["3"]
    assert sampled.type is REGISTRY.nodes["Sample"]
    assert sampled.inputs == {"model": Link("4", 0), "steps": 7, "sampler": "euler", "image": None}
    assert sampled.links() == [("model", Link("4", 0))]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (["4", 0], Link("4", 0)),
        (["4", 0.0], Link("4", 0)),
        ([4, 1], Link("4", 1)),
        (["4", "model"], Link("4", 0)),
        (["4", "MODEL"], Link("4", 0)),
        (["4", "Second_Model"], Link("4", 1)),
        (["4", "1"], Link("4", 1)),
    ],
)
def test_a_slot_is_an_index_or_the_output_s_name(link: list[Any], expected: Link) -> None:
    assert validate(with_changes(model=link), REGISTRY).nodes["3"].inputs["model"] == expected


def test_a_list_is_a_value_when_it_says_so() -> None:
    document = {"1": entry("Gather", values={"__value__": [1, 2.0]})}

    assert validate(document, REGISTRY, targets=["1"]).nodes["1"].inputs == {"values": [1, 2]}


def test_only_what_the_targets_need_is_in_the_graph() -> None:
    graph = validate({**GOOD, "7": entry("Load")}, REGISTRY, targets=["3"])

    assert sorted(graph.nodes) == ["3", "4"]
    assert graph.targets == ("3",)


def test_null_is_as_good_as_nothing_where_nothing_is_the_default() -> None:
    document = {**GOOD, "3": entry("Sample", model=["4", 0], image=None)}

    assert validate(document, REGISTRY).nodes["3"].inputs["image"] is None


# -- faults of one node --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "type", "message", "details"),
    [
        (5, "invalid_node", "Node is not an object", "not a number"),
        (None, "invalid_node", "Node is not an object", "not null"),
        ([], "invalid_node", "Node is not an object", "not a list"),
        (
            {"inputs": {}},
            "missing_class_type",
            "missing the class_type property",
            "give class_type",
        ),
        ({"class_type": 3}, "missing_class_type", "missing the class_type property", "class_type"),
        (entry("Savee"), "missing_node_type", "node Savee does not exist", "did you mean Save?"),
        (entry("Unheard"), "missing_node_type", "does not exist", "is a plugin missing?"),
        ({"class_type": "Save"}, "missing_inputs", "Node has no inputs", "inputs is missing; give"),
        ({"class_type": "Save", "inputs": []}, "missing_inputs", "no inputs", "inputs is a list"),
    ],
)
def test_a_node_that_is_none_is_named(node: Any, type: str, message: str, details: str) -> None:
    fault = only_fault({**GOOD, "9": node})

    assert (fault.type, fault.node, fault.input) == (type, "9", None)
    assert message in fault.message
    assert details in fault.details


@pytest.mark.parametrize(
    ("name", "value", "type", "details"),
    [
        ("model", None, "required_input_missing", "model is required: give a link to an output"),
        (
            "model",
            3,
            "invalid_input_type",
            "takes a link to an output of type MODEL, not the value",
        ),
        ("model", ["4"], "bad_linked_input", "['4'] is not a link [node id, output]; write a list"),
        ("model", ["4", 0, 1], "bad_linked_input", "is not a link"),
        ("model", [None, 0], "bad_linked_input", "is not a link"),
        ("model", ["4", True], "bad_linked_input", "is not a link"),
        ("model", ["4", 0.5], "bad_linked_input", "is not a link"),
        ("model", [["4"], 0], "bad_linked_input", "is not a link"),
        ("model", ["99", 0], "bad_linked_input", "goes to node '99', which is not in the graph"),
        ("model", ["4", 3], "bad_linked_input", "node 4 (Load) has no output 3; it has 0 MODEL"),
        ("model", ["4", -1], "bad_linked_input", "has no output -1"),
        ("model", ["4", "vae"], "bad_linked_input", "has no output 'vae'"),
        (
            "model",
            ["4", 2],
            "return_type_mismatch",
            "received_type(IMAGE) mismatch input_type(MODEL",
        ),
        ("steps", 2.9, "invalid_input_type", "2.9 is not a whole number"),
        ("steps", True, "invalid_input_type", "True is not a whole number"),
        ("steps", math.nan, "invalid_input_type", "nan is not a whole number"),
        ("steps", math.inf, "invalid_input_type", "inf is not a whole number"),
        ("steps", 0, "value_smaller_than_min", "0 is below the smallest value, 1"),
        ("steps", 101, "value_bigger_than_max", "101 is above the largest value, 100"),
        ("sampler", "eular", "value_not_in_list", "'eular' is not among euler, dpmpp_2m; did you"),
        ("steps", {"__value__": [1]}, "invalid_input_type", "[1] is not a whole number"),
        ("steps", {"a": 1}, "invalid_input_type", "{'a': 1} is not a whole number"),
    ],
)
def test_a_wrong_input_is_named_with_what_was_expected(
    name: str, value: Any, type: str, details: str
) -> None:
    fault = only_fault(with_changes(**{name: value}))

    assert (fault.type, fault.node, fault.input, fault.class_type) == (type, "3", name, "Sample")
    assert details in fault.details
    json.dumps(fault.as_json(), allow_nan=False)


def test_a_type_mismatch_names_both_types_and_the_linked_node() -> None:
    fault = only_fault(with_changes(model=["4", 2]))

    assert fault.extra == {"received_type": "IMAGE", "linked_node": ["4", 2]}
    assert "it takes MODEL, but output IMAGE of node 4 (Load) gives IMAGE" in fault.details


def test_a_node_without_outputs_cannot_be_linked_to() -> None:
    document = {**with_changes(model=["s", 0]), "s": entry("Save", image=["4", 2])}

    assert only_fault(document).details == "node s (Save) has no output 0; it has none at all"


def test_an_input_that_only_takes_links_says_so() -> None:
    document = {"1": entry("Socket", value=3)}

    [fault] = check(document, REGISTRY, targets=["1"]).faults

    assert "takes a link to an output of type INT, not a value" in fault.details
    assert only_fault({"1": entry("Socket")}, targets=["1"]).details == (
        "value is required: give a link to an output of type INT"
    )


def test_what_was_received_is_sent_back_if_it_is_short() -> None:
    assert only_fault(with_changes(steps=0)).extra == {"received_value": 0}
    assert only_fault(with_changes(steps=math.nan)).extra == {
        "received_value": "a float that JSON cannot carry"
    }
    long = only_fault(with_changes(steps="x" * 1000)).extra["received_value"]
    assert len(long) == 200


def test_a_node_s_own_check_is_heard() -> None:
    def check_of(**inputs: Any) -> Fault:
        return only_fault({"1": entry("Even", **inputs)}, targets=["1"])

    odd = check_of(a=3)
    assert (odd.type, odd.details) == ("custom_validation_failed", "3 is odd")
    broken = check_of(a=2, b=-1)
    assert broken.type == "exception_during_validation"
    assert "ValueError: negative" in broken.details
    assert check_of(a="x").type == "invalid_input_type", "it is asked only about sound inputs"


def test_unknown_inputs_are_warnings_unless_strict() -> None:
    document = with_changes(stepz=3)

    graph = validate(document, REGISTRY)
    [warning] = graph.warnings
    assert (warning.type, warning.node, warning.input) == ("unknown_input", "3", "stepz")
    assert "Sample has no input named 'stepz'" in warning.details
    assert only_fault(document, strict=True).type == "unknown_input"


# -- the whole -----------------------------------------------------------------------------------


def test_all_faults_are_listed_at_once_in_the_document_s_order() -> None:
    document = {
        "1": entry("Load", name=[1]),
        "2": entry("Nothing"),
        "3": entry("Sample", steps=0, sampler="x"),
        "9": entry("Save", image=["3", 5]),
        "10": entry("Save", image=["1", 0]),
        "11": entry("Save", image=["2", 0]),
    }

    faults = check(document, REGISTRY).faults

    assert [(fault.node, fault.type) for fault in faults] == [
        ("1", "bad_linked_input"),
        ("2", "missing_node_type"),
        ("3", "required_input_missing"),
        ("3", "value_smaller_than_min"),
        ("3", "value_not_in_list"),
        ("9", "bad_linked_input"),
        ("10", "return_type_mismatch"),
    ]


def test_the_error_lists_them_and_has_the_protocol_s_shape() -> None:
    with pytest.raises(InvalidGraph) as error:
        validate(with_changes(steps=0, sampler="x"), REGISTRY)

    assert str(error.value).splitlines() == [
        "the graph has 2 faults:",
        "  node 3 (Sample), input steps: 0 is below the smallest value, 1",
        "  node 3 (Sample), input sampler: sampler: 'x' is not among euler, dpmpp_2m",
    ]
    assert error.value.node_errors() == {
        "3": {
            "errors": [
                {
                    "type": "value_smaller_than_min",
                    "message": "Value 0 smaller than min of 1",
                    "details": "0 is below the smallest value, 1",
                    "extra_info": {"received_value": 0, "input_name": "steps"},
                },
                {
                    "type": "value_not_in_list",
                    "message": "Value not in list",
                    "details": "sampler: 'x' is not among euler, dpmpp_2m",
                    "extra_info": {"received_value": "x", "input_name": "sampler"},
                },
            ],
            "dependent_outputs": ["9"],
            "class_type": "Sample",
        }
    }


def test_faults_of_nodes_nobody_needs_are_warnings_unless_strict() -> None:
    document = {**GOOD, "5": entry("Sample", steps=-1)}

    graph = validate(document, REGISTRY)

    assert [warning.node for warning in graph.warnings] == ["5", "5"]
    assert sorted(graph.nodes) == ["3", "4", "9"]
    assert len(check(document, REGISTRY, strict=True).faults) == 2


def test_an_unknown_node_nobody_reads_from_may_be_an_output_so_it_is_a_fault() -> None:
    checked = check({**GOOD, "10": entry("SaveWebp", image=["3", 0])}, REGISTRY)

    assert [fault.node for fault in checked.faults] == ["10"]
    assert checked.graph is not None
    assert checked.graph.targets == ("9",)


def test_the_outputs_that_can_run_are_there_in_spite_of_the_others() -> None:
    document = {
        **GOOD,
        "5": entry("Sample", model=["4", 0], steps=-1),
        "10": entry("Save", image=["5", 0]),
    }

    checked = check(document, REGISTRY)

    assert checked.graph is not None
    assert checked.graph.targets == ("9",)
    assert sorted(checked.graph.nodes) == ["3", "4", "9"]
    assert checked.dependants == {"5": ("10",)}
    with pytest.raises(InvalidGraph):
        checked.require()


def test_a_cycle_is_a_fault_with_its_path() -> None:
    document = {
        "1": entry("Sample", model=["4", 0], image=["3", 0]),
        "2": entry("Sample", model=["4", 0], image=["1", 0]),
        "3": entry("Sample", model=["4", 0], image=["2", 0]),
        "4": entry("Load"),
        "9": entry("Save", image=["3", 0]),
    }

    fault = only_fault(document)

    assert fault.type == "dependency_cycle"
    assert fault.node in ("1", "2", "3")
    assert "these nodes wait for each other: 1 -> 2 -> 3 -> 1" in fault.details


def test_a_node_that_reads_from_itself_is_a_cycle() -> None:
    document = {"4": entry("Load"), "1": entry("Sample", model=["4", 0], image=["1", 0])}

    assert "1 -> 1" in only_fault(document, targets=["1"]).details


def test_cycles_apart_are_all_reported_and_spoil_what_needs_them() -> None:
    document: dict[str, Any] = {"4": entry("Load"), "good": entry("Save", image=["4", 2])}
    for i in range(3):
        document[f"a{i}"] = entry("Sample", model=["4", 0], image=[f"b{i}", 0])
        document[f"b{i}"] = entry("Sample", model=["4", 0], image=[f"a{i}", 0])
        document[f"save{i}"] = entry("Save", image=[f"b{i}", 0])

    checked = check(document, REGISTRY)

    assert [fault.type for fault in checked.faults] == ["dependency_cycle"] * 3
    assert checked.graph is not None
    assert checked.graph.targets == ("good",)


def test_a_cycle_behind_many_turns_never_gets_into_the_graph() -> None:
    """Also where the fault stands far from the target, behind cycles in cycles."""
    count = 40
    document: dict[str, Any] = {"load": entry("Load")}
    for i in range(count):
        back = [str((i * 7 + 3) % count), 0]
        document[str(i)] = entry("Sample", model=["load", 0], image=back)
    document["out"] = entry("Save", image=["17", 0])

    checked = check(document, REGISTRY)

    assert checked.graph is None
    assert {fault.type for fault in checked.faults} == {"dependency_cycle"}


def test_a_very_long_cycle_is_printed_in_short() -> None:
    count = 5000
    document: dict[str, Any] = {"load": entry("Load")}
    for i in range(count):
        document[str(i)] = entry("Sample", model=["load", 0], image=[str((i + 1) % count), 0])

    fault = only_fault(document, targets=["0"])

    assert "... 4961 more ..." in fault.details
    assert len(fault.details) < 1000


def test_targets_have_to_be_nodes_of_the_graph() -> None:
    fault = only_fault(GOOD, targets=["9", "77"])

    assert (fault.type, fault.node) == ("missing_target", None)
    assert "'77' is wanted" in fault.details
    assert only_fault(GOOD, targets=[]).type == "prompt_no_outputs"


def test_a_graph_that_shows_nothing_is_a_fault() -> None:
    for document in ({}, {"4": entry("Load")}):
        fault = only_fault(document)
        assert (fault.type, fault.message) == ("prompt_no_outputs", "Prompt has no outputs")


def test_a_document_has_to_be_an_object() -> None:
    for document, what in (([], "a list"), ("x", "text"), (None, "null"), (3, "a number")):
        with pytest.raises(DocumentError, match=f"an object of nodes by id, not {what}"):
            validate(document, REGISTRY)


def test_too_many_nodes_are_one_fault() -> None:
    document = {str(i): None for i in range(11)}

    fault = only_fault(document, max_nodes=10)

    assert fault.type == "prompt_too_large"
    assert "the graph has 11 nodes; the limit is 10" in fault.details
    assert MAX_NODES == 100_000


def test_ten_thousand_nodes_are_validated_and_planned() -> None:
    document: dict[str, Any] = {"0": entry("Sample", model=["load", 0]), "load": entry("Load")}
    for i in range(1, 10_000):
        document[str(i)] = entry("Sample", model=["load", 0], image=[str(i - 1), 0])
    document["out"] = entry("Save", image=["9999", 0])

    plan = make_plan(validate(document, REGISTRY), Keys())

    assert len(plan.steps) == 10_002
    assert [step.id for step in plan.steps[:3]] == ["load", "0", "1"]


def test_many_unknown_names_take_no_time() -> None:
    document = {str(i): entry(f"Unknown{i}" * 20) for i in range(3000)}

    faults = check(document, REGISTRY).faults

    assert len(faults) == 3000


# -- JSON ----------------------------------------------------------------------------------------


def test_json_is_read_from_text_bytes_and_files(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1]}')

    assert parse('{"a": [1]}') == parse(b'{"a": [1]}') == read(path) == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1,\n  "b" 2}', "graph is not JSON: line 2, column 7: Expecting ':' delimiter"),
        (b"\xff\xfe\xfd", "graph is not UTF-8 text"),
        ("[" * 200_000, "graph is nested too deep"),
        ("9" * 5000, "graph is not usable JSON"),
        ("", "graph is not JSON: line 1, column 1"),
    ],
)
def test_text_that_is_no_json_is_refused_with_its_place(text: str | bytes, complaint: str) -> None:
    with pytest.raises(DocumentError) as error:
        parse(text, source="graph")

    assert complaint in str(error.value)


def test_too_long_a_text_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_text("x" * 101)

    for attempt in (lambda: parse("x" * 101, max_bytes=100), lambda: read(path, max_bytes=100)):
        with pytest.raises(DocumentError, match="has 101 bytes; the limit is 100"):
            attempt()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"nowhere\.json cannot be read: No such file"):
        read(tmp_path / "nowhere.json")
    with pytest.raises(DocumentError, match="cannot be read: Is a directory"):
        read(tmp_path)


# -- expansions ----------------------------------------------------------------------------------


def test_an_expansion_may_link_to_nodes_outside() -> None:
    outside = {"4": REGISTRY.nodes["Load"]}
    nodes = check_expansion({"a": entry("Sample", model=["4", "model"])}, REGISTRY, outside)

    assert nodes["a"].inputs["model"] == Link("4", 0)


def test_a_wrong_expansion_lists_its_faults() -> None:
    nodes = {"a": entry("Sample", model=["5", 0]), "b": entry("Even", a=1)}

    with pytest.raises(InvalidGraph) as error:
        check_expansion(nodes, REGISTRY, {})

    assert [fault.node for fault in error.value.faults] == ["a", "b"]


def test_a_checked_document_without_faults_gives_its_graph() -> None:
    checked = check(GOOD, REGISTRY)

    assert checked.require() is checked.graph
    assert isinstance(checked, Checked)
    assert isinstance(Registry(), Registry)
