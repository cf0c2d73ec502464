"""Plugins: found without importing, loaded whole or not at all."""

import sys
from pathlib import Path

import pytest
import standin_nodes
from editor_files import TEXT_TO_IMAGE, text_to_image
from plugin_support import SHOUT, imported, plugin

from nodegraph.errors import PluginError
from nodegraph.graph import validate
from nodegraph.plugins import find, load, load_all
from nodegraph.registry import Registry
from nodegraph.workflow import convert

pytestmark = pytest.mark.usefixtures("modules_as_before")
OURS = Path(__file__).parent.parent / "plugins"


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(standin_nodes)
    return registry


def test_finding_plugins_imports_nothing(tmp_path: Path) -> None:
    plugin(tmp_path, "second", {"boom": "raise RuntimeError"})
    alone = plugin(tmp_path / "else", "first", {"boom": "raise RuntimeError"})
    (tmp_path / "empty").mkdir()

    found = find([tmp_path, alone, tmp_path / "nowhere"])

    assert [manifest.name for manifest in found] == ["first", "second"]
    assert not imported()


def test_a_plugins_modules_see_each_other_and_register_together(
    tmp_path: Path, registry: Registry
) -> None:
    plugin(tmp_path, "loud", {"nodes": SHOUT, "words": "LOUD = '!'"})
    path = list(sys.path)

    (manifest,) = find([tmp_path])
    load(manifest, registry)

    kind = registry.nodes["Shout"]
    assert kind.function("hi") == "HI!"
    assert kind.module == "nodegraph_plugins.loud.nodes"
    assert sys.path == path


def test_a_plugin_may_be_a_package_of_its_own(tmp_path: Path, registry: Registry) -> None:
    files = {"nodes": SHOUT.replace(".words", "."), "__init__": "LOUD = '?'"}
    plugin(tmp_path, "loud", files)

    assert load_all([tmp_path], registry) == []
    assert registry.nodes["Shout"].function("hi") == "HI?"


def test_if_one_module_fails_nothing_of_its_plugin_stays(
    tmp_path: Path, registry: Registry
) -> None:
    bad = "import math\n\ndef half(n):\n    return 1 / n\n\nVALUE = half(0)\n"
    plugin(tmp_path, "broken", {"nodes": SHOUT, "words": "LOUD = '!'", "bad": bad})
    before = dict(registry.nodes)

    (manifest,) = find([tmp_path])
    with pytest.raises(PluginError) as error:
        load(manifest, registry)

    assert str(error.value) == (
        "plugin broken: bad.py, line 4: ZeroDivisionError: division by zero"
    )
    assert dict(registry.nodes) == before
    assert not imported()


def test_a_declaration_that_is_wrong_takes_the_whole_plugin_back(
    tmp_path: Path, registry: Registry
) -> None:
    clash = SHOUT.replace('"Shout"', '"KSampler"')
    plugin(tmp_path, "clash", {"nodes": SHOUT, "more": clash, "words": "LOUD = '!'"})

    (error,) = load_all([tmp_path], registry)

    assert str(error).startswith("plugin clash: two nodes are named KSampler: standin_nodes.")
    assert "Shout" not in registry.nodes
    assert not imported()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def broken(:\n    pass", "bad.py, line 1: SyntaxError: invalid syntax"),
        ("\nimport not_there_at_all", "bad.py, line 2: ModuleNotFoundError: No module named"),
        ("from .gone import x", "bad.py, line 1: ModuleNotFoundError: No module named"),
        ("raise SystemExit('bye')", "bad.py, line 1: SystemExit: bye"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_with_file_and_line(
    tmp_path: Path, registry: Registry, text: str, complaint: str
) -> None:
    plugin(tmp_path, "broken", {"bad": text})

    (error,) = load_all([tmp_path], registry)

    assert f"plugin broken: {complaint}" in str(error)
    assert error.__cause__ is not None


def test_one_plugins_failure_does_not_stop_the_others(tmp_path: Path, registry: Registry) -> None:
    plugin(tmp_path, "a_broken", {"bad": "raise ValueError('no')"})
    plugin(tmp_path, "b_works", {"nodes": SHOUT, "words": "LOUD = '!'"})
    (tmp_path / "c_unreadable").mkdir()
    (tmp_path / "c_unreadable" / "plugin.yaml").write_text("name: [")

    errors = load_all([tmp_path], registry)

    assert "Shout" in registry.nodes
    assert [str(error).split(": ")[0] for error in errors] == [
        f"{tmp_path / 'c_unreadable' / 'plugin.yaml'} is not YAML",
        "plugin a_broken",
    ]


def test_disabled_plugins_are_left_alone(tmp_path: Path, registry: Registry) -> None:
    plugin(tmp_path, "idle", {"bad": "raise ValueError"}, "enabled: false")
    plugin(tmp_path, "unwanted", {"bad": "raise ValueError"})

    assert load_all([tmp_path], registry, disabled=["unwanted"]) == []
    assert not imported()


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        ("nodegraph: '>=9'", "plugin demo needs nodegraph>=9, but this is 0."),
        ("requires: [surely-not-there>=2]", "needs surely-not-there>=2, which is not installed"),
        ("requires: [pytest<1]", r"plugin demo needs pytest<1, but \d+\.\d+"),
        ("requires: ['pytest~=1.0']", r"plugin demo needs pytest~=1.0, but \d+\.\d+"),
    ],
)
def test_a_plugin_that_needs_something_else_is_not_imported(
    tmp_path: Path, registry: Registry, manifest: str, complaint: str
) -> None:
    plugin(tmp_path, "demo", {"bad": "raise ValueError"}, manifest)

    (found,) = find([tmp_path])
    with pytest.raises(PluginError, match=complaint) as error:
        load(found, registry)
    assert error.value.state == "refused"
    assert not imported()


def test_requirements_that_are_met_are_no_obstacle(tmp_path: Path, registry: Registry) -> None:
    plugin(
        tmp_path,
        "demo",
        {"empty": ""},
        "requires: ['pytest>=8,<1000', hypothesis, 'gone; python_version<\"3\"']",
    )

    assert load_all([tmp_path], registry) == []


def test_two_plugins_of_one_name_are_an_error_of_the_second(
    tmp_path: Path, registry: Registry
) -> None:
    first = plugin(tmp_path / "one", "twin", {"nodes": SHOUT, "words": "LOUD = '!'"})
    plugin(tmp_path / "two", "twin", {"nodes": SHOUT, "words": "LOUD = '?'"})
    folders = [tmp_path / "one", tmp_path / "two"]

    with pytest.raises(PluginError, match="two plugins are named twin"):
        find(folders)
    errors = load_all(folders, registry)

    assert len(errors) == 1
    assert registry.nodes["Shout"].function("hi") == "HI!"
    assert [manifest.folder for manifest in find([*folders[:1], first])] == [first]


def test_a_plugin_is_imported_once_for_all_registries(tmp_path: Path, registry: Registry) -> None:
    plugin(tmp_path, "loud", {"nodes": SHOUT, "words": "LOUD = '!'"})
    other = Registry()

    assert load_all([tmp_path], registry) == []
    assert load_all([tmp_path], registry) == []
    assert load_all([tmp_path], other) == []

    assert other.nodes["Shout"].function is registry.nodes["Shout"].function


def test_a_later_failure_keeps_what_an_earlier_load_imported(
    tmp_path: Path, registry: Registry
) -> None:
    plugin(tmp_path, "loud", {"nodes": SHOUT, "words": "LOUD = '!'"})
    other = Registry()
    load_all([tmp_path], other)
    clash = plugin(
        tmp_path / "clash", "clashing", {"nodes": SHOUT.replace(" + LOUD", ""), "words": "LOUD = 1"}
    )
    load_all([clash], registry)
    before = imported()

    (error,) = load_all([tmp_path / "loud"], registry)

    assert "two nodes are named Shout" in str(error)
    assert imported() == before


def test_another_folders_plugin_of_that_name_is_imported_anew(tmp_path: Path) -> None:
    for place, mark in (("one", "!"), ("two", "?")):
        plugin(tmp_path / place, "loud", {"nodes": SHOUT, "words": f"LOUD = '{mark}'"})
        registry = Registry()

        assert load_all([tmp_path / place], registry) == []
        assert registry.nodes["Shout"].function("hi") == f"HI{mark}"


# -- the plugin that comes along ------------------------------------------------------------------


@pytest.fixture
def comfyui(registry: Registry) -> Registry:
    assert load_all([OURS / "comfyui"], registry) == []
    return registry


def test_comfyui_names_have_the_ports_and_results_of_the_core_nodes(comfyui: Registry) -> None:
    for name, core, title in (
        ("CheckpointLoaderSimple", "LoadCheckpoint", "Load Checkpoint"),
        ("CLIPTextEncode", "CLIPEncode", "CLIP Text Encode (Prompt)"),
        ("VAELoader", "LoadVAE", "Load VAE"),
    ):
        kind = comfyui.nodes[name]
        assert (kind.name, kind.display_name) == (name, title)
        assert kind.inputs == comfyui.nodes[core].inputs
        assert kind.identity == comfyui.nodes[core].identity


def test_a_graph_exported_from_comfyui_validates_unchanged(comfyui: Registry) -> None:
    graph = validate(TEXT_TO_IMAGE, comfyui, strict=True)

    assert graph.targets == ("9",)
    assert graph.nodes["4"].type.name == "CheckpointLoaderSimple"
    assert graph.warnings == ()


def test_a_file_saved_by_comfyuis_editor_validates_unchanged(comfyui: Registry) -> None:
    converted = convert(text_to_image(), comfyui)

    assert converted.warnings == ()
    assert converted.document == TEXT_TO_IMAGE
    assert validate(converted.document, comfyui, strict=True).targets == ("9",)


def test_without_the_core_nodes_the_names_are_refused_whole() -> None:
    registry = Registry()

    (error,) = load_all([OURS / "comfyui"], registry)

    assert "CheckpointLoaderSimple is an alias of LoadCheckpoint, which is no node type" in str(
        error
    )
    assert dict(registry.nodes) == {}
