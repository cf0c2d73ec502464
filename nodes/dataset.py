"""Nodes that read data sets to train on, show them, split them, and add hints to them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

from nodegraph import (
    ChoiceOf,
    Context,
    Extension,
    FileOf,
    NodeGraphError,
    Number,
    Seed,
    Shown,
    Text,
    Tip,
    node,
)
from nodes.training.contact_sheet import contact_sheet, report
from nodes.training.dataset import Dataset, DatasetError, Reader, read_dataset
from nodes.training.framing import Framing
from nodes.training.hints import MAKERS, HintMaker, add_hints
from nodes.training.image_folder import read_image_folder
from nodes.training.looking import Looker
from nodes.training.picking import listed, rows_of
from nodes.training.pixels import Pixels
from nodes.types import Image

CATEGORY = "training/data"
READERS, HINTS = "dataset_readers", "dataset_hints"
FOLDERS = Extension(READERS, {"imagefolder": read_image_folder})
KINDS = Extension(HINTS, MAKERS)


def data_folder(context: Context) -> Path:
    """Where nodes keep what they make of data sets: it can be made again."""
    folders = context.need_folders()
    return (folders.cache or folders.temp) / "datasets"


def looker(context: Context) -> Looker:
    """Opens pictures, and remembers what they are between runs."""
    return Looker(data_folder(context) / "seen.json")


@node("LoadImageFolder", category=CATEGORY, display_name="Load Image Folder", lane="io")
def load_image_folder(
    folder: Annotated[str, FileOf("datasets")],
    layout: Annotated[str, ChoiceOf(READERS), Tip("how the folder says what is what")] = (
        "imagefolder"
    ),
    *,
    context: Context,
) -> Dataset:
    """A data set: a folder of pictures in models/datasets or in the input folder.

    Captions are in text files beside the pictures or in metadata.jsonl; hints (a mask, edges ...)
    beside as well. Pictures that cannot be read are left out, with a warning.
    """
    path = context.need_folders().resolve("datasets", folder)
    reader: Reader = context.extension(READERS, layout)
    dataset = read_dataset(path, reader, looker(context), name=folder)
    if dataset.problems:
        first, *others = dataset.problems
        more = f", and {len(others)} more" if others else ""
        context.warn(f"left out of the data set {folder!r}: {first}{more} (Show Data Set tells)")
    return dataset


class Sheet(NamedTuple):
    images: Image
    report: str
    shown: Shown


@node("ShowDataset", category=CATEGORY, display_name="Show Data Set", lane="io")
def show_dataset(
    dataset: Dataset,
    count: Annotated[int, Number(min=1, max=1024), Tip("pictures that are shown")] = 32,
    seed: Annotated[int, Seed()] = 0,
    resolution: Annotated[int, Number(min=8, max=2048, step=8)] = 128,
    step: Annotated[int, Number(min=8, max=512, step=8), Tip("sides are multiples of it")] = 32,
    square: Annotated[bool, Tip("all pictures become squares")] = False,
    columns: Annotated[int, Number(min=1, max=64)] = 8,
) -> Sheet:
    """Some of the pictures with their captions, as training sees them, and a report in words."""
    pixels = Pixels(dataset, Framing(resolution, _fitting(step, resolution), square))
    if not len(dataset):
        raise NodeGraphError("the data set is empty: there is nothing to show")
    chosen = dataset.sample(count, seed)
    sheet = contact_sheet(Pixels(chosen, pixels.framing), range(len(chosen)), columns)
    said = report(pixels)
    return Sheet(Image(sheet), said, Shown(values={"text": [said]}))


def _fitting(step: int, resolution: int) -> int:
    """The largest step, `step` at most, that the resolution is a multiple of."""
    return max(n for n in range(1, min(step, resolution) + 1) if resolution % n == 0)


class Split(NamedTuple):
    training: Dataset
    validation: Dataset


@node("SplitDataset", category=CATEGORY, display_name="Split Data Set")
def split_dataset(
    dataset: Dataset,
    validation: Annotated[
        float, Number(min=0, max=1, step=0.01), Tip("the share that is not trained on")
    ] = 0.05,
    seed: Annotated[int, Seed()] = 0,
    limit: Annotated[int, Number(min=0), Tip("examples that are used at all; 0: all")] = 0,
) -> Split:
    """A choice by chance: what is trained on, and what training is judged by."""
    used = dataset.sample(limit, seed) if limit else dataset
    return Split(*used.split(validation, seed))


class Picked(NamedTuple):
    """picked: those with one of the captions. rest: the others."""

    picked: Dataset
    rest: Dataset


@node("PickFromDataset", category=CATEGORY, display_name="Pick from Data Set")
def pick_from_dataset(
    dataset: Dataset,
    captions: Annotated[
        str, Text(multiline=True), Tip("one a line; * stands for anything, as in *heart")
    ] = "*",
    *,
    context: Context,
) -> Picked:
    """A choice by caption, upper or lower case, and what is left. The order stays as it was."""
    patterns = [line.strip().lower() for line in captions.splitlines() if line.strip()]
    try:
        rows, idle = rows_of(dataset, patterns)
    except DatasetError as fault:
        raise NodeGraphError(f"captions: {fault}") from fault
    if idle:
        context.warn(f"captions: no example has {listed(idle)}")
    others = sorted(set(range(len(dataset))) - set(rows))
    return Picked(
        dataset.take(rows, f"{dataset.name} (picked)"),
        dataset.take(others, f"{dataset.name} (rest)"),
    )


@node("AddDatasetHints", category=CATEGORY, display_name="Add Hints to Data Set", lane="io")
def add_dataset_hints(
    dataset: Dataset,
    kind: Annotated[str, ChoiceOf(HINTS)] = "edges",
    name: Annotated[str, Tip("what the hint is called; as its kind, if empty")] = "",
    *,
    context: Context,
) -> Dataset:
    """Hints that are made of the pictures: what a ControlNet learns to follow."""
    maker: HintMaker = context.extension(HINTS, kind)
    folder = data_folder(context) / "hints"
    return add_hints(dataset, name or kind, kind, maker, folder, context.progress)
