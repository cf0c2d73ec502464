"""Saved models load again, with the pixels they gave before, and carry the graph."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_files import whole
from node_support import Desk
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_pipelines import Family, save_file, save_folder, tiny
from torch import Tensor

from nodegraph import Cancelled, NodeGraphError, Shown
from nodes.control_weights import ControlSource
from nodes.controlnet import load_control_net
from nodes.diffusion.prediction import ModelSampling
from nodes.diffusion.schedule import NoiseSchedule, cosine, scaled_linear, zero_terminal_snr
from nodes.loaders import Checkpoint, clip_loader, load_checkpoint, load_vae, unet_loader
from nodes.lora import load_lora, load_lora_model_only
from nodes.merging import (
    clip_merge_subtract,
    model_merge_simple,
    model_merge_subtract,
)
from nodes.model_saving import (
    checkpoint_save,
    clip_save,
    control_net_save,
    lora_save,
    model_save,
    vae_save,
)
from nodes.models.controlnet import ControlNet as ControlNetwork
from nodes.models.fresh import fresh_unet
from nodes.models.save import save_control_net
from nodes.models.unet_config import UNetConfig
from nodes.sampling import ksampler
from nodes.text import clip_encode
from nodes.types import Latent, Vae
from nodes.vae import vae_decode

FAMILIES: tuple[Family, ...] = ("sd1", "sd2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("saving"))
    for family in FAMILIES:
        save_folder(tiny(family), desk.place("diffusers", family))
        save_file(desk.place("diffusers", family), desk.place("checkpoints", f"{family}.st"))
        whole(desk.place("loras", f"{family}.safetensors"), tiny(family), seed=1)
    return desk.folder


@pytest.fixture
def desk(folder: Path, request: pytest.FixtureRequest) -> Desk:
    return Desk(folder, prompt={"9": {"class_type": request.node.name, "inputs": {}}})


def loaded(desk: Desk, family: Family = "sd1") -> Checkpoint:
    return load_checkpoint(f"{family}.st", context=desk.context)


def patched(desk: Desk, family: Family = "sd1") -> Checkpoint:
    parts = loaded(desk, family)
    made = load_lora(
        parts.model, parts.clip, f"{family}.safetensors", 0.7, 0.4, context=desk.context
    )
    return parts._replace(model=made.model, clip=made.clip)


def drawn(desk: Desk, parts: Checkpoint) -> Tensor:
    positive, negative = (
        clip_encode(text, parts.clip, context=desk.context) for text in ("a cat", "")
    )
    latent = ksampler(
        parts.model,
        seed=3,
        steps=3,
        cfg=3.0,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image=Latent(torch.zeros(1, 4, 16, 16)),
        context=desk.context,
    )
    return vae_decode(latent, parts.vae, context=desk.context)


def file_of(desk: Desk, shown: Shown) -> Path:
    [saved] = shown.files
    path = desk.path(saved)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == saved.sha256
    assert not [p.name for p in path.parent.iterdir() if p.name.startswith(".")]
    return path


def moved(desk: Desk, shown: Shown, kind: str) -> str:
    """The name of a saved file in the models folder of its kind."""
    path = file_of(desk, shown)
    path.replace(desk.place(kind, path.name))
    return path.name


def same_weights(one: Any, other: Any) -> bool:
    theirs = dict(other.load().named_parameters())
    return all(torch.equal(w, theirs[name]) for name, w in one.load().named_parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_patched_checkpoint_loads_again_and_draws_the_same_pixels(
    desk: Desk, family: Family, precision: str
) -> None:
    desk.precision = precision
    parts = patched(desk, family)
    before = drawn(desk, parts)

    name = moved(desk, checkpoint_save(*parts, context=desk.context), "checkpoints")
    again = load_checkpoint(name, context=desk.context)

    assert torch.equal(drawn(desk, again), before)
    assert not torch.equal(drawn(desk, loaded(desk, family)), before)
    assert again.model.sampling.kind == parts.model.sampling.kind
    assert not desk.warnings


def test_names_count_up_and_the_graph_and_the_manifest_are_inside(desk: Desk) -> None:
    paths = [
        file_of(desk, model_save(loaded(desk).model, "sub/mine", context=desk.context))
        for _ in range(2)
    ]

    assert [path.name for path in paths] == ["mine_00001_.safetensors", "mine_00002_.safetensors"]
    assert paths[0].parent == desk.folders.output / "sub"
    with safe_open(paths[0], "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["prompt"]) == desk.prompt
    assert json.loads(metadata["nodegraph"])["node"] == "9"
    assert metadata["nodegraph.prediction"] == "eps"


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_are_saved_alone_for_their_loaders(desk: Desk, family: Family) -> None:
    parts = patched(desk, family)
    context = desk.context

    unet = unet_loader(
        moved(desk, model_save(parts.model, context=context), "unet"), "default", context=context
    )
    text = clip_loader(
        moved(desk, clip_save(parts.clip, context=context), "text_encoders"),
        "stable_diffusion",
        context=context,
    )
    vae = load_vae(moved(desk, vae_save(parts.vae, context=context), "vae"), context=context)

    assert torch.equal(drawn(desk, Checkpoint(unet, text, vae)), drawn(desk, parts))


def test_single_parts_have_the_names_other_programs_expect(desk: Desk) -> None:
    parts = loaded(desk)

    text = load_file(file_of(desk, clip_save(parts.clip, context=desk.context)))
    vae = load_file(file_of(desk, vae_save(parts.vae, context=desk.context)))
    unet = load_file(file_of(desk, model_save(parts.model, context=desk.context)))

    assert "text_model.encoder.layers.0.mlp.fc1.weight" in text
    assert "decoder.conv_in.weight" in vae
    assert "model.diffusion_model.middle_block.0.in_layers.2.weight" in unet


def test_what_was_not_changed_stays_in_the_dtype_of_its_file(desk: Desk) -> None:
    desk.precision = "bf16"
    parts = loaded(desk)

    name = moved(desk, checkpoint_save(*parts, context=desk.context), "checkpoints")

    saved, given = (
        load_file(desk.place("checkpoints", name)),
        load_file(desk.place("checkpoints", "sd1.st")),
    )
    assert saved.keys() == given.keys()
    assert all(torch.equal(saved[n], given[n]) for n in given)


def test_a_rounded_model_is_saved_as_it_is_used(desk: Desk) -> None:
    save_file(
        desk.place("diffusers", "sd1"), desk.place("unet", "plain.safetensors"), parts=("unet",)
    )
    model = unet_loader("plain.safetensors", "fp8_e4m3fn", context=desk.context)

    name = moved(desk, model_save(model, context=desk.context), "unet")

    assert same_weights(model.source, unet_loader(name, "default", context=desk.context).source)


@pytest.mark.parametrize(
    ("schedule", "warned"),
    [(zero_terminal_snr(scaled_linear()), False), (cosine(), True)],
    ids=["zero terminal", "another"],
)
def test_changed_noise_levels_are_saved_where_a_file_can_say_them(
    desk: Desk, schedule: Tensor, warned: bool
) -> None:
    changed = ModelSampling(NoiseSchedule(schedule), "v")
    model = replace(loaded(desk).model, sampling=changed)

    name = moved(desk, model_save(model, context=desk.context), "unet")
    again = unet_loader(name, "default", context=desk.context)

    assert again.sampling.kind == "v"
    assert bool(desk.warnings) is warned
    expected = NoiseSchedule(scaled_linear()) if warned else changed.schedule
    assert torch.equal(again.sampling.schedule.sigmas, expected.sigmas)


def test_pixels_without_a_network_cannot_be_saved(desk: Desk) -> None:
    with pytest.raises(NodeGraphError, match="pixel_space is no network"):
        vae_save(Vae(None, factor=1, channels=3), context=desk.context)


def test_a_cancelled_save_leaves_no_file_and_no_name(desk: Desk) -> None:
    desk.cancel.cancel()

    with pytest.raises(Cancelled):
        model_save(loaded(desk).model, "cancelled/x", context=desk.context)

    assert not list((desk.folders.output / "cancelled").iterdir())


# -- LoRA out of differences -----------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_an_extracted_lora_gives_back_what_a_lora_of_its_rank_changed(
    desk: Desk, family: Family
) -> None:
    base, tuned = loaded(desk, family), patched(desk, family)
    difference = model_merge_subtract(tuned.model, base.model, context=desk.context)
    words = clip_merge_subtract(tuned.clip, base.clip)

    shown = lora_save(
        rank=3,
        lora_type="standard",
        bias_diff=True,
        model_diff=difference,
        text_encoder_diff=words,
        context=desk.context,
    )
    name = moved(desk, shown, "loras")
    again = load_lora(base.model, base.clip, name, context=desk.context)

    assert not desk.warnings
    for found, expected, before in (
        (again.model.source, tuned.model.source, base.model.source),
        (again.clip.source, tuned.clip.source, base.clip.source),
    ):
        theirs, plain = (dict(s.load().named_parameters()) for s in (expected, before))
        moved_by = max(float((theirs[n] - plain[n]).abs().max()) for n in plain)
        assert moved_by > 0.1
        for key, weight in found.load().named_parameters():
            assert (weight - theirs[key]).abs().max() < 0.005 * moved_by, key


def test_a_whole_difference_is_kept_to_the_last_digit(desk: Desk) -> None:
    base = loaded(desk)
    tuned = load_lora_model_only(base.model, "sd1.safetensors", 0.3, context=desk.context)
    difference = model_merge_subtract(tuned, base.model, context=desk.context)

    shown = lora_save(
        lora_type="full_diff", bias_diff=True, model_diff=difference, context=desk.context
    )
    name = moved(desk, shown, "loras")
    again = load_lora_model_only(base.model, name, context=desk.context)

    theirs = dict(tuned.source.load().named_parameters())
    for key, weight in again.source.load().named_parameters():
        torch.testing.assert_close(weight, theirs[key], atol=1e-6, rtol=0)


@pytest.mark.parametrize("bias_diff", [True, False])
@pytest.mark.parametrize("lora_type", ["standard", "full_diff"])
def test_biases_and_norms_go_with_it_if_wanted(desk: Desk, lora_type: Any, bias_diff: bool) -> None:
    other = patched(desk).model
    half = model_merge_simple(loaded(desk).model, other, 0.5, context=desk.context)
    difference = model_merge_subtract(half, other, 3.0, context=desk.context)
    whole_model = model_merge_subtract(loaded(desk).model, difference, 1.0, context=desk.context)

    shown = lora_save(
        rank=1,
        lora_type=lora_type,
        bias_diff=bias_diff,
        model_diff=whole_model,
        context=desk.context,
    )

    names = set(load_file(file_of(desk, shown)))
    assert ("diffusion_model.out.2.diff_b" in names) is bias_diff
    assert ("diffusion_model.out.0.diff" in names) is bias_diff
    matrix = "lora_up.weight" if lora_type == "standard" else "diff"
    assert f"diffusion_model.out.2.{matrix}" in names


@pytest.mark.parametrize("differs", [False, True])
def test_nothing_to_extract_is_an_error(desk: Desk, differs: bool) -> None:
    model = loaded(desk).model
    nothing = model_merge_subtract(model, model, context=desk.context) if differs else None
    says = "the difference is zero" if differs else "connect a difference of two models"

    with pytest.raises(NodeGraphError, match=says):
        lora_save(lora_type="standard", model_diff=nothing, context=desk.context)


# -- ControlNets -----------------------------------------------------------------------------------


def control_net(desk: Desk, name: str, dtype: torch.dtype = torch.float16) -> Path:
    """A small one, as a file in the models folder."""
    network = fresh_control()
    save_control_net(desk.place("controlnet", name), network, dtype=dtype)
    return desk.place("controlnet", name)


def fresh_control() -> ControlNetwork:
    unet = fresh_unet(
        UNetConfig(
            in_channels=4,
            out_channels=4,
            model_channels=32,
            channel_mult=(1, 2),
            num_res_blocks=(1, 1),
            transformer_depth=(1, 1),
            middle_depth=1,
            context_dim=64,
            num_heads=4,
        ),
        seed=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return ControlNetwork.from_unet(unet)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_saved_controlnet_has_the_tensors_and_heads_of_the_file_it_comes_from(
    desk: Desk, dtype: torch.dtype
) -> None:
    given = control_net(desk, "lines.safetensors", dtype)
    opened = load_control_net("lines.safetensors", context=desk.context)

    [file] = control_net_save(opened, "controlnet/again", context=desk.context).files

    before, after = load_file(given), load_file(desk.path(file))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {tensor.dtype for tensor in after.values()} == {dtype}
    desk.path(file).rename(desk.place("controlnet", "again.safetensors"))
    again = load_control_net("again.safetensors", context=desk.context)
    assert isinstance(again.source, ControlSource)
    assert again.source.config == opened.source.config  # type: ignore[attr-defined]


def test_of_a_controlnet_that_adds_means_it_is_told_how_its_file_must_be_called(
    desk: Desk,
) -> None:
    control_net(desk, "a_shuffle.safetensors")
    opened = load_control_net("a_shuffle.safetensors", context=desk.context)

    control_net_save(opened, "controlnet/plain", context=desk.context)

    [said] = desk.warnings
    assert said.endswith("let it end in _shuffle.safetensors")
