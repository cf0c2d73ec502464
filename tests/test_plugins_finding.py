"""Plugins as installed packages: named by an entry point, found without importing anything."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_support import imported, installed, modules_apart, shouting

from nodegraph.errors import PluginError
from nodegraph.plugins import Choice, find, load_plugins
from nodegraph.registry import Registry

MANIFEST = "name: loud\nmodules: [nodes]\nnodes: [Shout]\n"
PACKAGES = ("loudly", "elsewhere")


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    with modules_apart(*PACKAGES):
        yield


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that Python looks into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def names_of(package: str) -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == package]


def test_an_installed_package_is_found_without_importing_it(site: Path) -> None:
    place = installed(site, "loudly", "loud", "loudly", MANIFEST)
    (place / "__init__.py").write_text("raise RuntimeError('it was imported')")

    [manifest] = find([], installed=True)

    assert (manifest.name, manifest.package, manifest.folder) == ("loud", "loudly", place)
    assert names_of("loudly") == []
    assert find([]) == ()


def test_it_is_loaded_under_its_own_name(site: Path) -> None:
    installed(site, "loudly", "loud", "loudly", MANIFEST)
    registry = Registry()

    [found] = load_plugins([], registry, Choice())

    kind = registry.nodes["Shout"]
    assert (found.state, found.nodes) == ("loaded", ("Shout",))
    assert (kind.module, kind.function("hi")) == ("loudly.nodes", "HI!")
    assert importlib.import_module("loudly.nodes").shout is kind.function
    assert imported() == set()


def test_a_package_may_hold_its_plugin_deep_inside(site: Path) -> None:
    place = installed(site, "loudly.inner.plugin", "loud", "loudly.inner.plugin:entry", MANIFEST)
    (site / "loudly" / "inner" / "__init__.py").write_text("STARTED = True")
    registry = Registry()

    [manifest] = find([], installed=True)
    assert (manifest.folder, names_of("loudly")) == (place, [])

    [found] = load_plugins([], registry, Choice())
    assert (found.state, registry.nodes["Shout"].module) == ("loaded", "loudly.inner.plugin.nodes")


def test_it_can_be_disabled_and_needs_permission_like_any_other(site: Path) -> None:
    installed(site, "loudly", "loud", "loudly", MANIFEST + "touches: [network]\n")

    [off] = load_plugins([], Registry(), Choice(disabled=["loud"]))
    [asks] = load_plugins([], Registry(), Choice())
    assert names_of("loudly") == []
    [runs] = load_plugins([], Registry(), Choice(permissions=["loud.network"]))

    assert [each.state for each in (off, asks, runs)] == ["disabled", "needs permission", "loaded"]


def test_of_two_plugins_of_a_name_the_one_in_the_folders_is_used(
    site: Path, tmp_path: Path
) -> None:
    installed(site, "loudly", "loud", "loudly", MANIFEST)
    shouting(tmp_path / "plugins", "loud")

    [used, other] = load_plugins([tmp_path / "plugins"], Registry(), Choice())

    assert (used.state, other.state, other.name) == ("loaded", "refused", "loud")
    assert used.manifest is not None
    assert used.manifest.package == ""
    assert f"in {tmp_path / 'plugins/loud'} and {site / 'loudly'}" in other.reason


def test_a_package_whose_folder_is_named_as_well_is_one_plugin(site: Path) -> None:
    place = installed(site, "loudly", "loud", "loudly", MANIFEST)

    [manifest] = find([place], installed=True)

    assert manifest.package == ""


def test_a_package_that_fails_leaves_nothing_behind(site: Path) -> None:
    place = installed(site, "loudly", "loud", "loudly", MANIFEST)
    (place / "words.py").write_text("1 / 0")
    registry = Registry()

    [found] = load_plugins([], registry, Choice())

    assert found.reason == "plugin loud: words.py, line 1: ZeroDivisionError: division by zero"
    assert names_of("loudly") == []
    assert dict(registry.nodes) == {}


@pytest.mark.parametrize(
    ("value", "manifest", "complaint"),
    [
        ("nowhere", MANIFEST, "names the plugin loud, but there is no plugin.yaml in a package no"),
        ("loudly.gone", MANIFEST, "but there is no plugin.yaml in a package loudly.gone"),
        ("math", MANIFEST, "but there is no plugin.yaml in a package math"),
        (".", MANIFEST, "but there is no plugin.yaml in a package ."),
        ("loudly", "name: other\nmodules: [nodes]\n", "name is other, but the entry point of the"),
        ("loudly", "name: [", "plugin.yaml is not YAML"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_told(
    site: Path, value: str, manifest: str, complaint: str
) -> None:
    installed(site, "loudly", "loud", value, manifest)

    [found] = load_plugins([], Registry(), Choice())

    assert found.state == "broken"
    assert complaint in found.reason
    assert names_of("loudly") == []
    with pytest.raises(PluginError):
        find([], installed=True)


def test_the_error_of_an_unreadable_manifest_carries_the_plugin_s_name(site: Path) -> None:
    installed(site, "loudly", "loud", "loudly", "name: [")

    [found] = load_plugins([], Registry(), Choice())

    assert found.name == "loud"
