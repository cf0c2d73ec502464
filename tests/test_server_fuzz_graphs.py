"""Graphs that nobody would write, posted: each is refused with its faults, or runs to an end."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from editor_files import EditorFile, subgraph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_values import SMALL, as_json, graphs, ids, scalars, texts, values, workflows
from server_process import Answer, ServerProcess, serving, until
from server_wire import assert_calm, assert_safe
from test_server_editor import editor_file

HERE = Path(__file__).parent
# The nodes of the workflows, by their ports: they give nothing when they run.
PROGRAM = """
import sys
from pathlib import Path
from nodegraph.cli import Core, main
def modules():
    import server_nodes, small_nodes, standin_nodes
    return (small_nodes, server_nodes, standin_nodes)
main(Core(modules, Path(sys.prefix)))
"""
BOUNDED = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONGER = settings(BOUNDED, max_examples=3000, derandomize=False)
MANY = 20_000  # nodes that a graph may have here
ORIGINS = [SMALL, editor_file(), *workflows(HERE.parent / "workflows").values()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder, limit = tmp_path_factory.mktemp("graphs"), {"max_nodes": str(MANY)}
    with serving(folder, program=PROGRAM, settings=limit) as server:
        yield server
        until(lambda: server.get("/prompt")["exec_info"]["queue_remaining"] == 0)
        assert_calm(server)


def submitted(server: ServerProcess, body: Any) -> Answer:
    """Post something. What is accepted has 30 seconds to run."""
    if isinstance(body, dict):
        body = {**body, "deadline": 30}
    answer = server.request("POST", "/prompt", as_json(body))
    assert_safe(answer)
    assert answer.status in (200, 400, 413), answer
    found = answer.json
    for node in found["node_errors"].values():
        assert node["errors"], found
        assert all(error["type"] and error["message"] for error in node["errors"]), found
    if answer.status == 200:
        assert found["prompt_id"], found
    return answer


def ran(server: ServerProcess, answer: Answer) -> str | None:
    """How a graph ended that was accepted."""
    if answer.status != 200:
        return None
    entry = server.ended(answer.json["prompt_id"])
    return str(entry["status"]["status_str"])


def test_the_origins_are_accepted_or_lack_what_is_not_here(server: ServerProcess) -> None:
    """Else what is made of them would be refused for one reason all the time."""
    for origin in ORIGINS:
        answer = submitted(server, {"prompt": origin})
        faults = [e for node in answer.json["node_errors"].values() for e in node["errors"]]

        lacks = {"value_not_in_list", "missing_node_type"}
        assert {fault["type"] for fault in faults} <= lacks, answer


@BOUNDED
@given(data=st.data())
def test_graphs_with_changes_are_refused_or_end(server: ServerProcess, data: st.DataObject) -> None:
    origin = data.draw(st.sampled_from(ORIGINS))
    ran(server, submitted(server, {"prompt": data.draw(graphs(origin))}))


@BOUNDED
@given(graph=values | st.dictionaries(ids, values))
def test_anything_as_a_graph_is_refused_or_ends(server: ServerProcess, graph: Any) -> None:
    ran(server, submitted(server, {"prompt": graph}))


@BOUNDED
@given(
    more=st.dictionaries(
        st.sampled_from(["client_id", "number", "front", "extra_data"]), values, max_size=3
    ),
    targets=st.none() | st.lists(ids | scalars, max_size=3),
)
def test_anything_beside_a_graph_is_refused_or_ends(
    server: ServerProcess, more: dict[str, Any], targets: Any
) -> None:
    more = {"prompt": SMALL, **more, "partial_execution_targets": targets}
    ran(server, submitted(server, more))


@pytest.mark.parametrize("field", ["client_id", "prompt_id"])
def test_half_a_character_is_refused_where_a_name_is_wanted(
    server: ServerProcess, field: str
) -> None:
    for more in ({field: "a\ud800"}, {"extra_data": {"client_id": "\udc00"}}):
        assert submitted(server, {"prompt": SMALL, **more}).status == 400
    for path in ("/queue", "/history"):
        assert_safe(server.request("POST", path, {"delete": ["\ud800"]}), status=400)


@BOUNDED
@given(data=st.data(), extra=st.dictionaries(texts, values, max_size=3))
def test_what_travels_with_a_graph_comes_back_as_it_was(
    server: ServerProcess, data: st.DataObject, extra: dict[str, Any]
) -> None:
    """Whatever the journal and the history make of it."""
    extra.pop("client_id", None)
    title = data.draw(texts)
    graph = {"é \ud800": {"class_type": "Show", "inputs": {"value": title}, "_meta": extra}}
    sent = json.loads(json.dumps({"prompt": graph, "extra_data": extra}))
    answer = submitted(server, sent)

    assert ran(server, answer) == "success"

    entry = server.ended(answer.json["prompt_id"])
    _, _, document, found, targets = entry["prompt"]
    assert as_json(without_nan(document)) == as_json(without_nan(sent["prompt"]))
    assert as_json(without_nan(found)) == as_json(without_nan(sent["extra_data"]))
    assert targets == ["é \ud800"]
    assert entry["outputs"]["é \ud800"] == {"text": [title]}


def without_nan(data: Any) -> Any:
    """NaN and Infinity as null, as answers give them."""
    return json.loads(json.dumps(data), parse_constant=lambda _: None)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@LONGER
@given(data=st.data())
def test_many_graphs_with_changes_are_refused_or_end(
    server: ServerProcess, data: st.DataObject
) -> None:
    origin = data.draw(st.sampled_from(ORIGINS))
    ran(server, submitted(server, {"prompt": data.draw(graphs(origin))}))


# -- large ones ----------------------------------------------------------------------------------


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def chain(length: int, **last: Any) -> dict[str, Any]:
    """Each node reads from the one before it."""
    first = {"0": node("Count", **last)}
    return first | {str(i): node("Add", left=[str(i - 1), 0], **last) for i in range(1, length)}


def shown() -> dict[str, Any]:
    return {f"x{i}": node("Show", value=[str(i), 0]) for i in range(MANY // 2)}


# Made when they are needed.
LARGE: dict[str, tuple[Callable[[], dict[str, Any]], int]] = {
    "as many as may be, unused": (
        lambda: {str(i): node("Count") for i in range(MANY - 1)} | {"x": node("Show", value=1)},
        200,
    ),
    "one too many": (lambda: {str(i): node("Count") for i in range(MANY + 1)}, 413),
    "all of no type": (lambda: {str(i): node(f"Nothing{i}") for i in range(MANY)}, 400),
    "all with a dangling link": (
        lambda: {str(i): node("Show", value=["nowhere", 0]) for i in range(MANY)},
        400,
    ),
    "all in one cycle": (
        lambda: (
            {str(i): node("Add", left=[str((i + 1) % MANY), 0]) for i in range(MANY - 1)}
            | {"x": node("Show", value=["0", 0])}
        ),
        400,
    ),
    "each a cycle": (
        lambda: {str(i): node("SaveTwice", value=[str(i), 0]) for i in range(MANY)},
        400,
    ),
    "each wrong and needed by all that follow": (
        lambda: chain(MANY // 2, right="x", value="x") | shown(),
        400,
    ),
    "all inputs unknown": (
        lambda: {"1": node("Show", value=1, **{f"u{i}": ["1", 0] for i in range(MANY)})},
        200,
    ),
    "an id of a million letters": (lambda: {"a" * 10**6: node("Show", value=1)}, 200),
    "a type of a million letters": (lambda: {"1": node("a" * 10**6)}, 400),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_large_graph_gets_its_answer_and_others_theirs_meanwhile(
    server: ServerProcess, case: str
) -> None:
    make, status = LARGE[case]
    server.post("/queue/pause")
    try:
        answer = submitted(server, {"prompt": make()})

        assert answer.status == status, answer.body[:1000]
        assert len(answer.body) < 4 << 20, "it tells of every fault"
    finally:
        server.post("/queue", {"clear": True})
        server.post("/queue/resume")
    assert ran(server, submitted(server, {"prompt": copy.deepcopy(SMALL)})) == "success"


def laughs(levels: int, width: int) -> dict[str, Any]:
    """An editor's file whose subgraphs hold each other many times: width ** levels nodes."""
    inner = subgraph("0", outputs="sum")
    for number in range(width):
        inner.node(number + 1, "Add", [1, 2], gives="INT")
    defined = [inner.out(1, 0, 0)]
    for level in range(1, levels):
        outer = subgraph(str(level), outputs="sum")
        for number in range(width):
            outer.node(number + 1, str(level - 1), gives="sum")
        defined.append(outer.out(1, 0, 0))
    file = EditorFile(id="w").node(1, str(levels - 1), gives="sum").node(2, "Show")
    return file.link(1, 0, 2, "value", "INT").defining(*defined).data


@pytest.mark.parametrize(("levels", "width"), [(10, 10), (25, 2), (500, 1)])
def test_subgraphs_in_subgraphs_are_not_written_out_without_end(
    server: ServerProcess, levels: int, width: int
) -> None:
    assert submitted(server, {"prompt": laughs(levels, width)}).status == 400
    assert ran(server, submitted(server, {"prompt": laughs(3, 3)})) == "success"


def test_a_graph_of_thousands_of_nodes_runs_and_others_are_answered(server: ServerProcess) -> None:
    graph = chain(4000) | {"x": node("Show", value=["3999", 0])}
    answer = submitted(server, {"prompt": graph})
    while server.get("/history/" + answer.json["prompt_id"]) == {}:
        assert server.get("/healthz") == {"status": "ok"}

    assert ran(server, answer) == "success"
