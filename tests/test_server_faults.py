"""Graphs with faults at POST /prompt and /validate: which error each is, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from server_listener import Graph, faultless, fresh, node, refused, saving
from server_process import ServerProcess, serving

LIMITS = {"max_nodes": "100"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("faults"), settings=LIMITS) as server:
        yield server
        faultless(server)


SAVE = node("Save", value=["1", 0])
# The graph, the fault's type, its message, a word of its details, and what else is known of it.
FAULTS: dict[str, tuple[Graph, str, str, str, dict[str, Any]]] = {
    "missing input": (
        {"1": node("Add"), "2": SAVE},
        "required_input_missing",
        "Required input is missing",
        "left is required",
        {"input_name": "left"},
    ),
    "half a link": (
        {"1": node("Add", left=["9"]), "2": SAVE},
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        "['9'] is not a link",
        {"input_name": "left", "input_config": ["INT", {}], "received_value": ["9"]},
    ),
    "link to nowhere": (
        {"1": node("Add", left=["99", 0]), "2": SAVE},
        "bad_linked_input",
        "Bad linked input, the node it names does not exist",
        "'99', which is not in the graph",
        {"input_name": "left", "input_config": ["INT", {}], "received_value": ["99", 0]},
    ),
    "no such output": (
        {"0": node("Count"), "1": node("Add", left=["0", 3]), "2": SAVE},
        "bad_linked_input",
        "Bad linked input, the output it names does not exist",
        "node 0 (Count) has no output 3",
        {"input_name": "left", "input_config": ["INT", {}], "received_value": ["0", 3]},
    ),
    "other type": (
        {"0": node("Join", words="a"), "1": node("Add", left=["0", 0]), "2": SAVE},
        "return_type_mismatch",
        "Return type mismatch between linked nodes",
        "left, received_type(STRING) mismatch input_type(INT)",
        {
            "input_name": "left",
            "input_config": ["INT", {}],
            "received_type": "STRING",
            "linked_node": ["0", 0],
        },
    ),
    "no number": (
        {"1": node("Add", left="x"), "2": SAVE},
        "invalid_input_type",
        "Failed to convert an input value to a INT value",
        "'x' is not a whole number",
        {
            "input_name": "left",
            "input_config": ["INT", {}],
            "received_value": "x",
            "exception_message": "'x' is not a whole number",
        },
    ),
    "part of a number": (
        {"1": node("Add", left=2.9), "2": SAVE},
        "invalid_input_type",
        "Failed to convert an input value to a INT value",
        "2.9 is not a whole number",
        {"received_value": 2.9},
    ),
    "truth as number": (
        {"1": node("Add", left=True), "2": SAVE},
        "invalid_input_type",
        "Failed to convert an input value to a INT value",
        "True is not a whole number",
        {"received_value": True},
    ),
    "more than 64 bits": (
        {"1": node("Add", left=10**30), "2": SAVE},
        "invalid_input_type",
        "Failed to convert an input value to a INT value",
        "64 bits",
        {"received_value": 10**30},
    ),
    "NaN": (
        {"1": node("Count", ratio=float("nan")), "2": SAVE},
        "invalid_input_type",
        "Failed to convert an input value to a FLOAT value",
        "nan is not a finite number",
        {"input_name": "ratio"},
    ),
    "infinity": (
        {"1": node("Count", ratio=float("-inf")), "2": SAVE},
        "invalid_input_type",
        "Failed to convert an input value to a FLOAT value",
        "-inf is not a finite number",
        {"input_name": "ratio"},
    ),
    "too small": (
        {"1": node("Count", value=-1), "2": SAVE},
        "value_smaller_than_min",
        "Value -1 smaller than min of 0",
        "-1 is below the smallest value, 0",
        {
            "input_name": "value",
            "input_config": ["INT", {"default": 1, "min": 0, "max": 100}],
            "received_value": -1,
        },
    ),
    "too large": (
        {"1": node("Count", value=101), "2": SAVE},
        "value_bigger_than_max",
        "Value 101 bigger than max of 100",
        "101 is above the largest value, 100",
        {"received_value": 101},
    ),
    "no such choice": (
        {"1": node("Count", mode="zzz"), "2": SAVE},
        "value_not_in_list",
        "Value not in list",
        "mode: 'zzz' is not among up, down",
        {
            "input_name": "mode",
            "input_config": [["up", "down"], {"default": "up"}],
            "received_value": "zzz",
        },
    ),
    "no such file": (
        {"1": node("Read", name="gone.txt"), "2": SAVE},
        "value_not_in_list",
        "Value not in list",
        "name: 'gone.txt' is not in checkpoints",
        {"input_name": "name", "received_value": "gone.txt"},
    ),
    "the node's own check": (
        {"1": node("Picky", value=3), "2": SAVE},
        "custom_validation_failed",
        "Custom validation failed for node",
        "3 is odd",
        {},
    ),
    "cycle": (
        {"1": node("Add", left=["3", 0]), "3": node("Add", left=["1", 0]), "2": SAVE},
        "dependency_cycle",
        "Dependency cycle detected",
        "these nodes wait for each other: 1 -> 3 -> 1",
        {},
    ),
    "itself": (
        {"1": node("Add", left=["1", 0]), "2": SAVE},
        "dependency_cycle",
        "Dependency cycle detected",
        "1 -> 1",
        {},
    ),
    "no inputs": (
        {"1": {"class_type": "Count"}, "2": SAVE},
        "missing_inputs",
        "Node has no inputs",
        "inputs is missing",
        {},
    ),
    "a list of inputs": (
        {"1": {"class_type": "Count", "inputs": []}, "2": SAVE},
        "missing_inputs",
        "Node has no inputs",
        "inputs is a list",
        {},
    ),
    "no node at all": (
        {"1": 5, "2": SAVE},  # type: ignore[dict-item]
        "invalid_node",
        "Node is not an object",
        "not a number",
        {},
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_named_with_its_node_and_its_input(server: ServerProcess, case: str) -> None:
    graph, kind, message, words, facts = FAULTS[case]

    answer = refused(server, {"prompt": graph})

    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    assert answer["error"]["message"] == "Prompt outputs failed validation"
    assert f"{message}: node 1" in answer["error"]["details"]
    assert set(answer["node_errors"]) == {"1"}
    entry = answer["node_errors"]["1"]
    assert entry["dependent_outputs"] == ["2"]
    given = graph["1"]
    assert entry["class_type"] == (given["class_type"] if isinstance(given, dict) else None)
    [error] = entry["errors"]
    assert (error["type"], error["message"]) == (kind, message)
    assert words in error["details"]
    assert {name: error["extra_info"].get(name) for name in facts} == facts


@pytest.mark.parametrize("case", FAULTS)
def test_validate_says_the_same_and_runs_nothing(server: ServerProcess, case: str) -> None:
    graph = FAULTS[case][0]
    before = server.get("/jobs")["pagination"]["total"]

    found = server.post("/validate", {"prompt": graph})

    answer = refused(server, {"prompt": graph})
    assert found == {"valid": False, **answer}
    assert server.get("/jobs")["pagination"]["total"] == before


def test_all_faults_are_listed_at_once(server: ServerProcess) -> None:
    graph = {
        "1": node("Count", value=-1, mode="zzz"),
        "2": node("Add", left=["1", 0], right=["7", 0]),
        "3": node("Save", value=["2", 0]),
        "4": node("Show", value=["1", 0]),
    }

    answer = refused(server, {"prompt": graph})

    found = answer["node_errors"]
    assert {id: [e["type"] for e in entry["errors"]] for id, entry in found.items()} == {
        "1": ["value_smaller_than_min", "value_not_in_list"],
        "2": ["bad_linked_input"],
    }
    assert found["1"]["dependent_outputs"] == ["3", "4"]
    assert found["2"]["dependent_outputs"] == ["3"]
    assert len(answer["error"]["details"].splitlines()) == 3


@pytest.mark.parametrize(
    ("graph", "message", "details"),
    [
        (
            {"1": node("Coumt"), "2": SAVE},
            "Cannot execute because node Coumt does not exist.",
            "Node ID '#1': no node type is named 'Coumt'; did you mean Count?",
        ),
        (
            {"1": {"inputs": {}}, "2": SAVE},
            "Cannot execute because a node is missing the class_type property.",
            "Node ID '#1': give class_type, the name of a node type",
        ),
    ],
)
def test_a_node_of_no_known_type_makes_the_graph_invalid(
    server: ServerProcess, graph: Graph, message: str, details: str
) -> None:
    error = refused(server, {"prompt": graph})["error"]

    assert (error["type"], error["message"], error["details"]) == (
        "invalid_prompt",
        message,
        details,
    )


@pytest.mark.parametrize("graph", [{}, {"1": node("Count")}])
def test_a_graph_without_outputs_is_refused(server: ServerProcess, graph: Graph) -> None:
    answer = refused(server, {"prompt": graph})

    assert answer["error"] == {
        "type": "prompt_no_outputs",
        "message": "Prompt has no outputs",
        "details": "no node of the graph saves or shows anything; add a SaveImage",
        "extra_info": {},
    }
    assert answer["node_errors"] == {}


def test_what_can_be_made_is_made_although_something_else_cannot(server: ServerProcess) -> None:
    graph = {**saving(), "3": node("Count", value=-5), "4": node("Save", value=["3", 0])}

    answer = server.post("/prompt", {"prompt": graph})

    assert set(answer["node_errors"]) == {"3"}
    assert answer["node_errors"]["3"]["dependent_outputs"] == ["4"]
    entry = server.ended(answer["prompt_id"])
    assert entry["status"]["completed"]
    assert set(entry["outputs"]) == {"2"}
    assert entry["prompt"][4] == ["2"]


def test_what_is_merely_doubtful_is_a_warning(server: ServerProcess) -> None:
    graph = {"1": node("Add", left=fresh(), lfet=3), "2": SAVE, "3": node("Nonsense")}
    graph["4"] = node("Add", left=["3", 0])

    answer = server.post("/prompt", {"prompt": graph, "partial_execution_targets": ["2"]})

    assert answer["node_errors"] == {}
    by_node = {each["node_id"]: each for each in answer["warnings"]}
    assert set(by_node) == {"1", "3"}
    assert by_node["1"]["type"] == "unknown_input"
    assert by_node["1"]["details"] == "Add has no input named 'lfet'; it is ignored"
    assert server.ended(answer["prompt_id"])["status"]["completed"]


def test_a_graph_of_too_many_nodes_is_refused(server: ServerProcess) -> None:
    answer = refused(server, {"prompt": {str(i): node("Count") for i in range(101)}}, 413)

    assert answer["error"]["type"] == "prompt_too_large"
    assert answer["error"]["details"] == "the graph has 101 nodes; the limit is 100"
