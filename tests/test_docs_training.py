"""docs/training.md: what it quotes, names, shows and runs is there as it says."""

from __future__ import annotations

import inspect
import io
import json
import re
import shlex
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from PIL import Image

import nodes
from benchmarks.training_charts import CHARTS, sheet
from benchmarks.training_pictures import PICTURES, Studio
from nodegraph.registry import Registry
from nodes import lora_training, training_conditions, training_parts, training_run
from nodes.training import state
from nodes.training.recipe import Recipe
from nodes.training_recipe import training_recipe

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text()
FOLDER = ROOT / "docs" / "images" / "training"
SMALL = 40_000  # bytes


def quoted() -> list[tuple[str, str]]:
    """Each block of code, with the file that was named last before it."""
    found, file = [], ""
    pattern = re.compile(r"^\[`([\w/]+\.py)`\]\(\.\./\1\):$|^```python\n(.*?)^```$", re.M | re.S)
    for match in pattern.finditer(PAGE):
        if match[1]:
            file = match[1]
        else:
            found.append((file, match[2]))
    return found


def indented(text: str) -> list[str]:
    return [textwrap.indent(text, " " * n) for n in (0, 4, 8, 12)]


def section(title: str) -> str:
    [found] = [part for part in PAGE.split("\n## ") if part.startswith(title)]
    return found


@pytest.mark.parametrize("number", range(len(quoted())))
def test_a_quoted_block_stands_in_the_file_that_is_named(number: int) -> None:
    file, block = quoted()[number]
    text = "\n" + (ROOT / file).read_text()

    assert any("\n" + form in text for form in indented(block)), f"{file}:\n{block}"


def test_every_block_of_python_is_quoted_from_somewhere() -> None:
    assert len(quoted()) == PAGE.count("```python") > 25
    assert all(file for file, _ in quoted())


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:nodes|tests|workflows|plugins)/[\w/*.]+)`", PAGE)

    assert len(named) > 20
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_every_node_that_is_named_is_there() -> None:
    registry = Registry()
    registry.register(*nodes.modules())
    named = set(re.findall(r"`((?:New|Train)\w+)`", PAGE))
    measured = set(re.findall(r"^- `(\w+)`:", section("Measuring it"), re.M))

    assert named | measured <= set(registry.nodes)
    trainers = {n for n in registry.nodes if n.startswith(("New", "Train"))}
    assert trainers <= named
    evaluating = {n for n, each in registry.nodes.items() if "evaluation" in each.category}
    assert measured == evaluating


def test_every_anchor_is_a_title() -> None:
    titles = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^## (.+)$", PAGE, re.M)
    }

    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= titles


def test_every_picture_is_shown_is_made_by_the_script_and_is_small() -> None:
    shown = re.findall(r"images/training/(\w+)\.png", PAGE)

    assert sorted(shown) == sorted(PICTURES) == sorted(file.stem for file in FOLDER.iterdir())
    assert all((FOLDER / f"{name}.png").stat().st_size < SMALL for name in shown)
    assert all(name in CHARTS or callable(getattr(Studio, name)) for name in shown)


@pytest.mark.parametrize("name", ["schedules", "weights", "rates"])
def test_a_chart_can_be_made_anew(name: str) -> None:
    made = CHARTS[name]()

    assert len(made) < SMALL
    with Image.open(io.BytesIO(made)) as fresh, Image.open(FOLDER / f"{name}.png") as kept:
        assert fresh.size == kept.size


def test_pictures_of_a_sheet_are_pixel_for_pixel_what_was_given() -> None:
    given = torch.tensor([0.0, 1.0]).repeat(4, 4)[None, None].expand(2, 3, -1, -1)

    with Image.open(io.BytesIO(sheet([given, 1 - given], ["a", "b"], ["", ""], 2))) as picture:
        pixels = torch.tensor(list(picture.convert("L").tobytes())).view(picture.height, -1)

    right = pixels[3:11, -3 - 16 : -3]  # the upper row's last picture, after gap and column
    assert right[:, 0::4].unique().tolist() == [0]
    assert right[:, 2::4].unique().tolist() == [255]


@pytest.mark.parametrize("command", re.findall(r"^python main\.py run (.+)$", PAGE, re.M))
def test_what_a_command_sets_is_in_its_graph(command: str) -> None:
    file, *options = shlex.split(command)
    graph = json.loads((ROOT / file).read_text())
    titles = {entry["_meta"]["title"]: entry["inputs"] for entry in graph.values()}

    assert options
    for option in options:
        if option != "--set":
            title, _, rest = option.partition(".")
            assert rest.partition("=")[0] in titles[title]


def test_the_table_of_a_recipe_is_the_recipe() -> None:
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|", section("Rate and average"), re.M)
    named = [name for row in rows for name in re.findall(r"\w+", row)]

    assert sorted(named) == sorted(field.name for field in fields(Recipe))
    inputs = inspect.signature(training_recipe).parameters
    assert set(named) - set(inputs) == {"betas"}


def test_the_table_of_a_run_s_directory_names_what_the_code_writes() -> None:
    table = section("Stopping and going on")
    written = (
        state.RUN,
        state.HISTORY,
        training_run.CURVE,
        training_run.REPORT,
        training_parts.RESULT,
        lora_training.FILE,
        training_conditions.ENCODER,
    )

    assert all(f"`{name}`" in table for name in written)
    assert f"`output/{training_run.FOLDER}/" in table
