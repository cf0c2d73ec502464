"""The server tells what became of each plugin, without where it is, and runs all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin_support import plugin, shouting
from server_process import ServerProcess, serving, until


def fill(folder: Path) -> None:
    shouting(folder, manifest='version: "1.2"\ntouches: [files]')
    plugin(folder, "broken", {"bad": "open('/etc/no_such_file')"})
    shouting(folder, "loud_too", "nodes: [Shout]")
    plugin(folder, "phones_home", {"words": ""}, "touches: [network]")
    plugin(folder, "idle", {"words": ""})
    (folder / "unreadable").mkdir()
    (folder / "unreadable" / "plugin.yaml").write_text("name: [")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("plugins")
    fill(folder / "mine")
    settings = {
        "plugins": str(folder / "mine"),
        "plugin_permissions": "loud.files",
        "disabled_plugins": "idle",
    }
    with serving(folder, settings=settings) as server:
        yield server


@pytest.mark.parametrize("path", ["/plugins", "/api/plugins"])
def test_every_plugin_is_listed_with_its_state_and_reason(server: ServerProcess, path: str) -> None:
    found: dict[str, dict[str, Any]] = {each["name"]: each for each in server.get(path)}

    assert {name: each["state"] for name, each in found.items()} == {
        "loud": "loaded",
        "broken": "broken",
        "loud_too": "refused",
        "phones_home": "needs permission",
        "idle": "disabled",
        "unreadable": "broken",
    }
    assert found["loud"] == {
        "name": "loud",
        "version": "1.2",
        "description": "",
        "state": "loaded",
        "nodes": ["Shout"],
        "touches": ["files"],
        "web": [],
        "reason": "",
        "warnings": [],
    }
    assert found["broken"]["reason"].startswith(
        "plugin broken: bad.py, line 1: FileNotFoundError: "
    )
    assert "plugin_permissions: {phones_home: [network]}" in found["phones_home"]["reason"]
    assert "of plugin loud in plugins/loud, and" in found["loud_too"]["reason"]


def test_no_place_of_this_computer_is_told(server: ServerProcess) -> None:
    text = server.request("GET", "/plugins").body.decode()

    assert str(server.folder) not in text
    assert "/etc" not in text
    assert "Traceback" not in text


def test_the_log_says_why_a_plugin_is_not_there(server: ServerProcess) -> None:
    text = until(lambda: server.get("/internal/logs"))

    assert "warning: plugin broken: bad.py, line 1: FileNotFoundError" in text
    assert "plugin loud_too: two nodes are named Shout" in text
    assert "idle" not in text


def test_the_nodes_of_those_that_are_loaded_run(server: ServerProcess) -> None:
    graph = {
        "1": {"class_type": "Shout", "inputs": {"text": "hi"}},
        "2": {"class_type": "Show", "inputs": {"value": ["1", 0]}},
    }

    ended = server.ended(server.submit(graph))

    assert ended["outputs"] == {"2": {"text": ["HI!"]}}


def test_with_debug_the_places_are_told(tmp_path: Path) -> None:
    fill(tmp_path / "mine")

    with serving(tmp_path, "--debug", settings={"plugins": str(tmp_path / "mine")}) as server:
        text = server.request("GET", "/plugins").body.decode()

    assert str(tmp_path / "mine") in text
