"""Enlarging by a network: leased, tiled, tried again in smaller tiles."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_spandrel
import pytest
import torch
from node_support import Desk, Given
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

import nodes
from nodegraph import Cancelled, Engine, FileMissing, ModelManager, NodeFailed, Settings
from nodes.models.errors import CheckpointError, ModelError
from nodes.types import Image
from nodes.upscaling import (
    UpscaleModel,
    UpscalerSource,
    image_upscale_with_model,
    upscale_model_loader,
)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    fake_spandrel.install(monkeypatch)
    made = Desk(tmp_path)
    save_file(fake_spandrel.weights(2), made.place("upscale_models", "x2.safetensors"))
    return made


def random(*shape: int) -> Image:
    return Image(torch.rand(shape, generator=torch.Generator().manual_seed(0)))


def expected(image: Tensor, scale: int = 2) -> Tensor:
    """What the network makes of whole pictures."""
    network = fake_spandrel.Network(scale)
    network.load_state_dict({"gain": torch.ones(1), **fake_spandrel.weights(scale)})
    with torch.no_grad():
        return network(image.movedim(-1, 1)).movedim(1, -1)


class Streamable(Given):
    """A source that is streamed once memory has run out under its model twice."""

    def skeleton(self) -> nn.Module:
        empty = copy(self.module)
        empty._parameters = {"weight": nn.Parameter(torch.zeros(1, device="meta"))}
        return empty

    def tensor(self, name: str) -> Tensor:
        return torch.zeros(1)


class Nearest(nn.Module):
    """Repeats pixels, and keeps the shapes it was shown; `fails` may raise for a shape."""

    def __init__(self, fails: Callable[[tuple[int, ...]], None]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.shown: list[tuple[int, ...]] = []
        self.fails = fails

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(tuple(x.shape[-2:]))
        self.fails(self.shown[-1])
        return interpolate(x, scale_factor=2, mode="nearest")


def no_memory_above(side: int) -> Callable[[tuple[int, ...]], None]:
    def fail(shape: tuple[int, ...]) -> None:
        if max(shape) > side:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    return fail


def test_a_loaded_network_enlarges_pictures(desk: Desk) -> None:
    image = random(2, 5, 7, 3)

    model = upscale_model_loader("x2.safetensors", context=desk.context)
    large = image_upscale_with_model(model, image, context=desk.context)

    assert model.scale == 2
    torch.testing.assert_close(large, expected(image), atol=1e-6, rtol=0)
    assert large.is_contiguous()
    assert desk.progress == [(1, 2), (2, 2)]
    large.mul_(1)  # a plain tensor, not one of inference mode


def test_tiles_join_without_a_seam(desk: Desk) -> None:
    image = random(1, 700, 530, 3)
    model = upscale_model_loader("x2.safetensors", context=desk.context)

    large = image_upscale_with_model(model, image, context=desk.context)

    # a tile's own border, where the network sees zeros, weighs 1 / 65 at most
    torch.testing.assert_close(large, expected(image), atol=2e-3, rtol=0)
    assert desk.progress[-1] == (4, 4)


def test_the_network_is_lent_by_the_manager_and_loaded_once(desk: Desk) -> None:
    image = random(1, 4, 4, 3)
    model = upscale_model_loader("x2.safetensors", context=desk.context)

    for _ in range(2):
        image_upscale_with_model(model, image, context=desk.context)

    stats = desk.models.stats()
    assert stats.loads == 1
    [lent] = stats.devices["cpu"].models
    assert (lent.key, lent.nbytes, lent.leases) == (model.source.key, model.source.nbytes, 0)


def test_a_network_larger_than_the_memory_is_streamed_to_the_same_picture(desk: Desk) -> None:
    image = random(1, 6, 6, 3)
    model = upscale_model_loader("x2.safetensors", context=desk.context)
    whole = image_upscale_with_model(model, image, context=desk.context)

    small = replace(desk, models=ModelManager(host_budget=model.source.nbytes - 1))
    streamed = image_upscale_with_model(model, image, context=small.context)

    assert torch.equal(streamed, whole)
    assert small.models.stats().streams == 1


def test_every_weight_can_be_asked_for_by_itself(desk: Desk) -> None:
    source = upscale_model_loader("x2.safetensors", context=desk.context).source
    assert isinstance(source, UpscalerSource)

    skeleton, loaded = source.skeleton(), source.load()

    tensors = {**dict(loaded.named_parameters()), **dict(loaded.named_buffers())}
    assert {name for name, _ in skeleton.named_parameters()} <= set(tensors)
    assert {p.device.type for p in skeleton.parameters()} == {"meta"}
    for name, tensor in tensors.items():
        assert torch.equal(source.tensor(name), tensor)
    with pytest.raises(KeyError):
        source.tensor("network.other")


def test_alpha_is_enlarged_beside_the_colours(desk: Desk) -> None:
    image = random(1, 4, 5, 4)
    model = upscale_model_loader("x2.safetensors", context=desk.context)

    large = image_upscale_with_model(model, image, context=desk.context)

    alpha = interpolate(image[..., 3][:, None], (8, 10), mode="bilinear")[:, 0]
    torch.testing.assert_close(large[..., 3], alpha)
    torch.testing.assert_close(large[..., :3], expected(image[..., :3]), atol=1e-6, rtol=0)


def test_a_grey_picture_becomes_a_coloured_one(desk: Desk) -> None:
    model = upscale_model_loader("x2.safetensors", context=desk.context)
    image = random(1, 4, 5, 1)

    large = image_upscale_with_model(model, image, context=desk.context)

    torch.testing.assert_close(large, expected(image.repeat(1, 1, 1, 3)), atol=1e-6, rtol=0)


# -- lack of memory --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "tiles"), [(512, [512]), (300, [512, 256]), (128, [512, 256, 128])]
)
def test_where_memory_runs_out_smaller_tiles_are_tried(
    desk: Desk, room: int, tiles: list[int]
) -> None:
    network = Nearest(no_memory_above(room))
    image = random(1, 520, 520, 3)

    large = image_upscale_with_model(
        UpscaleModel(Streamable(network), 2), image, context=desk.context
    )

    doubled = image.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(large, doubled, atol=1e-6, rtol=0)
    assert list(dict.fromkeys(max(shape) for shape in network.shown)) == tiles
    assert [text.split(":")[0] for text in desk.warnings] == [
        f"memory ran out with tiles of {side} pixels" for side in tiles[:-1]
    ]


def test_where_even_small_tiles_do_not_fit_the_lack_is_reported(desk: Desk) -> None:
    model = UpscaleModel(Streamable(Nearest(no_memory_above(64))), 2)

    with pytest.raises(RuntimeError, match="allocate memory"):
        image_upscale_with_model(model, random(1, 200, 200, 3), context=desk.context)


def test_another_error_is_not_tried_again(desk: Desk) -> None:
    def broken(_: tuple[int, ...]) -> None:
        raise RuntimeError("shapes do not match")

    network = Nearest(broken)

    with pytest.raises(RuntimeError, match="shapes do not match"):
        image_upscale_with_model(
            UpscaleModel(Streamable(network), 2), random(1, 9, 9, 3), context=desk.context
        )
    assert len(network.shown) == 1
    assert not desk.warnings


def test_it_stops_between_tiles_when_it_is_asked_to(desk: Desk) -> None:
    network = Nearest(lambda _: desk.cancel.cancel())

    with pytest.raises(Cancelled):
        image_upscale_with_model(
            UpscaleModel(Streamable(network), 2), random(3, 9, 9, 3), context=desk.context
        )
    assert len(network.shown) == 1


# -- files -----------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(FileMissing, match=r"nearest: 'x2\.safetensors'"):
        upscale_model_loader("x3.safetensors", context=desk.context)


def test_a_pickle_is_read_where_the_run_allows_it(desk: Desk) -> None:
    torch.save(fake_spandrel.weights(4), desk.place("upscale_models", "x4.pth"))

    with pytest.raises(CheckpointError, match="--allow-ckpt"):
        upscale_model_loader("x4.pth", context=desk.context)
    allowed = replace(desk.context, extra={"allow_ckpt": True})

    assert upscale_model_loader("x4.pth", context=allowed).scale == 4


def test_without_spandrel_the_loader_says_what_to_install(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)

    with pytest.raises(ModelError, match="pip install spandrel"):
        upscale_model_loader("x2.safetensors", context=desk.context)


def test_a_graph_enlarges_a_picture_and_without_spandrel_fails_with_the_advice(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 4, "color": 0x336699}},
        "2": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "x2.safetensors"}},
        "3": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]},
        },
    }
    places = {name: tmp_path / name for name in ("input", "output", "temp", "cache")}
    settings = Settings(
        plugins=(), device="cpu", disk_cache_bytes=0, models=(tmp_path / "models",), **places
    )
    with Engine(nodes.modules(), settings) as engine:
        picture = engine.run(graph, targets=["3"]).require()["3"][0]
        assert picture.shape == (1, 8, 16, 3)

    monkeypatch.setitem(sys.modules, "spandrel", None)
    with Engine(nodes.modules(), settings) as engine:
        [failure] = engine.run(graph, targets=["3"]).errors.values()
    assert isinstance(failure, NodeFailed)
    assert "pip install spandrel" in str(failure)
