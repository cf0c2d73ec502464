"""LoRA on models: against diffusers' own modules, in any order, and never a trace on the base."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_files import Format, changed, changes, tensors, whole, write
from node_support import Desk, Given
from tiny_pipelines import WIDTH, Family, Tiny, save_file, save_folder, tiny
from torch import Tensor, nn

from nodegraph import ModelManager, NodeGraphError
from nodegraph.memory import SimulatedDevice
from nodes.loaders import Checkpoint, load_checkpoint
from nodes.lora import load_lora, load_lora_model_only
from nodes.models.errors import CheckpointError
from nodes.models.precision import Precision
from nodes.patching import DerivedSource
from nodes.types import Clip, Model
from nodes.weights import AbsentPart

pytestmark = pytest.mark.usefixtures("without_gradients")
FAMILIES: tuple[Family, ...] = ("sd1", "sd2")
CAT = [320, 1125, 539, 320, 2368]  # "a photo of a cat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("lora"))
    for family in FAMILIES:
        save_folder(tiny(family), desk.place("diffusers", family))
        save_file(desk.place("diffusers", family), desk.place("checkpoints", f"{family}.st"))
        whole(desk.place("loras", f"{family}.safetensors"), tiny(family), seed=1)
        whole(desk.place("loras", f"{family} 2.safetensors"), tiny(family), seed=5)
    return desk.folder


@pytest.fixture
def desk(folder: Path) -> Desk:
    return Desk(folder)


def loaded(desk: Desk, family: Family = "sd1") -> Checkpoint:
    return load_checkpoint(f"{family}.st", context=desk.context)


def both(desk: Desk, name: str, *strengths: float, family: Family = "sd1") -> tuple[Model, Clip]:
    parts = loaded(desk, family)
    return load_lora(
        parts.model, parts.clip, f"{name}.safetensors", *strengths, context=desk.context
    )


def ours(desk: Desk, model: Model) -> Tensor:
    with desk.models.lease(model.source, "cpu") as unet:
        return unet(*seen())


def theirs(unet: nn.Module) -> Tensor:
    return unet(*seen()).sample


def seen() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    return x, torch.tensor([3, 700]), torch.randn(2, 7, WIDTH, generator=generator)


def our_words(desk: Desk, clip: Clip) -> Tensor:
    assert clip.encoder is not None
    with desk.models.lease(clip.source, "cpu") as module:
        return clip.encoder.encode(module, "a photo of a cat").hidden  # type: ignore[arg-type]


def their_words(models: Tiny, text: nn.Module) -> Tensor:
    pad = 0 if models.family == "sd2" else 49407
    return text(torch.tensor([[49406, *CAT, 49407] + [pad] * 70])).last_hidden_state


def near(found: Tensor, expected: Tensor, other: Tensor) -> None:
    """Within 1e-4 of what is expected, and far from what it would be without the LoRA."""
    assert (found - expected).abs().max() <= 1e-4
    assert (found - other).abs().max() > 0.05


def states_equal(one: Any, other: Any) -> bool:
    return all(torch.equal(w, dict(other.named_parameters())[n]) for n, w in one.named_parameters())


# -- what it computes ------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [1.0, 0.4, -0.7])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_patched_unet_gives_what_diffusers_with_changed_weights_gives(
    desk: Desk, family: Family, strength: float
) -> None:
    models = tiny(family)
    unet = changes(models.unet, 1)

    model, _ = both(desk, family, strength, 0.0, family=family)

    near(ours(desk, model), theirs(changed(models.unet, (unet, strength))), theirs(models.unet))
    assert not desk.warnings


@pytest.mark.parametrize("family", FAMILIES)
def test_a_patched_text_encoder_gives_what_transformers_gives(desk: Desk, family: Family) -> None:
    models = tiny(family)
    text = changes(models.text, 2)

    model, clip = both(desk, family, 0.0, 0.8, family=family)

    expected = their_words(models, changed(models.text, (text, 0.8)))
    near(our_words(desk, clip), expected, their_words(models, models.text))
    assert model.source.key == loaded(desk, family).model.source.key


@pytest.mark.parametrize("format", ["kohya", "diffusers", "peft", "processor"])
def test_every_format_says_the_same(desk: Desk, format: Format) -> None:
    models = tiny("sd1")
    only = (lambda name: ".attn" in name) if format == "processor" else None
    unet, text = changes(models.unet, 1, only), changes(models.text, 2)
    if format == "processor":
        unet = {name: replace(change, alpha=len(change.down)) for name, change in unet.items()}
    second: Format = "diffusers" if format == "processor" else format
    write(
        desk.place("loras", f"{format}.safetensors"),
        tensors("unet", unet, format),
        tensors("text", text, second),
    )

    model, clip = both(desk, format)

    near(ours(desk, model), theirs(changed(models.unet, (unet, 1))), theirs(models.unet))
    expected = their_words(models, changed(models.text, (text, 1)))
    near(our_words(desk, clip), expected, their_words(models, models.text))
    assert not desk.warnings


@pytest.mark.parametrize("format", ["original", "comfyui"])
def test_a_unets_modules_may_have_the_originals_names(desk: Desk, format: Format) -> None:
    parts = loaded(desk)
    before = parts.model.source.load()
    change = changes(before, 4)
    write(desk.place("loras", f"{format}.safetensors"), tensors("unet", change, format))

    model, _ = both(desk, format)

    expected = changed(before, (change, 1))(*seen())
    near(ours(desk, model), expected, ours(desk, parts.model))
    assert not desk.warnings


def test_weights_are_changed_in_float32_before_they_are_cast(desk: Desk) -> None:
    half = replace(desk, precision="bf16")
    [name] = [n for n in changes(tiny("sd1").unet) if n == "mid_block.resnets.0.conv1"]

    model, _ = both(half, "sd1", 0.3, 0.0)

    found = model.source.tensor("middle_block.0.in_layers.2.weight")
    W = tiny("sd1").unet.get_submodule(name).weight
    assert isinstance(W, Tensor)
    delta = changes(tiny("sd1").unet, 1)[name].delta
    expected = W + 0.3 * delta.reshape(W.shape)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).abs().max() <= expected.abs().max() / 256
    exact = expected.to(torch.bfloat16)
    assert (found == exact).float().mean() > 0.999  # the rest sits on the edge of two numbers
    assert (
        found == (W.bfloat16() + (0.3 * delta).reshape(W.shape).bfloat16())
    ).float().mean() < 0.95


# -- several of them -------------------------------------------------------------------------------


def test_several_add_up_against_the_base(desk: Desk) -> None:
    models = tiny("sd1")
    first, second = changes(models.unet, 1), changes(models.unet, 5)
    parts = loaded(desk)

    one = load_lora_model_only(parts.model, "sd1.safetensors", 0.6, context=desk.context)
    two = load_lora_model_only(one, "sd1 2.safetensors", -0.3, context=desk.context)

    expected = theirs(changed(models.unet, (first, 0.6), (second, -0.3)))
    near(ours(desk, two), expected, ours(desk, one))


def test_their_order_does_not_matter_bit_for_bit(desk: Desk) -> None:
    stack = [("sd1.safetensors", 0.6), ("sd1 2.safetensors", -0.3), ("sd1.safetensors", 0.1)]
    sources = []
    for order in (stack, stack[::-1], [stack[1], stack[0], stack[2]]):
        model = loaded(desk).model
        for name, strength in order:
            model = load_lora_model_only(model, name, strength, context=desk.context)
        sources.append(model.source)

    assert len({source.key for source in sources}) == 1
    modules = [source.load() for source in sources]
    assert states_equal(modules[0], modules[1])
    assert states_equal(modules[0], modules[2])


def test_a_stack_on_a_dora_is_taken_against_the_base_as_well(desk: Desk) -> None:
    models = tiny("sd1")
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    W = models.unet.get_submodule(name).weight
    assert isinstance(W, Tensor)
    change = changes(models.unet, 8, lambda module: module == name)
    m = torch.linspace(0.5, 2, len(W))[:, None]
    dora = {**tensors("unet", change, "kohya"), f"lora_unet_{name.replace('.', '_')}.dora_scale": m}
    write(desk.place("loras", "dora.safetensors"), dora)
    model = loaded(desk).model

    for file, strength in (("sd1.safetensors", 0.5), ("dora.safetensors", 0.7)):
        model = load_lora_model_only(model, file, strength, context=desk.context)

    V = W + change[name].delta
    expected = W + 0.5 * changes(models.unet, 1)[name].delta
    expected = expected + 0.7 * (m * V / V.norm(dim=1, keepdim=True) - W)
    found = model.source.tensor("middle_block.1.transformer_blocks.0.attn1.to_q.weight")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# -- the base --------------------------------------------------------------------------------------


def test_the_base_is_as_it_was_before_and_after_bit_for_bit(desk: Desk) -> None:
    parts = loaded(desk)
    with desk.models.lease(parts.model.source, "cpu") as unet:
        before = {name: weight.clone() for name, weight in unet.named_parameters()}
    output = ours(desk, parts.model)

    patched, _ = both(desk, "sd1")
    assert not torch.equal(ours(desk, patched), output)

    assert torch.equal(ours(desk, parts.model), output)
    with desk.models.lease(parts.model.source, "cpu") as unet:
        for name, weight in unet.named_parameters():
            assert torch.equal(weight, before[name]), name


def test_strength_zero_gives_the_very_handles_and_reads_nothing(desk: Desk) -> None:
    parts = loaded(desk)

    made = load_lora(parts.model, parts.clip, "not there", 0.0, 0.0, context=desk.context)
    model = load_lora_model_only(parts.model, "not there", 0.0, context=desk.context)

    assert made.model is parts.model
    assert made.clip is parts.clip
    assert model is parts.model


def test_weights_no_lora_names_are_the_files(desk: Desk) -> None:
    models = tiny("sd1")
    change = changes(models.unet, 1, lambda name: ".attn" in name)
    write(desk.place("loras", "attn.safetensors"), tensors("unet", change, "kohya"))

    model, clip = both(desk, "attn")

    base = loaded(desk)
    differ = [
        name
        for name, weight in base.model.source.load().named_parameters()
        if not torch.equal(weight, model.source.tensor(name))
    ]
    assert differ
    assert all(re.search(r"attn[12]\.to_\w+(\.0)?\.weight$", name) for name in differ)
    assert len(differ) == len(change)
    assert clip.source.key == base.clip.source.key


# -- as the model manager sees it ------------------------------------------------------------------


def test_the_strength_and_the_file_are_part_of_the_key(desk: Desk) -> None:
    base = loaded(desk).model.source.key
    keys = {
        both(desk, name, strength, 1.0)[0].source.key
        for name in ("sd1", "sd1 2")
        for strength in (0.5, 1.0)
    }

    assert len({*keys, base}) == 5
    assert both(desk, "sd1", 0.5, 0.2)[0].source.key in keys


@pytest.mark.parametrize(
    "precision",
    [Precision(torch.float32), Precision(torch.float16, channels_last=True)],
    ids=["full", "half"],
)
@pytest.mark.parametrize("rounding", [None, "fp8_e4m3fn"])
def test_weights_made_one_by_one_are_those_of_the_whole(
    desk: Desk, precision: Precision, rounding: str | None
) -> None:
    source = both(desk, "sd1")[0].source
    assert isinstance(source, DerivedSource)
    made = replace(source, precision=precision, rounding=rounding)

    module = made.load()
    skeleton = dict(made.skeleton().named_parameters())

    assert made.nbytes == sum(p.nbytes for p in module.parameters())
    assert not module.training
    for name, weight in module.named_parameters():
        alone = made.tensor(name)
        assert torch.equal(alone, weight), name
        assert alone.stride() == weight.stride()
        assert alone.dtype == weight.dtype == skeleton[name].dtype == precision.dtype
        assert not weight.requires_grad
    with pytest.raises(KeyError):
        made.tensor("nothing")


def test_a_patched_weight_is_rounded_after_it_was_changed(desk: Desk) -> None:
    source = both(desk, "sd1")[0].source
    assert isinstance(source, DerivedSource)
    rounded = replace(source, rounding="fp8_e4m3fn")

    for name, narrow in (("out.2.weight", torch.float8_e4m3fn), ("out.2.bias", torch.float32)):
        assert torch.equal(rounded.tensor(name), source.tensor(name).to(narrow).float())
    assert rounded.key != source.key


def test_a_patched_model_larger_than_the_memory_is_streamed_with_the_same_result(
    desk: Desk,
) -> None:
    model, _ = both(desk, "sd1")
    expected = ours(desk, model)
    size = model.source.nbytes
    manager = ModelManager(
        budgets={"sim:0": size // 3}, host_budget=size // 2, devices=[SimulatedDevice()]
    )

    with manager.lease(model.source, "sim:0") as unet:
        found = unet(*seen())
        [device] = [s for n, s in manager.stats().devices.items() if n == "sim:0"]

    assert device.models[0].streamed
    assert device.peak < size
    assert torch.equal(found, expected)


# -- what does not fit -----------------------------------------------------------------------------


def some(desk: Desk, name: str, **more: Tensor) -> None:
    """A LoRA of one module that fits, and other tensors."""
    change = changes(tiny("sd1").unet, 1, lambda n: n == "mid_block.resnets.0.conv1")
    write(desk.place("loras", f"{name}.safetensors"), tensors("unet", change, "kohya"), more)


def pair(name: str, out: int = 8, rank: int = 2, width: int = 8) -> dict[str, Tensor]:
    return {
        f"{name}.lora_up.weight": torch.zeros(out, rank),
        f"{name}.lora_down.weight": torch.zeros(rank, width),
    }


def test_names_that_match_nothing_are_told(desk: Desk) -> None:
    lost = pair("lora_unet_down_blocks_9_q") | pair("lora_te_nowhere") | {"noise": torch.ones(1)}
    some(desk, "lost", **lost)

    both(desk, "lost")

    [warning] = desk.warnings
    assert warning.startswith("lost.safetensors: 3 of its names match nothing in this model")
    for name in ("lora_unet_down_blocks_9_q", "lora_te_nowhere", "noise"):
        assert name in warning


def test_a_second_text_encoders_changes_are_not_given_to_the_first(desk: Desk) -> None:
    layer = "text_model_encoder_layers_0_mlp_fc1"
    some(desk, "second", **pair(f"lora_te2_{layer}", 128, 2, WIDTH))

    _, clip = both(desk, "second")

    assert f"lora_te2_{layer}" in desk.warnings[0]
    assert clip.source.key == loaded(desk).clip.source.key


def test_the_text_encoders_changes_are_not_missed_where_only_the_model_is_wanted(
    desk: Desk,
) -> None:
    load_lora_model_only(loaded(desk).model, "sd1.safetensors", context=desk.context)

    assert not desk.warnings


def test_a_lora_for_another_model_is_refused_with_both_sizes(desk: Desk) -> None:
    some(desk, "wide", **pair("lora_unet_conv_out", 4, 2, 7))

    with pytest.raises(
        CheckpointError,
        match=r"lora_unet_conv_out changes a weight of 4 x 7, but out\.2\.weight of this UNet is "
        r"4 x 576: the LoRA was made for another model",
    ):
        both(desk, "wide")


def test_a_lora_of_which_nothing_fits_is_refused(desk: Desk) -> None:
    write(desk.place("loras", "flux.safetensors"), pair("lora_unet_double_blocks_0_img_attn"))

    with pytest.raises(NodeGraphError, match=r"none of the 1 modules that flux\.safetensors"):
        both(desk, "flux")


def test_a_lora_for_the_text_encoder_alone_says_what_it_needs(desk: Desk) -> None:
    text = changes(tiny("sd1").text, 2)
    write(desk.place("loras", "words.safetensors"), tensors("text", text, "kohya"))

    _, clip = both(desk, "words")
    assert clip.source.key != loaded(desk).clip.source.key

    with pytest.raises(NodeGraphError, match="changes the text encoder alone: load it with"):
        load_lora_model_only(loaded(desk).model, "words.safetensors", context=desk.context)


def test_a_checkpoint_without_a_text_encoder_still_takes_a_lora(desk: Desk) -> None:
    absent = Clip(AbsentPart("there is none"), None)

    made = load_lora(loaded(desk).model, absent, "sd1.safetensors", context=desk.context)

    assert made.clip is absent
    assert made.model.source.key != loaded(desk).model.source.key


def test_a_model_that_is_no_checkpoint_cannot_be_patched(desk: Desk) -> None:
    model = replace(loaded(desk).model, source=Given(nn.Linear(1, 1)))

    with pytest.raises(NodeGraphError, match="neither patched, merged nor saved"):
        load_lora_model_only(model, "sd1.safetensors", context=desk.context)


def test_a_pickle_is_read_only_where_it_is_allowed(desk: Desk) -> None:
    change = changes(tiny("sd1").unet, 1)
    torch.save(tensors("unet", change, "kohya"), desk.place("loras", "old.pt"))
    model = loaded(desk).model

    with pytest.raises(CheckpointError, match=r"old\.pt: is a PyTorch checkpoint"):
        load_lora_model_only(model, "old.pt", context=desk.context)
    allowed = replace(desk.context, extra={"allow_ckpt": True})
    made = load_lora_model_only(model, "old.pt", context=allowed)

    expected, _ = both(desk, "sd1", 1.0, 0.0)
    assert states_equal(made.source.load(), expected.source.load())
