"""The ecosystem's own client packages, unchanged, with a server they have never heard of."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comfy_api_simplified import ComfyApiError, ComfyApiWrapper, ComfyWorkflowWrapper
from editor_files import EditorFile
from PIL import Image
from server_listener import busy, faultless, fresh, node, open_gate, running_ids, saving, sockets
from server_process import WAIT, ServerProcess, serving, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("clients")) as server:
        yield server
        faultless(server)


def titled(**nodes: dict[str, Any]) -> dict[str, Any]:
    """Nodes by title; a link names the title."""
    ids = {title: str(number) for number, title in enumerate(nodes, 1)}
    return {
        ids[title]: {
            **entry,
            "inputs": {
                name: [ids[value[0]], 0] if isinstance(value, list) else value
                for name, value in entry["inputs"].items()
            },
            "_meta": {"title": title},
        }
        for title, entry in nodes.items()
    }


# -- comfy-api-simplified --------------------------------------------------------------------------


@pytest.fixture
def api(server: ServerProcess) -> ComfyApiWrapper:
    return ComfyApiWrapper(server.url)


def test_simplified_gets_the_pictures_of_its_graph(
    server: ServerProcess, api: ComfyApiWrapper, tmp_path: Path
) -> None:
    graph = titled(
        number=node("Steps", value=1, count=20, seconds=0.01),
        save=node("Write", value=["number"], prefix="simplified", copies=2),
    )
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(graph))
    workflow = ComfyWorkflowWrapper(file)
    workflow.set_node_param("number", "value", fresh())

    found = api.queue_and_wait_images(workflow, "save")

    names = ["simplified_00001_.png", "simplified_00002_.png"]
    assert list(found) == names
    for name in names:
        assert found[name] == (server.folder / "output" / name).read_bytes()
        assert Image.open(io.BytesIO(found[name])).size == (4, 4)


def test_simplified_waits_although_the_job_has_ended_or_is_cached(
    server: ServerProcess, api: ComfyApiWrapper
) -> None:
    graph = titled(save=node("Write", value=fresh(), prefix="quick"))

    first, second = (api.queue_and_wait_images(graph, "save") for _ in range(2))

    assert list(first) == ["quick_00001_.png"]
    assert second == first


def test_simplified_waits_for_its_turn_behind_others(
    server: ServerProcess, api: ComfyApiWrapper
) -> None:
    graph = titled(save=node("Write", value=fresh(), prefix="behind"))
    found: list[dict[str, bytes]] = []
    with busy(server) as running:
        waiter = threading.Thread(
            target=lambda: found.append(api.queue_and_wait_images(graph, "save"))
        )
        waiter.start()
        until(lambda: server.get("/queue")["queue_pending"])
        [item] = api.get_queue()["queue_pending"]
        assert api.get_queue_size_before(item[1]) == 1
        assert api.get_queue_size_before(running) == 0
        assert found == []
    waiter.join(WAIT)

    assert [list(each) for each in found] == [["behind_00001_.png"]]


def test_simplified_gets_pictures_that_are_sent_over_the_websocket(api: ComfyApiWrapper) -> None:
    graph = titled(one=node("SendPicture", value=11), two=node("SendPicture", value=22))

    found = api.queue_and_wait_images(graph, "one")

    pictures = [Image.open(io.BytesIO(data)) for data in found.values()]
    assert [picture.getpixel((0, 0)) for picture in pictures] == [(11, 0, 0), (22, 0, 0)]


def test_simplified_is_told_what_goes_wrong(server: ServerProcess, api: ComfyApiWrapper) -> None:
    gate = f"fails-{fresh()}"
    failing = titled(
        wait=node("Wait", gate=gate, value=1),  # until it listens: else it does not look
        bad=node("Fail", value=["wait"]),
        save=node("Save", value=["bad"]),
    )
    wrong = titled(bad=node("Count", value=-1), save=node("Save", value=["bad"]))

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(api.queue_and_wait_images, failing, "save")
        until(lambda: sockets(server) or waiting.done())
        open_gate(server, gate)
        with pytest.raises(ComfyApiError, match="Execution error occurred"):
            waiting.result(WAIT)
    with pytest.raises(ComfyApiError, match="400: Bad Request"):
        api.queue_and_wait_images(wrong, "save")


def test_simplified_uploads_and_looks_around(
    server: ServerProcess, api: ComfyApiWrapper, tmp_path: Path
) -> None:
    picture = tmp_path / "up.png"
    Image.new("RGB", (5, 7), (1, 2, 3)).save(picture)

    uploaded = api.upload_image(picture)

    assert uploaded == {"name": "up.png", "subfolder": "default_upload_folder", "type": "input"}
    again = api.get_image(uploaded["name"], uploaded["subfolder"], uploaded["type"])
    assert Image.open(io.BytesIO(again)).getpixel((2, 2)) == (1, 2, 3)
    assert api.get_object_info("Add") == {"Add": server.get("/object_info/Add")["Add"]}
    assert set(api.get_object_info()) == set(server.get("/object_info"))
    assert api.get_system_stats()["devices"][0]["type"] == "cpu"
    assert api.get_embeddings() == []
    with busy(server) as running:
        api.interrupt()
        assert not server.ended(running)["status"]["completed"]


def test_simplified_knows_a_password(tmp_path: Path) -> None:
    with serving(tmp_path, settings={"token": "sesame-open-the-door"}, ready=False) as server:
        word = base64.b64encode(b"me:sesame-open-the-door").decode()
        server.headers["Authorization"] = f"Basic {word}"
        api = ComfyApiWrapper(server.url, "me", "sesame-open-the-door")
        graph = titled(save=node("Write", value=1, prefix="secret"))

        found = api.queue_and_wait_images(graph, "save")

        assert list(found) == ["secret_00001_.png"]
        with pytest.raises(ComfyApiError, match="401"):
            ComfyApiWrapper(server.url).queue_and_wait_images(graph, "save")


# -- comfy-cli -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comfy:
    """Calls `comfy`, which keeps what it remembers in `home` and tells nobody."""

    server: ServerProcess
    home: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment |= {"HOME": str(self.home), "DO_NOT_TRACK": "1", "COMFY_NO_WATCH": "1"}
        place = ("--host", "127.0.0.1", "--port", str(self.server.port))
        return subprocess.Popen(
            [sys.executable, "-m", "comfy_cli", *arguments, *place],
            env={**environment, "PYTHONWARNINGS": "ignore"},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, graph: Any, code: int = 0) -> list[dict[str, Any]]:
        """What `comfy run` says of a graph, line by line."""
        file = self.home / "workflow.json"
        file.write_text(json.dumps(graph))
        process = self.start("run", "--workflow", str(file), "--wait", "--json")
        out, errors = process.communicate(timeout=2 * WAIT)
        assert process.returncode == code, (out, errors)
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def comfy(server: ServerProcess, tmp_path: Path) -> Comfy:
    return Comfy(server, tmp_path)


def of(lines: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == type]


def test_comfy_runs_a_graph_and_says_where_the_pictures_are(
    server: ServerProcess, comfy: Comfy
) -> None:
    graph = titled(
        number=node("Steps", value=fresh(), count=3, seconds=0.0),
        save=node("Write", value=["number"], prefix="comfy", copies=2),
    )

    lines = comfy.run(graph)

    assert [line["node"] for line in of(lines, "executing")] == ["1", "2"]
    assert of(lines, "progress")[-1]["total"] == 3
    [executed] = of(lines, "executed")
    assert [file["filename"] for file in executed["outputs"]] == [
        "comfy_00001_.png",
        "comfy_00002_.png",
    ]
    [end] = of(lines, "envelope")
    assert end["ok"] is True
    assert end["data"]["status"] == "completed"
    assert end["data"]["executed_node_ids"] == ["1", "2"]
    for url, file in zip(end["data"]["outputs"], ("1", "2"), strict=True):
        picture = server.request("GET", url.removeprefix(server.url))
        name = f"comfy_0000{file}_.png"
        assert picture.body == (server.folder / "output" / name).read_bytes()
    [queued] = of(lines, "queued")
    job = server.get(f"/jobs/{queued['prompt_id']}")
    assert job["workflow"]["extra_data"]["comfy_usage_source"].startswith("comfy-cli")

    [end] = of(comfy.run(graph), "envelope")
    assert (end["data"]["cached_node_ids"], end["ok"]) == (["1", "2"], True)


def test_comfy_converts_an_editors_file_with_our_node_types_as_we_do(
    server: ServerProcess, comfy: Comfy
) -> None:
    value = fresh()
    file = (
        EditorFile(last_node_id=4, last_link_id=2, groups=[], config={}, extra={})
        .node(1, "Add", [value, 2], gives="INT", order=0, pos=[0, 0], size=[1, 1], flags={})
        .node(2, "Reroute", gives="*", order=1, pos=[0, 0], size=[1, 1], flags={})
        .node(3, "Save", ["editor"], order=2, pos=[0, 0], size=[1, 1], flags={})
        .node(4, "Note", ["n"], order=3, pos=[0, 0], size=[1, 1], flags={})
        .link(1, 0, 2, "", "*")
        .link(2, 0, 3, "value", "INT")
    )

    lines = comfy.run(file.data)

    [preview] = of(lines, "prompt_preview")
    [converted] = of(lines, "converted")
    assert converted["node_count"] == 2
    ours = server.ended(server.submit(file.data))["prompt"][2]
    theirs = preview["prompt"]
    assert {id: entry["inputs"] for id, entry in theirs.items()} == {
        id: entry["inputs"] for id, entry in ours.items()
    }
    [end] = of(lines, "envelope")
    assert end["data"]["status"] == "completed"


def test_comfy_is_told_which_node_failed(comfy: Comfy) -> None:
    graph = titled(bad=node("Fail", value=fresh()), save=node("Show", value=["bad"]))

    lines = comfy.run(graph, code=1)

    [event] = of(lines, "execution_error")
    assert event["details"]["node_id"] == "1"
    [end] = of(lines, "envelope")
    assert end["ok"] is False
    assert end["error"]["details"]["class_type"] == "Fail"


def test_comfy_is_told_that_its_job_was_interrupted(server: ServerProcess, comfy: Comfy) -> None:
    gate = f"comfy-{fresh()}"
    file = comfy.home / "workflow.json"
    graph = titled(wait=node("Wait", gate=gate, value=1), save=node("Show", value=["wait"]))
    file.write_text(json.dumps(graph))
    process = comfy.start("run", "--workflow", str(file), "--wait", "--json")
    until(lambda: running_ids(server) or process.poll() is not None)

    server.post("/interrupt")

    out, errors = process.communicate(timeout=2 * WAIT)
    assert process.returncode == 130, (out, errors)
    [end] = of([json.loads(line) for line in out.splitlines()], "envelope")
    assert end["error"]["code"] == "cancelled"
    open_gate(server, gate)
    assert server.ended(server.submit(saving()))["status"]["completed"]
