"""docs/server.md: its example runs as it stands there, and its tables leave nothing out."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from server_process import HOME, serving

from nodegraph.server.commands import COMMANDS
from nodegraph.settings import SETTINGS

TEXT = (HOME / "docs" / "server.md").read_text()
REAL = "import sys; sys.argv[0] = 'main.py'; from main import main; main()"


def test_the_example_writes_the_pictures_of_its_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "workflows").symlink_to(HOME / "workflows")
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "workflows").symlink_to(HOME / "workflows")
    monkeypatch.chdir(tmp_path / "client")
    names: dict[str, Any] = {}
    with serving(tmp_path, program=REAL) as server:
        code = example.replace("http://127.0.0.1:8188", server.url)
        assert len(code.splitlines()) <= 18
        definition = code.partition("print(")[0]
        exec(compile(definition, "server.md", "exec"), names)  # our own documentation

        last = asyncio.run(names["main"]())

    assert last["type"] == "result"
    assert last["data"]["status"] == "success"
    assert last["data"]["images"] == 4
    pictures = sorted((tmp_path / "client").glob("*.png"))
    assert [picture.name for picture in pictures] == [
        f"text_to_image_{number:05}_.png" for number in range(1, 5)
    ]
    saved = sorted((tmp_path / "output").glob("*.png"))
    assert [a.read_bytes() for a in pictures] == [b.read_bytes() for b in saved]
    assert pictures[0].read_bytes().startswith(b"\x89PNG")


def test_every_command_is_in_the_text() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \|", TEXT, re.MULTILINE)) >= set(COMMANDS)


def test_every_setting_in_the_table_exists() -> None:
    table = TEXT[TEXT.index("## Settings") :].partition("`GET /healthz`")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    assert len(names) > 15
    assert set(names) <= set(SETTINGS)
