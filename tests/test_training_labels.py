"""Classes that a network is told by number while it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_desk import squares

from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import NoiseSchedule, scaled_linear
from nodes.models.class_table import ClassTable
from nodes.training.chance import Chance
from nodes.training.conditioning import dropped
from nodes.training.dataset import Dataset, DatasetError, Example
from nodes.training.diffusion import DiffusionLesson, loss_by_time
from nodes.training.given import Rows
from nodes.training.labels import Labels, numbered
from nodes.training.order import Order
from nodes.training.simple_loss import SimpleLoss

EPS = ModelSampling(NoiseSchedule(scaled_linear()), "eps")
NOBODY = torch.zeros(3, dtype=torch.bool)


def example(label: str | None) -> Example:
    return Example(f"{label}.png", Path(f"{label}.png"), "", (8, 8), str(label), label)


def test_examples_get_their_classes_and_dropped_ones_the_null_class() -> None:
    labels = Labels((2, 0, 1, 1), null=3)

    assert labels.of((3, 0, 1), NOBODY).tolist() == [1, 2, 0]
    assert labels.of((3, 0, 1), torch.tensor([True, False, True])).tolist() == [3, 2, 3]
    assert labels.of((0,), NOBODY[:1]).dtype == torch.int64


def test_without_a_null_class_nothing_can_be_dropped() -> None:
    labels = Labels((2, 0, 1))

    assert labels.of((0, 1, 2), NOBODY).tolist() == [2, 0, 1]
    with pytest.raises(ValueError, match="no null class"):
        labels.of((0, 1, 2), torch.tensor([False, True, False]))


def test_labels_are_numbered_by_the_names_of_the_network_not_by_those_present(
    tmp_path: Path,
) -> None:
    dataset = squares(tmp_path)  # blue, green, red
    table = ClassTable(4, ("red", "violet", "green", "blue"), null=True)

    assert [e.label for e in dataset.examples] == ["blue", "green", "red"]
    assert numbered(table, dataset) == (3, 2, 0)
    assert numbered(table, dataset.take([2])) == (0,)


def test_without_names_labels_are_numbers() -> None:
    assert numbered(ClassTable(12), Dataset((example("11"), example("2")))) == (11, 2)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (("red", None), r"None\.png has no class: put pictures into a folder"),
        (("red", "pink"), r"a label .* no class 'pink': expected a number from 0 to 1 or a name"),
        (("red", "2"), r"no class '2'"),
    ],
)
def test_examples_without_a_class_of_the_network_are_named(
    labels: tuple[str | None, ...], complaint: str
) -> None:
    dataset = Dataset(tuple(map(example, labels)))

    with pytest.raises(DatasetError, match=complaint):
        numbered(ClassTable(2, ("red", "green")), dataset)


class Noting(nn.Module):
    """Answers 0 and notes the classes and the tokens that it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[list[int]] = []
        self.tokens: list[Tensor | None] = []

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor | None, y: Tensor) -> Tensor:
        self.told.append(y.tolist())
        self.tokens.append(tokens)
        return torch.zeros_like(x)


def test_a_share_of_a_batch_is_told_the_null_class_and_the_figures_tell_every_class() -> None:
    network, count = Noting(), 64
    lesson = DiffusionLesson(
        unet=network,
        data=Rows(torch.zeros(count, 1, 2, 2)),
        order=Order.over(count, count, 0),
        objective=SimpleLoss(EPS),
        trained={"unet": network},
        drop=0.5,
        labels=Labels([i % 3 for i in range(count)], null=3),
    )
    examples, chance = tuple(range(count)), Chance(1, (7,))

    lesson.loss(examples, chance)
    loss_by_time(lesson, examples, 2, chance)

    without = dropped(count, 0.5, chance).tolist()
    assert network.told[0] == [3 if drop else i % 3 for i, drop in enumerate(without)]
    assert 16 < network.told[0].count(3) < 48
    assert network.told[1:] == [[i % 3 for i in range(count)]] * 2
    assert network.tokens == [None] * 3
