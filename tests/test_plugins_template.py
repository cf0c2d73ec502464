"""The plugin to start from: its own test passes at once, it loads, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nodes
from nodegraph.errors import PluginError
from nodegraph.plugins import Choice, load_plugins
from nodegraph.plugins.template import create
from nodegraph.registry import Registry

pytestmark = pytest.mark.usefixtures("modules_as_before")
ROOT = Path(__file__).parent.parent


def test_its_own_test_passes_at_once(tmp_path: Path) -> None:
    place = create("soft_glow", tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(place)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_it_loads_and_its_manifest_says_what_it_has(tmp_path: Path) -> None:
    create("soft_glow", tmp_path)
    registry = Registry()
    registry.register(*nodes.modules())

    [found] = load_plugins([tmp_path], registry, Choice(), installed=False)

    assert (found.state, found.nodes, found.warnings) == ("loaded", ("SoftGlow",), ())
    assert registry.nodes["SoftGlow"].display_name == "Soft Glow"
    assert found.manifest is not None
    assert found.manifest.nodes is not None


def test_it_is_written_as_the_house_writes(tmp_path: Path) -> None:
    place = create("soft_glow", tmp_path)

    assert sorted(path.name for path in place.iterdir()) == [
        "README.md",
        "conditioning.py",
        "plugin.yaml",
        "test_soft_glow.py",
    ]
    assert not any("$" in path.read_text() for path in place.iterdir())
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml")]
        known = ["--config", 'lint.isort.known-third-party=["nodes", "nodegraph"]']
        done = subprocess.run(
            [*ruff, *known, "--no-cache", str(place)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "glow").mkdir()
    (tmp_path / "file").write_text("mine")

    for name in ("glow", "file"):
        with pytest.raises(PluginError, match="is there already: nothing was written"):
            create(name, tmp_path)

    assert list((tmp_path / "glow").iterdir()) == []
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["Glow", "soft glow", "../glow", "", "class", "1a", "a" * 65, "é"])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match="expected a word of small letters, digits and _"):
        create(name, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(PluginError, match="cannot be made: Not a directory"):
        create("glow", tmp_path / "file")
