"""docs/gallery.md: nothing is left out, and each picture is of the workflow it stands under."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import settings_in

import nodes
from nodegraph import Engine
from nodes.imaging.files import decode
from nodes.imaging.metadata import metadata_json

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "gallery.md").read_text()
FOLDER = ROOT / "docs" / "images" / "gallery"
SECTIONS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:]}
USUAL, ONE, ALL = (64, 64), 40_000, 600_000  # pixels; bytes


def commands(part: str) -> list[str]:
    """The workflows that a section's commands run, but those that only prepare."""
    names = re.findall(r"^python main\.py run workflows/(\w+)\.json", part, re.MULTILINE)
    return [name for name in names if not name.startswith("train_")]


def images(part: str) -> list[Path]:
    return [ROOT / "docs" / link for link in re.findall(r'<img src="([^"]+)"', part)]


def graph(name: str) -> dict[str, dict[str, Any]]:
    document: dict[str, dict[str, Any]] = json.loads(
        (ROOT / "workflows" / f"{name}.json").read_text()
    )
    return document


def types(document: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {id: entry["class_type"] for id, entry in document.items()}


def told(part: str) -> dict[str, dict[str, Any]]:
    """The graph of a section's workflow, with what its command sets."""
    [name] = commands(part)
    document = graph(name)
    for id, port, value in re.findall(r"--set (\w+)\.(\w+)=(\S+)", part):
        before = document[id]["inputs"][port]
        document[id]["inputs"][port] = type(before)(value)
    return document


def inputs(document: dict[str, dict[str, Any]], *names: str) -> set[Any]:
    """The values that a graph's nodes have for inputs of these names."""
    values = [entry["inputs"].get(each) for entry in document.values() for each in names]
    return {value for value in values if value is not None and not isinstance(value, list)}


def test_every_workflow_but_those_that_train_has_its_command() -> None:
    workflows = {path.stem for path in (ROOT / "workflows").glob("*.json")}

    listed = [name for part in SECTIONS.values() for name in commands(part)]

    assert sorted(listed) == sorted(n for n in workflows if not n.startswith("train_"))


def test_every_section_has_its_pictures() -> None:
    assert [title for title, part in SECTIONS.items() if not images(part)] == []


def test_the_folder_holds_what_is_shown_and_nothing_else() -> None:
    shown = [image for part in SECTIONS.values() for image in images(part)]

    assert sorted(shown) == sorted(FOLDER.iterdir())


def test_the_pictures_are_small_files() -> None:
    sizes = [path.stat().st_size for path in FOLDER.iterdir()]

    assert max(sizes) < ONE
    assert sum(sizes) < ALL


@pytest.mark.parametrize("title", SECTIONS)
def test_a_picture_carries_the_workflow_it_stands_under(title: str) -> None:
    document = told(SECTIONS[title])

    for image in images(SECTIONS[title]):
        carried = metadata_json(image)["prompt"]
        assert types(carried) == types(document)
        assert carried == document  # prompts, seeds and settings as well


@pytest.mark.parametrize("title", SECTIONS)
def test_a_picture_has_the_size_that_is_said(title: str) -> None:
    said = re.search(r"(\d+) x (\d+) pixels", SECTIONS[title])
    width, height = map(int, said.groups()) if said else USUAL

    for image in images(SECTIONS[title]):
        assert decode(image).image.shape == (1, height, width, 3)


@pytest.mark.parametrize("title", SECTIONS)
def test_seed_and_settings_are_those_of_the_workflow(title: str) -> None:
    part = " ".join(SECTIONS[title].split())
    document = told(SECTIONS[title])

    seeds = set(map(int, re.findall(r"Seed (\d+)", part)))
    guidance = set(map(float, re.findall(r"guidance (\d+(?:\.\d+)?)", part)))
    steps = set(map(int, re.findall(r"(\d+) steps", part)))

    draws = "LoadCheckpoint" in types(document).values()
    assert seeds == (inputs(document, "seed", "noise_seed") - {0} if draws else set())
    assert guidance == inputs(document, "cfg")
    assert steps == inputs(document, "steps")


def test_the_hints_are_what_the_workflow_makes_today(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, input=ROOT / "input", plugins=(ROOT / "plugins",))

    with Engine(nodes.modules(), settings) as engine:
        engine.run(ROOT / "workflows" / "hints.json").require()

    for number in range(1, 5):
        made = decode(tmp_path / "output" / f"hints_{number:05}_.png").image
        shown = decode(FOLDER / f"hints_{number}.png").image
        assert float((made - shown).abs().max()) < 2.5 / 255
        assert torch.std(shown) > 0.1
