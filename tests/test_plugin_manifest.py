"""plugin.yaml: what is read, and what is refused with which words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import PluginError
from nodegraph.plugin_manifest import Constraint, read_manifest


def write(folder: Path, text: str) -> Path:
    (folder / "grain.py").write_text("")
    (folder / "deep").mkdir(exist_ok=True)
    (folder / "deep" / "__init__.py").write_text("")
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
        enabled: false
    """

    manifest = read_manifest(write(tmp_path, text))

    assert (manifest.name, manifest.version) == ("film_grain", "1.10")
    assert (manifest.modules, manifest.folder) == (("grain", "deep"), tmp_path)
    assert manifest.requires == {
        "scipy": Constraint(((">=", "1.11"), ("<", "2"))),
        "numpy": Constraint(),
    }
    assert manifest.nodegraph.allows("0.1.0")
    assert (manifest.description, manifest.enabled) == ("Grain.", False)


def test_only_a_name_and_a_module_are_needed(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, "name: a\nmodule: grain"))

    assert (manifest.modules, manifest.enabled, manifest.version) == (("grain",), True, "")
    assert manifest.nodegraph.allows("0.0.1")


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
        ("name: a\nmodules: grain", "modules is the text 'grain'; expected a list"),
        ("name: a\nmodules: [../grain]", "modules is the text '../grain'; expected file names"),
        ("name: a\nmodules: [gone]", "modules: there is no file gone.py beside it"),
        ("name: a\nmodule: grain\nmodules: [grain]", "give module or modules, not both"),
        ("name: a\nmodule: grain\nversion: 1.1", "version is the number 1.1; expected text in q"),
        ("name: a\nmodule: grain\ndescription: [1]", "description is a list; expected text"),
        ("name: a\nmodule: grain\nenabled: 1", "enabled is the number 1; expected true or false"),
        ("name: a\nmodule: grain\nrequires: scipy", "requires is the text 'scipy'; expected a l"),
        ("name: a\nmodule: grain\nrequires: ['>=1']", "requires is the text '>=1'; expected a l"),
        ("name: a\nmodule: grain\nrequires: [scipy~=1]", "requires: '~=1': expected comparisons"),
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
    with pytest.raises(PluginError, match=complaint):
        read_manifest(write(tmp_path, text))


def test_a_manifest_cannot_name_python_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "name: !!python/object/apply:os.getcwd []\nmodule: grain")

    with pytest.raises(PluginError, match="is not YAML"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("constraint", "version", "expected"),
    [
        (">=1.2", "1.2", True),
        (">=1.2", "1.10", True),
        (">=1.2", "1.1.9", False),
        ("==1.2", "1.2.0", True),
        ("==1.2", "1.2.1", False),
        ("==1.2.0", "1.2", True),
        ("!=1.2", "1.2.0", False),
        (">1.2", "1.2.0.1", True),
        ("<2", "2.0.0+cpu", False),
        ("<=2", "2.0rc1", True),
        (">=1,<2", "1.9", True),
        (">=1,<2", "2.1", False),
        ("", "anything", True),
        ("<2", "unknown", False),
    ],
)
def test_versions_are_compared_number_by_number(
    constraint: str, version: str, expected: bool
) -> None:
    assert Constraint.parse(constraint).allows(version) is expected


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4), st.integers(0, 50))
def test_a_version_is_either_below_or_not(parts: list[int], bound: int) -> None:
    version = ".".join(map(str, parts))

    below = Constraint.parse(f"<{bound}").allows(version)

    assert below is (parts[0] < bound)
    assert Constraint.parse(f">={bound}").allows(version) is not below
