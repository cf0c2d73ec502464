"""Depth: maps from files, and networks of the user's against the library that made them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from example_plugins import module, registered
from hypothesis import given, settings
from hypothesis import strategies as st
from node_support import Desk
from PIL import Image as Pillow
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
)
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

from nodegraph import ModelManager, NodeGraphError
from nodes.imaging.errors import PictureError

maps = module("depth", "maps")
depth_types = module("depth", "depth_types")
estimating = module("depth", "estimating")
importing = module("depth", "importing")
weights = module("depth", "weights")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# Maps


def test_near_and_far_are_mapped_to_white_and_black_in_either_order() -> None:
    values = torch.tensor([[[0.0, 1.0, 2.0, 3.0, 5.0]]])

    assert maps.between(values, near=1.0, far=3.0).tolist() == [[[1, 1, 0.5, 0, 0]]]
    assert maps.between(values, near=3.0, far=1.0).tolist() == [[[0, 0, 0.5, 1, 1]]]


def test_percentiles_are_those_of_numpy_for_each_map_by_itself() -> None:
    closeness = torch.rand(2, 9, 11, generator=torch.Generator().manual_seed(1)) * 50 - 20

    made = maps.stretched(closeness, 5.0, 90.0)

    for one, stretched in zip(closeness.double().numpy(), made, strict=True):
        low, high = np.percentile(one, (5, 90))
        expected = np.clip((one - low) / (high - low), 0, 1)
        torch.testing.assert_close(stretched.double(), torch.from_numpy(expected))


def test_what_is_unknown_is_black_and_does_not_count() -> None:
    closeness = torch.tensor([[[2.0, 4.0, 3.0, -99.0]]])
    known = torch.tensor([[[True, True, True, False]]])

    assert maps.stretched(closeness, 0.0, 100.0, known).tolist() == [[[0, 1, 0.5, 0]]]
    assert not maps.stretched(closeness, 0.0, 100.0, known & False).any()


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), st.floats(0.1, 100))
@settings(deadline=None)
def test_a_stretched_map_is_in_range_in_order_and_knows_no_unit(
    values: list[float], unit: float
) -> None:
    closeness = torch.tensor([[values]], dtype=torch.float64)

    made = maps.stretched(closeness, 0.0, 100.0)

    assert bool(((made >= 0) & (made <= 1)).all())
    if max(values) > min(values):
        assert made.min() == 0
        assert made.max() == 1
        ordered = made[0, 0, closeness[0, 0].argsort()]
        assert bool((ordered.diff() >= 0).all())
        other = maps.stretched(closeness * unit, 0.0, 100.0)
        torch.testing.assert_close(other, made, atol=1e-5, rtol=0)
    else:
        assert not made.any()


# Files


def saved(desk: Desk, array: np.ndarray[Any, Any], name: str = "depth.png") -> str:
    Pillow.fromarray(array).save(desk.place("input", name))
    return name


MILLIMETRES = np.array([[0, 500, 1000], [2250, 4000, 65535]], dtype=np.uint16)


def test_a_map_of_sixteen_bits_keeps_all_of_them(desk: Desk) -> None:
    array = np.arange(4096, dtype=np.uint16).reshape(64, 64) + 30_000

    made = importing.load_depth_image(saved(desk, array), context=desk.context)

    assert made.depth.shape == (1, 64, 64, 3)
    assert len(made.depth[..., 0].unique()) == 4096
    torch.testing.assert_close(made.depth[0, ..., 0].flatten(), torch.linspace(0, 1, 4096))
    assert bool((made.known == 1).all())


def test_millimetres_are_mapped_by_near_and_far(desk: Desk) -> None:
    made = importing.load_depth_image(
        saved(desk, MILLIMETRES),
        range="near and far",
        near=500.0,
        far=4000.0,
        zero_is_unknown=True,
        context=desk.context,
    )

    expected = torch.tensor([[0, 1, 3000 / 3500], [0.5, 0, 0]])
    torch.testing.assert_close(made.depth[0, ..., 1], expected)
    assert made.known.tolist() == [[[0, 1, 1], [1, 1, 1]]]


def test_zeros_count_unless_they_mean_unknown(desk: Desk) -> None:
    name = saved(desk, MILLIMETRES[:, :2].copy())

    plain = importing.load_depth_image(name, nearest="dark", context=desk.context)
    unknown = importing.load_depth_image(
        name, nearest="dark", zero_is_unknown=True, context=desk.context
    )

    torch.testing.assert_close(plain.depth[0, ..., 0], torch.tensor([[1, 0.875], [1750 / 4000, 0]]))
    torch.testing.assert_close(unknown.depth[0, ..., 0], torch.tensor([[0, 1], [0.5, 0]]))


def test_dark_and_bright_maps_are_each_other_s_negative(desk: Desk) -> None:
    name = saved(desk, np.array([[0, 60, 240]], dtype=np.uint8))

    bright = importing.load_depth_image(name, context=desk.context).depth
    dark = importing.load_depth_image(name, nearest="dark", context=desk.context).depth

    torch.testing.assert_close(bright[0, 0, :, 0], torch.tensor([0, 0.25, 1]))
    torch.testing.assert_close(dark, 1 - bright)


def test_floats_are_taken_as_they_are_and_nan_is_unknown(desk: Desk) -> None:
    name = saved(desk, np.array([[1.5, np.nan, 3.5]], dtype=np.float32), "depth.tiff")

    made = importing.load_depth_image(
        name, range="near and far", near=1.5, far=5.5, context=desk.context
    )

    torch.testing.assert_close(made.depth[0, 0, :, 0], torch.tensor([1.0, 0.0, 0.5]))
    assert made.known.tolist() == [[[1, 0, 1]]]


def test_a_file_of_colours_gives_their_grey(desk: Desk) -> None:
    name = saved(desk, np.array([[[10, 10, 10], [30, 30, 30], [50, 50, 50]]], dtype=np.uint8))

    made = importing.load_depth_image(name, context=desk.context).depth

    torch.testing.assert_close(made[0, 0, :, 0], torch.tensor([0, 0.5, 1]))


def test_a_file_that_is_no_picture_is_named(desk: Desk) -> None:
    desk.place("input", "depth.png").write_bytes(b"nothing")

    with pytest.raises(PictureError, match=r"depth\.png"):
        importing.load_depth_image("depth.png", context=desk.context)


def test_a_range_or_percentiles_without_extent_are_refused(desk: Desk) -> None:
    nodes = registered("depth").nodes
    load, normalize = nodes["LoadDepthImage"].check, nodes["NormalizeDepth"].check
    assert load is not None
    assert normalize is not None
    usual = {"range": "near and far", "low_percentile": 0, "high_percentile": 100}

    assert "both 5" in (load(near=5, far=5, **usual) or "")
    assert load(near=5, far=6, **usual) is None
    assert load(near=5, far=5, **{**usual, "range": "percentiles"}) is None
    assert "below" in (load(near=5, far=6, **{**usual, "high_percentile": 0}) or "")
    assert "below" in (normalize(low_percentile=50, high_percentile=50) or "")
    assert normalize(low_percentile=None, high_percentile=50) is None
    with pytest.raises(NodeGraphError, match="both 5"):
        importing.load_depth_image(
            saved(desk, MILLIMETRES), range="near and far", near=5, far=5, context=desk.context
        )


def test_a_picture_of_depth_is_stretched_and_turned_round() -> None:
    image = torch.tensor([0.2, 0.3, 0.6]).view(1, 1, 3, 1).expand(1, 1, 3, 3)

    bright = importing.normalize_depth(image)
    dark = importing.normalize_depth(image, "dark")

    torch.testing.assert_close(bright[0, 0, :, 2], torch.tensor([0, 0.25, 1]))
    torch.testing.assert_close(dark, 1 - bright)


# Networks


def depth_anything(**options: Any) -> DepthAnythingForDepthEstimation:
    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=70,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
        **options,
    )
    return DepthAnythingForDepthEstimation(config)


def dpt() -> DPTForDepthEstimation:
    config = DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
    )
    return DPTForDepthEstimation(config)


MADE = {
    "anything": depth_anything,
    "metric": lambda: depth_anything(depth_estimation_type="metric", max_depth=20),
    "dpt": dpt,
}
SIGHTS = {
    "anything": {"size": {"height": 70, "width": 70}, "keep_aspect_ratio": True}
    | {"ensure_multiple_of": 14, "image_mean": [0.485, 0.456, 0.406]}
    | {"image_std": [0.229, 0.224, 0.225]},
    "dpt": {"size": {"height": 64, "width": 64}, "keep_aspect_ratio": False}
    | {"ensure_multiple_of": 1, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
}
SIGHTS["metric"] = SIGHTS["anything"]


@pytest.fixture(params=MADE)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def library_s_networks() -> dict[str, Any]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return {kind: scrambled(make()) for kind, make in MADE.items()}


# The bias of the last layer: what it gives is cut off below 0, and most of it should not be.
LIFT = {"depth_anything": 2.0, "dpt": 2.0}


def scrambled(network: Any) -> Any:
    """Weights that are far from those a network begins with, so that a lost one shows."""
    for name, parameter in network.eval().requires_grad_(False).named_parameters():
        noise = torch.randn(parameter.shape)
        if parameter.ndim > 1:
            parameter.copy_(noise / parameter[0].numel() ** 0.5)
        else:
            parameter.copy_(0.1 * noise + (not name.endswith("bias")))
    [*_, last] = network.parameters()
    last.fill_(LIFT[network.config.model_type])
    return network


@pytest.fixture
def name(desk: Desk, kind: str, library_s_networks: dict[str, Any]) -> str:
    return placed(desk, kind, library_s_networks[kind])


def placed(desk: Desk, kind: str, network: Any) -> str:
    """A network as a user has it: saved by transformers into models/depth."""
    path = desk.place("depth", f"{kind}/model.safetensors")
    network.save_pretrained(path.parent)
    (path.parent / "preprocessor_config.json").write_text(json.dumps(SIGHTS[kind]))
    return f"{kind}/model.safetensors"


def photograph(height: int, width: int, batch: int = 1) -> Tensor:
    """Smooth, of 8 bits a channel, as files give them."""
    small = torch.rand(batch, 3, 6, 6, generator=torch.Generator().manual_seed(height))
    image = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return ((image * 255).round() / 255).movedim(1, -1)


def theirs(network: Any, kind: str, image: Tensor) -> Tensor:
    """Closeness by transformers alone: its preparation, its network, its way back to the size."""
    processor = DPTImageProcessorPil(**SIGHTS[kind])
    pictures = [Pillow.fromarray((one * 255).round().byte().numpy()) for one in image]
    given = processor(images=pictures, return_tensors="pt")
    sizes = [tuple(image.shape[1:3])] * len(image)
    with torch.no_grad():
        depth = network(**given)["predicted_depth"]
    depth = torch.nn.functional.interpolate(depth[:, None], sizes[0], mode="bicubic")[:, 0]
    return -depth if kind == "metric" else depth


def test_depth_is_what_the_library_computes(
    desk: Desk, kind: str, name: str, library_s_networks: dict[str, Any]
) -> None:
    image = photograph(50, 80, batch=2)
    model = estimating.load_depth_model(name, context=desk.context)

    made = estimating.depth_from_image(model, image, context=desk.context)

    closeness = theirs(library_s_networks[kind], kind, image)
    low, high = closeness.amin(dim=(1, 2), keepdim=True), closeness.amax(dim=(1, 2), keepdim=True)
    expected = (closeness - low) / (high - low)
    assert made.shape == (2, 50, 80, 3)
    # Pillow rounds the resized picture to 8 bits, and we do not.
    torch.testing.assert_close(made[..., 0], expected, atol=0.02, rtol=0)
    assert float(expected.std()) > 0.1
    assert desk.progress == [(1, 2), (2, 2)]


def test_the_network_s_own_numbers_agree_to_the_last_digits(
    desk: Desk, kind: str, name: str, library_s_networks: dict[str, Any]
) -> None:
    model = estimating.load_depth_model(name, context=desk.context)
    module = model.source.load()
    seen = torch.randn(1, 3, *((64, 64) if kind == "dpt" else (56, 84)))

    ours = module(pixel_values=seen).predicted_depth

    expected = library_s_networks[kind](pixel_values=seen).predicted_depth
    assert float(expected.std()) > 0
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-6)


def test_a_picture_of_the_size_the_network_sees_is_only_shifted_and_scaled() -> None:
    sight = depth_types.Sight.of("depth_anything", SIGHTS["anything"])
    image = photograph(70, 70)

    seen = estimating.pixels(image, sight)

    mean, std = torch.tensor(sight.mean), torch.tensor(sight.std)
    torch.testing.assert_close(seen.movedim(1, -1), (image - mean) / std, atol=1e-5, rtol=1e-5)


@given(st.integers(8, 900), st.integers(8, 900), st.booleans(), st.sampled_from([1, 14, 32]))
@settings(max_examples=60, deadline=None)
def test_the_size_a_network_sees_is_that_of_the_library(
    height: int, width: int, keep_aspect: bool, multiple: int
) -> None:
    from transformers.models.dpt import image_processing_pil_dpt as library

    sight = depth_types.Sight(384, 518, keep_aspect, multiple, (), ())

    size = library.get_resize_output_image_size(
        np.zeros((3, height, width)), (384, 518), keep_aspect, multiple
    )

    # of a very flat picture the library would leave no pixel
    expected = (max(size.height, multiple), max(size.width, multiple))
    assert sight.size_for(height, width) == expected


def test_without_a_description_of_its_sight_a_network_gets_its_family_s() -> None:
    anything, dpt = (depth_types.Sight.of(name, {}) for name in ("depth_anything", "dpt"))

    assert anything.size_for(480, 640) == (518, 686)
    assert dpt.size_for(480, 640) == (384, 384)
    assert anything.mean == (0.485, 0.456, 0.406)
    assert dpt.std == (0.5, 0.5, 0.5)


def test_a_streamed_network_gives_the_same(desk: Desk, kind: str, name: str) -> None:
    """On a device with room for half of it."""
    image = photograph(40, 40)
    model = estimating.load_depth_model(name, context=desk.context)
    whole = estimating.depth_from_image(model, image, context=desk.context)
    loaded = model.source.load()

    assert model.source.nbytes == sum(p.nbytes for p in loaded.parameters())
    skeleton = model.source.skeleton()
    assert {p.device.type for p in skeleton.parameters()} == {"meta"}
    for key, parameter in loaded.named_parameters():
        assert torch.equal(model.source.tensor(key), parameter)
    desk.models = ModelManager(host_budget=model.source.nbytes // 2)
    streamed = estimating.depth_from_image(model, image, context=desk.context)
    assert desk.models.stats().streams > 0
    torch.testing.assert_close(streamed, whole, atol=0, rtol=0)


def test_the_key_depends_on_the_weights_and_on_what_lies_beside_them(
    desk: Desk, library_s_networks: dict[str, Any]
) -> None:
    name = placed(desk, "anything", library_s_networks["anything"])
    before = estimating.load_depth_model(name, context=desk.context)
    config = desk.place("depth", "anything/config.json")
    described = json.loads(config.read_text())
    config.write_text(json.dumps({**described, "max_depth": 7}))

    after = estimating.load_depth_model(name, context=desk.context)

    assert before.source.key != after.source.key
    assert (before.metric, after.metric) == (False, False)


# What cannot be used


@pytest.fixture
def anything(desk: Desk, library_s_networks: dict[str, Any]) -> Path:
    placed(desk, "anything", library_s_networks["anything"])
    return desk.place("depth", "anything/model.safetensors")


def refusal(desk: Desk, image: bool = False) -> str:
    load = estimating.load_depth_model
    if not image:
        with pytest.raises(NodeGraphError) as told:
            load("anything/model.safetensors", context=desk.context)
        return str(told.value)
    model = load("anything/model.safetensors", context=desk.context)
    with pytest.raises(NodeGraphError) as told:
        estimating.depth_from_image(model, photograph(20, 20), context=desk.context)
    return str(told.value)


def test_a_file_without_its_description_is_refused(desk: Desk, anything: Path) -> None:
    (anything.parent / "config.json").unlink()

    assert "with a config.json beside; here it says None" in refusal(desk)


def test_another_kind_of_network_is_refused(desk: Desk, anything: Path) -> None:
    (anything.parent / "config.json").write_text('{"model_type": "bert"}')

    assert "one of depth_anything, dpt" in refusal(desk)
    assert "'bert'" in refusal(desk)


def test_a_broken_description_is_refused(desk: Desk, anything: Path) -> None:
    (anything.parent / "config.json").write_text("{")

    assert "anything/config.json is no JSON" in refusal(desk)


def test_a_network_whose_backbone_is_elsewhere_is_not_downloaded(
    desk: Desk, anything: Path
) -> None:
    config = anything.parent / "config.json"
    described = {**json.loads(config.read_text()), "backbone": "facebook/dinov2-small"}
    config.write_text(json.dumps(described))

    assert "nothing is downloaded" in refusal(desk)


def test_weights_that_are_absent_are_named(desk: Desk, anything: Path) -> None:
    tensors = load_file(anything)
    del tensors["head.conv1.weight"]
    save_file(tensors, anything, metadata={"format": "pt"})

    assert "1 weights that its config.json describes" in refusal(desk, image=True)
    assert "(head.conv1.weight)" in refusal(desk, image=True)


def test_without_the_library_it_is_said_what_to_do(
    desk: Desk, anything: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)

    assert "pip install transformers" in refusal(desk)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
