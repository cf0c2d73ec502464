"""The editor's own files at POST /prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import server_nodes
import small_nodes
from command_line import CommandLine
from editor_files import EditorFile, subgraph
from server_listener import faultless, refused
from server_process import ServerProcess, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("editor")) as server:
        yield server
        faultless(server)


def text_of(server: ServerProcess, name: str) -> str:
    return (server.folder / "output" / name).read_text()


def editor_file(prefix: str = "editor") -> dict[str, Any]:
    """What the editor can say: 7 + 5, doubled in a subgraph of a subgraph, with all that is not a
    node of the graph on the way.
    """
    inner = subgraph("inner", inputs="number", outputs="sum")
    inner.node(1, "Add", [0, 0], gives="INT")
    inner.link(-10, 0, 1, "left", "INT", widget=True).link(-10, 0, 1, "right", "INT", widget=True)
    inner.out(1, 0, 0)
    outer = subgraph("outer", inputs="number", outputs="sum")
    outer.node(8, "inner", gives="sum").link(-10, 0, 8, "number", "INT").out(8, 0, 0)
    file = (
        EditorFile(id="workflow-1", groups=[], config={}, extra={})
        .node(1, "PrimitiveNode", [7, "randomize"], gives="INT")
        .node(2, "Add", [1, 5], gives="INT")
        .link(1, 0, 2, "left", "INT", widget=True)
        .node(3, "Reroute", gives="*")
        .link(2, 0, 3, "", "*")
        .node(4, "Note", ["a note"])
        .node(5, "Add", [0, 100], mode=4, gives="INT")
        .link(3, 0, 5, "left", "INT", widget=True)
        .node(6, "outer", gives="sum")
        .link(5, 0, 6, "number", "INT")
        .node(7, "Save", [prefix])
        .link(6, 0, 7, "value", "INT")
        .node(9, "Count", [3, "muted", 0.5, False, "up"], mode=2, gives="INT")
        .node(10, "Save", ["muted"])
        .link(9, 0, 10, "value", "INT")
        .node(11, "Dice", [12345, "increment", 9], gives="INT")
        .node(12, "Show")
        .link(11, 0, 12, "value", "INT")
        .defining(inner, outer)
    )
    return file.data


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_editors_own_file_runs(server: ServerProcess, wrapped: bool) -> None:
    file = editor_file("wrapped" if wrapped else "bare")

    answer = server.post("/prompt", {"prompt": file} if wrapped else file)

    entry = server.ended(answer["prompt_id"])
    assert entry["status"]["completed"], entry
    [saved] = entry["outputs"]["7"]["texts"]
    assert saved["filename"].startswith("wrapped" if wrapped else "bare")
    assert text_of(server, saved["filename"]) == "24"
    assert entry["outputs"]["12"] == {"text": [str(12345 * 7919 % 9)]}
    assert set(entry["outputs"]) == {"7", "12"}
    document = entry["prompt"][2]
    assert set(document) == {"2", "6:8:1", "7", "11", "12"}
    assert document["2"]["inputs"] == {"left": 7, "right": 5}
    assert document["6:8:1"]["inputs"] == {"left": ["2", 0], "right": ["2", 0]}
    assert document["11"]["inputs"] == {"seed": 12345, "sides": 9}


def test_the_editors_file_travels_with_its_job(server: ServerProcess) -> None:
    file = editor_file("travels")

    id = server.submit(file, extra_data={"extra_pnginfo": {"other": 1}})

    info = server.ended(id)["prompt"][3]["extra_pnginfo"]
    assert info == {"other": 1, "workflow": file}
    assert server.get(f"/jobs/{id}")["workflow_id"] == "workflow-1"


def test_what_the_conversion_left_out_is_a_warning(server: ServerProcess) -> None:
    answer = server.post("/prompt", {"prompt": editor_file("doubtful")})

    [warning] = answer["warnings"]
    assert warning["type"] == "conversion"
    assert "muted node 9" in warning["details"]


def test_the_command_line_says_the_same_of_an_editors_file(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = CommandLine(tmp_path, lambda: (small_nodes, server_nodes))
    good, bad = editor_file(), editor_file()
    by_id = {entry["id"]: entry for entry in bad["nodes"]}
    by_id[11]["widgets_values"][2] = "many"
    by_id[9]["mode"] = 0
    by_id[9]["widgets_values"][0] = 1000
    by_id[5]["type"] = "Addd"

    for file, code in ((good, 0), (bad, 3)):
        ours = server.post("/validate", {"prompt": file})
        theirs = call.answer("validate", call.file(file), code=code)

        assert ours["valid"] is (code == 0)
        assert found_in(ours) == found_in(theirs)
        warned = {warning["details"] for warning in ours.get("warnings", [])}
        assert len(theirs["warnings"]) == len(warned)
        assert all(any(text in said for said in theirs["warnings"]) for text in warned)
    assert {"11", "9"} <= set(ours["node_errors"])


def found_in(answer: dict[str, Any]) -> dict[str, Any]:
    """Where the faults are, and what they are."""
    return {
        id: (
            entry["class_type"],
            entry["dependent_outputs"],
            [e["details"] for e in entry["errors"]],
        )
        for id, entry in answer["node_errors"].items()
    }


def test_an_editors_file_with_faults_is_refused_as_any_graph(server: ServerProcess) -> None:
    file = EditorFile().node(1, "Count", [-4, "", 0.5, False, "up"], gives="INT")
    file.node(2, "Save", ["x"]).link(1, 0, 2, "value", "INT")

    answer = refused(server, {"prompt": file.data})

    assert answer["node_errors"]["1"]["errors"][0]["type"] == "value_smaller_than_min"


@pytest.mark.parametrize(
    "file",
    [
        {"nodes": 3, "links": []},
        {"nodes": [], "links": []},
        {"nodes": [1], "links": [2]},
        {"nodes": [{"id": 1, "type": "Save", "widgets_values": 7}], "links": [[1]]},
        {"nodes": [{"id": {}, "type": []}], "links": None},
        {
            "nodes": [{"id": 1, "type": "s"}],
            "links": [],
            "definitions": {"subgraphs": [{"id": "s"}]},
        },
        {"nodes": [], "links": [], "definitions": 5},
    ],
)
def test_a_broken_editors_file_is_refused(server: ServerProcess, file: Any) -> None:
    refused(server, {"prompt": file})
