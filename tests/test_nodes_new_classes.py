"""Models that are given classes: nothing changes until something is learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk
from training_desk import assert_equal, context_of, small_unet, squares, weights

from nodegraph import NodeGraphError
from nodes.loaders import unet_loader
from nodes.model_saving import model_save
from nodes.models.checkpoint_metadata import Declared
from nodes.models.class_table import ClassTable
from nodes.models.fresh import fresh_unet
from nodes.models.save import save_original
from nodes.models.unet_config import UNetConfig
from nodes.new_classes import add_classes
from nodes.types import Model


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


def plain(desk: Desk, **options: Any) -> Model:
    return small_unet(desk, **{"channels": 64, **options})


def classed(desk: Desk, model: Model, classes: str = "red\ngreen", null: bool = True) -> Model:
    return add_classes(model, classes, null, "zero", context=context_of(desk, "new"))


@torch.no_grad()
def test_the_model_answers_as_before_for_every_class_and_the_null_class(desk: Desk) -> None:
    model = plain(desk, context_width=0)

    made = classed(desk, model)

    before, after = model.source.load(), made.source.load()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 3, 8, 8, generator=generator)
    t = torch.tensor([1.0, 500.0, 999.0])
    assert torch.equal(after(x, t, y=torch.tensor([0, 1, 2])), before(x, t))
    assert made.classes == ClassTable(2, ("red", "green"), null=True)
    assert not weights(made)["label_emb.weight"].any()
    assert (made.sampling.kind, made.context, made.skips) == ("eps", None, model.skips)


def test_classes_are_names_or_a_number_or_the_labels_of_a_data_set(
    desk: Desk, tmp_path: Path
) -> None:
    model, context = plain(desk), context_of(desk, "new")

    written = classed(desk, model, " red \n\n12\n")
    counted = classed(desk, model, "12", null=False)
    read = add_classes(model, dataset=squares(tmp_path), context=context)

    assert written.classes == ClassTable(2, ("red", "12"), null=True)
    assert counted.classes == ClassTable(12)
    assert weights(counted)["label_emb.weight"].shape == (12, 4 * 64)
    assert read.classes == ClassTable(3, ("blue", "green", "red"), null=True)


def test_equal_classes_are_one_file_and_others_are_another(desk: Desk) -> None:
    model = plain(desk)

    keys = [
        classed(desk, model, *given).source.key
        for given in (("a\nb",), ("a\nb",), ("a\nc",), ("3", False))
    ]

    assert keys[0] == keys[1]
    assert len(set(keys)) == 3  # the last two have as many rows, and different names
    assert classed(desk, plain(desk, seed=1), "a\nb").source.key not in keys


@pytest.mark.parametrize(
    ("classes", "complaint"),
    [("", "none are given"), ("a\nb\na", "two classes are called 'a'"), ("0", "at least 1, got 0")],
)
def test_classes_that_make_no_sense_are_refused(desk: Desk, classes: str, complaint: str) -> None:
    with pytest.raises(NodeGraphError, match=complaint):
        classed(desk, plain(desk), classes)


def test_a_model_that_has_classes_keeps_them(desk: Desk) -> None:
    with pytest.raises(NodeGraphError, match="class embedding of 3 rows already"):
        classed(desk, classed(desk, plain(desk)))


def test_a_model_that_reads_vectors_has_no_place_for_classes(desk: Desk) -> None:
    config = UNetConfig(4, 4, 64, (1,), (1,), (0,), 0, num_heads=1, adm_channels=8)
    path = desk.place("unet", "vectors.safetensors")
    save_original(path, Declared(), unet=fresh_unet(config, 0))
    model = unet_loader(path.name, "default", context=desk.context)

    assert (model.vector, model.classes) == (8, None)
    with pytest.raises(NodeGraphError, match="num_classes or adm_channels, not both"):
        classed(desk, model)


def test_a_saved_model_keeps_the_names_of_its_classes(desk: Desk) -> None:
    made = classed(desk, plain(desk))
    [file] = model_save(made, "with", context=desk.context).files
    place = desk.place("unet", "with.safetensors")
    place.write_bytes(desk.path(file).read_bytes())

    loaded = unet_loader(place.name, "default", context=desk.context)

    assert loaded.classes == made.classes
    assert_equal(weights(loaded), weights(made))


def test_how_a_model_is_used_stays(desk: Desk) -> None:
    model = plain(desk)
    model = replace(model, tweaks=replace(model.tweaks, rescale=0.5), factor=2)

    made = classed(desk, model)

    assert (made.tweaks, made.factor) == (model.tweaks, 2)


def test_rows_are_drawn_by_the_seed_where_they_are_to_be_random(desk: Desk) -> None:
    model, context = plain(desk), context_of(desk, "new")

    one, same, other = (add_classes(model, "7", seed=seed, context=context) for seed in (1, 1, 2))

    rows = weights(one)["label_emb.weight"]
    assert rows.mean().item() == pytest.approx(0, abs=0.1)
    assert rows.std().item() == pytest.approx(1, abs=0.1)
    assert one.source.key == same.source.key != other.source.key
    assert not torch.equal(rows, weights(other)["label_emb.weight"])


def test_a_model_whose_normalisation_cancels_every_class_is_refused(desk: Desk) -> None:
    with pytest.raises(NodeGraphError, match=r"32 channels wide.*cancels.*channels 64"):
        classed(desk, small_unet(desk, multipliers="1,1", blocks="1,1", depths="0,1"))

    assert classed(desk, small_unet(desk, multipliers="1,2", blocks="1,1", depths="0,1")).classes
