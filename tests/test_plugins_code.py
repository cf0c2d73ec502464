"""The code of a plugin is part of the keys of what it computes, and of nothing else's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import small_nodes
from executor_support import entry
from plugin_support import plugin, shouting

from nodegraph.cache import Cache
from nodegraph.errors import PluginError
from nodegraph.executor import Executor
from nodegraph.graph import validate
from nodegraph.plan import make_plan
from nodegraph.plugins import load_all
from nodegraph.plugins.code import LARGE, code_hash
from nodegraph.registry import Registry

pytestmark = pytest.mark.usefixtures("modules_as_before")
BRUSHES = """
    from typing import Annotated
    from nodegraph import ChoiceOf, Context, Extension, node

    POINT = Extension("brushes", {})

    @node("Paint", category="tests")
    def paint(brush: Annotated[str, ChoiceOf("brushes")], *, context: Context) -> str:
        return context.extension("brushes", brush)()

    @node("PaintAll", category="tests", extensions=("brushes",))
    def paint_all(*, context: Context) -> str:
        return "".join(brush() for brush in context.extensions["brushes"].values())
"""
BRUSH = """
    from nodegraph import Extension

    def draw():
        return {mark!r}

    BRUSH = Extension("brushes", {{ {name!r}: draw }})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


class Desk:
    """Runs graphs with the plugins of a folder as they are then, and one cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = Cache(memory_bytes=1 << 20)

    def __call__(self, document: dict[str, Any], target: str = "1") -> tuple[Any, int]:
        """What a target gives, and how many nodes ran."""
        registry = Registry()
        registry.register(small_nodes)
        assert load_all([self.folder], registry) == []
        with Executor(registry, cache=self.cache) as executor:
            graph = validate(document, registry, targets=[target])
            result = executor.run(make_plan(graph, executor.keys)).require()
        ran = [account for account in result.accounts if account.status == "ran"]
        return result[target][0], len(ran)


@pytest.fixture
def run(folder: Path) -> Desk:
    return Desk(folder)


SHOUT = {"1": entry("Shout", text="hi")}


def test_a_changed_helper_of_a_plugin_has_its_steps_computed_anew(folder: Path, run: Desk) -> None:
    place = shouting(folder)
    assert run(SHOUT) == ("HI!", 1)
    assert run(SHOUT) == ("HI!", 0)

    (place / "words.py").write_text("LOUD = '!!!'")

    assert run(SHOUT) == ("HI!!!", 1)
    (place / "words.py").write_text("LOUD = '!'")
    assert run(SHOUT) == ("HI!", 0), "what was made with the first code is still there"


@pytest.mark.parametrize("file", ["table.json", "inner/deep.py", "plugin.yaml"])
def test_any_file_of_the_plugin_counts(folder: Path, file: str, run: Desk) -> None:
    place = shouting(folder)
    run(SHOUT)

    (place / file).parent.mkdir(exist_ok=True)
    with (place / file).open("a") as changed:
        changed.write("# more\n")

    assert run(SHOUT) == ("HI!", 1)


def test_a_change_of_another_plugin_changes_nothing(folder: Path, run: Desk) -> None:
    shouting(folder)
    other = plugin(folder, "other", {"nodes": "VALUE = 1"})
    run(SHOUT)

    (other / "nodes.py").write_text("VALUE = 22")

    assert run(SHOUT) == ("HI!", 0)


def test_the_core_s_steps_do_not_depend_on_plugins(folder: Path, run: Desk) -> None:
    document = {"1": entry("Count", value=3)}
    run(document)

    shouting(folder)

    assert run(document) == (3, 0)


def test_what_a_node_chooses_counts_by_the_code_behind_it(folder: Path, run: Desk) -> None:
    plugin(folder, "a_painter", {"nodes": BRUSHES})
    pen = plugin(folder, "pen", {"nodes": BRUSH.format(name="pen", mark="|")})
    chalk = plugin(folder, "chalk", {"nodes": BRUSH.format(name="chalk", mark="#")})
    one, every = {"1": entry("Paint", brush="pen")}, {"1": entry("PaintAll")}
    assert run(one) == ("|", 1)
    assert run(every) == ("#|", 1)

    text = (chalk / "nodes.py").read_text()
    (chalk / "nodes.py").write_text(text.replace("'#'", "'####'"))
    assert run(one) == ("|", 0)
    assert run(every) == ("####|", 1)

    text = (pen / "nodes.py").read_text()
    (pen / "nodes.py").write_text(text.replace("'|'", "'/////'"))
    assert run(one) == ("/////", 1)
    assert run(every) == ("####/////", 1)


def test_a_name_that_comes_over_a_link_may_be_any_plugin_s(folder: Path, run: Desk) -> None:
    plugin(folder, "a_painter", {"nodes": BRUSHES})
    pen = plugin(folder, "pen", {"nodes": BRUSH.format(name="pen", mark="|")})
    document = {"0": entry("Say", text="pen"), "1": entry("Paint", brush=["0", 0])}
    plugin(folder, "say", {"nodes": """
        from typing import Annotated
        from nodegraph import ChoiceOf, node

        @node("Say", category="tests")
        def say(text: str) -> Annotated[str, ChoiceOf("brushes")]:
            return text
    """})  # fmt: skip
    assert run(document)[0] == "|"

    text = (pen / "nodes.py").read_text()
    (pen / "nodes.py").write_text(text.replace("'|'", "'/////'"))

    assert run(document)[0] == "/////"


def test_a_manifest_of_a_run_names_the_plugins_behind_it(folder: Path, run: Desk) -> None:
    place = shouting(folder, manifest='version: "1.2"')
    plugin(folder, "other", {"nodes": "VALUE = 1"})
    plugin(folder, "tells", {"nodes": """
        from typing import Any
        from nodegraph import Context, node

        @node("Tell", category="tests", cached=False)
        def tell(value: Any, *, context: Context) -> Any:
            return context.manifest()["plugins"]
    """})  # fmt: skip
    document = {**SHOUT, "2": entry("Tell", value=["1", 0])}

    told, _ = run(document, "2")

    assert told == {
        "loud": {"version": "1.2", "code": code_hash(place)},
        "tells": {"version": "", "code": code_hash(folder / "tells")},
    }


def test_the_hash_is_of_names_and_contents_alone(tmp_path: Path) -> None:
    one, two = shouting(tmp_path / "one"), shouting(tmp_path / "two")
    for hidden in (".git/index", "__pycache__/nodes.cpython-311.pyc", "__pycache__/x", "y.pyc"):
        (two / hidden).parent.mkdir(exist_ok=True)
        (two / hidden).write_text("not code")
    os.utime(two / "nodes.py", (1, 1))
    assert code_hash(one) == code_hash(two)

    before = code_hash(two)
    (two / "nodes.py").rename(two / "other.py")
    assert code_hash(two) != before

    (one / "a").write_text("bc")
    (two / "other.py").rename(two / "nodes.py")
    (two / "ab").write_text("c")
    assert code_hash(one) != code_hash(two)


def test_a_very_large_file_counts_by_its_size_and_time(tmp_path: Path) -> None:
    folder = shouting(tmp_path)
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(LARGE + 1)
    os.utime(folder / "weights.bin", (1, 1))
    before = code_hash(folder)

    os.utime(folder / "weights.bin", (2, 2))

    assert code_hash(folder) != before


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = shouting(tmp_path)
    (folder / "lost").symlink_to(folder / "nowhere")

    with pytest.raises(PluginError, match=r"lost cannot be read: No such file"):
        code_hash(folder)
