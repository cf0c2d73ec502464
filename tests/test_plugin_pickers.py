"""The plugin pickers: it extends the page, and nothing else. What it does there is in tests/e2e."""

from __future__ import annotations

from pathlib import Path

from nodegraph.plugins import load_plugin
from nodegraph.registry import Registry
from nodegraph.server.webpage import plugin_file

FOLDER = Path(__file__).parent.parent / "plugins" / "pickers"


def test_it_adds_scripts_to_the_page_and_no_nodes() -> None:
    registry = Registry()

    plugin = load_plugin(FOLDER, registry)

    assert plugin.as_json()["web"] == ["colours.js", "sizes.js"]
    assert (plugin.nodes, dict(registry.nodes)) == ((), {})


def test_all_in_its_folder_can_be_served() -> None:
    names = sorted(path.name for path in (FOLDER / "web").iterdir())

    assert names == ["colours.js", "sizes.css", "sizes.js"]
    assert all(plugin_file(FOLDER, name) for name in names)


def test_its_scripts_load_nothing_from_elsewhere() -> None:
    for path in (FOLDER / "web").iterdir():
        assert "://" not in path.read_text(), path.name
