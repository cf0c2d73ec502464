"""Loading models by name: whole, in parts, from folders, and what is said where something lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from node_support import Desk
from safetensors.torch import load_file
from safetensors.torch import save_file as save_tensors
from tiny_pipelines import save_file, save_folder, tiny

from nodegraph import FileMissing, NodeGraphError
from nodegraph.hashes import FileHashes
from nodes.latent import empty_latent_image
from nodes.loaders import clip_loader, diffusers_loader, load_checkpoint, load_vae, unet_loader
from nodes.models.errors import CheckpointError
from nodes.models.precision import choose
from nodes.text import clip_encode
from nodes.vae import vae_decode
from nodes.weights import PartSource


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: a pipeline, and files with all of it, parts of it, and none."""
    desk = Desk(tmp_path_factory.mktemp("loaders"))
    folder = desk.place("diffusers", "tiny")
    save_folder(tiny("sd1"), folder)
    for kind, name, parts in (
        ("checkpoints", "whole", ("unet", "text", "vae")),
        ("checkpoints", "unet only", ("unet",)),
        ("checkpoints", "vae only", ("vae",)),
        ("unet", "unet", ("unet",)),
        ("text_encoders", "text", ("text",)),
        ("vae", "vae", ("vae",)),
    ):
        save_file(folder, desk.place(kind, f"{name}.safetensors"), parts=parts)
    return desk.folder


@pytest.fixture
def desk(models: Path) -> Desk:
    return Desk(models)


def test_a_checkpoint_gives_handles_and_loads_no_weights(desk: Desk) -> None:
    parts = load_checkpoint("whole.safetensors", context=desk.context)

    assert (parts.model.channels, parts.model.factor, parts.model.context) == (4, 2, 64)
    assert (parts.vae.factor, parts.vae.channels) == (2, 4)
    assert not desk.models.stats().devices["cpu"].models
    assert not desk.warnings


def test_a_model_knows_the_vae_of_its_file_as_it_runs_on_the_host(desk: Desk) -> None:
    on_gpu = replace(desk.context, device="cuda:0", precision="auto")

    here = load_checkpoint("whole.safetensors", context=desk.context)
    folder = diffusers_loader("tiny", context=desk.context)
    there = load_checkpoint("whole.safetensors", context=on_gpu).model.companion

    assert here.model.companion is not None
    assert here.vae.source is not None
    assert here.model.companion.key == here.vae.source.key  # so one is loaded for both
    assert isinstance(folder.model.companion, PartSource)
    assert isinstance(there, PartSource)
    assert there.precision == choose("auto", "vae", "cpu")


@pytest.mark.parametrize("name", ["unet only.safetensors", "unet.safetensors"])
def test_a_unet_alone_knows_no_vae(desk: Desk, name: str) -> None:
    if name == "unet.safetensors":
        model = unet_loader(name, "default", context=desk.context)
    else:
        model = load_checkpoint(name, context=desk.context).model

    assert model.companion is None


def test_a_folder_gives_the_same_weights_as_a_file(desk: Desk) -> None:
    file = load_checkpoint("whole.safetensors", context=desk.context)
    folder = diffusers_loader("tiny", context=desk.context)

    for one, other in (
        (file.model.source, folder.model.source),
        (file.clip.source, folder.clip.source),
        (file.vae.source, folder.vae.source),
    ):
        assert one is not None
        assert other is not None
        theirs = dict(other.load().named_parameters())
        for name, weight in one.load().named_parameters():
            assert torch.equal(weight, theirs[name]), name


def test_parts_alone_have_the_weights_of_the_whole(desk: Desk) -> None:
    whole = load_checkpoint("whole.safetensors", context=desk.context)
    unet = unet_loader("unet.safetensors", "default", context=desk.context)
    clip = clip_loader("text.safetensors", "stable_diffusion", context=desk.context)
    vae = load_vae("vae.safetensors", context=desk.context)

    for one, other in (
        (whole.model.source, unet.source),
        (whole.clip.source, clip.source),
        (whole.vae.source, vae.source),
    ):
        assert one is not None
        assert other is not None
        assert isinstance(other, PartSource)
        for name, weight in one.load().named_parameters():
            assert torch.equal(weight, other.tensor(name)), name
    assert (vae.factor, unet.context) == (2, 64)
    assert clip.encoder is not None


def test_a_text_encoder_can_be_kept_on_the_host(desk: Desk) -> None:
    on_gpu = replace(desk.context, device="cuda:0", precision="auto")

    clip = clip_loader("text.safetensors", "stable_diffusion", "cpu", context=on_gpu)

    made = clip_encode("cat", clip, context=on_gpu)
    assert made.entries[0].context is not None
    assert made.entries[0].context.device.type == "cpu"


@pytest.mark.parametrize(
    ("name", "rounding"),
    [
        ("default", None),
        ("fp8_e4m3fn", "fp8_e4m3fn"),
        ("fp8_e4m3fn_fast", "fp8_e4m3fn"),
        ("fp8_e5m2", "fp8_e5m2"),
    ],
)
def test_a_weight_dtype_is_what_weights_are_rounded_to(
    desk: Desk, name: str, rounding: str | None
) -> None:
    model = unet_loader("unet.safetensors", name, context=desk.context)  # type: ignore[arg-type]

    assert isinstance(model.source, PartSource)
    assert model.source.rounding == rounding


def test_the_identity_vae_has_no_weights(desk: Desk) -> None:
    vae = load_vae("pixel_space", context=desk.context)

    assert (vae.source, vae.factor, vae.channels) == (None, 1, 3)


def test_equal_content_under_two_names_is_one_model(desk: Desk, tmp_path: Path) -> None:
    source, copy = (desk.place("vae", f"{name}.safetensors") for name in ("vae", "copy"))
    copy.write_bytes(source.read_bytes())
    context = replace(desk.context, hashes=FileHashes(tmp_path / "hashes.json"))

    one, other = (load_vae(path.name, context=context) for path in (source, copy))

    assert one.source is not None
    assert other.source is not None
    assert one.source.key == other.source.key
    copy.unlink()


# -- what lacks ------------------------------------------------------------------------------------


def test_a_checkpoint_without_a_vae_serves_until_its_vae_is_asked_for(desk: Desk) -> None:
    parts = load_checkpoint("unet only.safetensors", context=desk.context)

    assert parts.model.source.load() is not None
    with pytest.raises(
        NodeGraphError, match=r"unet only\.safetensors holds no VAE: take one from LoadVAE"
    ):
        vae_decode(empty_latent_image(64, 64), parts.vae, context=desk.context)
    with pytest.raises(NodeGraphError, match=r"no text encoder: take one from CLIPLoader"):
        clip_encode("cat", parts.clip, context=desk.context)


def test_a_checkpoint_without_a_unet_says_what_it_holds(desk: Desk) -> None:
    with pytest.raises(CheckpointError, match=r"vae only\.safetensors: holds no UNet, only a VAE"):
        load_checkpoint("vae only.safetensors", context=desk.context)


def test_a_file_of_the_wrong_part_says_what_it_holds(desk: Desk) -> None:
    desk.place("text_encoders", "wrong.safetensors").write_bytes(
        desk.place("vae", "vae.safetensors").read_bytes()
    )

    with pytest.raises(CheckpointError, match=r"holds no text encoder, only a VAE"):
        clip_loader("wrong.safetensors", "stable_diffusion", context=desk.context)


def test_a_name_that_is_not_there_is_answered_with_the_nearest(desk: Desk) -> None:
    with pytest.raises(FileMissing, match=r"nearest: 'whole\.safetensors'"):
        load_checkpoint("whol.safetensors", context=desk.context)


def test_a_damaged_file_is_refused_by_name(desk: Desk) -> None:
    desk.place("checkpoints", "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")

    with pytest.raises(CheckpointError, match=r"checkpoints/cut\.safetensors"):
        load_checkpoint("cut.safetensors", context=desk.context)


def test_a_pickle_is_read_only_where_it_is_allowed(desk: Desk) -> None:
    tensors = load_file(desk.place("vae", "vae.safetensors"))
    torch.save({"state_dict": tensors}, desk.place("vae", "old.ckpt"))

    with pytest.raises(CheckpointError, match=r"old\.ckpt: is a PyTorch checkpoint"):
        load_vae("old.ckpt", context=desk.context)
    vae = load_vae("old.ckpt", context=replace(desk.context, extra={"allow_ckpt": True}))

    assert vae.source is not None
    assert torch.equal(
        vae.source.tensor("decoder.conv_out.weight"),
        tensors["first_stage_model.decoder.conv_out.weight"],
    )


def test_an_encoder_of_too_few_tokens_for_its_tokenizer_is_refused(desk: Desk) -> None:
    tensors = load_file(desk.place("text_encoders", "text.safetensors"))
    name = next(name for name in tensors if name.endswith("token_embedding.weight"))
    few = {**tensors, name: tensors[name][:100].clone()}
    save_tensors(few, desk.place("text_encoders", "few.safetensors"))

    with pytest.raises(ValueError, match=r"knows 100 tokens.*produces 49408"):
        clip_loader("few.safetensors", "stable_diffusion", context=desk.context)
