"""The whole program: the real nodes, the embedded model, text to image by every way there is."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfyui_ports import TABLE, assert_order, assert_ports
from PIL import Image, ImageChops
from server_listener import FLAGS, faultless, listening, metadata, node, types
from server_process import HOME, WAIT, ServerProcess, serving, until

PROGRAM = f"""
import sys
sys.path.insert(0, {str(HOME)!r})
import main
main.main()
"""
SETTINGS = {"precision": "fp32", "preview_size": "128", "memory_cache_bytes": "1M"}
SETTINGS |= {"disk_cache_bytes": "0"}


def text_to_image(**changes: Any) -> dict[str, Any]:
    """The first example, made quick. changes: of the sampler."""
    graph: dict[str, Any] = json.loads((HOME / "workflows" / "text_to_image.json").read_text())
    graph["4"]["inputs"]["batch_size"] = 1
    graph["5"]["inputs"] |= {"steps": 4, "sampler_name": "euler", "scheduler": "normal", **changes}
    return graph


class Cold:
    """What a server says before its nodes are loaded, and what it answers when they are."""

    def __init__(self, server: ServerProcess) -> None:
        self.health = server.get("/healthz")
        self.queue = server.get("/queue")
        self.answers: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self.submit, args=(server,))
        self.thread.start()

    def submit(self, server: ServerProcess) -> None:
        body = {"prompt": text_to_image(seed=1), "client_id": "early"}
        self.answers.append(server.post("/prompt", body))


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Cold]]:
    folder = tmp_path_factory.mktemp("model")
    with serving(folder, program=PROGRAM, settings=SETTINGS, ready=False) as server:
        yield server, Cold(server)
        faultless(server)


@pytest.fixture(scope="module")
def server(cold: tuple[ServerProcess, Cold]) -> ServerProcess:
    server, _ = cold
    until(lambda: server.get("/healthz")["status"] == "ok")
    return server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the command line works."""
    return tmp_path_factory.mktemp("by-hand")


@pytest.fixture(scope="module")
def by_hand(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`python main.py run` of the same graph, begun early because it takes its time."""
    (folder / "graph.json").write_text(json.dumps(text_to_image(seed=7)))
    with subprocess.Popen(
        [sys.executable, str(HOME / "main.py"), "run", "graph.json", "--precision", "fp32", "-q"],
        cwd=folder,
        env={**os.environ, "NODEGRAPH_DEVICE": "cpu", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def opened(data: bytes, format: str) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == format
    image.load()
    return image


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


def view(server: ServerProcess, file: dict[str, str]) -> bytes:
    query = "&".join(f"{name}={file[name]}" for name in ("filename", "subfolder", "type"))
    answer = server.request("GET", f"/view?{query}")
    assert answer.status == 200
    return answer.body


# -- the start -------------------------------------------------------------------------------------


def test_the_server_listens_before_its_nodes_are_loaded_and_keeps_what_it_is_sent(
    cold: tuple[ServerProcess, Cold], by_hand: Any
) -> None:
    server, said = cold

    assert said.health == {"status": "loading"}
    assert said.queue == {"queue_running": [], "queue_pending": []}
    said.thread.join(WAIT)
    [answer] = said.answers
    entry = server.ended(answer["prompt_id"])
    assert entry["status"]["completed"], entry
    assert server.get("/healthz") == {"status": "ok"}


# -- the catalogue ---------------------------------------------------------------------------------


def test_the_catalogue_says_of_every_node_what_the_ecosystems_says(server: ServerProcess) -> None:
    found = server.get("/object_info")

    for name in TABLE:
        assert_order(name, found[name])
        assert_ports(name, found[name])
    assert {entry["name"] for entry in found.values()} == set(found)


def test_clients_find_the_models_in_the_catalogue(server: ServerProcess) -> None:
    found = server.get("/api/object_info/CheckpointLoaderSimple")["CheckpointLoaderSimple"]

    assert found["input"]["required"]["ckpt_name"][0] == ["emoji.safetensors"]
    [device] = server.get("/system_stats")["devices"]
    assert (device["type"], device["index"]) == ("cpu", None)
    assert server.get("/models/checkpoints") == ["emoji.safetensors"]


# -- text to image ---------------------------------------------------------------------------------


def test_the_picture_is_the_one_that_the_command_line_makes(
    server: ServerProcess, by_hand: subprocess.Popen[str], folder: Path
) -> None:
    with listening(server, "draws") as me:
        id = server.submit(text_to_image(seed=7), client_id="draws")
        messages = me.ended(id)

    told = [each for each in types(messages) if not each.startswith("progress")]
    assert told[:2] == ["execution_start", "execution_cached"]
    ran = told[2:-6]
    cached = [f"executing {n}" for n in messages[1]["data"]["nodes"]]
    assert {*ran, *cached} == {f"executing {n}" for n in (1, 2, 3, 4)}
    assert told[-6:] == [
        *("executing 5", "executing 6", "executing 7", "executed 7"),
        *("execution_success", "executing"),
    ]
    steps = [m["data"] for m in messages if m["type"] == "progress" and m["data"]["node"] == "5"]
    assert [(step["value"], step["max"]) for step in steps] == [(n, 4) for n in (1, 2, 3, 4)]
    assert me.frames == []
    [file] = server.ended(id)["outputs"]["7"]["images"]
    picture = opened(view(server, file), "PNG")
    assert picture.size == (64, 64)
    out, _ = by_hand.communicate(timeout=2 * WAIT)
    [path] = out.split()
    theirs = Image.open(folder / path)
    assert same_pixels(picture, theirs)
    assert json.loads(picture.info["prompt"]) == json.loads(theirs.info["prompt"])


def test_previews_are_pictures_of_the_right_size(server: ServerProcess) -> None:
    with listening(server, "previews", **FLAGS) as me:
        id = server.submit(text_to_image(seed=8, steps=5000), client_id="previews")
        me.wait(lambda: len(me.frames) >= 3)
        server.post("/interrupt", {"prompt_id": id})
        me.ended(id)

    for frame in me.frames:
        kind, about, data = metadata(frame)
        assert (kind, about["node_id"], about["prompt_id"]) == (4, "5", id)
        assert opened(data, "JPEG").size == (128, 128)


def test_all_of_it_over_the_websocket_alone(server: ServerProcess) -> None:
    with listening(server, "alone") as me:
        reply = me.command("submit", prompt=text_to_image(seed=9), images=True)
        result = me.until(lambda m: m["type"] == "result")["data"]

    assert reply["data"]["node_errors"] == {}
    assert (result["status"], result["images"]) == ("success", 1)
    [frame] = me.frames
    kind, about, data = metadata(frame)
    [file] = result["outputs"]["7"]["images"]
    assert kind == 100
    assert {name: about[name] for name in file} == file
    assert data == view(server, file)
    assert opened(data, "PNG").size == (64, 64)


def test_pictures_that_are_sent_are_those_that_are_saved(server: ServerProcess) -> None:
    graph = text_to_image(seed=10)
    graph["8"] = node("SaveImageWebsocket", images=["6", 0])
    with listening(server, "sends") as me:
        id = server.submit(graph, client_id="sends")
        me.ended(id)

    [frame] = me.frames
    assert struct.unpack(">II", frame[:8]) == (1, 2)
    [file] = server.ended(id)["outputs"]["7"]["images"]
    assert same_pixels(opened(frame[8:], "PNG"), opened(view(server, file), "PNG"))


def test_image_to_image_with_an_uploaded_picture(server: ServerProcess) -> None:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), (250, 200, 40)).save(data, "PNG")
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="sun.png"\r\n\r\n'
    body = head + data.getvalue() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    uploaded = server.request("POST", "/upload/image", body, kind).json
    assert uploaded == {"name": "sun.png", "subfolder": "", "type": "input"}
    graph = text_to_image(seed=11, denoise=0.0)
    graph["8"] = node("LoadImage", image="sun.png")
    graph["4"] = node("VAEEncode", pixels=["8", 0], vae=["1", 2])

    [file] = server.ended(server.submit(graph))["outputs"]["7"]["images"]

    red, green, blue = opened(view(server, file), "PNG").resize((1, 1)).getpixel((0, 0))
    assert red > 200
    assert 150 < green < 240
    assert blue < 120
