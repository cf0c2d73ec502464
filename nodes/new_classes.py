"""The node that gives a model classes: a file in the cache, like those of `new_models`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor

from nodegraph import OPTIONAL, Context, NodeGraphError, Seed, Text, Tip, node
from nodes.models.checkpoint_info import inspect
from nodes.models.checkpoint_metadata import write_metadata
from nodes.models.class_table import ClassTable
from nodes.models.save import UNET, Piece, below, write_safetensors
from nodes.models.unet_config import GROUPS, UNetConfig
from nodes.new_models import CATEGORY, or_say, untrained
from nodes.patching import weights_of
from nodes.training.dataset import Dataset
from nodes.types import Model
from nodes.weights import as_model
from nodes.writing import declared_of, pieces_of

TABLE = "label_emb.weight"
Start = Literal["random", "zero"]


@node("AddClasses", category=CATEGORY, display_name="Add Classes")
def add_classes(
    model: Model,
    classes: Annotated[
        str, Text(multiline=True), Tip("a name a line; or one number: how many, without names")
    ] = "",
    null_class: Annotated[bool, Tip("one more that stands for none, for guidance")] = True,
    start: Annotated[Start, Tip("zero: draws what it drew until something is learned")] = "random",
    seed: Annotated[int, Seed()] = 0,
    *,
    dataset: Annotated[Dataset | None, OPTIONAL, Tip("whose labels are the classes")] = None,
    context: Context,
) -> Model:
    """The model with a class embedding that TrainDiffusion teaches (arXiv:2105.05233).

    Its numbers are N(0, 1) at first, as in the paper's code, or zeros, for a model that can draw.
    """
    table = or_say(lambda: _table(classes, null_class, dataset))
    config = _config(model, table)
    declared = replace(declared_of(model, context), classes=table)
    rows = _rows((table.rows, config.time_channels), start, seed)

    def save(path: Path) -> None:
        pieces = {**pieces_of(model.source), TABLE: Piece.of(rows)}
        write_safetensors(path, below(UNET, pieces), write_metadata(declared, config, None))

    path = untrained(context, ("classes", model.source.key, declared, table, start, seed), save)
    made = as_model(inspect(path), context)
    return replace(model, source=made.source, classes=made.classes)


def _table(classes: str, null: bool, dataset: Dataset | None) -> ClassTable:
    lines = tuple(line.strip() for line in classes.splitlines() if line.strip())
    if len(lines) == 1 and lines[0].isascii() and lines[0].isdecimal():
        return ClassTable(int(lines[0]), (), null)
    names = lines or (() if dataset is None else dataset.labels)
    if not names:
        raise NodeGraphError(
            "classes: none are given. Connect a data set with labels, or write a name a line"
        )
    return ClassTable(len(names), names, null)


def _rows(shape: tuple[int, int], start: Start, seed: int) -> Tensor:
    if start == "zero":
        return torch.zeros(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _config(model: Model, table: ClassTable) -> UNetConfig:
    """The model's architecture with these classes.

    Raises NodeGraphError for a model that has some, and for one that cannot tell them apart.
    """
    config = weights_of(model.source).config
    assert isinstance(config, UNetConfig)
    if config.num_classes is not None:
        raise NodeGraphError(
            f"the model has a class embedding of {config.num_classes} rows already: train it as it "
            "is, or start from a model without classes"
        )
    if max(config.widths) == GROUPS and not config.scale_shift_norm:
        raise NodeGraphError(
            f"every level of the model is {GROUPS} channels wide: each is normalised alone, which "
            "cancels what is added for a class: make the model with channels 64 or more"
        )
    return or_say(lambda: replace(config, num_classes=table.rows))
