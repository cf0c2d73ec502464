"""What only this computer should know: its paths, environment, token, and what its code looks
like from inside. Every route and every error that can be provoked is searched for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from server_parts import form
from server_process import HOME, TESTS, ServerProcess, serving
from server_routes import PLACES
from server_wire import frame, frames, received, upgraded

TOKEN = "a-token-that-nobody-knows-0123456789"
CANARY = "a-value-of-the-environment"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY", CANARY)
        with serving(tmp_path_factory.mktemp("secrets"), settings={"token": TOKEN}) as server:
            server.headers = {"Authorization": f"Bearer {TOKEN}"}
            yield server


@pytest.fixture(scope="module")
def debugging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("debugging"), "--debug") as server:
        yield server


def secrets(server: ServerProcess) -> list[str]:
    """What may be in no answer."""
    places = [server.folder, server.folder.parent, HOME, TESTS, Path.home(), Path(sys.executable)]
    places += map(Path, [sys.prefix, sys.base_prefix, *site.getsitepackages()])
    words = [TOKEN, CANARY, os.environ["PATH"], "Traceback", 'File "', "site-packages"]
    return [*map(str, places), *words]


def assert_tight(server: ServerProcess, told: Any) -> None:
    """In an answer, or in JSON, is none of the secrets."""
    text = told.decode("latin-1") if isinstance(told, bytes) else json.dumps(told)
    for spelt in (text, text.replace("\\/", "/"), text.replace('\\"', '"')):
        for secret in secrets(server):
            around = max(0, spelt.find(secret) - 200)
            assert secret not in spelt, (secret, spelt[around : around + 600])


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def show(*, of: str = "1", **more: Any) -> dict[str, Any]:
    return {"9": node("Show", value=[of, 0]), **more}


# Jobs that fail, in words that hold what they should not.
FAILING = {
    "a path of this computer": show(**{"1": node("Leak")}),
    "a path of its system": show(**{"1": node("Leak", name="/etc/no-such-file")}),
    "a path of a module": show(**{"1": node("Leak", name="{home}/nodegraph/no-such.py")}),
    "a path of the interpreter": show(**{"1": node("Leak", name="{python}/lib/no-such.py")}),
    "an exception": show(**{"1": node("Fail", value=3)}),
    "no memory": show(**{"1": node("OutOfMemory")}),
    "an exit": show(**{"1": node("Exit")}),
    "a prefix that leads out": {"1": node("Save", value=1, prefix="../../x")},
    "a prefix into a file": {"1": node("Save", value=1, prefix="file/x")},
    "a prefix that is too long": {"1": node("Save", value=1, prefix="x" * 300)},
}


@pytest.mark.parametrize("case", FAILING)
def test_a_job_that_fails_tells_nothing_of_this_computer(server: ServerProcess, case: str) -> None:
    (server.folder / "output").mkdir(exist_ok=True)
    (server.folder / "output/file").touch()
    text = json.dumps(FAILING[case])
    graph = json.loads(text.replace("{home}", str(HOME)).replace("{python}", sys.base_prefix))
    told = asyncio.run(followed(server, graph))

    entry = server.ended(told[-1]["data"]["prompt_id"])
    assert entry["status"]["status_str"] == "error"
    # Who sends a path may be sent it back, in the graph; not in what became of it.
    outcome = {key: value for key, value in entry.items() if key != "prompt"}
    messages = [each for each in told if each["type"] != "status"]
    for each in (outcome, messages):
        assert_tight(server, each)
    id = told[-1]["data"]["prompt_id"]
    assert_tight(server, server.get(f"/jobs/{id}/events"))
    assert_tight(server, server.get(f"/jobs/{id}")["execution_error"])
    assert_tight(server, server.get("/internal/logs"))
    assert_tight(server, server.get("/internal/logs/raw"))


async def followed(server: ServerProcess, graph: Any) -> list[dict[str, Any]]:
    """Run a graph over a websocket; all that a client is told until its result."""
    told: list[dict[str, Any]] = []
    async with (
        aiohttp.ClientSession(headers=server.headers) as session,
        session.ws_connect(server.ws + "?clientId=me", max_msg_size=0) as ws,
    ):
        await session.patch(
            f"{server.url}/internal/logs/subscribe", json={"clientId": "me", "enabled": True}
        )
        await ws.send_json({"type": "submit", "id": 1, "data": {"prompt": graph, "images": True}})
        async for message in ws:
            assert message.type is aiohttp.WSMsgType.TEXT
            told.append(message.json())
            if told[-1]["type"] in ("result", "refused"):
                return told
    raise AssertionError(told)


WRONG_GRAPHS: dict[str, Any] = {
    "a missing checkpoint": show(**{"1": node("Read", name="nothing.safetensors")}),
    "a checkpoint elsewhere": show(**{"1": node("Read", name="../../x")}),
    "a missing picture": {"1": node("Look", name="nothing.png [output]")},
    "no type": show(**{"1": node("Nothing")}),
    "no link": show(of="77"),
    "a wrong type": {"1": node("Add", left="x"), "2": node("Show", value=["1", 0])},
    "a check of the node's own": show(**{"1": node("Picky", value=3)}),
    "no graph": [],
    "an editor's file": {"nodes": [{"id": 1}], "links": [[1]], "version": 1},
}


@pytest.mark.parametrize("case", WRONG_GRAPHS)
def test_a_refusal_tells_nothing_of_this_computer(server: ServerProcess, case: str) -> None:
    for path in ("/prompt", "/validate"):
        answer = server.request("POST", path, {"prompt": WRONG_GRAPHS[case]})

        assert_tight(server, answer.body)


def test_no_route_tells_anything_of_this_computer(server: ServerProcess) -> None:
    server.post("/history", {"clear": True})  # who sent a path in a graph is sent it back
    (server.folder / "models/checkpoints").mkdir(parents=True, exist_ok=True)
    (server.folder / "models/checkpoints/a.safetensors").write_bytes(b"broken")
    (server.folder / "output/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    bodies = (None, b"{", b"[]", b"{}", b"\xff", b'{"delete":[1]}')
    queries = (
        "",
        "?filename=broken.png",
        "?filename=broken.png&preview=webp",
        "?dir=x",
        "?limit=x",
    )
    for method, path in PLACES:
        for query in queries:
            for body in bodies if method != "GET" else bodies[:1]:
                answer = server.request(method, path + query, body)
                assert answer.status < 500, (method, path, answer)
                assert_tight(server, answer.body)
                assert_tight(server, str(answer.headers))
        for kind in ("output", "checkpoints", "a.safetensors", "Leak", "Read"):
            assert_tight(server, server.request(method, path.replace("x", kind)).body)


def test_uploads_that_fail_tell_nothing_of_this_computer(server: ServerProcess) -> None:
    (server.folder / "input").mkdir(exist_ok=True)
    (server.folder / "input/file").touch()
    for fields in (
        {"filename": "x" * 300 + ".png"},
        {"subfolder": "file"},
        {"subfolder": "../x"},
        {"type": "nothing"},
    ):
        for content in (b"no picture", PNG):
            body, kind = form(content, **fields)
            for path in ("/upload/image", "/upload/mask"):
                answer = server.request("POST", path, body, {"Content-Type": kind})
                assert answer.status < 500, answer
                assert_tight(server, answer.body)


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fccf"
    "c0f01f0005050201bf8bd8d50000000049454e44ae426082"
)


def test_messages_that_are_refused_tell_nothing_of_this_computer(tmp_path: Path) -> None:
    with serving(tmp_path) as server, upgraded(server) as connection:
        for text in (
            b'{"type":"submit","id":1,"data":{"prompt":{"1":{"class_type":"Read"}}}}',
            b'{"type":"result","id":2,"data":{"prompt_id":"x"}}',
            b'{"type":"nothing","id":3}',
            b'{"type":"subscribe","id":4,"data":{"prompt_id":[]}}',
            b'{"type":"submit","id":5,"data":[]}',
        ):
            connection.sendall(frame(1, text))
        connection.settimeout(1)
        told = [payload for _, payload in frames(received(connection))]

    assert any(b'"id":5' in each for each in told), told
    for each in told:
        assert_tight(server, each)


def test_with_debug_a_client_is_told_where_a_node_failed(debugging: ServerProcess) -> None:
    id = debugging.submit(FAILING["a path of this computer"])

    entry = debugging.ended(id)

    (error,) = [data for type, data in entry["status"]["messages"] if type == "execution_error"]
    assert str(debugging.folder) in error["exception_message"]
    assert any("server_nodes.py" in line for line in error["traceback"])
