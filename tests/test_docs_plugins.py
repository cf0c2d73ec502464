"""docs/plugins.md: its ten minutes work step by step, and its tables are what there is."""

from __future__ import annotations

import re
import runpy
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from lora_files import whole
from node_support import Desk
from plugin_support import taken_out
from safetensors.torch import load_file, save_file
from tiny_pipelines import save_folder, tiny

import nodes
from nodegraph.cli import Core
from nodegraph.cli.app import cli
from nodegraph.plugins import CAPABILITIES, Manifest, load_all
from nodegraph.plugins.reading import _KEYS
from nodegraph.registry import Registry
from nodegraph.settings import Settings
from nodes.diffusion.hooks import Asked
from nodes.models.checkpoint import inspect
from nodes.models.lora_file import read_lora
from nodes.types import Condition, Conditioning

pytestmark = pytest.mark.usefixtures("modules_as_before")
HOME = Path(__file__).parent.parent
TEXT = (HOME / "docs" / "plugins.md").read_text()
TUTORIAL = TEXT[: TEXT.index("## The manifest")]
REFERENCE = TEXT[TEXT.index("## The manifest") :]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the one the page is written for."""
    for name in ("models", "workflows"):
        (tmp_path / name).symlink_to(HOME / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NODEGRAPH_DEVICE", "cpu")
    return tmp_path


def alike(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_ten_minutes_work_step_by_step(folder: Path) -> None:
    kinds = []
    for found in BLOCK.finditer(TUTORIAL):
        kind, text = found[1], found[2]
        kinds.append(kind)
        if kind == "console":
            run(folder, *text.removeprefix("$ ").split("\n", 1))
        elif named := re.search(r"`(mine/fade/[\w.]+)`:\n\n$", TUTORIAL[: found.start()]):
            assert (folder / named[1]).is_file()
            (folder / named[1]).write_text(text)
        else:
            exec(compile(text, "plugins.md", "exec"), {})  # our own documentation

    assert kinds.count("console") == 5
    assert (folder / "output" / "text_to_image_00001_.png").is_file()


def run(folder: Path, command: str, expected: str) -> None:
    """A command of the page prints what the page shows."""
    words = shlex.split(command)
    if words[1] == "main.py":
        result = CliRunner().invoke(cli, words[2:], obj=Core(nodes.modules, folder))
        assert alike(result.stdout + result.stderr) == alike(expected)
        return
    assert words[1:3] == ["-m", "pytest"]
    [file] = Path(words[-1]).glob("test_*.py")
    tests = {name: test for name, test in runpy.run_path(str(file)).items() if name[:5] == "test_"}
    for test in tests.values():  # without the start of another Python, which takes long
        test()
    taken_out()
    assert expected.strip() == f"{len(tests)} passed"


def code_with(part: str) -> str:
    [code] = [text for kind, text in BLOCK.findall(REFERENCE) if kind == "python" and part in text]
    return str(code)


def loaded(tmp_path: Path, code: str) -> Registry:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "plugin.yaml").write_text("name: shown\nmodules: [shown]\n")
    (tmp_path / "shown" / "shown.py").write_text(code)
    registry = Registry()
    registry.register(*nodes.modules())
    assert load_all([tmp_path], registry) == []
    return registry


def test_the_conditioning_of_the_page_gets_louder(tmp_path: Path) -> None:
    registry = loaded(tmp_path, code_with("Louder"))
    given = Conditioning((Condition(torch.ones(1, 2, 3)),))

    [entry] = registry.nodes["PromptCrescendo"].function(given, gain=3.0).entries

    [attached] = entry.attached
    hook = registry.extensions["conditioning_kinds"][attached.kind](attached.data, None)
    x = torch.zeros(1, 4, 2, 2)
    heard = [hook.before(Asked(x, 0, 1.0, step, 3, entry.context)).context for step in range(3)]
    assert [tokens.mean().item() for tokens in heard] == [1.0, 2.0, 3.0]


def test_a_prompt_that_gets_louder_changes_the_picture(tmp_path: Path, folder: Path) -> None:
    from nodegraph import Engine

    loaded(tmp_path, code_with("Louder"))
    settings = Settings(models=(HOME / "models",), plugins=(tmp_path,), device="cpu")
    given = {"5.steps": 3, "4.batch_size": 1}
    pictures = []
    with Engine(nodes.modules(), settings) as engine:
        graph = engine.read(HOME / "workflows" / "text_to_image.json").document
        pictures.append(engine.run(graph, given, targets=["6"]).require()["6"][0])
        loud = {"class_type": "PromptCrescendo", "inputs": {"conditioning": ["2", 0], "gain": 4.0}}
        changed: dict[str, Any] = {**graph, "8": loud}
        sampler = changed["5"]
        changed["5"] = {**sampler, "inputs": {**sampler["inputs"], "positive": ["8", 0]}}
        pictures.append(engine.run(changed, given, targets=["6"]).require()["6"][0])

    assert (pictures[0] - pictures[1]).abs().max() > 0.02


def test_the_key_map_of_the_page_reads_its_layout(tmp_path: Path) -> None:
    maps = loaded(tmp_path, code_with("slashes")).extensions["key_maps"]
    desk = Desk(tmp_path)
    save_folder(tiny("sd1"), desk.place("diffusers", "tiny"))
    path = desk.place("loras", "lora.safetensors")
    whole(path, tiny("sd1"), seed=1, format="diffusers")
    toy = path.with_name("toy.safetensors")
    save_file({"toy/" + k.replace(".", "/"): v for k, v in load_file(path).items()}, toy)

    assert inspect(desk.place("diffusers", "tiny"), maps=maps).parts
    assert read_lora(toy, maps=maps).modules.keys() == read_lora(path).modules.keys()


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    [text] = [text for kind, text in BLOCK.findall(REFERENCE) if kind == "yaml"]
    (tmp_path / "nodegraph.yaml").write_text(text)

    settings = Settings.load(tmp_path / "nodegraph.yaml")

    assert settings.plugin_permissions == ("downloader.network",)
    assert (settings.disabled_plugins, settings.enabled_plugins) == (("edges",), ("experiment",))


def rows(heading: str) -> list[str]:
    section = REFERENCE[REFERENCE.index(heading) :].split("\n## ")[0]
    return re.findall(r"^\| `([\w ]+)` \|", section, re.MULTILINE)


def test_the_tables_leave_nothing_out() -> None:
    assert set(rows("## The manifest")) == set(_KEYS) - {"module"}
    assert {each.name for each in fields(Manifest)} - {"folder", "package"} <= set(_KEYS)
    assert set(rows("## Permissions")) == set(CAPABILITIES)
    assert set(rows("## Enabled, disabled")) == {
        *("loaded", "disabled", "needs permission", "refused", "broken")
    }


def test_every_extension_point_of_the_core_is_in_the_table() -> None:
    registry = Registry()
    registry.register(*nodes.modules())

    internal = {"precision"}
    assert set(rows("## What a plugin can add")) == set(registry.extensions) - internal


def test_every_plugin_that_comes_along_is_in_the_table() -> None:
    there = {path.parent.name for path in (HOME / "plugins").glob("*/plugin.yaml")}

    assert set(re.findall(r"^\| \[`(\w+)`\]", REFERENCE, re.MULTILINE)) == there


def test_the_clash_of_the_page_is_how_one_looks() -> None:
    from nodegraph.node import Origin

    origin = str(Origin("first", "", "", "/home/me/mine/first"))

    assert f"of {origin}, and" in " ".join(REFERENCE.split())
