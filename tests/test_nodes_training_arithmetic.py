"""Recipes that compute otherwise: half precision, compiled networks, recomputed activations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from node_support import Desk
from torch import nn
from training_desk import SIZE, assert_equal, context_of, small_unet, squares, weights

from nodes.models.encoders import TokenEncoder
from nodes.models.unet import UNet
from nodes.new_encoders import new_condition_encoder
from nodes.train_diffusion import TrainedModel, train_diffusion
from nodes.training.dataset import Dataset
from nodes.training.recipe import Recipe
from nodes.types import ConditionEncoder

RECIPE = Recipe(steps=3, batch=3, rate=1e-3, warmup=1, save_every=3)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return squares(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="module")
def encoder(desk: Desk) -> ConditionEncoder:
    context = context_of(desk, "new")
    return new_condition_encoder("depth", 64, "", SIZE, 8, 32, 1, 2, context=context)


@pytest.fixture(scope="module")
def plain(desk: Desk, dataset: Dataset, encoder: ConditionEncoder) -> TrainedModel:
    return trained(desk, dataset, encoder, "plain")


def trained(
    desk: Desk, dataset: Dataset, encoder: ConditionEncoder, key: str, **changes: Any
) -> TrainedModel:
    return train_diffusion(
        small_unet(desk),
        dataset,
        replace(RECIPE, **changes),
        SIZE,
        stored="fp32",
        encoder=encoder,
        context=context_of(desk, key),
    )


def losses(desk: Desk, key: str) -> list[float]:
    run = desk.folders.output / "training" / f"diffusion-{key.ljust(16, '0')}"
    return [json.loads(line)["loss"] for line in (run / "history.jsonl").read_text().splitlines()]


def test_half_precision_learns_nearly_the_same(
    desk: Desk, dataset: Dataset, encoder: ConditionEncoder, plain: TrainedModel
) -> None:
    made = trained(desk, dataset, encoder, "half", arithmetic="bf16")

    assert losses(desk, "half") == pytest.approx(losses(desk, "plain"), rel=2e-2)
    assert losses(desk, "half")[1:] != losses(desk, "plain")[1:]
    assert {w.dtype for w in weights(made.model).values()} == {torch.float32}
    assert {w.dtype for w in weights(made.encoder).values()} == {torch.float32}


def test_everything_that_learns_is_compiled_once_and_learns_the_same(
    desk: Desk,
    dataset: Dataset,
    encoder: ConditionEncoder,
    plain: TrainedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, *_, **__: compiled.append(module))

    made = trained(desk, dataset, encoder, "compiled", compiled=True)

    assert [type(module) for module in compiled][:1] == [UNet]
    assert len(compiled) == 2
    assert isinstance(compiled[1], TokenEncoder)
    assert_equal(weights(made.model), weights(plain.model))
    assert_equal(weights(made.encoder), weights(plain.encoder))


def test_recomputed_activations_give_the_same_weights(
    desk: Desk, dataset: Dataset, encoder: ConditionEncoder, plain: TrainedModel
) -> None:
    made = trained(desk, dataset, encoder, "recomputed", recompute=True)

    assert_equal(weights(made.model), weights(plain.model))
    assert_equal(weights(made.encoder), weights(plain.encoder))
