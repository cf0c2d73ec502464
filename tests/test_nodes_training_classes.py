"""Diffusion models that learn to draw by class, told by number beside the time."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk
from PIL import Image as Pictures
from safetensors.torch import load_file
from torch import Tensor
from training_desk import (
    SIZE,
    assert_equal,
    context_of,
    small_clip,
    small_unet,
    small_vae,
    squares,
    weights,
)

from nodegraph import Cancelled, CancelToken, NodeGraphError
from nodes import training_sheet
from nodes.class_labels import conditioning_class
from nodes.evaluating import validation_loss
from nodes.models.class_table import ClassTable
from nodes.new_classes import add_classes
from nodes.new_encoders import new_condition_encoder
from nodes.sampling import ksampler
from nodes.text import clip_encode
from nodes.train_diffusion import train_diffusion
from nodes.train_lora import train_lora
from nodes.train_lora_latents import train_lora_node
from nodes.training.dataset import Dataset, read_dataset
from nodes.training.drawing import draw
from nodes.training.image_folder import read_image_folder
from nodes.training.recipe import Recipe
from nodes.types import Conditioning, Latent, Model

RECIPE = Recipe(steps=8, batch=3, rate=1e-3, warmup=1, ema=0.5, save_every=4)
NAMES = ("blue", "green", "red")  # as a data set sorts them


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return squares(tmp_path_factory.mktemp("squares"))


def classed(
    desk: Desk, classes: str = "\n".join(NAMES), null: bool = True, **options: Any
) -> Model:
    """A small untrained model with classes, which reads no tokens."""
    model = small_unet(desk, **{"context_width": 0, "channels": 64, **options})
    return add_classes(model, classes, null, "zero", context=context_of(desk, "new"))


def train(desk: Desk, dataset: Dataset, key: str, **options: Any) -> Model:
    model = options.pop("model", None) or classed(desk)
    context = context_of(desk, key, **options.pop("context", {}))
    recipe = options.pop("recipe", RECIPE)
    return train_diffusion(
        model, dataset, recipe, SIZE, **{"stored": "fp32", **options}, context=context
    ).model


def sampled(
    desk: Desk,
    model: Model,
    said: Conditioning,
    null: Conditioning,
    size: int,
    count: int,
    **o: Any,
) -> Tensor:
    """(count, 3, size, size) in [−1, 1]."""
    options = {"seed": 1, "steps": 3, "cfg": 3.0, "scheduler": "normal", **o}
    return ksampler(
        model,
        **options,
        sampler_name="euler",
        positive=said,
        negative=null,
        latent_image=Latent(torch.zeros(count, 3, size, size), factor=1),
        context=desk.context,
    ).samples


def run_of(desk: Desk, key: str) -> Path:
    return desk.folders.output / "training" / f"diffusion-{key.ljust(16, '0')}"


# -- what is learned -------------------------------------------------------------------------------


def test_every_class_and_the_null_class_learn_along_with_the_network(
    desk: Desk, dataset: Dataset
) -> None:
    model = classed(desk)

    made = train(desk, dataset, "rows", drop=0.3, model=model)

    before, after = weights(model), weights(made)
    assert before.keys() == after.keys()
    rows = (after["label_emb.weight"] != before["label_emb.weight"]).any(dim=1)
    assert rows.tolist() == [True] * 4
    assert made.classes == ClassTable(3, NAMES, null=True)
    average = load_file(run_of(desk, "rows") / "state-000008.safetensors")
    assert torch.equal(after["label_emb.weight"], average["average/unet.label_emb.weight"])
    said, null = conditioning_class(made, "red\nblue")
    assert sampled(desk, made, said, null, SIZE, 2).isfinite().all()


def test_the_null_class_learns_only_from_what_is_dropped(desk: Desk, dataset: Dataset) -> None:
    told = weights(train(desk, dataset, "told", drop=0.0))["label_emb.weight"]
    untold = weights(train(desk, dataset, "untold", drop=1.0))["label_emb.weight"]

    assert told.any(dim=1).tolist() == [True, True, True, False]
    assert untold.any(dim=1).tolist() == [False, False, False, True]


@pytest.mark.parametrize("latents", [False, True], ids=["pixels", "latents"])
def test_a_stopped_run_goes_on_and_ends_where_a_whole_one_ends(
    desk: Desk, dataset: Dataset, latents: bool
) -> None:
    options: dict[str, Any] = {}
    if latents:
        options = {"vae": small_vae(desk), "model": classed(desk, latent_channels=4)}

    def run(key: str, stop_at: int | None) -> Model:
        cancel = CancelToken()

        def progress(value: int, total: int, text: str) -> None:
            if text.startswith("loss") and value == stop_at:
                cancel.cancel()

        changes = {"cancel": cancel, "on_progress": progress}
        return train(
            desk, dataset, f"{key}{latents}", drop=0.3, flip=0.5, context=changes, **options
        )

    whole = run("whole", None)
    with pytest.raises(Cancelled):
        run("parts", 5)
    resumed = run("parts", None)

    assert_equal(weights(resumed), weights(whole))
    assert weights(whole)["label_emb.weight"].any(dim=1).all()


def test_a_finished_run_is_reused_and_knows_its_classes(desk: Desk, dataset: Dataset) -> None:
    first = train(desk, dataset, "finished")

    again = train(desk, replace(dataset, examples=()), "finished")

    assert_equal(weights(again), weights(first))
    assert again.classes == first.classes == ClassTable(3, NAMES, null=True)


def test_captions_an_encoder_and_classes_are_told_together(desk: Desk, dataset: Dataset) -> None:
    model = classed(desk, context_width=64)
    encoder = new_condition_encoder("class", 64, dataset=dataset, context=context_of(desk, "new"))
    clip = small_clip(desk)

    made = train(desk, dataset, "joined", model=model, clip=clip, encoder=encoder, drop=0.3)

    assert weights(made)["label_emb.weight"].any(dim=1).all()
    prompt = clip_encode("red square", clip, context=desk.context)
    said, null = conditioning_class(made, "red", conditioning=prompt)
    assert sampled(desk, made, said, null, SIZE, 1).isfinite().all()


def test_a_model_without_classes_does_not_look_at_labels(desk: Desk, dataset: Dataset) -> None:
    unlabelled = replace(dataset, examples=tuple(replace(e, label=None) for e in dataset.examples))

    plain = train(desk, unlabelled, "plain", model=small_unet(desk, context_width=0))

    assert "label_emb.weight" not in weights(plain)
    assert plain.classes is None


def test_the_loss_on_pictures_set_aside_is_that_of_their_classes(
    desk: Desk, dataset: Dataset
) -> None:
    untrained = classed(desk)
    made = train(desk, dataset, "judged", recipe=replace(RECIPE, steps=40, rate=5e-3, ema=0.0))
    shifted = replace(dataset, examples=dataset.examples[:1])
    named = replace(shifted, examples=(replace(shifted.examples[0], label="red"),))

    def loss(model: Model, data: Dataset) -> float:
        context = context_of(desk, "judge")
        return validation_loss(model, data, SIZE, 1, 1, 2, context=context).loss

    assert loss(made, shifted) != loss(made, named)
    assert loss(untrained, shifted) == loss(untrained, named)  # its classes are all zeros


# -- what is drawn meanwhile -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "expected"), [("", [0, 1, 2]), ("red\n0", [2, 0])], ids=["all", "some"]
)
def test_a_sheet_shows_the_classes_that_are_asked_for_or_the_first_ones(
    desk: Desk, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, prompts: str, expected: list[int]
) -> None:
    shown: list[tuple[Tensor, Tensor]] = []

    def drawn(*given: Any, y: Tensor, null: Tensor, **options: Any) -> Tensor:
        shown.append((y, null))
        return draw(*given, y=y, null=null, **options)

    monkeypatch.setattr(training_sheet, "draw", drawn)
    key = f"sheet{len(expected)}"

    train(desk, dataset, key, prompts=prompts)

    [(y, null)] = shown
    assert (y.tolist(), null.tolist()) == (expected, [3])
    with Pictures.open(run_of(desk, key) / "samples" / "step-000008.png") as picture:
        assert picture.size == (8 * (SIZE + 2) + 2, SIZE + 4)


def test_a_sheet_of_a_model_that_reads_prompts_shows_classes_in_turn(
    desk: Desk, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[int]] = []

    def drawn(*given: Any, y: Tensor, **options: Any) -> Tensor:
        shown.append(y.tolist())
        return draw(*given, y=y, **options)

    monkeypatch.setattr(training_sheet, "draw", drawn)
    model, clip = classed(desk, context_width=64), small_clip(desk)
    encoder = new_condition_encoder("class", 64, dataset=dataset, context=context_of(desk, "new"))

    train(desk, dataset, "turns", model=model, clip=clip, prompts="a\nb\nc\nd")
    train(desk, dataset, "examples", model=model, encoder=encoder)

    assert shown == [[0, 1, 2, 0], [0, 1, 2]]  # the second: the classes of the examples


def test_a_class_to_draw_that_is_not_there_is_an_error_before_anything_is_learned(
    desk: Desk, dataset: Dataset
) -> None:
    with pytest.raises(NodeGraphError, match=r"prompts: there is no class 'pink'.*classes alone"):
        train(desk, dataset, "pink", prompts="red\npink")
    assert not run_of(desk, "pink").exists()


# -- what cannot be learned ------------------------------------------------------------------------


def test_labels_have_to_be_classes_of_the_model(desk: Desk, dataset: Dataset) -> None:
    with pytest.raises(NodeGraphError, match=r"no class 'green': .* or a name: blue, red"):
        train(desk, dataset, "unknown", model=classed(desk, "blue\nred"))


def test_every_picture_needs_a_class(desk: Desk, dataset: Dataset) -> None:
    first, *others = dataset.examples
    lacking = replace(dataset, examples=(replace(first, label=None), *others))

    with pytest.raises(NodeGraphError, match=r"blue\.png has no class: put pictures into a folder"):
        train(desk, lacking, "lacking")


def test_nothing_can_be_dropped_without_a_null_class(desk: Desk, dataset: Dataset) -> None:
    model = classed(desk, null=False)

    with pytest.raises(NodeGraphError, match=r"no null class.*set drop to 0.*AddClasses"):
        train(desk, dataset, "nonull", model=model)
    made = train(desk, dataset, "nonull", model=model, drop=0.0)

    assert weights(made)["label_emb.weight"].any(dim=1).tolist() == [True] * 3


def test_a_model_that_reads_vectors_cannot_be_taught_by_a_data_set(
    desk: Desk, dataset: Dataset
) -> None:
    model = replace(small_unet(desk, context_width=0), vector=8)

    with pytest.raises(NodeGraphError, match="reads a vector 8 wide"):
        train(desk, dataset, "vector", model=model)


# -- LoRA ------------------------------------------------------------------------------------------


def test_a_lora_of_a_model_with_classes_is_told_them(desk: Desk, dataset: Dataset) -> None:
    model = train(desk, dataset, "base", drop=0.3)
    recipe = replace(RECIPE, ema=0.0)

    def learned(key: str, data: Dataset) -> Model:
        return train_lora(
            model, data, recipe, 2, 2.0, modules="all", resolution=SIZE, stored="fp32",
            context=context_of(desk, key),
        ).model  # fmt: skip

    red = replace(dataset, examples=tuple(replace(e, label="red") for e in dataset.examples))
    one, other = weights(learned("lora", dataset)), weights(learned("lorared", red))

    changed = [name for name in one if not torch.equal(one[name], weights(model)[name])]
    assert changed
    assert "label_emb.weight" not in changed
    assert any(not torch.equal(one[name], other[name]) for name in changed)


def test_a_lora_of_latents_takes_their_classes_from_conditioning(
    desk: Desk, dataset: Dataset
) -> None:
    model = train(desk, dataset, "base", drop=0.3)
    latents = Latent(torch.ones(2, 3, 8, 8), factor=1)

    def learned(key: str, label: str) -> dict[str, Tensor]:
        said = conditioning_class(model, label).conditioning
        made = train_lora_node(
            model, latents, said, steps=2, training_dtype="fp32", lora_dtype="fp32",
            context=context_of(desk, key),
        )  # fmt: skip
        return weights(made.model_with_lora)

    one, same, other = learned("l1", "red"), learned("l2", "red\nred"), learned("l3", "red\nblue")

    assert_equal(one, same)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(NodeGraphError, match="3 classes for 2 latents: expected as many, or one"):
        learned("l4", "red\nblue\ngreen")


# -- end to end ------------------------------------------------------------------------------------

PURE = {"blue": (30, 30, 230), "green": (30, 230, 30), "red": (230, 30, 30)}  # far from the mean
SIDE, EACH = 8, 4
DRAWN = 8  # pictures of each class


def tiles(folder: Path) -> Dataset:
    """Pictures of one colour, lighter and darker; the folder is the class."""
    for name, colour in PURE.items():
        (folder / name).mkdir(parents=True)
        for number in range(EACH):
            shade = tuple(round(part * (0.85 + 0.05 * number)) for part in colour)
            picture = Pictures.new("RGB", (SIDE, SIDE), shade)
            picture.save(folder / name / f"{number}.png")
    return read_dataset(folder, read_image_folder)


def of_its_colour(desk: Desk, model: Model, cfg: float) -> dict[str, float]:
    """By class, the share of pictures that are nearest to its colour."""
    palette = torch.tensor([PURE[name] for name in NAMES]) / 127.5 - 1
    said, null = conditioning_class(model, "\n".join(n for n in NAMES for _ in range(DRAWN)))
    pictures = sampled(desk, model, said, null, SIDE, len(NAMES) * DRAWN, steps=10, cfg=cfg)
    nearest = torch.cdist(pictures.mean(dim=(2, 3)), palette).argmin(1).view(len(NAMES), DRAWN)
    return {name: (nearest[i] == i).float().mean().item() for i, name in enumerate(NAMES)}


def test_a_model_learns_three_classes_and_draws_each(desk: Desk, tmp_path: Path) -> None:
    untrained = small_unet(desk, channels=64, context_width=0, depths="0", predicts="x0")
    data = tiles(tmp_path)
    untrained = add_classes(untrained, dataset=data, context=context_of(desk, "new"))
    recipe = Recipe(steps=250, batch=8, rate=3e-3, warmup=10, ema=0.0, save_every=250)

    model = train_diffusion(
        untrained, data, recipe, SIDE, drop=0.15, stored="fp32", context=context_of(desk, "tiles")
    ).model

    before = of_its_colour(desk, untrained, 1.0)
    assert math.isclose(sum(before.values()), 1, abs_tol=0.3)  # all classes are drawn alike
    assert min(before.values()) < 0.5
    assert min(of_its_colour(desk, model, 1.0).values()) >= 0.75
    assert min(of_its_colour(desk, model, 2.0).values()) >= 0.95
