"""The nodes of image encoders: loading by name, pictures to vectors, memory, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from node_support import Desk
from safetensors.torch import save_file
from torch import Tensor
from vision_models import QUICK, difference, huggingface, seen_by

import nodes
from nodegraph import Engine, FileMissing, ModelManager, NodeGraphError, Settings
from nodegraph.hashes import FileHashes
from nodes.clip_vision import BATCH, clip_vision_encode, clip_vision_loader, encode_image
from nodes.image import save_image
from nodes.models.clip_pixels import clip_pixels
from nodes.models.errors import CheckpointError
from nodes.part_source import FileSource
from nodes.types import ClipVision, Image

NAME = "tiny/model.safetensors"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    save_file(huggingface(QUICK).state_dict(), made.place("clip_vision", NAME))
    return made


def pictures(count: int = 1, height: int = 40, width: int = 60) -> Image:
    return Image(torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(2)))


def test_a_handle_says_what_the_encoder_reads_and_gives_and_loads_no_weights(desk: Desk) -> None:
    handle = clip_vision_loader(NAME, context=desk.context)

    assert (handle.size, handle.tokens, handle.width, handle.embedding) == (28, 17, 128, 48)
    assert not desk.models.stats().devices["cpu"].models


@pytest.mark.parametrize("crop", ["center", "none"])
def test_a_picture_is_seen_as_transformers_sees_it(desk: Desk, crop: str) -> None:
    handle = clip_vision_loader(NAME, context=desk.context)

    found = clip_vision_encode(handle, pictures(), crop, context=desk.context)  # type: ignore[arg-type]

    expected = seen_by(huggingface(QUICK), clip_pixels(pictures(), 28, crop))  # type: ignore[arg-type]
    assert difference(found.image_embeds, expected.embedding) <= 1e-5
    assert difference(found.last_hidden_state, expected.last) <= 1e-5
    assert difference(found.penultimate_hidden_states, expected.penultimate) <= 1e-5


def test_how_a_picture_is_cropped_makes_a_difference(desk: Desk) -> None:
    handle = clip_vision_loader(NAME, context=desk.context)

    centre, whole = (
        encode_image(handle, pictures(), crop, desk.context).image_embeds
        for crop in ("center", "none")
    )

    assert difference(centre, whole) > 0.01


def test_many_pictures_are_seen_some_at_a_time_to_what_each_gives_alone(desk: Desk) -> None:
    handle = clip_vision_loader(NAME, context=desk.context)
    many = pictures(2 * BATCH + 3)

    found = encode_image(handle, many, "center", desk.context)

    assert desk.progress == [(16, 35), (32, 35), (35, 35)]
    assert found.last_hidden_state.shape == (35, 17, 128)
    for index in (0, 16, 34):
        alone = encode_image(handle, Image(many[index : index + 1]), "center", desk.context)
        torch.testing.assert_close(found.image_embeds[index], alone.image_embeds[0])


def test_half_precision_gives_nearly_the_same_in_float32(desk: Desk) -> None:
    whole = clip_vision_loader(NAME, context=desk.context)
    half = clip_vision_loader(NAME, context=replace(desk.context, precision="bf16"))

    exact = encode_image(whole, pictures(), "center", desk.context)
    found = encode_image(half, pictures(), "center", desk.context)

    assert half.source.nbytes * 2 == whole.source.nbytes
    assert half.source.key != whole.source.key
    assert found.image_embeds.dtype == torch.float32
    assert 1e-5 < difference(found.image_embeds, exact.image_embeds) < 0.1


def test_an_encoder_larger_than_the_budget_is_streamed_to_the_same_result(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = clip_vision_loader(NAME, context=desk.context)
    expected = encode_image(handle, pictures(2), "center", desk.context)

    read: list[str] = []
    tensor = FileSource.tensor
    monkeypatch.setattr(
        FileSource, "tensor", lambda self, name: (read.append(name), tensor(self, name))[1]
    )
    small = replace(desk.context, models=ModelManager(budgets={"cpu": handle.source.nbytes // 2}))
    found = encode_image(handle, pictures(2), "center", small)

    assert len(read) >= len(list(handle.source.skeleton().parameters()))
    assert torch.equal(found.image_embeds, expected.image_embeds)
    assert torch.equal(found.penultimate_hidden_states, expected.penultimate_hidden_states)


def test_what_an_encoder_is_depends_on_its_content_and_not_its_name(desk: Desk) -> None:
    save_file(huggingface(QUICK).state_dict(), desk.place("clip_vision", "copy.safetensors"))
    context = replace(desk.context, hashes=FileHashes(None))

    one, other = (clip_vision_loader(name, context=context) for name in (NAME, "copy.safetensors"))

    assert one.source.key == other.source.key


def test_a_picture_without_colours_is_refused(desk: Desk) -> None:
    handle = clip_vision_loader(NAME, context=desk.context)

    with pytest.raises(NodeGraphError, match="in red, green and blue"):
        encode_image(handle, Image(torch.zeros(1, 8, 8, 1)), "center", desk.context)


def test_a_file_that_is_none_or_another_is_refused(desk: Desk) -> None:
    save_file({"decoder.up.0.w": torch.ones(1)}, desk.place("clip_vision", "vae.safetensors"))

    with pytest.raises(FileMissing, match=r"nearest: 'tiny/model\.safetensors'"):
        clip_vision_loader("model.safetensors", context=desk.context)
    with pytest.raises(CheckpointError, match="is a VAE: expected a CLIP image encoder"):
        clip_vision_loader("vae.safetensors", context=desk.context)


def test_a_graph_sees_a_picture_through_an_encoder(desk: Desk) -> None:
    save_image(pictures(), context=desk.context)
    [file] = (desk.folder / "output").glob("*.png")
    desk.place("input", "picture.png").write_bytes(file.read_bytes())
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "picture.png"}},
        "2": {"class_type": "CLIPVisionLoader", "inputs": {"clip_name": NAME}},
        "3": {
            "class_type": "CLIPVisionEncode",
            "inputs": {"clip_vision": ["2", 0], "image": ["1", 0], "crop": "center"},
        },
    }
    settings = Settings(
        models=(desk.folder / "models",),
        input=desk.folder / "input",
        output=desk.folder / "output",
        precision="fp32",
    )

    with Engine(nodes.modules(), settings) as engine:
        result = engine.run(graph, targets=["2", "3"]).require()

    [handle], [found] = result["2"], result["3"]
    assert isinstance(handle, ClipVision)
    embeds = cast(Tensor, found.image_embeds)
    expected = encode_image(handle, pictures(), "center", desk.context)
    assert difference(embeds, expected.image_embeds) < 0.1  # the file has 8 bits
