"""Nodes that train: runs go on where they stopped, and what they made is a model like any."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk
from PIL import Image as Pictures
from torch import Tensor
from training_desk import (
    COLOURS,
    SIZE,
    assert_equal,
    context_of,
    latent_unet,
    plain_squares,
    small_clip,
    small_unet,
    small_vae,
    weights,
)

from nodegraph import Cancelled, CancelToken, NodeGraphError, SavedFile
from nodes.models.controlnet import ControlNet as ControlNetwork
from nodes.train_autoencoder import train_autoencoder
from nodes.train_controlnet import train_controlnet
from nodes.train_diffusion import train_diffusion
from nodes.training.dataset import Dataset
from nodes.training.recipe import Recipe
from nodes.training_recipe import training_recipe
from nodes.types import Model

RECIPE = Recipe(steps=6, batch=3, rate=1e-3, warmup=2, ema=0.5, save_every=2, show_every=3)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return plain_squares(tmp_path_factory.mktemp("squares"))


def test_an_autoencoder_is_trained_and_its_latents_are_scaled(desk: Desk, dataset: Dataset) -> None:
    context = context_of(desk, "a" * 32)
    made = train_autoencoder(small_vae(desk), dataset, RECIPE, SIZE, stored="fp32", context=context)
    folder = desk.folders.output / "training" / f"autoencoder-{'a' * 16}"
    assert {path.name for path in folder.iterdir()} == {
        "history.jsonl", "loss.png", "model.safetensors", "report.json", "run.json", "samples",
        "state-000006.safetensors",
    }  # fmt: skip
    with Pictures.open(folder / "samples" / "step-000006.png") as sheet:
        assert sheet.size == (3 * (SIZE + 2) + 2, 2 * (SIZE + 2) + 2)
    report = json.loads((folder / "report.json").read_text())
    assert report["recipe"]["steps"] == 6
    assert report["examples"] == 18
    assert made.source is not None
    network = made.source.load()
    pictures = torch.stack([_pixels(path) for path in sorted(dataset_folder(dataset))])
    deviation = network.encode(pictures).mean.square().mean().sqrt()  # type: ignore[operator, union-attr]
    assert deviation.item() * 0.18215 == pytest.approx(1.0, rel=0.02)


def dataset_folder(dataset: Dataset) -> Iterator[Path]:
    for example in dataset.examples:
        assert isinstance(example.image, Path)
        yield example.image


def _pixels(path: Path) -> Tensor:
    with Pictures.open(path) as picture:
        data = torch.tensor(list(picture.convert("RGB").tobytes()), dtype=torch.float32)
    return data.view(SIZE, SIZE, 3).permute(2, 0, 1) / 127.5 - 1


@pytest.mark.parametrize("train_text", [False, True], ids=["text frozen", "text learns"])
def test_a_latent_model_is_trained_on_captions(
    desk: Desk, dataset: Dataset, train_text: bool
) -> None:
    model, clip, vae = latent_unet(desk), small_clip(desk), small_vae(desk)
    made = train_diffusion(
        model,
        dataset,
        RECIPE,
        SIZE,
        train_text=train_text,
        prompts="red square\nblue square",
        vae=vae,
        clip=clip,
        context=context_of(desk, f"{train_text}".ljust(32, "b")),
    )
    before, after = weights(model), weights(made.model)
    assert before.keys() == after.keys()
    assert sum(not torch.equal(before[n], after[n]) for n in before) > len(before) / 2
    assert made.model.sampling.kind == "eps"
    assert made.model.factor == vae.factor == 2
    changed = [n for n, w in weights(clip).items() if not torch.equal(w, weights(made.clip)[n])]
    assert bool(changed) == train_text


def test_a_pixel_model_needs_neither_a_vae_nor_captions(desk: Desk, dataset: Dataset) -> None:
    model = small_unet(desk, context_width=0, learned_variance=True, noise="linear")
    assert (model.factor, model.channels, model.scale) == (1, 3, 1.0)
    made = train_diffusion(
        model, dataset, RECIPE, SIZE, stored="fp32", context=context_of(desk, "p" * 32)
    )
    history = desk.folders.output / "training" / f"diffusion-{'p' * 16}" / "history.jsonl"
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    assert len(lines) == 6
    assert all({"loss", "simple", "bound"} <= line.keys() for line in lines)
    assert (made.model.channels, made.model.scale) == (3, 1.0)


def test_a_run_that_was_cancelled_goes_on_and_ends_where_a_whole_one_ends(
    desk: Desk, dataset: Dataset
) -> None:
    model, vae, clip = latent_unet(desk), small_vae(desk), small_clip(desk)

    def run(key: str, cancel: CancelToken, stop_at: int | None) -> Model:
        def progress(value: int, total: int, text: str) -> None:
            if text.startswith("loss") and value == stop_at:
                cancel.cancel()

        context = context_of(desk, key, cancel=cancel, on_progress=progress)
        made = train_diffusion(
            model, dataset, RECIPE, SIZE, vae=vae, clip=clip, stored="fp32", context=context
        )
        return made.model

    whole = run("w" * 32, CancelToken(), None)
    with pytest.raises(Cancelled):
        run("x" * 32, CancelToken(), 3)
    folder = desk.folders.output / "training" / f"diffusion-{'x' * 16}"
    assert [path.name for path in folder.glob("state-*")] == ["state-000004.safetensors"]
    assert_equal(weights(run("x" * 32, CancelToken(), None)), weights(whole))


def test_what_is_measured_and_drawn_is_told_and_again_when_a_run_goes_on(
    desk: Desk, dataset: Dataset
) -> None:
    model, vae, clip = latent_unet(desk), small_vae(desk), small_clip(desk)

    def run(cancel: CancelToken, stop_at: int | None) -> list[tuple[Any, ...]]:
        told: list[tuple[Any, ...]] = []

        def measure(step: int, total: int, figures: Any, sample: SavedFile | None) -> None:
            told.append((step, total, dict(figures), sample))
            if sample is None and step == stop_at:
                cancel.cancel()

        context = context_of(desk, "m" * 32, cancel=cancel, on_measure=measure)
        with suppress(Cancelled):
            train_diffusion(model, dataset, RECIPE, SIZE, vae=vae, clip=clip, context=context)
        return told

    before = run(CancelToken(), 4)
    after = run(CancelToken(), None)
    finished = run(CancelToken(), None)

    place = f"training/diffusion-{'m' * 16}/samples"
    samples = [(step, sample) for step, _, _, sample in after if sample]
    assert samples == [
        (step, SavedFile(f"step-{step:06d}.png", place, "output")) for step in (3, 6)
    ]
    steps = {step: figures for step, _, figures, _ in after if figures}
    assert list(steps) == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _, _ in after} == {6}
    for step, _, figures, sample in before:
        assert sample or steps[step]["loss"] == figures["loss"]
    assert {"loss", "rate", "norm", "examples/s"} <= steps[6].keys()
    again = {step: figures for step, _, figures, _ in finished if figures}
    assert {step: figures["loss"] for step, figures in again.items()} == {
        step: figures["loss"] for step, figures in steps.items()
    }
    assert [(step, sample) for step, _, _, sample in finished if sample] == samples
    assert (desk.folders.output / place / "step-000003.png").is_file()


def test_a_finished_run_is_reused_without_reading_the_data(desk: Desk, dataset: Dataset) -> None:
    model, vae, clip = latent_unet(desk), small_vae(desk), small_clip(desk)

    def run(data: Dataset) -> Model:
        context = context_of(desk, "f" * 32)
        return train_diffusion(model, data, RECIPE, SIZE, vae=vae, clip=clip, context=context).model

    first = run(dataset)
    assert_equal(weights(run(replace(dataset, examples=()))), weights(first))


def test_a_run_that_diverges_fails_with_what_to_do_and_keeps_its_state(
    desk: Desk, dataset: Dataset
) -> None:
    wild = replace(RECIPE, rate=1e12, warmup=0, clip=0.0, steps=40, save_every=1, optimizer="sgd")
    with pytest.raises(NodeGraphError, match=r"diverged at step \d+.*lower rate"):
        train_diffusion(
            latent_unet(desk), dataset, wild, SIZE, vae=small_vae(desk), clip=small_clip(desk),
            context=context_of(desk, "d" * 32),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"vae": True}, "reads tokens 64 wide: connect a text encoder"),
        ({"clip": True, "context_width": 0}, "reads no tokens"),
    ],
)
def test_parts_that_do_not_belong_together_are_named(
    desk: Desk, dataset: Dataset, parts: dict[str, int], said: str
) -> None:
    changes = {"context_width": parts["context_width"]} if "context_width" in parts else {}
    with pytest.raises(NodeGraphError, match=said):
        train_diffusion(
            latent_unet(desk, **changes),
            dataset,
            RECIPE,
            SIZE,
            vae=small_vae(desk),
            clip=small_clip(desk) if "clip" in parts else None,
            context=context_of(desk, "e" * 32),
        )


def test_work_without_a_key_is_refused(desk: Desk, dataset: Dataset) -> None:
    with pytest.raises(NodeGraphError, match="never cached"):
        train_autoencoder(
            small_vae(desk), dataset, RECIPE, SIZE, context=replace(context_of(desk), key=None)
        )


def test_an_untrained_network_is_a_function_of_its_settings_and_seed(desk: Desk) -> None:
    torch.manual_seed(1)
    first = weights(latent_unet(desk))
    torch.manual_seed(2)
    (desk.folder / "cache" / "untrained").rename(desk.folder / "cache" / "elsewhere")
    assert_equal(weights(latent_unet(desk)), first)
    other = weights(latent_unet(desk, seed=1))
    assert not torch.equal(other["time_embed.0.weight"], first["time_embed.0.weight"])
    assert not first["out.2.weight"].any()  # an untrained network answers 0


def test_settings_that_make_no_network_are_named(desk: Desk) -> None:
    with pytest.raises(NodeGraphError, match=r"multipliers: expected whole numbers.*'1;2'"):
        latent_unet(desk, multipliers="1;2")
    with pytest.raises(NodeGraphError, match="one entry a level"):
        latent_unet(desk, multipliers="1,2")


def test_a_recipe_node_makes_the_recipe_and_names_what_is_wrong() -> None:
    made = training_recipe(steps=7, ema=0.0, arithmetic="bf16")
    assert (made.steps, made.ema, made.arithmetic) == (7, 0.0, "bf16")
    with pytest.raises(NodeGraphError, match="steps: expected at least 1"):
        training_recipe(steps=0)


# -- ControlNet ------------------------------------------------------------------------------------


def with_hint(dataset: Dataset, folder: Path) -> Dataset:
    """A hint beside each picture: its square, white on black."""
    for name in COLOURS:
        hint = Pictures.new("RGB", (SIZE, SIZE))
        hint.paste((255, 255, 255), (4, 4, 12, 12))
        hint.save(folder / f"{name}.png")
    sources = [folder / f"{name}.png" for name in sorted(COLOURS)]
    return dataset.with_hint("mask", sources, [str(s) for s in sources])


def test_a_controlnet_is_trained_and_loads_like_any(
    desk: Desk, dataset: Dataset, tmp_path: Path
) -> None:
    vae, clip = small_vae(desk), small_clip(desk)
    # An untrained UNet ends in a convolution of zeros, through which no gradient comes back.
    model = train_diffusion(
        latent_unet(desk), dataset, RECIPE, SIZE, vae=vae, clip=clip, context=context_of(desk)
    ).model
    base = weights(model)
    made = train_controlnet(
        model,
        with_hint(dataset, tmp_path),
        replace(RECIPE, ema=0.0, rate=1e-2),
        "mask",
        SIZE,
        vae=vae,
        clip=clip,
        context=context_of(desk, "c" * 32),
    )
    network = made.source.load()
    assert isinstance(network, ControlNetwork)
    assert all(bool(zero[0].weight.any()) for zero in network.zero_convs)  # type: ignore[index, union-attr]
    assert (made.channels, made.hint, made.context, made.skips) == (4, 3, 64, model.skips)
    assert_equal(weights(model), base)
    sheet = desk.folders.output / "training" / f"controlnet-{'c' * 16}" / "samples"
    with Pictures.open(sheet / "step-000006.png") as picture:
        assert picture.size == (3 * (SIZE + 2) + 2, 2 * (SIZE + 2) + 2)  # hints above pictures


def test_a_hint_that_the_data_lack_is_named(desk: Desk, dataset: Dataset) -> None:
    with pytest.raises(NodeGraphError, match=r"no hint 'depth' for every picture; it has none"):
        train_controlnet(
            latent_unet(desk), dataset, RECIPE, "depth", SIZE, context=context_of(desk, "h" * 32)
        )
