"""plugin.yaml: what is read, and what is refused with which words."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import PluginError
from nodegraph.plugins import CAPABILITIES, Listed, Manifest, read_manifest


def write(folder: Path, text: str) -> Path:
    (folder / "grain.py").write_text("")
    (folder / "deep").mkdir(exist_ok=True)
    (folder / "deep" / "__init__.py").write_text("")
    (folder / "web").mkdir(exist_ok=True)
    (folder / "web" / "panel.js").write_text("")
    path = folder / "plugin.yaml"
    path.write_text(text)
    return path


def test_a_manifest_says_what_its_plugin_is_and_needs(tmp_path: Path) -> None:
    text = """
        name: film_grain
        version: "1.10"
        description: Grain.
        modules: [grain, deep]
        requires: ["scipy>=1.11, <2", numpy]
        nodegraph: ">=0.1"
        nodes:
          FilmGrain: {title: Film Grain, category: image/film, help: Noise.}
          Halation: Light around light.
          Dust:
        touches: [network, subprocesses]
        aliases: {OldGrain: FilmGrain, Older: {node: FilmGrain, title: Old}}
        web: [panel.js]
        enabled: false
    """

    manifest = read_manifest(write(tmp_path, text))

    assert (manifest.name, manifest.version) == ("film_grain", "1.10")
    assert (manifest.modules, manifest.folder) == (("grain", "deep"), tmp_path)
    assert [str(wanted) for wanted in manifest.requires] == ["scipy<2,>=1.11", "numpy"]
    assert str(manifest.nodegraph) == ">=0.1"
    assert manifest.nodes == {
        "FilmGrain": Listed("Film Grain", "image/film", "Noise."),
        "Halation": Listed(help="Light around light."),
        "Dust": Listed(),
    }
    assert manifest.touches == ("network", "subprocesses")
    assert manifest.aliases == {
        "OldGrain": ("FilmGrain", "OldGrain"),
        "Older": ("FilmGrain", "Old"),
    }
    assert (manifest.description, manifest.enabled) == ("Grain.", False)
    assert manifest.web == ("panel.js",)


def test_a_plugin_that_only_extends_the_page_needs_no_python(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, "name: a\nweb: [panel.js, panel.js]"))

    assert (manifest.modules, manifest.web) == ((), ("panel.js",))


def test_only_a_name_and_a_module_are_needed(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, "name: a\nmodule: grain"))

    assert (manifest.modules, manifest.enabled, manifest.version) == (("grain",), True, "")
    assert (manifest.nodes, manifest.touches, dict(manifest.aliases)) == (None, (), {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"plugin.yaml: expected keys such as name and modules, not nothing"),
        ("[1]", "expected keys such as name and modules, not a list"),
        ("name: [", r"plugin.yaml is not YAML: line 1, column 8"),
        ("\x00", "plugin.yaml is not YAML"),
        ("modules: [grain]", "name is missing; expected a word of small letters"),
        ("name: Film Grain\nmodules: [grain]", "name is the text 'Film Grain'; expected a word"),
        ("name: a", "modules is missing; expected a list of file names without .py"),
        ("name: a\nweb: panel.js", "web is the text 'panel.js'; expected a list of scripts"),
        ("name: a\nweb: [../panel.js]", "web is the text '../panel.js'; expected a list"),
        ("name: a\nweb: [page.html]", "web is the text 'page.html'; expected a list"),
        ("name: a\nweb: [gone.js]", "web: there is no file web/gone.js beside it"),
        ("name: a\nmodules: grain", "modules is the text 'grain'; expected a list"),
        ("name: a\nmodules: [../grain]", "modules is the text '../grain'; expected file names"),
        ("name: a\nmodules: [gone]", "modules: there is no file gone.py beside it"),
        ("name: a\nmodule: grain\nmodules: [grain]", "give module or modules, not both"),
        ("name: a\nmodule: grain\nversion: 1.1", "version is 1.1; expected text in q"),
        ("name: a\nmodule: grain\ndescription: [1]", "description is a list; expected text"),
        ("name: a\nmodule: grain\nenabled: 1", "enabled is 1; expected true or false"),
        ("name: a\nmodule: grain\nrequires: scipy", "requires is the text 'scipy'; expected a l"),
        ("name: a\nmodule: grain\nrequires: ['>=1']", "requires: '>=1' is no requirement of a p"),
        ("name: a\nmodule: grain\nrequires: [scipy~=1]", "requires: 'scipy~=1' is no requirement"),
        ("name: a\nmodule: grain\nrequires: [1]", "requires is 1; expected a list of packages"),
        ("name: a\nmodule: grain\nrequires: ['b @ file:///b']", "is an address; name a package"),
        ("name: a\nmodule: grain\nname: b", "line 3, column 1: 'name' is there a second time"),
        ("name: a\nmodule: grain\nnodes: 1", "nodes is 1; expected names of nodes: a list, or"),
        ("name: a\nmodule: grain\nnodes: [1]", "nodes is 1; expected a list of names"),
        ("name: a\nmodule: grain\nnodes: [A, A]", "nodes: 'A' is there a second time"),
        ("name: a\nmodule: grain\nnodes:", "nodes is empty; expected names of nodes"),
        ("name: a\nmodule: grain\nnodes: {1: x}", "nodes is 1; expected names of nodes"),
        ("name: a\nmodule: grain\nnodes: {A: [x]}", "nodes: A is a list; expected its help"),
        ("name: a\nmodule: grain\nnodes: {A: {tilte: x}}", "nodes: A: unknown key 'tilte'; did"),
        ("name: a\nmodule: grain\nnodes: {A: {title: 1}}", "nodes: A: title is 1; expected text"),
        ("name: a\nmodule: grain\ntouches: network", "touches is the text 'network'; expected a"),
        ("name: a\nmodule: grain\ntouches: [netwrok]", "'netwrok'; expected a list of any of netw"),
        ("name: a\nmodule: grain\ntouches: [[]]", "touches is an empty list; expected a list of"),
        ("name: a\nmodule: grain\ntouches:", "touches is empty; expected a list of any of"),
        ("name: a\naliases: [A]", "aliases is a list; expected new names, each with the name"),
        ("name: a\naliases: {}", "aliases is an empty mapping; expected new names"),
        ("name: a\nmodule: grain\naliases: {}", "aliases is an empty mapping; expected n"),
        ("name: a\naliases: {A: 1}", "aliases: A is 1; expected the name of a node, or {node"),
        ("name: a\naliases: {A: {title: B}}", "aliases: A is missing; expected the name of a n"),
        ("name: a\naliases: {A: {node: B, titel: C}}", "A: unknown key 'titel'; did you mean tit"),
        ("name: a\naliases: {A: {node: B, title: 1}}", "aliases: A: title is 1; expected text"),
        ("name: a\naliases: {1: B}", "aliases is 1; expected names of nodes"),
        ("name: a\nmodules: []\naliases: {A: B}", "modules is an empty list; expected a list of"),
        ("name: a\nmodule: grain\nnodegraph: '0.1'", "nodegraph: '0.1': expected comparisons"),
        ("name: a\nmodule: grain\nrequire: []", "unknown key 'require'; did you mean requires?"),
        ("name: a\nmodule: grain\n1: 2", "unknown key 1; known are name, version"),
        ("name: a\n" + "# filler\n" * 200_000, "has more than 1,048,576 bytes"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_an_unusable_manifest_says_which_key_and_what_was_expected(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(PluginError) as error:
        read_manifest(write(tmp_path, text))

    assert re.search(complaint, str(error.value)) or complaint in str(error.value)
    assert "plugin.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_manifest_cannot_name_python_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "name: !!python/object/apply:os.getcwd []\nmodule: grain")

    with pytest.raises(PluginError, match="is not YAML"):
        read_manifest(path)


def test_aliases_alone_are_a_plugin(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, "name: a\naliases: {New: Old}"))

    assert (manifest.modules, manifest.aliases) == ((), {"New": ("Old", "New")})


def test_nodes_may_be_listed_by_name_alone(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, "name: a\nmodule: grain\nnodes: [B, A]"))

    assert manifest.nodes == {"B": Listed(), "A": Listed()}


def test_an_empty_list_of_nodes_says_that_there_are_none(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, "name: a\nmodule: grain\nnodes: []")).nodes == {}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
KEYS = (
    *("name", "version", "description", "modules", "module", "requires", "nodegraph"),
    *("nodes", "touches", "aliases", "enabled"),
)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING))
def test_whatever_a_manifest_says_it_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object]
) -> None:
    path = write(tmp_path_factory.mktemp("any"), json.dumps({"name": "a", **data}))
    found: list[Manifest | PluginError] = []
    try:
        found.append(read_manifest(path))
    except PluginError as error:
        found.append(error)

    if isinstance(found[0], Manifest):
        assert set(found[0].touches) <= set(CAPABILITIES)
    else:
        assert "plugin.yaml" in str(found[0])
