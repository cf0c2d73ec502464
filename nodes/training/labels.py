"""Classes that enter the network by its own embedding, beside the time, and not as tokens.

    emb = MLP(t) + label_emb[y]                        (arXiv:2102.09672, arXiv:2105.05233)

For guidance a share of the examples is shown as the null class ∅ (arXiv:2207.12598, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nodes.models.class_table import ClassTable
from nodes.models.encoders import class_numbers
from nodes.training.dataset import Dataset, DatasetError


@dataclass(frozen=True, eq=False)
class Labels:
    """numbers: each example's class. null: the number of ∅; None for a network without it."""

    numbers: Sequence[int]
    null: int | None = None
    device: str = "cpu"

    def of(self, examples: Sequence[int], dropped: Tensor) -> Tensor:
        """y (B,); ∅ where `dropped` (B,) is true. Raises ValueError where there is no ∅ to show."""
        y = torch.tensor([self.numbers[i] for i in examples])
        if self.null is None:
            if dropped.any():
                raise ValueError("there is no null class to show in place of a class")
            return y.to(self.device)
        return torch.where(dropped.to(y.device), self.null, y).to(self.device)


def numbered(table: ClassTable, dataset: Dataset) -> tuple[int, ...]:
    """The class of each example in a network's table.

    By name where the table has names, else labels are numbers. Raises DatasetError for an example
    without a label, or with one that is not in the table.
    """
    numbers = dataset.label_numbers
    try:
        place = [int(class_numbers(table, name)) for name in dataset.labels]
    except ValueError as fault:
        raise DatasetError(f"a label of the data set {dataset.name!r}: {fault}") from fault
    return tuple(place[number] for number in numbers)
