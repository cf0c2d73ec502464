"""The plugins that come along: whole, honest about themselves, and quick to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nodes
from nodegraph.plugins import Choice, find, load_plugins
from nodegraph.registry import Registry

pytestmark = pytest.mark.usefixtures("modules_as_before")
ROOT = Path(__file__).parent.parent
NAMES = [manifest.name for manifest in find([ROOT / "plugins"])]
HEAVY = ("kornia", "spandrel", "matplotlib", "scipy", "transformers", "diffusers", "torchvision")


def test_all_of_them_load_together() -> None:
    registry = Registry()
    registry.register(*nodes.modules())

    found = load_plugins([ROOT / "plugins"], registry, Choice(), installed=False)

    assert {plugin.name: plugin.reason for plugin in found if plugin.state != "loaded"} == {}
    assert {plugin.name: plugin.warnings for plugin in found if plugin.warnings} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_says_what_it_is_and_which_nodes_it_has(name: str) -> None:
    [manifest] = find([ROOT / "plugins" / name])

    assert manifest.description.endswith(".")
    assert manifest.version
    assert manifest.nodegraph
    assert manifest.nodes or manifest.aliases or manifest.web
    assert manifest.touches == ()
    assert (manifest.folder / "README.md").is_file()


def test_none_of_them_needs_large_libraries_to_be_imported() -> None:
    """What is large and rare is imported in the function that uses it."""
    code = f"""
import sys
import nodes
for name in {HEAVY!r}:
    sys.modules.pop(name, None)
    sys.modules[name] = None
from pathlib import Path
from nodegraph.plugins import load_all
from nodegraph.registry import Registry
registry = Registry()
registry.register(*nodes.modules())
errors = load_all([Path("plugins")], registry)
assert not errors, errors
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
