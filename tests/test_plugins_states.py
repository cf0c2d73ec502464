"""What became of each plugin: its state and the reason, and what the user may say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import standin_nodes
from executor_support import module_of
from plugin_support import SHOUT, imported, plugin, shouting

from nodegraph.errors import PluginError
from nodegraph.plugins import Choice, Plugin, load_plugin, load_plugins
from nodegraph.registry import Extension, Registry

pytestmark = pytest.mark.usefixtures("modules_as_before")


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(standin_nodes)
    return registry


def states(folder: Path, registry: Registry, **choice: Any) -> dict[str, Plugin]:
    found = load_plugins([folder], registry, Choice(**choice), installed=False)
    return {plugin.name: plugin for plugin in found}


def test_what_became_of_each_plugin_is_told(tmp_path: Path, registry: Registry) -> None:
    shouting(tmp_path, "works", 'version: "2"\ntouches: [files]')
    plugin(tmp_path, "idle", {"bad": "raise ValueError"}, "enabled: false\nnodes: [Idle]")
    plugin(tmp_path, "unwanted", {"bad": "raise ValueError"})
    plugin(tmp_path, "odd", {"bad": "raise ValueError('no')"}, "nodes: [Odd]")
    plugin(tmp_path, "future", {"bad": "raise ValueError"}, "nodegraph: '>=9'")
    plugin(tmp_path, "phones_home", {"bad": "raise ValueError"}, "touches: [network, files]")
    plugin(tmp_path, "clash", {"nodes": SHOUT, "words": "LOUD = '?'"}, "nodes: [Shout]")
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "plugin.yaml").write_text("name: [")

    found = states(
        tmp_path,
        registry,
        disabled=["unwanted"],
        permissions=["works.files", "phones_home.network"],
    )

    assert {name: plugin.state for name, plugin in found.items()} == {
        "clash": "loaded",
        "future": "refused",
        "idle": "disabled",
        "odd": "broken",
        "phones_home": "needs permission",
        "unwanted": "disabled",
        "works": "refused",
        "unreadable": "broken",
    }
    assert found["clash"].nodes == ("Shout",)
    assert found["works"].version == "2"
    assert found["odd"].reason == "plugin odd: bad.py, line 1: ValueError: no"
    assert (found["odd"].nodes, found["idle"].nodes) == (("Odd",), ("Idle",))
    assert found["idle"].reason.startswith("its plugin.yaml says so; `plugins enable idle`")
    assert found["unwanted"].reason == "the settings say so"
    failed = {name for name, plugin in found.items() if plugin.error is not None}
    assert failed == {"future", "odd", "phones_home", "unreadable", "works"}
    assert "Shout" in registry.nodes


def test_a_plugin_that_is_off_can_be_enabled_but_disabled_counts_more(
    tmp_path: Path, registry: Registry
) -> None:
    shouting(tmp_path, manifest="enabled: false")

    both = states(tmp_path, registry, enabled=["loud"], disabled=["loud"])["loud"]
    enabled = states(tmp_path, registry, enabled=["loud"])["loud"]

    assert (both.state, enabled.state) == ("disabled", "loaded")


def test_a_capability_needs_permission_and_the_message_says_how(
    tmp_path: Path, registry: Registry
) -> None:
    shouting(tmp_path, manifest="touches: [network, subprocesses]")

    refused = states(tmp_path, registry, permissions=["loud.files", "other.network"])["loud"]
    half = states(tmp_path, registry, permissions=["loud.network"])["loud"]

    assert not imported()
    assert refused.state == half.state == "needs permission"
    assert refused.reason == (
        "plugin loud uses the network and starts other programs: to permit it write "
        "`plugin_permissions: {loud: [network, subprocesses]}` into nodegraph.yaml, or give "
        "--permit-plugin loud.network --permit-plugin loud.subprocesses"
    )
    assert "plugin loud starts other programs: to permit it" in half.reason
    permitted = states(tmp_path, registry, permissions=["loud.network", "loud.subprocesses"])
    assert permitted["loud"].state == "loaded"
    assert "Shout" in registry.nodes


def test_a_clash_names_both_sides_and_where_they_are(tmp_path: Path, registry: Registry) -> None:
    shouting(tmp_path, "first")
    shouting(tmp_path, "second")
    plugin(
        tmp_path, "sampler", {"nodes": SHOUT.replace('"Shout"', '"KSampler"'), "words": "LOUD=1"}
    )
    plugin(tmp_path, "renamer", {}, "aliases: {VAEDecode: KSampler}")

    found = states(tmp_path, registry)

    assert found["second"].reason == (
        "plugin second: two nodes are named Shout: "
        f"nodegraph_plugins.first.nodes.shout:Shout of plugin first in {tmp_path / 'first'}, and "
        f"nodegraph_plugins.second.nodes.shout:Shout of plugin second in {tmp_path / 'second'}; "
        "rename one"
    )
    core = registry.nodes["KSampler"].identity
    assert f"two nodes are named KSampler: {core} of the core, and " in found["sampler"].reason
    assert f"of plugin sampler in {tmp_path / 'sampler'}; rename one" in found["sampler"].reason
    assert "two nodes are named VAEDecode: " in found["renamer"].reason
    assert {found[name].state for name in ("second", "sampler", "renamer")} == {"refused"}


@pytest.mark.parametrize("what", ["entry", "port type"])
def test_entries_and_port_types_that_clash_name_both_sides(
    tmp_path: Path, registry: Registry, what: str
) -> None:
    line = {
        "entry": "ENTRY = Extension('samplers', {'mine': object()})",
        "port type": "class Depth: ...\nDEPTH = PortType('DEPTH', Depth)",
    }[what]
    for name in ("first", "second"):
        plugin(tmp_path, name, {"nodes": f"from nodegraph import Extension, PortType\n{line}"})

    found = states(tmp_path, registry)

    assert found["first"].state == "loaded"
    assert found["second"].state == "refused"
    assert found["second"].reason.endswith(
        f"one of plugin first in {tmp_path / 'first'}, and one of plugin second in "
        f"{tmp_path / 'second'}; rename one"
    )


def test_the_nodes_a_manifest_lists_are_those_there_are(tmp_path: Path, registry: Registry) -> None:
    shouting(tmp_path, manifest="nodes: {Shout: {category: tests}}\naliases: {Cry: Shout}")
    files = {"nodes": SHOUT.replace("Shout", "Whisper"), "words": "LOUD = '.'"}
    plugin(tmp_path, "wrong", files, "nodes: {Shuot: x, Whisper: {title: Hush, category: others}}")
    plugin(tmp_path, "silent", files, "nodes: []")

    found = states(tmp_path, registry)

    assert found["loud"].nodes == ("Shout", "Cry")
    assert found["wrong"].reason == (
        "plugin wrong: its plugin.yaml lists Shuot, which it does not register; gives "
        "Whisper the title 'Hush', but its code says 'Whisper'; gives Whisper the category "
        "'others', but its code says 'tests'"
    )
    assert "does not list Whisper, which it registers" in found["silent"].reason
    assert {found["wrong"].state, found["silent"].state} == {"broken"}
    assert "Whisper" not in registry.nodes
    assert imported() == {f"nodegraph_plugins.loud{part}" for part in ("", ".nodes", ".words")}


def test_aliases_may_name_nodes_of_any_other_plugin(tmp_path: Path, registry: Registry) -> None:
    plugin(tmp_path, "a_names", {}, "aliases: {Cry: Shout}")
    shouting(tmp_path)

    found = states(tmp_path, registry)

    assert [(name, each.state) for name, each in found.items()] == [
        ("a_names", "loaded"),
        ("loud", "loaded"),
    ]
    assert registry.nodes["Cry"].origin == registry.nodes["Shout"].origin


def test_a_misspelt_extension_point_is_noticed_and_an_own_one_is_not(
    tmp_path: Path, registry: Registry
) -> None:
    registry.register(module_of(Extension("schedules", {}), Extension("samplers", {})))
    text = """
        from typing import Annotated
        from nodegraph import ChoiceOf, Extension, node

        OWN = Extension("brushes", {"round": 1})
        TYPO = Extension("schedule", {"mine": 1})
        NEAR = Extension("sampler", {"mine": 1})

        @node("Near", category="tests")
        def near(kind: Annotated[str, ChoiceOf("sampler")]) -> str:
            return kind
    """
    plugin(tmp_path, "adds", {"nodes": text})

    found = states(tmp_path, registry)["adds"]

    assert found.state == "loaded"
    assert found.warnings == (
        "nothing reads the extension point 'schedule'; did you mean 'schedules'?",
    )


def test_one_plugin_is_loaded_from_its_folder_for_its_own_test(
    tmp_path: Path, registry: Registry
) -> None:
    folder = shouting(tmp_path, manifest="touches: [network]")

    with pytest.raises(PluginError, match="uses the network") as error:
        load_plugin(folder, registry)
    found = load_plugin(folder, registry, ["loud.network"])

    assert (error.value.state, error.value.plugin) == ("needs permission", "loud")
    assert (found.state, found.nodes) == ("loaded", ("Shout",))
    assert found.as_json() == {
        "name": "loud",
        "version": "",
        "description": "",
        "state": "loaded",
        "nodes": ["Shout"],
        "touches": ["network"],
        "web": [],
        "reason": "",
        "warnings": [],
    }
