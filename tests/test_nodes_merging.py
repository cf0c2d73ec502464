"""Merging models: weight by weight, by block, exactly at the ends, and what cannot be merged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_files import write
from node_support import Desk
from tiny_models import UNETS, scrambled
from torch import Tensor

from nodegraph import ModelManager, NodeGraphError
from nodegraph.memory import SimulatedDevice
from nodes.loaders import load_checkpoint, unet_loader
from nodes.lora import load_lora_model_only
from nodes.merging import (
    clip_merge_add,
    clip_merge_simple,
    clip_merge_subtract,
    model_merge_add,
    model_merge_blocks,
    model_merge_simple,
    model_merge_subtract,
)
from nodes.models.checkpoint_metadata import Declared
from nodes.models.clip import CLIPText
from nodes.models.clip_config import CLIPConfig
from nodes.models.save import save_original
from nodes.models.unet import UNet
from nodes.patching import weights_of
from nodes.types import Clip, Model

TEXT = CLIPConfig(vocab=49408, width=64, layers=2, heads=1, mlp=128)
EMBEDDING, DOWN, MIDDLE, UP, END = (
    "time_embed.0.weight",
    "input_blocks.1.0.in_layers.2.weight",
    "middle_block.0.in_layers.2.weight",
    "output_blocks.0.0.in_layers.2.weight",
    "out.2.weight",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of one family, an inpainting network, and one of another family."""
    desk = Desk(tmp_path_factory.mktemp("merging"))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for name in ("a", "b"):
            unet, text = UNet(UNETS["sd1"]), CLIPText(TEXT)
            path = desk.place("checkpoints", f"{name}.safetensors")
            save_original(path, Declared("sd1"), unet=made(unet), text=made(text))
        inpainting = UNet(replace(UNETS["sd1"], in_channels=9))
        save_original(desk.place("unet", "hole.st"), Declared("sd1"), unet=made(inpainting))
        save_original(
            desk.place("unet", "sd2.st"), Declared("sd2", "v"), unet=made(UNet(UNETS["sd2"]))
        )
        save_original(
            desk.place("unet", "v.st"), Declared("sd1", "v"), unet=made(UNet(UNETS["sd1"]))
        )
    return desk.folder


def made(module: Any) -> Any:
    scrambled(module)
    return module


@pytest.fixture
def desk(folder: Path) -> Desk:
    return Desk(folder)


@pytest.fixture
def a(desk: Desk) -> tuple[Model, Clip]:
    parts = load_checkpoint("a.safetensors", context=desk.context)
    return parts.model, parts.clip


@pytest.fixture
def b(desk: Desk) -> tuple[Model, Clip]:
    parts = load_checkpoint("b.safetensors", context=desk.context)
    return parts.model, parts.clip


def weights(handle: Model | Clip) -> dict[str, Tensor]:
    return dict(handle.source.load().named_parameters())


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6)


def test_a_simple_merge_is_the_mean_by_the_ratio(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip]
) -> None:
    merged = model_merge_simple(a[0], b[0], 0.3, context=desk.context)

    first, second = weights(a[0]), weights(b[0])
    for name, weight in weights(merged).items():
        near(weight, 0.3 * first[name] + 0.7 * second[name])
    assert not desk.warnings


@pytest.mark.parametrize(("ratio", "which"), [(1.0, 0), (0.0, 1)])
def test_at_the_ends_a_merge_is_one_of_the_two_bit_for_bit(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip], ratio: float, which: int
) -> None:
    merged = weights(model_merge_simple(a[0], b[0], ratio, context=desk.context))

    for name, weight in weights((a[0], b[0])[which]).items():
        assert torch.equal(merged[name], weight), name


def test_blocks_have_ratios_of_their_own(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip]
) -> None:
    merged = weights(model_merge_blocks(a[0], b[0], 0.1, 0.5, 0.8, context=desk.context))

    first, second = weights(a[0]), weights(b[0])
    for name, ratio in ((EMBEDDING, 0.1), (DOWN, 0.1), (MIDDLE, 0.5), (UP, 0.8), (END, 0.8)):
        near(merged[name], ratio * first[name] + (1 - ratio) * second[name])


def test_what_was_subtracted_can_be_added_again(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip]
) -> None:
    difference = model_merge_subtract(a[0], b[0], 0.5, context=desk.context)
    again = model_merge_add(b[0], difference, context=desk.context)

    first, second, found, half = map(weights, (a[0], b[0], difference, again))
    for name in first:
        near(found[name], 0.5 * (first[name] - second[name]))
        near(half[name], 0.5 * (first[name] + second[name]))


def test_text_encoders_merge_alike(a: tuple[Model, Clip], b: tuple[Model, Clip]) -> None:
    first, second = weights(a[1]), weights(b[1])

    mixed = weights(clip_merge_simple(a[1], b[1], 0.25))
    added = weights(clip_merge_add(a[1], b[1]))
    less = weights(clip_merge_subtract(a[1], b[1], 2.0))

    for name in first:
        near(mixed[name], 0.25 * first[name] + 0.75 * second[name])
        near(added[name], first[name] + second[name])
        near(less[name], 2 * (first[name] - second[name]))


def patched(desk: Desk, model: Model, name: str, strength: float) -> Model:
    return load_lora_model_only(model, name, strength, context=desk.context)


def test_a_merge_takes_models_as_they_are_patched_and_can_be_patched(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip]
) -> None:
    module, out = "middle_block_0_in_layers_2", weights(a[0])[MIDDLE]
    delta = torch.randn(out.shape, generator=torch.Generator().manual_seed(4))
    write(desk.place("loras", "d.safetensors"), {f"lora_unet_{module}.diff": delta})

    before = model_merge_simple(
        patched(desk, a[0], "d.safetensors", 2.0), b[0], 0.25, context=desk.context
    )
    after = patched(desk, before, "d.safetensors", -1.0)

    mean = 0.25 * out + 0.75 * weights(b[0])[MIDDLE]
    near(weights(before)[MIDDLE], mean + 0.25 * 2 * delta)
    near(weights(after)[MIDDLE], mean - 0.5 * delta)


def test_what_goes_into_a_merge_is_part_of_its_key(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip]
) -> None:
    context = desk.context
    merges = [
        model_merge_simple(a[0], b[0], 0.3, context=context),
        model_merge_simple(a[0], b[0], 0.4, context=context),
        model_merge_simple(b[0], a[0], 0.3, context=context),
        model_merge_blocks(a[0], b[0], 0.3, 0.3, 0.4, context=context),
        model_merge_add(a[0], b[0], context=context),
        model_merge_subtract(a[0], b[0], context=context),
    ]
    keys = {merge.source.key for merge in merges}

    assert len(keys) == len(merges)
    assert model_merge_simple(a[0], b[0], 0.3, context=context).source.key in keys


def test_a_merge_is_streamed_where_it_does_not_fit(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip]
) -> None:
    source = model_merge_simple(a[0], b[0], 0.3, context=desk.context).source
    manager = ModelManager(
        budgets={"sim:0": source.nbytes // 3},
        host_budget=source.nbytes // 2,
        devices=[SimulatedDevice()],
    )
    x, t, context = torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 7, 64)

    with torch.no_grad(), manager.lease(source, "sim:0") as unet:
        found = unet(x, t, context)

    with torch.no_grad():
        assert torch.equal(found, source.load()(x, t, context))


# -- what does not fit -----------------------------------------------------------------------------


def test_an_inpainting_network_keeps_the_layer_no_other_has(
    desk: Desk, a: tuple[Model, Clip]
) -> None:
    hole = unet_loader("hole.st", "default", context=desk.context)

    merged = weights(model_merge_simple(hole, a[0], 0.5, context=desk.context))

    own, other = weights(hole), weights(a[0])
    first = "input_blocks.0.0.weight"
    assert torch.equal(merged[first], own[first])
    near(merged[MIDDLE], 0.5 * (own[MIDDLE] + other[MIDDLE]))


def test_models_of_two_architectures_are_refused(desk: Desk, a: tuple[Model, Clip]) -> None:
    other = unet_loader("sd2.st", "default", context=desk.context)

    with pytest.raises(NodeGraphError, match=r"the two UNets are of different architectures: \d+"):
        model_merge_simple(a[0], other, context=desk.context)


def test_models_that_predict_different_things_are_merged_with_a_warning(
    desk: Desk, a: tuple[Model, Clip]
) -> None:
    other = unet_loader("v.st", "default", context=desk.context)

    merged = model_merge_simple(a[0], other, 0.5, context=desk.context)

    assert merged.sampling.kind == "eps"
    [warning] = desk.warnings
    assert "predicts eps, the second v" in warning


def test_settings_beside_the_weights_are_the_firsts(
    desk: Desk, a: tuple[Model, Clip], b: tuple[Model, Clip]
) -> None:
    one = replace(a[0], scale=0.5)

    merged = model_merge_simple(one, b[0], 0.5, context=desk.context)

    assert merged.scale == 0.5
    assert weights_of(merged.source).origin.info.path.name == "a.safetensors"
