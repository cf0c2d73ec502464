"""docs/cli.md: its examples are what the commands print, and it leaves nothing out."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import nodes
from nodegraph.cli import Core
from nodegraph.cli.app import cli
from nodegraph.cli.complain import Exit

HOME = Path(__file__).parent.parent
TEXT = (HOME / "docs" / "cli.md").read_text()
EXAMPLES = re.findall(r"```console\n\$ python main\.py (.*?)\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the one the examples are written for; they follow on each other."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("models", "workflows"):
        (folder / name).symlink_to(HOME / name)
    graph = json.loads((folder / "workflows/text_to_image.json").read_text())
    graph["2"]["class_type"] = "CLIPEncod"
    graph["5"]["inputs"]["scheduler"] = "ddim_unifrom"
    graph["7"]["inputs"]["images"] = ["5", 0]
    (folder / "broken.json").write_text(json.dumps(graph, indent=2))
    return folder


def alike(text: str) -> list[str]:
    """Lines without what differs from run to run: times, sizes, and the widths they take."""
    numbers = re.sub(r"\d+\.\d+( [KM]iB)?", "N", text)
    return [" ".join(line.split()) for line in numbers.splitlines()]


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[each[0] for each in EXAMPLES])
def test_an_example_prints_what_the_text_shows(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, output: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NODEGRAPH_DEVICE", "cpu")
    monkeypatch.setenv("NODEGRAPH_CACHE", str(tmp_path))  # what is on disk depends on times
    if "--grid" in command:  # in the text nothing else has run in between
        assert len(list((folder / "output").iterdir())) == 1

    result = CliRunner().invoke(cli, shlex.split(command), obj=Core(nodes.modules, HOME))

    assert alike(result.stderr + result.stdout) == alike(output)


def options(command: click.Command) -> set[str]:
    """Those of a command, and of the commands in it."""
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    own = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return own.union(*(options(each) for each in inner))


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_option_is_in_the_text(name: str) -> None:
    flags = {option for option in options(cli.commands[name]) if option.startswith("-")}

    assert {flag for flag in flags if not re.search(rf"`{flag}\b", TEXT)} == set()


def test_every_option_in_the_text_exists() -> None:
    known = set().union(*(options(command) for command in cli.commands.values()))

    assert set(re.findall(r"--[a-z-]+\b", TEXT)) <= known


def test_every_exit_code_is_in_the_text_and_in_the_help() -> None:
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)}
    shown = CliRunner().invoke(cli, ["--help"]).stdout

    assert table == set(Exit)
    assert {int(code) for code in re.findall(r"(?<= )(\d+)  ", shown)} == set(Exit)
