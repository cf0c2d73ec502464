"""The nodes of data sets, called and in whole graphs."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from node_support import Desk
from picture_sets import flat, of_arrays, write
from torch import Tensor

import nodes
from nodegraph import Context, Engine, Extension, NodeGraphError, Settings
from nodegraph.folders import Folders
from nodegraph.names import UnsafeName
from nodes.dataset import (
    HINTS,
    READERS,
    add_dataset_hints,
    load_image_folder,
    pick_from_dataset,
    show_dataset,
    split_dataset,
)
from nodes.training.dataset import Dataset, DatasetError, Entry, Listing
from nodes.training.hints import MAKERS, HintMaker
from nodes.training.image_folder import read_image_folder


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def context(desk: Desk, **points: Any) -> Context:
    known = {READERS: {"imagefolder": read_image_folder}, HINTS: MAKERS, **points}
    return replace(desk.context, extensions=known)


def fill(folder: Path, count: int = 3) -> None:
    for number in range(count):
        flat(folder / f"{number}.png", (number * 40, 9, 9), (32, 32))
        write(folder / f"{number}.txt", f"picture {number}")


# -- folders ---------------------------------------------------------------------------------------


def test_a_folder_of_the_input_folder_or_of_the_models_is_chosen_by_name(desk: Desk) -> None:
    fill(desk.folder / "input/cats")
    fill(desk.folder / "models/datasets/dogs/small", 1)

    assert desk.folders.list("datasets") == ("cats", "dogs", "dogs/small")
    cats = load_image_folder("cats", context=context(desk))
    dogs = load_image_folder("dogs", context=context(desk))

    assert cats.captions == ("picture 0", "picture 1", "picture 2")
    assert cats.name == "cats"
    assert dogs.labels == ("small",)


@pytest.mark.parametrize("name", ["../out", ".hidden", "link", "gone", "empty", "file.png"])
def test_no_other_folder_can_be_read(desk: Desk, name: str) -> None:
    fill(desk.folder / "out")
    fill(desk.folder / "input/.hidden")
    write(desk.folder / "input/empty/a.txt", "no picture")
    flat(desk.folder / "input/file.png")
    (desk.folder / "input/link").symlink_to(desk.folder / "out")

    with pytest.raises((UnsafeName, NodeGraphError), match=r"datasets|leads out"):
        load_image_folder(name, context=context(desk))


def test_broken_pictures_are_warned_of(desk: Desk) -> None:
    fill(desk.folder / "input/a")
    write(desk.folder / "input/a/3.png", "broken")
    write(desk.folder / "input/a/4.png", "broken")

    dataset = load_image_folder("a", context=context(desk))

    assert len(dataset) == 3
    assert len(desk.warnings) == 1
    assert desk.warnings[0].startswith("left out of the data set 'a': 3.png: not a picture")
    assert ", and 1 more" in desk.warnings[0]


def test_a_plugin_s_reader_is_used(desk: Desk) -> None:
    flat(desk.folder / "input/a/x.png")

    def read(folder: Path) -> Listing:
        return Listing([Entry("only", folder / "x.png", "by the plugin")])

    dataset = load_image_folder("a", "mine", context=context(desk, **{READERS: {"mine": read}}))

    assert dataset.captions == ("by the plugin",)


# -- parts and hints -------------------------------------------------------------------------------


def numbered(count: int) -> Dataset:
    return of_arrays(*[np.full((16, 16, 3), i, np.uint8) for i in range(count)])


def test_a_share_is_kept_aside_and_a_limit_holds_for_both() -> None:
    training, validation = split_dataset(numbered(20), validation=0.25, seed=1)
    assert (len(training), len(validation)) == (15, 5)

    training, validation = split_dataset(numbered(20), validation=0.25, seed=1, limit=8)
    assert (len(training), len(validation)) == (6, 2)

    training, validation = split_dataset(numbered(3), validation=0.0, seed=1)
    assert (len(training), len(validation)) == (3, 0)


def test_hints_are_added_below_the_cache_folder(desk: Desk, tmp_path: Path) -> None:
    folders = replace(desk.folders, cache=tmp_path / "cache")
    given = replace(context(desk), folders=folders)

    dataset = add_dataset_hints(numbered(2), "depth", context=given)
    dataset = add_dataset_hints(dataset, "silhouette", "outline", context=given)

    assert dataset.hints == ("depth", "outline")
    assert len(list((tmp_path / "cache/datasets/hints").rglob("*.png"))) == 4
    assert desk.progress == [(1, 2), (2, 2)] * 2
    with pytest.raises(DatasetError, match="already"):
        add_dataset_hints(dataset, "depth", context=given)


def test_without_a_cache_folder_hints_are_temporary(desk: Desk) -> None:
    add_dataset_hints(numbered(1), "depth", context=context(desk))

    assert len(list((desk.folder / "temp/datasets/hints").rglob("*.png"))) == 1


# -- shown -----------------------------------------------------------------------------------------


def test_a_data_set_is_shown_as_pictures_and_words() -> None:
    sheet = show_dataset(numbered(5), count=3, columns=2, resolution=16, step=8)

    assert sheet.images.shape == (1, 2 * (16 + 4 + 24), 2 * 20, 3)
    assert sheet.report.startswith("arrays: 5 pictures")
    assert sheet.shown.values["text"] == [sheet.report]


def test_a_step_that_does_not_fit_is_made_smaller_and_an_empty_data_set_is_refused() -> None:
    sheet = show_dataset(numbered(1), resolution=24, step=32)

    assert "size 24 x 24: 1 picture" in sheet.report
    with pytest.raises(NodeGraphError, match="is empty"):
        show_dataset(numbered(1).take(()))


# -- picking ---------------------------------------------------------------------------------------


def captioned(*captions: str) -> Dataset:
    blank = numbered(len(captions))
    return replace(
        blank,
        examples=tuple(
            replace(example, caption=caption)
            for example, caption in zip(blank.examples, captions, strict=True)
        ),
    )


def told(dataset: Dataset) -> list[str]:
    return [example.caption for example in dataset.examples]


def test_examples_are_picked_by_caption_in_their_order_and_the_rest_is_left(
    desk: Desk,
) -> None:
    dataset = captioned("red heart", "Cat", "blue heart", "cat face", "cat")

    picked, rest = pick_from_dataset(dataset, " CAT \n\n*heart", context=context(desk))

    assert told(picked) == ["red heart", "Cat", "blue heart", "cat"]
    assert told(rest) == ["cat face"]
    assert picked.name.endswith("(picked)")


def test_a_caption_that_nothing_has_is_a_warning_and_none_at_all_an_error(desk: Desk) -> None:
    dataset, quiet = captioned("cat", "dog"), context(desk)

    assert told(pick_from_dataset(dataset, "dog\nhorse\n*fish", context=quiet).picked) == ["dog"]

    assert desk.warnings == ["captions: no example has 'horse', '*fish'"]
    with pytest.raises(
        NodeGraphError, match=r"captions: no example of .* has 'horse'.*'cat', 'dog'"
    ):
        pick_from_dataset(dataset, "horse", context=context(desk))
    with pytest.raises(NodeGraphError, match="none are given"):
        pick_from_dataset(dataset, " \n ", context=context(desk))


def test_a_caption_with_a_star_in_it_is_found_by_itself(desk: Desk) -> None:
    assert told(
        pick_from_dataset(captioned("keycap *", "key"), "keycap *", context=context(desk))[0]
    ) == ["keycap *"]


# -- graphs ----------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    def blank(image: Tensor) -> Tensor:
        return torch.zeros(image.shape[:3])

    plugin = types.ModuleType("plugin")
    plugin.HINTS = Extension(HINTS, {"blank": HintMaker(blank)})  # type: ignore[attr-defined]
    settings = Settings(cache=tmp_path / "cache", device="cpu", input=tmp_path / "input")
    folders = Folders(
        (tmp_path / "models",),
        tmp_path / "input",
        tmp_path / "output",
        tmp_path / "temp",
        tmp_path / "cache",
    )
    with Engine((*nodes.modules(), plugin), settings, folders=folders) as engine:
        yield engine


GRAPH = {
    "1": {"class_type": "LoadImageFolder", "inputs": {"folder": "set"}},
    "2": {"class_type": "SplitDataset", "inputs": {"dataset": ["1", 0], "validation": 0.34}},
    "3": {"class_type": "AddDatasetHints", "inputs": {"dataset": ["2", 0], "kind": "blank"}},
    "4": {"class_type": "ShowDataset", "inputs": {"dataset": ["3", 0], "resolution": 32}},
}


def test_a_graph_reads_splits_and_shows_and_reads_again_when_a_file_changes(
    engine: Engine, tmp_path: Path
) -> None:
    fill(tmp_path / "input/set")

    def run() -> Any:
        return engine.run(GRAPH, targets=["4", "2"]).require()

    first = run()
    assert first["4"][1].startswith("set (training): 2 pictures")
    assert "hint blank: 2 of 2" in first["4"][1]
    assert len(first["2"][1]) == 1
    before = first["2"][0].identity

    second = run()
    assert second["2"][0].identity == before

    write(tmp_path / "input/set/0.txt", "another caption")
    write(tmp_path / "input/set/1.txt", "another caption as well")
    third = run()
    assert third["2"][0].identity != before
    assert "another caption as well" in {*third["2"][0].captions, *third["2"][1].captions}


def test_the_choices_of_the_nodes_are_what_is_registered(engine: Engine, tmp_path: Path) -> None:
    fill(tmp_path / "input/set", 1)
    kinds = engine.registry.nodes

    def choices(node: str, port: str) -> tuple[str, ...] | None:
        return engine.registry.options(kinds[node].by_name[port])

    assert choices("LoadImageFolder", "folder") == ("set",)
    assert choices("LoadImageFolder", "layout") == ("imagefolder",)
    assert choices("AddDatasetHints", "kind") == (*MAKERS, "blank")
