"""The node that says a class to networks which draw by class. Equations: docs/conditioning.md."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from nodegraph import OPTIONAL, NodeGraphError, Text, Tip, node
from nodes.models.encoders import class_numbers
from nodes.text import conditioning_empty
from nodes.types import Conditioning, Model


class Classed(NamedTuple):
    conditioning: Conditioning
    null: Conditioning


@node("ConditioningClass", category="conditioning", display_name="Conditioning (Class)")
def conditioning_class(
    model: Annotated[Model, Tip("whose classes these are")],
    label: Annotated[str, Text(multiline=True), Tip("a number or a name; a line for each image")],
    *,
    conditioning: Annotated[Conditioning | None, OPTIONAL, Tip("what else is said")] = None,
) -> Classed:
    """A class for a network that has a class embedding; `null` says that it is none of them."""
    table = model.classes
    if table is None:
        raise NodeGraphError(
            "this model has no classes: load one that was trained with some, or make one with "
            "AddClasses; for a condition encoder use EncodeClass"
        )
    try:
        numbers = class_numbers(table, label)
    except ValueError as fault:
        raise NodeGraphError(f"label: {fault}") from fault
    said = conditioning or conditioning_empty()
    null = None if table.null_number is None else torch.tensor([table.null_number])
    return Classed(_with(said, numbers), _with(said, null))


def _with(conditioning: Conditioning, label: Tensor | None) -> Conditioning:
    return Conditioning(tuple(replace(entry, label=label) for entry in conditioning.entries))
