"""Loading, saving, resizing and combining images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from node_support import Desk
from PIL import Image as Pillow
from torch import Tensor

import nodes
from nodegraph import Cancelled, Engine, FileMissing, SavedFile, Sent, Settings, Shown
from nodegraph.events import Event, Executed, Preview
from nodegraph.names import UnsafeName
from nodes.image import (
    FILE_READERS,
    graph_text,
    image_batch,
    image_invert,
    image_scale,
    image_scale_by,
    load_image,
    preview_image,
    save_image,
    save_image_websocket,
)
from nodes.imaging.errors import PictureError
from nodes.imaging.files import decode
from nodes.imaging.metadata import metadata
from nodes.types import Image

GRAPH = {"7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0]}}}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, prompt=GRAPH)


def ramp(count: int = 1, height: int = 4, width: int = 6, channels: int = 3) -> Image:
    """Values i / 255 that count up, so that eight bits hold them exactly."""
    values = torch.arange(count * height * width * channels) % 256
    return Image(values.view(count, height, width, channels) / 255)


def files(desk: Desk, shown: Shown) -> list[Path]:
    return [desk.path(file) for file in shown.files]


def stored_bytes(path: Path) -> np.ndarray[Any, Any]:
    with Pillow.open(path) as picture:
        return np.asarray(picture)


def store(desk: Desk, name: str, pixels: Any, **options: Any) -> None:
    Pillow.fromarray(np.asarray(pixels)).save(desk.place("input", name), **options)


# -- loading ---------------------------------------------------------------------------------------


def test_a_picture_is_loaded_as_values_from_0_to_1_with_an_empty_mask(desk: Desk) -> None:
    pixels = np.array([[[0, 51, 255], [102, 0, 0]]], np.uint8)
    store(desk, "a.png", pixels)

    loaded = load_image("a.png", context=desk.context)

    torch.testing.assert_close(loaded.image, torch.from_numpy(pixels / 255).float()[None])
    assert torch.equal(loaded.mask, torch.zeros(1, 64, 64))


def test_the_mask_is_white_where_the_picture_is_transparent(desk: Desk) -> None:
    store(desk, "a.png", np.array([[[9, 9, 9, 0], [9, 9, 9, 255], [9, 9, 9, 51]]], np.uint8))

    loaded = load_image("a.png", context=desk.context)

    assert loaded.image.shape == (1, 1, 3, 3)
    torch.testing.assert_close(loaded.mask, torch.tensor([[[1.0, 0.0, 0.8]]]))


def test_a_camera_held_upright_gives_an_upright_picture(desk: Desk) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the first row is the right side: turn clockwise
    store(desk, "a.png", np.array([[[255] * 3, [0] * 3, [0] * 3]], np.uint8), exif=exif)

    loaded = load_image("a.png", context=desk.context)

    assert loaded.image[0, :, :, 0].tolist() == [[1.0], [0.0], [0.0]]


def test_sixteen_bits_and_palettes_are_read(desk: Desk) -> None:
    store(desk, "deep.png", np.array([[0, 13107, 65535]], np.uint16))
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 255, 102, 0])
    palette.putpixel((1, 0), 1)
    palette.save(desk.place("input", "few.png"))

    deep = load_image("deep.png", context=desk.context).image
    few = load_image("few.png", context=desk.context).image

    torch.testing.assert_close(deep[0, 0, :, 1], torch.tensor([0.0, 0.2, 1.0]))
    torch.testing.assert_close(few[0, 0, 1], torch.tensor([1.0, 0.4, 0.0]))


def test_a_file_that_is_not_there_is_named_with_the_nearest(desk: Desk) -> None:
    store(desk, "sunset.png", np.zeros((1, 1, 3), np.uint8))

    with pytest.raises(FileMissing, match=r"'sunse.png'.*nearest: 'sunset.png'"):
        load_image("sunse.png", context=desk.context)


def test_a_file_that_is_no_picture_is_refused_by_name(desk: Desk) -> None:
    desk.place("input", "a.png").write_text("hello")

    with pytest.raises(PictureError, match=r"a\.png"):
        load_image("a.png", context=desk.context)


# -- saving ----------------------------------------------------------------------------------------


def test_saved_pictures_load_again_to_the_same_values(desk: Desk) -> None:
    images = ramp(2)

    shown = save_image(images, "set/cat", context=desk.context)

    digests = [
        hashlib.sha256((desk.folder / "output" / "set" / f"cat_0000{i}_.png").read_bytes())
        for i in (1, 2)
    ]
    assert shown.files == (
        SavedFile("cat_00001_.png", "set", "output", digests[0].hexdigest()),
        SavedFile("cat_00002_.png", "set", "output", digests[1].hexdigest()),
    )
    for saved, image in zip(files(desk, shown), images, strict=True):
        assert torch.equal(FILE_READERS.entries[".png"].pixels(saved)[0], image)
    assert desk.progress == [(1, 2), (2, 2)]
    assert not desk.warnings


def test_values_are_rounded_down_to_eight_bits_and_clamped(desk: Desk) -> None:
    values = torch.tensor([0.999, -1.0, 2.0]).view(1, 1, 1, 3)

    [saved] = files(desk, save_image(Image(values), context=desk.context))

    assert stored_bytes(saved).tolist() == [[[254, 0, 255]]]


def test_counters_go_on_after_those_that_are_there(desk: Desk) -> None:
    first = save_image(ramp(), "cat", context=desk.context)
    second = save_image(ramp(), "cat", context=desk.context)

    names = [file.filename for shown in (first, second) for file in shown.files]
    assert names == ["cat_00001_.png", "cat_00002_.png"]


def test_the_prefix_may_ask_for_the_size(desk: Desk) -> None:
    shown = save_image(ramp(height=4, width=6), "%width%x%height%", context=desk.context)

    assert shown.files[0].filename == "6x4_00001_.png"


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_a_picture_carries_its_graph_the_editors_form_and_the_manifest(
    tmp_path: Path, format: Any
) -> None:
    desk = Desk(tmp_path, prompt=GRAPH, workflow={"nodes": [], "extra": {"note": "größer"}})

    saved = files(desk, save_image(ramp(2), "a", format, context=desk.context))

    for index, path in enumerate(saved):
        assert FILE_READERS.entries[path.suffix].texts(path) == {
            "prompt": GRAPH,
            "workflow": {"nodes": [], "extra": {"note": "größer"}},
            "nodegraph": {"node": "9", "seeds": {"3.seed": 7}, "batch_index": index},
        }


@pytest.mark.parametrize(("format", "suffix"), [("png", ".png"), ("jpeg", ".jpg")])
def test_the_format_decides_the_suffix(desk: Desk, format: Any, suffix: str) -> None:
    [path] = files(desk, save_image(ramp(), "a", format, context=desk.context))

    assert path.suffix == suffix
    with Pillow.open(path) as picture:
        assert picture.format == format.upper()


def test_quality_decides_what_is_lost_and_webp_at_100_loses_nothing(desk: Desk) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = Image(torch.randint(0, 256, (1, 32, 32, 3), generator=generator) / 255)

    def error(format: Any, quality: int) -> float:
        [path] = files(desk, save_image(noise, "a", format, quality, context=desk.context))
        read = FILE_READERS.entries[path.suffix].pixels(path)
        return float((read - noise).abs().mean())

    assert error("webp", 100) == 0
    assert 0 < error("jpeg", 95) < error("jpeg", 20)
    assert 0 < error("webp", 80) < error("webp", 5)


def test_transparent_pictures_keep_their_alpha_in_png_and_webp(desk: Desk) -> None:
    image = ramp(channels=4)

    for format in ("png", "webp"):
        saved = save_image(image, "a", format, 100, context=desk.context)  # type: ignore[arg-type]
        pixels = stored_bytes(files(desk, saved)[0])
        assert pixels.tolist() == (image[0] * 255).round().int().tolist()
    assert not desk.warnings


def test_a_jpeg_of_a_transparent_picture_lies_on_white_and_says_so(desk: Desk) -> None:
    image = torch.zeros(1, 16, 16, 4)
    image[..., 3] = 0.2

    [path] = files(desk, save_image(Image(image), "a", "jpeg", 100, context=desk.context))

    assert set(stored_bytes(path).flatten().tolist()) == {204}
    assert len(desk.warnings) == 1
    assert "laid on white" in desk.warnings[0]


def test_texts_a_jpeg_has_no_room_for_are_left_out_the_longest_first(tmp_path: Path) -> None:
    desk = Desk(tmp_path, prompt=GRAPH, workflow={"nodes": ["x" * 70_000]})

    saved = files(desk, save_image(ramp(2), "a", "jpeg", context=desk.context))

    for path in saved:
        texts = metadata(path)
        assert json.loads(texts["prompt"]) == GRAPH
        assert set(texts) == {"prompt", "nodegraph"}
    assert len(desk.warnings) == 1
    assert "without its 'workflow' text" in desk.warnings[0]
    assert "65533 bytes" in desk.warnings[0]


def test_a_jpeg_with_room_for_no_text_is_saved_all_the_same(tmp_path: Path) -> None:
    desk = Desk(tmp_path, prompt={"1": "x" * 70_000}, workflow={"nodes": ["x" * 80_000]})

    [path] = files(desk, save_image(ramp(), "a", "jpeg", context=desk.context))

    assert set(metadata(path)) == {"nodegraph"}
    assert len(desk.warnings) == 2


def test_a_png_holds_texts_of_any_length(tmp_path: Path) -> None:
    desk = Desk(tmp_path, prompt=GRAPH, workflow={"nodes": ["x" * 300_000]})

    [path] = files(desk, save_image(ramp(), "a", context=desk.context))

    assert set(metadata(path)) == {"prompt", "workflow", "nodegraph"}


def test_what_json_cannot_say_is_null_in_the_saved_graph(tmp_path: Path) -> None:
    desk = Desk(tmp_path, workflow={"a": [float("nan"), 1.5], "b": float("inf")})

    assert graph_text(desk.context)["workflow"] == '{"a": [null, 1.5], "b": null}'


def test_pixels_that_are_not_numbers_are_black_and_counted(desk: Desk) -> None:
    image = torch.ones(1, 2, 2, 3)
    image[0, 0, 0, 1] = float("nan")

    [path] = files(desk, save_image(Image(image), context=desk.context))

    assert stored_bytes(path)[0, 0].tolist() == [255, 0, 255]
    assert len(desk.warnings) == 1
    assert desk.warnings[0].startswith("1 pixels")


def test_a_prefix_that_leads_out_of_the_folder_is_refused(desk: Desk) -> None:
    with pytest.raises(UnsafeName, match="leads out"):
        save_image(ramp(), "../a", context=desk.context)


def test_a_cancelled_save_keeps_what_is_written_and_no_reserved_name(desk: Desk) -> None:
    desk.cancel.cancel()

    with pytest.raises(Cancelled):
        save_image(ramp(3), "a", context=desk.context)

    assert sorted(p.name for p in (desk.folder / "output").iterdir()) == ["a_00001_.png"]


def test_a_picture_that_cannot_be_written_leaves_nothing_behind(desk: Desk) -> None:
    with pytest.raises(PictureError, match="H, W, 3 or 4"):
        save_image(ramp(channels=1), "a", context=desk.context)

    assert not list((desk.folder / "output").iterdir())


def test_a_preview_goes_to_the_temp_folder_with_its_graph(desk: Desk) -> None:
    shown = preview_image(ramp(), context=desk.context)

    assert [file.type for file in shown.files] == ["temp"]
    assert json.loads(metadata(files(desk, shown)[0])["prompt"]) == GRAPH


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp"])
def test_pictures_can_be_read_as_graphs(suffix: str) -> None:
    assert suffix in FILE_READERS.entries


# -- resizing and combining ------------------------------------------------------------------------


def test_scaling_gives_the_size_asked_for(desk: Desk) -> None:
    image = ramp(2, 4, 6)

    assert image_scale(image, "area", width=3, height=2, crop="disabled").shape == (2, 2, 3, 3)
    assert image_scale(image, "area", width=3, height=0, crop="disabled").shape == (2, 2, 3, 3)
    assert image_scale(image, "area", width=0, height=8, crop="center").shape == (2, 8, 12, 3)
    assert torch.equal(image_scale(image, "area", width=0, height=0, crop="disabled"), image)


def test_halving_by_area_averages_four_pixels() -> None:
    image = Image(torch.tensor([[0.0, 1.0], [0.5, 0.5]]).view(1, 2, 2, 1).expand(1, 2, 2, 3))

    scaled = image_scale(image, "area", width=1, height=1, crop="disabled")

    assert scaled.flatten().tolist() == [0.5, 0.5, 0.5]


def test_a_centre_crop_keeps_the_aspect() -> None:
    columns = (torch.arange(8.0) / 8).view(1, 1, 8, 1).expand(1, 2, 8, 3)

    scaled = image_scale(Image(columns), "nearest-exact", width=2, height=2, crop="center")

    assert (scaled[0, 0, :, 0] * 8).tolist() == [3, 4]


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_every_method_doubles_an_even_image_to_an_even_one(method: Any) -> None:
    image = Image(torch.full((1, 3, 5, 3), 51 / 255))

    scaled = image_scale_by(image, method, 2.0)

    torch.testing.assert_close(scaled, torch.full((1, 6, 10, 3), 51 / 255))


def test_scaling_by_a_factor_rounds_and_keeps_at_least_one_pixel() -> None:
    image = ramp(1, 5, 7)

    assert image_scale_by(image, "bilinear", 1.5).shape[1:3] == (8, 10)  # 7.5 and 10.5 to even
    assert image_scale_by(image, "bilinear", 0.01).shape[1:3] == (1, 1)


def test_inverting_twice_is_nothing() -> None:
    image = Image(torch.tensor([0.0, 0.25, 1.0]).view(1, 1, 1, 3))

    assert image_invert(image).flatten().tolist() == [1.0, 0.75, 0.0]
    assert torch.equal(image_invert(image_invert(image)), image)


def test_a_batch_of_equal_sizes_is_both_one_after_the_other() -> None:
    one, other = ramp(2), Image(1 - ramp(1))

    assert torch.equal(image_batch(one, other), torch.cat([one, other]))


def test_the_second_of_a_batch_is_fitted_to_the_first_without_distortion() -> None:
    stripes = (torch.arange(8.0) / 8).view(1, 1, 8, 1).expand(1, 4, 8, 3)

    batch = image_batch(ramp(1, 4, 4), Image(stripes))

    assert batch.shape == (2, 4, 4, 3)
    assert (batch[1, 0, :, 0] * 8).tolist() == [2, 3, 4, 5]


def test_a_batch_with_and_without_alpha_is_opaque_where_there_was_none() -> None:
    batch = image_batch(ramp(channels=3), ramp(channels=4))

    assert batch.shape == (2, 4, 6, 4)
    assert torch.equal(batch[0, ..., 3], torch.ones(4, 6))
    assert torch.equal(batch[1], ramp(channels=4)[0])


def test_a_grey_picture_becomes_a_coloured_one_in_a_batch_with_one() -> None:
    grey = ramp(channels=1)

    assert torch.equal(image_batch(ramp(), grey)[1], grey[0].repeat(1, 1, 3))


def test_nodes_do_not_change_their_inputs(desk: Desk) -> None:
    image = ramp(channels=4)
    before: Tensor = image.clone()

    image_invert(image)
    image_scale_by(image, "lanczos", 2.0)
    image_batch(image, ramp(1, 9, 9))
    save_image(image, "a", "jpeg", context=desk.context)

    assert torch.equal(image, before)


# -- sending ---------------------------------------------------------------------------------------


def test_every_picture_is_sent_as_a_png_and_no_file_is_written(desk: Desk, tmp_path: Path) -> None:
    sent: list[Sent] = []
    images = ramp(2, channels=4)

    save_image_websocket(images, context=replace(desk.context, on_preview=sent.append))

    assert [picture.format for picture in sent] == ["png", "png"]
    for picture, image in zip(sent, images, strict=True):
        (tmp_path / "sent.png").write_bytes(picture.data)
        stored = stored_bytes(tmp_path / "sent.png")
        assert torch.equal(torch.from_numpy(stored.copy()), (image * 255).round().byte())
    assert desk.progress == [(1, 2), (2, 2)]
    assert [path.name for path in tmp_path.iterdir()] == ["sent.png"]


def test_pixels_that_are_no_numbers_are_told_and_sent_as_black(desk: Desk) -> None:
    sent: list[Sent] = []
    images = Image(torch.full((1, 2, 2, 3), float("nan")))

    save_image_websocket(images, context=replace(desk.context, on_preview=sent.append))

    assert "4 pixels are not numbers" in desk.warnings[0]
    assert not decode(sent[0].data).image.any()


def test_a_cancelled_node_sends_no_more(desk: Desk) -> None:
    sent: list[Sent] = []
    desk.cancel.cancel()

    with pytest.raises(Cancelled):
        save_image_websocket(ramp(5), context=replace(desk.context, on_preview=sent.append))

    assert len(sent) == 1


def test_pictures_are_sent_again_when_everything_before_is_cached(tmp_path: Path) -> None:
    settings = Settings(
        output=tmp_path, temp=tmp_path, cache=tmp_path / "cache", disk_cache_bytes=0
    )
    graph = _flat(0.5)
    graph["5"] = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["4", 0]}}
    events: list[Event] = []
    with Engine(nodes.modules(), settings) as engine:
        for _ in range(2):
            result = engine.run(graph, emit=events.append).require()

    assert [account.node for account in result.accounts if account.status == "ran"] == ["5"]
    sent = [event for event in events if isinstance(event, Preview)]
    assert [event.node for event in sent] == ["5", "5"]
    assert sent[0].value == sent[1].value
    assert isinstance(sent[0].value, Sent)
    assert not [event for event in events if isinstance(event, Executed)]


def test_a_cached_picture_whose_name_holds_another_one_by_now_is_made_again(
    tmp_path: Path,
) -> None:
    settings = Settings(
        output=tmp_path, temp=tmp_path, cache=tmp_path / "cache", disk_cache_bytes=0
    )
    with Engine(nodes.modules(), settings) as engine:
        [first] = engine.files(engine.run(_flat(0.25)).require())
        before = first.read_bytes()
        first.unlink()
        [second] = engine.files(engine.run(_flat(0.75)).require())
        assert second == first  # the name was free again

        [again] = engine.files(engine.run(_flat(0.25)).require())

    assert again != second
    assert decode(again).image.equal(decode(before).image)


def _flat(value: float) -> dict[str, Any]:
    """A graph that saves a grey picture of 64 `value` pixels a side."""
    return {
        "1": {"class_type": "LoadVAE", "inputs": {"vae_name": "pixel_space"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 16, "height": 16}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 0]}},
        "4": {
            "class_type": "ImageScaleBy",
            "inputs": {"image": ["3", 0], "upscale_method": "bilinear", "scale_by": value * 4},
        },
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
    }
