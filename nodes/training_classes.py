"""The classes of a data set as a model numbers them, and which of them sample sheets show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodegraph import Context, NodeGraphError
from nodes.models.class_table import ClassTable
from nodes.models.encoders import class_numbers
from nodes.training.dataset import Dataset, DatasetError
from nodes.training.labels import Labels, numbered
from nodes.types import Model

SHOWN = 8  # pictures of a sample sheet


def labels_of(model: Model, dataset: Dataset, drop: float, context: Context) -> Labels | None:
    """What a model with a class embedding is told of a data set; None for one without.

    Raises NodeGraphError for examples without a class, or with one that the model does not know;
    where a share `drop` is to be shown without it and there is no null class; for a model that
    reads vectors, of which a data set has none.
    """
    if model.vector is not None:
        raise NodeGraphError(
            f"the model reads a vector {model.vector} wide beside the tokens, and a data set has "
            "none for it: choose a model that reads tokens or classes alone"
        )
    table = model.classes
    if table is None:
        return None
    if drop > 0 and not table.null:
        raise NodeGraphError(
            "the model has no null class to show in place of a class: set drop to 0, or make a "
            "model that has one with AddClasses"
        )
    try:
        return Labels(numbered(table, dataset), table.null_number, context.device)
    except DatasetError as fault:
        raise NodeGraphError(str(fault)) from fault


@dataclass(frozen=True, eq=False)
class Drawn:
    """The classes of a sheet's pictures (P,), and the null class (1,), None where there is none."""

    y: Tensor
    null: Tensor | None

    @classmethod
    def of(cls, table: ClassTable, numbers: Sequence[int]) -> Drawn:
        null = None if table.null_number is None else torch.tensor([table.null_number])
        return cls(torch.tensor(numbers), null)


def drawn(model: Model, prompts: tuple[str, ...]) -> Drawn | None:
    """What a sheet draws of a model's classes; None for a model without.

    Where the model reads no tokens the prompts are classes, by default the first ones. Else they
    are prompts, and the classes take turns. Raises NodeGraphError for a class that is not there.
    """
    table = model.classes
    if table is None:
        return None
    if model.context is not None:
        return Drawn.of(table, [i % table.classes for i in range(len(prompts) or SHOWN)])
    if not prompts:
        return Drawn.of(table, range(min(SHOWN, table.classes)))
    try:
        return Drawn.of(table, class_numbers(table, "\n".join(prompts)).tolist())
    except ValueError as fault:
        raise NodeGraphError(f"prompts: {fault}; this model reads classes alone") from fault
