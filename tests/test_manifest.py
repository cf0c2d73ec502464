"""What a result was made with."""

import platform
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from executor_support import ByContent, OneFolder, entry, rig_of

from nodegraph.context import Context
from nodegraph.expansion import Builder, Expansion
from nodegraph.node import FileOf, Seed, node
from nodegraph.version import VERSION


@node("Load", category="t", version=3)
def load(name: Annotated[str, FileOf("texts")]) -> str:
    return name


@node("LoadTwice", category="t")
def load_twice(name: str) -> str | Expansion:
    build = Builder()
    return build.result(build.add("Load", name=name))


@node("Sample", category="t")
def sample(model: str, seed: Annotated[int, Seed()] = 0, start: Any = None) -> int:
    return seed


@node("Other", category="t")
def other(seed: Annotated[int, Seed()] = 5) -> int:
    return 1


@node("Name", category="t")
def name() -> str:
    return "b.txt"


@node("Manifest", category="t")
def manifest(value: Any, *, context: Context) -> Any:
    return dict(context.manifest())


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "a.txt").write_text("content of a")
    (tmp_path / "b.txt").write_text("content of b")
    return {"folders": OneFolder(tmp_path), "hashes": ByContent(), "precision": "fp32"}


NODES = (load, load_twice, sample, other, name, manifest)


def test_a_manifest_tells_everything_a_result_was_made_with(options: dict[str, Any]) -> None:
    document = {
        "1": entry("Load", name="a.txt"),
        "2": entry("Sample", model=["1", 0], seed=7),
        "10": entry("Sample", model=["1", 0], seed=8, start=["2", 0]),
        "11": entry("Other"),
        "12": entry("Manifest", value=["10", 0]),
    }
    with rig_of(*NODES, **options) as rig:
        plan = rig.plan(document, ["12", "11"])
        [told] = rig.executor.run(plan).require()["12"]

    contents = {step.id: step.content for step in plan.steps}
    assert told == {
        "nodegraph": VERSION,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": f"cpu: {platform.machine()}",
        "precision": "fp32",
        "node": "12",
        "content": contents["12"],
        "files": [
            {
                "node": "1",
                "input": "name",
                "kind": "texts",
                "name": "a.txt",
                "sha256": "content of a",
            }
        ],
        "nodes": {"Load": 3, "Sample": 1, "Manifest": 1},
        "seeds": {"2.seed": 7, "10.seed": 8},
        "plugins": {},
    }
    assert list(told["seeds"]) == ["2.seed", "10.seed"], "in the order of the ids"


def test_files_named_over_a_link_are_told_too(options: dict[str, Any]) -> None:
    document = {
        "0": entry("Name"),
        "1": entry("Load", name=["0", 0]),
        "2": entry("Manifest", value=["1", 0]),
    }
    with rig_of(*NODES, **options) as rig:
        for _ in range(2):
            [told] = rig.run(document, targets=["2"]).require()["2"]
            rig.cache.free(8, device="cpu")

    assert [file["sha256"] for file in told["files"]] == ["content of b"]


def test_files_read_inside_an_expansion_are_told_too(options: dict[str, Any]) -> None:
    document = {"1": entry("LoadTwice", name="a.txt"), "2": entry("Manifest", value=["1", 0])}
    with rig_of(*NODES, **options) as rig:
        [told] = rig.run(document, targets=["2"]).require()["2"]

    assert [(file["node"], file["sha256"]) for file in told["files"]] == [("1.0.1", "content of a")]
    assert told["nodes"] == {"Load": 3, "LoadTwice": 1, "Manifest": 1}
