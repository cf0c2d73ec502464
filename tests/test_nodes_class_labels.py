"""Classes said to networks that draw by class: by number and name, in batches, with guidance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk, painted_model, worth
from torch import Tensor, nn

from nodegraph import NodeGraphError
from nodes.class_labels import conditioning_class
from nodes.conditioning import conditioning_combine, conditioning_set_area
from nodes.fitting import y_of
from nodes.models.class_table import ClassTable
from nodes.sampling import ksampler
from nodes.text import conditioning_empty
from nodes.types import CONDITIONING, Condition, Conditioning, Latent, Model

COLOURS = ClassTable(3, ("red", "green", "blue"), null=True)
HOST = torch.device("cpu")


class Numbered(nn.Module):
    """x_0 = the number of the class, or the vector's sum, everywhere; notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.told: list[list[Any]] = []

    def forward(
        self, x: Tensor, t: Tensor, context: Tensor | None = None, y: Tensor | None = None
    ) -> Tensor:
        assert y is not None
        self.told.append(y.tolist())
        value = y.flatten(1).sum(1) if y.ndim > 1 else y.float()
        if context is not None:
            value = value + context.mean(dim=(1, 2))
        return value.view(-1, 1, 1, 1).expand(len(x), 4, *x.shape[2:])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def network() -> Numbered:
    return Numbered()


def model_of(
    network: nn.Module, table: ClassTable | None = COLOURS, *, tokens: int | None = None
) -> Model:
    return replace(painted_model(network, context=tokens), classes=table)


def drawn(
    desk: Desk,
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    cfg: float = 1.0,
    count: int = 1,
) -> Tensor:
    """(count, 4, 16, 16): what a sampler makes."""
    latent = Latent(torch.zeros(count, 4, 16, 16))
    return ksampler(
        model,
        seed=1,
        steps=4,
        cfg=cfg,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image=latent,
        context=desk.context,
    ).samples


def label_of(conditioning: Conditioning) -> list[int] | None:
    [entry] = conditioning.entries
    return None if entry.label is None else entry.label.tolist()


# -- the node --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "expected"), [("blue", [2]), ("1", [1]), ("blue\n\nred\n1\n", [2, 0, 1])]
)
def test_a_class_is_said_by_name_or_number_a_line_for_each_image(
    network: Numbered, label: str, expected: list[int]
) -> None:
    said, null = conditioning_class(model_of(network), label)

    assert label_of(said) == expected
    assert label_of(null) == [3]


@pytest.mark.parametrize("label", ["violet", "3", "-1", ""])
def test_a_class_that_is_not_there_is_an_error_that_lists_those_that_are(
    network: Numbered, label: str
) -> None:
    with pytest.raises(
        NodeGraphError, match=rf"label: there is no class '{label}'.* 0 to 2 or a name: red, green"
    ):
        conditioning_class(model_of(network), label)


def test_a_model_without_classes_is_an_error_that_says_what_to_do(network: Numbered) -> None:
    with pytest.raises(NodeGraphError, match=r"has no classes.*AddClasses.*EncodeClass"):
        conditioning_class(model_of(network, None), "0")


def test_a_class_joins_what_else_is_said(network: Numbered) -> None:
    prompts = Conditioning((*worth(5.0, strength=0.5).entries, *worth(7.0).entries))

    said, null = conditioning_class(model_of(network), "green", conditioning=prompts)

    for found, number in ((said, 1), (null, 3)):
        for entry, before in zip(found.entries, prompts.entries, strict=True):
            assert entry.context is before.context
            assert entry.strength == before.strength
            assert entry.label is not None
            assert entry.label.tolist() == [number]
    assert all(entry.label is None for entry in prompts.entries)


def test_a_class_goes_to_disk_with_its_entry(network: Numbered) -> None:
    assert CONDITIONING.codec is not None
    said, _ = conditioning_class(model_of(network), "red\nblue")

    back = CONDITIONING.codec.decode(CONDITIONING.codec.encode(said))

    assert label_of(back) == [0, 2]


# -- sampling --------------------------------------------------------------------------------------


def test_every_image_of_a_batch_is_drawn_of_its_own_class_in_one_call_a_step(
    desk: Desk, network: Numbered
) -> None:
    model = model_of(network)
    said, null = conditioning_class(model, "blue\nred")

    pictures = drawn(desk, model, said, null, count=3)

    assert pictures.mean(dim=(1, 2, 3)).tolist() == pytest.approx([2, 0, 2], abs=1e-4)
    assert network.told == [[2, 0, 2]] * 4


def test_guidance_leads_away_from_the_null_class(desk: Desk, network: Numbered) -> None:
    model = model_of(network)
    said, null = conditioning_class(model, "green\nblue")

    pictures = drawn(desk, model, said, null, cfg=2.5, count=2)

    # u + (c - u) w, with u = 3 of the null class
    expected = [3 + (1 - 3) * 2.5, 3 + (2 - 3) * 2.5]
    assert pictures.mean(dim=(1, 2, 3)).tolist() == pytest.approx(expected, abs=1e-4)
    assert network.told == [[1, 2, 3, 3]] * 4


def test_one_class_can_be_drawn_away_from_another(desk: Desk, network: Numbered) -> None:
    model = model_of(network)
    red, blue = (conditioning_class(model, name).conditioning for name in ("red", "blue"))

    assert drawn(desk, model, red, blue, cfg=2.0).mean().item() == pytest.approx(-2, abs=1e-4)


def test_classes_are_combined_and_placed_like_prompts(desk: Desk, network: Numbered) -> None:
    model = model_of(network)
    red, blue = (conditioning_class(model, name).conditioning for name in ("red", "blue"))
    null = conditioning_class(model, "red").null
    left = conditioning_set_area(blue, 64, 128)

    both = drawn(desk, model, conditioning_combine(red, blue), null)
    placed = drawn(desk, model, left, null, cfg=2.0)

    assert both.mean().item() == pytest.approx(1, abs=1e-4)
    assert placed[..., 0].mean().item() == pytest.approx(3 + (2 - 3) * 2, abs=1e-4)


def test_a_model_may_read_a_class_beside_a_prompt(desk: Desk, network: Numbered) -> None:
    model = model_of(network, tokens=3)
    said, null = conditioning_class(model, "blue", conditioning=worth(0.5))

    assert drawn(desk, model, said, null).mean().item() == pytest.approx(2.5, abs=1e-4)


def test_where_no_class_is_said_the_error_names_the_node_and_the_null_class(
    desk: Desk, network: Numbered
) -> None:
    model = model_of(network)
    said = conditioning_class(model, "red").conditioning

    with pytest.raises(NodeGraphError, match=r"one of 3.*names none.*ConditioningClass.*`null`"):
        drawn(desk, model, said, conditioning_empty(), cfg=2.0)
    assert drawn(desk, model, said, conditioning_empty(), cfg=1.0).isfinite().all()


def test_a_model_without_a_null_class_draws_at_cfg_1_and_says_why_not_else(
    desk: Desk, network: Numbered
) -> None:
    model = model_of(network, ClassTable(4))
    said, null = conditioning_class(model, "3")

    assert label_of(null) is None
    assert drawn(desk, model, said, null).mean().item() == pytest.approx(3, abs=1e-4)
    with pytest.raises(NodeGraphError, match=r"no class that stands for none.*cfg 1"):
        drawn(desk, model, said, null, cfg=2.0)


def test_a_class_of_another_model_is_refused(desk: Desk, network: Numbered) -> None:
    said, null = conditioning_class(model_of(network, ClassTable(10)), "0\n4")

    with pytest.raises(NodeGraphError, match=r"asks for class 4, but the model's are 0 to 3"):
        drawn(desk, model_of(network), said, null)


def test_a_model_without_classes_leaves_a_class_aside(network: Numbered) -> None:
    said, _ = conditioning_class(model_of(network), "red")

    assert y_of(said.entries[0], model_of(network, None), HOST) is None


# -- vectors ---------------------------------------------------------------------------------------


def test_a_network_that_reads_a_vector_gets_the_pooled_one(desk: Desk, network: Numbered) -> None:
    model = replace(model_of(network, None), vector=2)
    positive = Conditioning((Condition(None, torch.tensor([[1.0, 2.5]])),))
    negative = Conditioning((Condition(None, torch.tensor([[1.0, 0.0]])),))

    pictures = drawn(desk, model, positive, negative, cfg=2.0)

    assert pictures.mean().item() == pytest.approx(1 + (3.5 - 1) * 2, abs=1e-4)


@pytest.mark.parametrize(
    ("pooled", "has"), [(None, "none"), (torch.zeros(1, 5), "one 5 wide")], ids=["none", "another"]
)
def test_a_vector_that_is_missing_or_of_another_width_is_an_error(
    desk: Desk, network: Numbered, pooled: Tensor | None, has: str
) -> None:
    model = replace(model_of(network, None), vector=2)
    said = Conditioning((Condition(None, pooled),))

    with pytest.raises(NodeGraphError, match=rf"reads a vector 2 wide.*conditioning has {has}"):
        drawn(desk, model, said, said)
