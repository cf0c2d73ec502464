"""Handles: what the manager is told of a part, and that every way to its weights gives the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from node_support import Desk
from tiny_pipelines import save_file, save_folder, tiny
from torch import nn

import nodes
from nodegraph import NodeGraphError, Registry
from nodegraph.cache import Cache
from nodegraph.executor import Executor
from nodegraph.graph import validate
from nodegraph.plan import make_plan
from nodes.diffusion.schedule import NoiseSchedule, cosine, linear, scaled_linear, zero_terminal_snr
from nodes.models.blank import blank
from nodes.models.checkpoint import inspect
from nodes.models.checkpoint_info import CheckpointInfo
from nodes.models.checkpoint_metadata import BetaSchedule, Declared
from nodes.models.precision import Policy, Precision
from nodes.models.save import save_original
from nodes.models.unet import UNet
from nodes.models.unet_config import UNetConfig
from nodes.weights import AbsentPart, PartSource, as_clip, as_model, as_vae

PARTS = ("unet", "text", "vae")
FULL, HALF = Precision(torch.float32), Precision(torch.float16, channels_last=True)
INPAINTING = UNetConfig(9, 4, 32, (1, 2), (1, 1), (1, 0), 1, context_dim=64, num_heads=8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_folder(tiny("sd1"), folder / "sd1")
    save_file(folder / "sd1", folder / "sd1.safetensors")
    return folder / "sd1.safetensors"


@pytest.fixture(scope="module")
def info(file: Path) -> CheckpointInfo:
    return inspect(file)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def source(info: CheckpointInfo, part: Any = "unet", **options: Any) -> PartSource:
    return PartSource(info, part, "hash", **{"precision": FULL, **options})


def blank_unet(config: UNetConfig, path: Path, declared: Declared) -> CheckpointInfo:
    """A file with a UNet of zeros."""
    with blank():
        unet = UNet(config)
    for name, parameter in list(unet.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        unet.get_submodule(owner).register_parameter(
            leaf, nn.Parameter(torch.zeros(parameter.shape), requires_grad=False)
        )
    save_original(path, declared, unet=unet)
    return inspect(path)


@pytest.mark.parametrize("part", PARTS)
def test_the_bytes_told_before_loading_are_those_of_the_loaded(
    info: CheckpointInfo, part: str
) -> None:
    for precision in (FULL, HALF):
        made = source(info, part, precision=precision)
        assert made.nbytes == sum(p.nbytes for p in made.load().parameters())


@pytest.mark.parametrize("rounding", [None, "fp8_e4m3fn", "fp8_e5m2"])
@pytest.mark.parametrize("precision", [FULL, HALF], ids=["full", "half"])
@pytest.mark.parametrize("part", PARTS)
def test_weights_read_one_by_one_are_those_of_the_whole(
    info: CheckpointInfo, part: str, precision: Precision, rounding: str | None
) -> None:
    made = source(info, part, precision=precision, rounding=rounding)
    loaded = dict(made.load().named_parameters())
    skeleton = made.skeleton()

    assert [name for name, _ in skeleton.named_parameters()] == list(loaded)
    assert all(p.is_meta for p in skeleton.parameters())
    assert not skeleton.training
    assert {p.dtype for p in skeleton.parameters()} == {precision.dtype}
    for name, weight in loaded.items():
        alone = made.tensor(name)
        assert torch.equal(alone, weight), name
        assert alone.stride() == weight.stride(), name
        assert alone.dtype == weight.dtype == precision.dtype


def test_weights_are_rounded_to_eight_bits_and_vectors_are_not(info: CheckpointInfo) -> None:
    plain, rounded = (
        dict(source(info, rounding=rounding).load().named_parameters())
        for rounding in (None, "fp8_e4m3fn")
    )

    for name, weight in plain.items():
        expected = weight.to(torch.float8_e4m3fn).float() if weight.ndim > 1 else weight
        assert torch.equal(rounded[name], expected), name
    assert not torch.equal(plain["out.2.weight"], rounded["out.2.weight"])


def test_what_makes_other_weights_makes_another_key(info: CheckpointInfo) -> None:
    first = source(info)
    others = [
        replace(first, identity="other"),
        replace(first, part="vae"),
        replace(first, precision=HALF),
        replace(first, precision=Precision(torch.float32, channels_last=True)),
        replace(first, rounding="fp8_e5m2"),
    ]

    keys = {made.key for made in (first, *others)}

    assert len(keys) == 6
    assert source(info).key == first.key


def test_a_source_does_not_recite_its_tensors(info: CheckpointInfo) -> None:
    assert len(repr(source(info))) < 300


def test_the_three_handles_of_a_checkpoint_fit_together(desk: Desk, info: CheckpointInfo) -> None:
    model = as_model(info, desk.context)
    clip, vae = as_clip(info, desk.context), as_vae(info, desk.context)

    assert (model.channels, model.inputs, model.factor, model.scale) == (4, 4, 2, 0.18215)
    assert model.context == 64
    assert model.family == "sd1"
    assert model.sampling.kind == "eps"
    assert clip.encoder is not None
    assert clip.encoder.config.width == 64
    assert (vae.factor, vae.channels) == (2, 4)
    assert clip.device is None


def test_the_precision_is_chosen_for_each_part_and_its_own_device(
    desk: Desk, info: CheckpointInfo
) -> None:
    on_gpu = replace(desk.context, device="cuda:0", precision="auto")

    there, here = as_clip(info, on_gpu), as_clip(info, on_gpu, device="cpu")

    assert isinstance(there.source, PartSource)
    assert isinstance(here.source, PartSource)
    assert there.source.precision.dtype == torch.float16
    assert here.source.precision.dtype == torch.float32
    assert here.device == "cpu"


@pytest.mark.parametrize(
    ("schedule", "zero_terminal", "expected"),
    [
        (BetaSchedule("linear", 1e-4, 0.02, 500), False, linear(500, 1e-4, 0.02)),
        (BetaSchedule("cosine", 1e-4, 0.02, 400), False, cosine(400)),
        (BetaSchedule(), False, scaled_linear()),
        (BetaSchedule(), True, zero_terminal_snr(scaled_linear())),
    ],
    ids=["linear", "cosine", "scaled linear", "zero terminal"],
)
def test_the_levels_are_those_the_file_declares(
    tmp_path: Path,
    desk: Desk,
    schedule: BetaSchedule,
    zero_terminal: bool,
    expected: torch.Tensor,
) -> None:
    config = replace(INPAINTING, in_channels=4)
    declared = Declared("sd1", "v", schedule, zero_terminal)

    model = as_model(blank_unet(config, tmp_path / "x.safetensors", declared), desk.context)

    assert torch.equal(model.sampling.schedule.sigmas, NoiseSchedule(expected).sigmas)
    assert model.sampling.kind == "v"


def test_an_inpainting_network_takes_more_inputs_than_a_latent_has(
    tmp_path: Path, desk: Desk
) -> None:
    info = blank_unet(INPAINTING, tmp_path / "x.safetensors", Declared("sd1"))

    model = as_model(info, desk.context)

    assert (model.channels, model.inputs) == (4, 9)


@pytest.mark.parametrize(
    ("inputs", "outputs"), [(5, 4), (8, 4), (4, 8)], ids=["depth", "editing", "learned variance"]
)
def test_a_latent_has_as_many_channels_as_the_network_makes_and_takes(
    tmp_path: Path, desk: Desk, inputs: int, outputs: int
) -> None:
    config = replace(INPAINTING, in_channels=inputs, out_channels=outputs)
    info = blank_unet(config, tmp_path / "x.safetensors", Declared("sd2"))

    model = as_model(info, desk.context)

    assert (model.channels, model.inputs) == (4, inputs)


@pytest.mark.parametrize(("declared", "expected"), [(None, 1.0), (0.5, 0.5)])
def test_a_network_on_three_channels_without_a_vae_works_on_pixels(
    tmp_path: Path, desk: Desk, declared: float | None, expected: float
) -> None:
    config = UNetConfig(3, 6, 32, (1, 2), (1, 1), (0, 1), 1, head_channels=32)
    metadata = Declared(scale_factor=declared)

    model = as_model(blank_unet(config, tmp_path / "x.safetensors", metadata), desk.context)

    assert (model.channels, model.factor, model.scale) == (3, 1, expected)
    assert model.context is None


def test_an_absent_part_refuses_whatever_it_is_asked() -> None:
    absent = AbsentPart("x holds no VAE: take one from LoadVAE")

    for ask in (
        lambda: absent.key,
        lambda: absent.nbytes,
        absent.load,
        absent.skeleton,
        lambda: absent.tensor("a"),
    ):
        with pytest.raises(NodeGraphError, match="take one from LoadVAE"):
            ask()


@pytest.mark.parametrize(("policy", "keys"), [("auto", 2), ("fp32", 1)])
def test_machines_that_compute_differently_under_a_policy_have_keys_of_their_own(
    monkeypatch: pytest.MonkeyPatch, policy: Policy, keys: int
) -> None:
    registry = Registry()
    registry.register(*nodes.modules())
    graph = validate(
        {
            "1": {"class_type": "EmptyLatentImage", "inputs": {}},
            "2": {"class_type": "SaveLatent", "inputs": {"samples": ["1", 0]}},
        },
        registry,
    )
    found = set()
    with Executor(registry, cache=Cache(memory_bytes=0), precision=policy) as executor:
        for native in (False, True):
            monkeypatch.setattr("nodes.models.precision.cpu_has_bf16", lambda has=native: has)
            found.add(make_plan(graph, executor.keys).steps[0].key)

    assert len(found) == keys
