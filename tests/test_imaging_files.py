"""Decoding files to images and masks, and encoding images with their texts."""

from __future__ import annotations

import io
import itertools
import json
import struct
import tracemalloc
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from torch import Tensor

from nodes.imaging import metadata as metadata_module
from nodes.imaging.exif import pack, unpack
from nodes.imaging.files import (
    Format,
    PictureError,
    TextSizeError,
    count_nan,
    decode,
    encode,
    encode_png,
    metadata,
    metadata_json,
)

COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [128, 64, 200], [255, 255, 254]]],
    dtype=np.uint8,
)
PROMPT = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 7, "text": "çäß 猫"}}})
TEXTS = {"prompt": PROMPT, "workflow": '{"nodes": []}', "nodegraph": '{"version": "0.1"}'}


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: NDArray[np.uint16], colour_type: int, *extra: bytes) -> bytes:
    """A 16-bit PNG written from the standard, since Pillow writes no 16-bit colour."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(values: NDArray[np.uint16], order: str, *, compressed: bool) -> bytes:
    """A 16-bit RGB TIFF of one strip, uncompressed or deflated, in either byte order."""
    height, width = values.shape[:2]
    data = values.astype(order + "u2").tobytes()
    data = zlib.compress(data) if compressed else data
    entries = [
        (256, width),
        (257, height),
        (258, None),
        (259, 8 if compressed else 1),
        (262, 2),
        (273, 200),
        (277, 3),
        (278, height),
        (279, len(data)),
    ]
    directory = struct.pack(order + "H", len(entries))
    for tag, value in entries:
        if value is None:
            directory += struct.pack(order + "HHII", tag, 3, 3, 180)
        else:
            directory += struct.pack(order + "HHII", tag, 4, 1, value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    body = (head + directory + bytes(4)).ljust(180, b"\0") + struct.pack(order + "HHH", 16, 16, 16)
    return body.ljust(200, b"\0") + data


def as_image(values: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32) / np.float32(255.0))[None]


# --- decoding: colours and alpha ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("TGA", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {"irreversible": False}),
    ],
)
def test_a_lossless_rgb_file_is_its_bytes_divided_by_255(
    format: str, options: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(saved(Image.fromarray(COLOURS), format, **options))

    picture = decode(path)

    assert picture.image.dtype == torch.float32
    assert torch.equal(picture.image, as_image(COLOURS))
    assert torch.equal(picture.mask, torch.zeros(1, 64, 64))


def test_every_byte_value_becomes_exactly_the_float_nearest_to_its_255th() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)

    image = decode(saved(Image.fromarray(grey), "PNG")).image

    expected = np.arange(256, dtype=np.float32) / np.float32(255)
    assert np.array_equal(image[0, :, :, 1].reshape(-1).numpy(), expected)


def test_a_jpeg_of_one_colour_comes_back_nearly_that_colour() -> None:
    data = saved(Image.new("RGB", (16, 16), (200, 100, 50)), "JPEG", quality=100)

    image = decode(data).image

    expected = torch.tensor([200.0, 100.0, 50.0]) / 255
    assert torch.allclose(image, expected.expand_as(image), atol=2 / 255)


def test_the_mask_is_one_minus_alpha_and_the_colours_under_it_stay() -> None:
    rgba = np.dstack([COLOURS, np.array([[0, 51, 255], [255, 102, 0]], dtype=np.uint8)])

    picture = decode(saved(Image.fromarray(rgba), "PNG"))

    assert torch.equal(picture.image, as_image(COLOURS))
    alpha = torch.tensor([[0.0, 0.2, 1.0], [1.0, 0.4, 0.0]])
    assert torch.equal(picture.mask, (1 - alpha)[None])


def test_grey_with_alpha_becomes_three_equal_channels_and_a_mask() -> None:
    data = saved(Image.frombytes("LA", (2, 1), bytes([51, 255, 102, 0])), "PNG")

    picture = decode(data)

    assert torch.allclose(picture.image[0, 0], torch.tensor([[0.2] * 3, [0.4] * 3]))
    assert torch.equal(picture.mask, torch.tensor([[[0.0, 1.0]]]))


@pytest.mark.parametrize(
    ("transparency", "alphas"), [(1, [1.0, 0.0, 1.0]), (bytes([255, 51, 0]), [1.0, 0.2, 0.0])]
)
def test_a_palette_keeps_its_colours_and_its_transparency(
    transparency: object, alphas: list[float]
) -> None:
    palette = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])

    picture = decode(saved(palette, "PNG", transparency=transparency))

    assert torch.equal(picture.image[0, 0], torch.eye(3))
    assert torch.allclose(picture.mask[0, 0], 1 - torch.tensor(alphas))


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_the_colour_a_png_calls_transparent_is_masked(mode: str) -> None:
    image = Image.new("RGB", (2, 1))
    image.putpixel((1, 0), (255, 255, 255))
    white = {"1": 255, "L": 255, "RGB": (255, 255, 255)}[mode]

    picture = decode(saved(image.convert(mode), "PNG", transparency=white))

    assert torch.equal(picture.mask, torch.tensor([[[0.0, 1.0]]]))
    assert torch.equal(picture.image[0, 0, :, 0], torch.tensor([0.0, 1.0]))


def test_a_palette_without_transparency_has_the_small_empty_mask() -> None:
    palette = Image.frombytes("P", (3, 1), bytes([2, 1, 0]))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])

    picture = decode(saved(palette, "GIF"))

    assert torch.equal(picture.image[0, 0], torch.eye(3).flip(0))
    assert torch.equal(picture.mask, torch.zeros(1, 64, 64))


def test_one_bit_pixels_become_zero_and_one() -> None:
    checks = Image.frombytes("1", (8, 1), bytes([0b10110001]))

    image = decode(saved(checks, "PNG")).image

    assert image[0, 0, :, 2].tolist() == [1, 0, 1, 1, 0, 0, 0, 1]


def test_cmyk_is_turned_to_rgb() -> None:
    inks = Image.frombytes("CMYK", (3, 1), bytes([255, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255]))

    image = decode(saved(inks, "TIFF")).image

    assert image[0, 0].tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]


# --- decoding: sixteen bits ---------------------------------------------------------------------


def deep(channels: int) -> NDArray[np.uint16]:
    values = np.random.default_rng(channels).integers(0, 65536, (3, 5, channels), dtype=np.uint16)
    values[0, 0], values[0, 1], values[0, 2] = 0, 65535, 32768
    return values


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2), (2, 4), (4, 6)])
def test_a_16_bit_png_keeps_all_16_bits(channels: int, colour_type: int) -> None:
    values = deep(channels)

    picture = decode(png(values, colour_type))

    expected = torch.from_numpy(values.astype(np.float32) / np.float32(65535))
    colours = expected[..., :3] if channels > 2 else expected[..., :1].expand(-1, -1, 3)
    assert torch.equal(picture.image[0], colours)
    assert picture.image[0, 0, 1].tolist() == [1, 1, 1]
    if channels in (2, 4):
        assert torch.equal(picture.mask[0], 1 - expected[..., -1])
    else:
        assert torch.equal(picture.mask, torch.zeros(1, 64, 64))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_16_bit_tiff_keeps_all_16_bits_in_either_byte_order(
    order: str, compressed: bool, tmp_path: Path
) -> None:
    values = deep(3)
    path = tmp_path / "deep.tif"
    path.write_bytes(tiff(values, order, compressed=compressed))

    for source in (path, path.read_bytes()):  # Pillow reads the two in different ways
        image = decode(source).image
        assert torch.equal(image[0], torch.from_numpy(values / np.float32(65535)))


@pytest.mark.parametrize("colour_type", [0, 2])
def test_the_transparent_colour_of_a_16_bit_png_is_compared_in_16_bits(colour_type: int) -> None:
    channels = 3 if colour_type == 2 else 1
    values = np.full((1, 2, channels), 0x1235, dtype=np.uint16)
    values[0, 0, -1] = 0x1234  # one channel, and the same high byte
    key = chunk(b"tRNS", struct.pack(f">{channels}H", *[0x1235] * channels))

    picture = decode(png(values, colour_type, key))

    assert picture.mask.tolist() == [[[0, 1]]]


def test_float_grey_is_clamped_and_its_nan_is_zero() -> None:
    values = np.array([[0.25, -1.0, 2.0, np.nan]], dtype=np.float32)

    image = decode(saved(Image.fromarray(values), "TIFF")).image

    assert image[0, 0, :, 0].tolist() == [0.25, 0, 1, 0]


# --- decoding: orientation, frames --------------------------------------------------------------

# Exif 2.3, tag 0x0112: the visual side at which the stored 0th row and 0th column lie.
SIDES = ["top left", "top right", "bottom right", "bottom left"]
SIDES += ["left top", "right top", "right bottom", "left bottom"]


def stored(upright: NDArray[np.uint8], sides: str) -> NDArray[np.uint8]:
    """The stored picture that an orientation turns into `upright`, cell by cell."""
    row_side, column_side = sides.split()
    if row_side in ("left", "right"):
        upright = upright.transpose(1, 0, 2)
    height, width = upright.shape[:2]
    return np.array(
        [
            [
                upright[
                    height - 1 - row if row_side in ("bottom", "right") else row,
                    width - 1 - column if column_side in ("bottom", "right") else column,
                ]
                for column in range(width)
            ]
            for row in range(height)
        ]
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_a_picture_is_turned_upright_by_its_exif_orientation(
    orientation: int, format: str, options: dict[str, object]
) -> None:
    block = Image.Exif()
    block[0x0112] = orientation
    image = Image.fromarray(stored(COLOURS, SIDES[orientation - 1]))

    picture = decode(saved(image, format, exif=block, **options))

    assert torch.equal(picture.image, as_image(COLOURS))
    assert picture.image.is_contiguous()


def test_the_mask_is_turned_with_the_picture() -> None:
    block = Image.Exif()
    block[0x0112] = 6
    alpha = np.array([[[0], [255], [255]], [[255], [255], [255]]], dtype=np.uint8)
    rgba = np.concatenate([COLOURS, alpha], axis=-1)

    picture = decode(saved(Image.fromarray(stored(rgba, "right top")), "PNG", exif=block))

    assert picture.mask.tolist() == [[[1, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize("value", [b"\0\0", b"\x09\0", b"?"])
def test_an_orientation_that_does_not_exist_changes_nothing(value: bytes) -> None:
    kind, count = (2, 1) if value == b"?" else (3, 1)  # a letter, or a number of 16 bits
    entry = struct.pack("<HHI", 0x0112, kind, count) + value.ljust(4, b"\0")
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)

    picture = decode(saved(Image.fromarray(COLOURS), "PNG", exif=block))

    assert torch.equal(picture.image, as_image(COLOURS))


def test_a_broken_exif_block_does_not_keep_the_pixels_from_being_read() -> None:
    data = saved(Image.fromarray(COLOURS), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")

    assert torch.equal(decode(data).image, as_image(COLOURS))
    assert metadata(data) == {}


@pytest.mark.parametrize(
    ("format", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})],
)
def test_the_frames_of_an_animation_are_a_batch(format: str, options: dict[str, object]) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    first, *rest = (Image.new("RGB", (6, 4), colour) for colour in colours)

    picture = decode(saved(first, format, save_all=True, append_images=rest, **options))

    assert picture.image.shape == (3, 4, 6, 3)
    assert torch.equal(picture.image[:, 2, 3], torch.eye(3))
    assert torch.equal(picture.mask, torch.zeros(3, 64, 64))


def test_pages_of_another_size_than_the_first_are_left_out() -> None:
    sizes, greys = [(4, 4), (8, 8), (4, 4)], [51, 0, 102]
    first, *rest = (Image.new("L", s, g) for s, g in zip(sizes, greys, strict=True))

    image = decode(saved(first, "TIFF", save_all=True, append_images=rest)).image

    assert image.shape == (2, 4, 4, 3)
    assert torch.allclose(image[:, 0, 0, 0], torch.tensor([0.2, 0.4]))


def test_a_page_without_alpha_beside_one_with_alpha_is_opaque() -> None:
    clear, solid = Image.new("RGBA", (2, 2), (255, 0, 0, 0)), Image.new("RGB", (2, 2), (0, 255, 0))

    picture = decode(saved(clear, "TIFF", save_all=True, append_images=[solid]))

    assert picture.mask.tolist() == [[[1, 1], [1, 1]], [[0, 0], [0, 0]]]


def test_only_the_first_picture_of_a_camera_file_with_a_preview_is_taken() -> None:
    picture, preview = Image.new("RGB", (8, 8), (255, 255, 255)), Image.new("RGB", (8, 8))

    data = saved(picture, "MPO", save_all=True, append_images=[preview])

    assert decode(data).image.shape == (1, 8, 8, 3)


# --- decoding: faults ---------------------------------------------------------------------------


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as raised:
        decode(tmp_path / "cat.png")

    assert str(raised.value) == "cat.png: there is no such file"


def test_a_folder_is_refused_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as raised:
        decode(tmp_path)

    assert str(raised.value).startswith(f"{tmp_path.name}: the file cannot be read")
    assert str(tmp_path) not in str(raised.value)


def test_a_file_that_is_no_picture_is_named_and_the_formats_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("these are only notes")

    with pytest.raises(PictureError, match=r"^notes\.png: not a picture .*PNG, JPEG.*") as raised:
        decode(path)

    assert str(tmp_path) not in str(raised.value)


def test_postscript_is_not_opened_because_it_would_run_a_program() -> None:
    with pytest.raises(PictureError, match="not a picture"):
        decode(saved(Image.new("RGB", (4, 4)), "EPS"))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"])
def test_a_file_cut_in_the_middle_is_an_error_that_says_so(format: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), format)
    path = tmp_path / "half.bin"
    path.write_bytes(data[: len(data) // 2])

    with pytest.raises(PictureError, match=r"^half\.bin: (the picture is damaged|not a picture)"):
        decode(path)


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded() -> None:
    header = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))

    with pytest.raises(PictureError, match=r"more than 1000000 pixels .* make it smaller"):
        decode(bomb, max_pixels=1_000_000)


def test_the_pixels_of_all_frames_count_together() -> None:
    first, *rest = (Image.new("L", (100, 100), shade) for shade in range(0, 100, 10))
    data = saved(first, "GIF", save_all=True, append_images=rest)

    assert decode(data, max_pixels=100_000).image.shape[0] == 10
    with pytest.raises(PictureError, match="more than 99999 pixels"):
        decode(data, max_pixels=99_999)


def test_a_picture_beyond_the_limit_of_pillow_itself_is_one_clear_error() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))

    with pytest.raises(PictureError, match="more pixels than"):
        decode(bomb)


def samples() -> list[bytes]:
    """One small file of every kind of container, the seeds of the fuzzing."""
    noise = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    frames = {"save_all": True, "append_images": [image.rotate(180)]}
    plain = ["PNG", "JPEG", "BMP", "PPM", "TGA", "ICO", "JPEG2000"]
    files = [saved(image, format) for format in plain]
    files += [saved(image, format, **frames) for format in ("GIF", "WEBP", "PNG", "TIFF")]
    files += [saved(image, "TIFF", compression="tiff_lzw"), png(deep(3), 2), png(deep(2), 4)]
    picture = torch.rand(5, 6, 3, generator=torch.Generator().manual_seed(0))
    return files + [encode(picture, format, text=TEXTS) for format in ("png", "jpeg", "webp")]


SAMPLES = samples()


def complaints(data: bytes) -> list[str]:
    """The messages of the PictureErrors that reading `data` raises; others go through."""
    messages = []
    for read in (partial(decode, max_pixels=100_000), metadata, metadata_json):
        try:
            read(data)
        except PictureError as error:
            messages.append(str(error))
    return messages


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_random_bytes_raise_nothing_but_picture_errors(data: bytes) -> None:
    for message in complaints(data):
        assert message.startswith("the picture: ")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_files_cut_and_altered_anywhere_raise_nothing_but_picture_errors(
    data: st.DataObject,
) -> None:
    file = bytearray(data.draw(st.sampled_from(SAMPLES)))
    places = st.integers(0, len(file) - 1)
    for place in data.draw(st.lists(places, max_size=4)):
        file[place] = data.draw(st.integers(0, 255))
    cut = bytes(file[: data.draw(st.integers(0, len(file)))])

    for message in complaints(cut):
        assert message.startswith("the picture: ")


# --- encoding -----------------------------------------------------------------------------------


def test_values_are_floored_to_bytes_and_clamped() -> None:
    row = [0.0, 0.999 / 255, 1 / 255, 0.5, 254.99 / 255, 1.0, 1.7, -0.3, float("inf")]
    image = torch.tensor(row)[None, :, None].expand(1, -1, 3)

    pixels = np.asarray(Image.open(io.BytesIO(encode_png(image))))

    assert pixels[0, :, 0].tolist() == [0, 0, 1, 127, 254, 255, 255, 0, 255]


def test_nan_becomes_black_and_its_pixels_are_counted() -> None:
    image = torch.ones(2, 2, 3)
    image[0, 1, :2] = float("nan")

    pixels = np.asarray(Image.open(io.BytesIO(encode_png(image))))

    assert count_nan(image) == 1
    assert pixels[0].tolist() == [[255, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize("format", ["png", "webp"])
def test_a_lossless_file_gives_back_every_byte_of_colour_and_alpha(format: Format) -> None:
    values = np.random.default_rng(2).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    values[0, :, 3] = 0  # colours under full transparency count as well
    image = (torch.from_numpy(values).float() + 0.5) / 255

    picture = decode(encode(image.half().float(), format, lossless=True))

    assert torch.equal(picture.image, as_image(values[..., :3]))
    assert torch.equal(picture.mask, 1 - as_image(values[..., 3]))


def test_quality_trades_size_for_likeness() -> None:
    smooth = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    image = torch.nn.functional.interpolate(smooth, (64, 64), mode="bilinear")[0].movedim(0, -1)
    formats: tuple[Format, ...] = ("jpeg", "webp")

    for format in formats:
        good, poor = encode(image, format, quality=95), encode(image, format, quality=10)
        error = [(decode(data).image[0] - image).abs().mean() for data in (good, poor)]

        assert len(good) > len(poor)
        assert error[0] < 0.02 < error[1]


def test_a_higher_compression_level_makes_a_smaller_png_of_the_same_pixels() -> None:
    image = torch.linspace(0, 1, 64 * 64 * 3).reshape(64, 64, 3)

    fast, small = (encode_png(image, compress_level=level) for level in (0, 9))

    assert len(small) < len(encode_png(image)) < len(fast)
    assert torch.equal(decode(fast).image, decode(small).image)


@pytest.mark.parametrize(
    ("image", "format", "options", "message"),
    [
        (torch.zeros(4, 4), "png", {}, r"\(H, W, 3 or 4\), not \(4, 4\)"),
        (torch.zeros(1, 4, 4, 3), "png", {}, r"not \(1, 4, 4, 3\)"),
        (torch.zeros(0, 4, 3), "webp", {}, r"not \(0, 4, 3\)"),
        (torch.zeros(4, 4, 4), "jpeg", {}, "a JPEG holds no alpha"),
        (torch.zeros(4, 4, 3), "gif", {}, "png, jpeg, webp, not 'gif'"),
        (torch.zeros(4, 4, 3), "jpeg", {"quality": 0}, "quality goes from 1 to 100, not 0"),
        (torch.zeros(4, 4, 3), "png", {"compress_level": 10}, "from 0 to 9, not 10"),
        (torch.zeros(1, 20000, 3), "webp", {}, "cannot write 20000 x 1 pixels as WEBP"),
        (torch.zeros(4, 4, 3), "png", {"text": {"": "x"}}, "cannot be named ''"),
        (torch.zeros(4, 4, 3), "webp", {"text": {"a:b": "x"}}, "cannot be named 'a:b'"),
        (torch.zeros(4, 4, 3), "png", {"text": {"a" * 80: "x"}}, "cannot be named"),
        (torch.zeros(4, 4, 3), "png", {"text": {"a": "x\0y"}}, "'a' contains a NUL"),
        (torch.zeros(4, 4, 3), "jpeg", {"text": {"a": "\ud800"}}, "'a' is not valid Unicode"),
    ],
)
def test_a_picture_that_cannot_be_written_is_refused_with_the_reason(
    image: Tensor, format: Format, options: dict[str, object], message: str
) -> None:
    with pytest.raises(PictureError, match=message):
        encode(image, format, **options)  # type: ignore[arg-type]


def test_texts_beyond_what_a_jpeg_holds_are_refused_with_the_sizes() -> None:
    image = torch.zeros(4, 4, 3)
    room = 65533 - len(pack({"workflow": "12345"})) + 5
    fits, too_long = {"workflow": "x" * room}, {"workflow": "x" * (room + 1)}

    assert metadata(encode(image, "jpeg", text=fits)) == fits
    assert metadata(encode(image, "webp", text=too_long)) == too_long
    with pytest.raises(TextSizeError, match="write PNG or WebP") as raised:
        encode(image, "jpeg", text=too_long)
    assert (raised.value.size, raised.value.limit) == (65534, 65533)


# --- texts --------------------------------------------------------------------------------------

FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")


@pytest.mark.parametrize("format", FORMATS)
def test_texts_come_back_from_every_format(format: Format, tmp_path: Path) -> None:
    texts = {**TEXTS, "parameters": "a cat, 猫, naïve\nSteps: 20, Size: 8x8", "empty": ""}
    path = tmp_path / "picture"
    path.write_bytes(encode(torch.zeros(8, 8, 3), format, text=texts))

    assert metadata(path) == texts
    assert list(metadata(path)) == list(texts)
    assert decode(path).image.shape == (1, 8, 8, 3)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_. -]{0,20}[A-Za-z0-9_])?", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50),
        max_size=6,
    ),
    st.sampled_from(FORMATS),
)
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back_from_every_format(texts: dict[str, str], format: Format) -> None:
    assert metadata(encode(torch.zeros(1, 1, 3), format, text=texts)) == texts


def test_json_is_written_to_png_as_the_text_chunks_all_tools_read() -> None:
    data = encode_png(torch.zeros(4, 4, 3), text=TEXTS)

    expected = b"prompt\0" + PROMPT.encode()
    assert struct.pack(">I", len(expected)) + b"tEXt" + expected in data
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["prompt"] == PROMPT
        assert image.info["workflow"] == '{"nodes": []}'


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_exif_holds_prompt_in_0110_and_the_rest_from_010f_downwards(format: Format) -> None:
    data = encode(torch.zeros(4, 4, 3), format, text=TEXTS)

    with Image.open(io.BytesIO(data)) as image:
        block = image.getexif()
    assert block[0x0110] == f"prompt:{PROMPT}"
    assert block[0x010F] == 'workflow:{"nodes": []}'
    assert block[0x010E] == 'nodegraph:{"version": "0.1"}'


def test_an_exif_block_written_by_pillow_is_read() -> None:
    block = Image.Exif()
    block[0x0110] = "prompt:{}"
    block[0x010F] = "workflow:[1]"

    data = saved(Image.new("RGB", (4, 4)), "WEBP", exif=block)

    assert metadata(data) == {"prompt": "{}", "workflow": "[1]"}


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        (b"UNICODE\0", "a cat 猫".encode("utf-16-be")),
        (b"UNICODE\0", "a cat 猫".encode("utf-16-le")),
        (b"ASCII\0\0\0", "a cat 猫".encode()),
    ],
)
@pytest.mark.parametrize("endian", ["<", ">"])
def test_a_user_comment_is_read_as_the_parameters_of_other_programs(
    charset: bytes, body: bytes, endian: str
) -> None:
    comment = charset + body
    block = b"Exif\0\0" + (b"II*\0" if endian == "<" else b"MM\0*")
    block += struct.pack(endian + "IH HHII I", 8, 1, 0x8769, 4, 1, 26, 0)
    block += struct.pack(endian + "H HHII I", 1, 0x9286, 7, len(comment), 44, 0) + comment

    data = saved(Image.new("RGB", (4, 4)), "JPEG", exif=block)

    assert metadata(data) == {"parameters": "a cat 猫"}


def test_a_photograph_has_no_texts() -> None:
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "Canon", "EOS 5D", 1

    assert metadata(saved(Image.new("RGB", (4, 4)), "JPEG", exif=block)) == {}


def test_compressed_and_international_chunks_and_those_after_the_pixels_are_read() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("zipped", "z" * 5000, zip=True)
    info.add_itxt("international", "猫", zip=False)
    info.add_itxt("both", "é" * 300, zip=True)
    info.add_text("latin", "caf\xe9")
    data = saved(Image.new("RGB", (4, 4)), "PNG", pnginfo=info)
    end = chunk(b"IEND", b"")
    data = data.removesuffix(end) + chunk(b"tEXt", b"late\0at the end") + end

    assert metadata(data) == {
        "zipped": "z" * 5000,
        "international": "猫",
        "both": "é" * 300,
        "latin": "caf\xe9",
        "late": "at the end",
    }


def test_json_texts_are_parsed_and_the_nan_that_comfyui_writes_is_none() -> None:
    texts = {"prompt": '{"1": {"is_changed": [NaN, -Infinity]}}', "nodegraph": "[1]", "x": "{"}

    documents = metadata_json(encode_png(torch.zeros(4, 4, 3), text=texts))

    assert documents == {"prompt": {"1": {"is_changed": [None, None]}}, "nodegraph": [1]}


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "1" * 5000])
def test_a_text_that_is_not_json_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "old.png"
    path.write_bytes(encode_png(torch.zeros(4, 4, 3), text={"workflow": text}))

    with pytest.raises(PictureError, match=r"^old\.png: its text 'workflow' is not JSON"):
        metadata_json(path)


def test_a_text_that_inflates_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_module, "MAX_TEXT", 1000)
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "0" * 1001, zip=True)
    data = saved(Image.new("RGB", (4, 4)), "PNG", pnginfo=info)

    with pytest.raises(PictureError, match="a compressed text: more than 1000 bytes"):
        metadata(data)


def test_a_text_that_would_inflate_a_thousandfold_never_does() -> None:
    body = b"bomb\0\0" + zlib.compress(bytes(4 * metadata_module.MAX_TEXT), 9)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", body)
    tracemalloc.start()

    with pytest.raises(PictureError, match="a compressed text: more than 16777216 bytes"):
        metadata(data)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * metadata_module.MAX_TEXT


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        (chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"{}" * 99)[:-9]), "compressed text is cut"),
        (chunk(b"zTXt", b"prompt\0\0no zlib"), "damaged or cut short"),
        (chunk(b"tEXt", b"prompt\0{}")[:12], "a tEXt chunk is cut short"),
    ],
)
def test_a_text_that_is_damaged_is_not_half_read(chunks: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        metadata(b"\x89PNG\r\n\x1a\n" + chunks)


def test_a_chunk_that_claims_gigabytes_is_refused_without_reading_them() -> None:
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31) + b"tEXt" + b"prompt\0{}"

    with pytest.raises(PictureError, match="a tEXt chunk: more than 16777216 bytes"):
        metadata(data)


def test_many_texts_that_are_too_much_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_module, "MAX_TEXTS", 250)
    texts = dict.fromkeys("ab", "x" * 100)

    assert metadata(encode_png(torch.zeros(1, 1, 3), text=texts)) == texts
    with pytest.raises(PictureError, match="all its texts together: more than 250"):
        metadata(encode_png(torch.zeros(1, 1, 3), text=texts | {"c": "x" * 100}))


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*"]))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_harmless_exif_block(data: bytes, head: bytes) -> None:
    for block in (data, head + data, head + b"\x08\0\0\0" + data):
        assert isinstance(unpack(block), dict)


def test_an_altered_exif_block_never_reads_outside_itself() -> None:
    block = pack(TEXTS)

    for place, value in itertools.product(range(min(len(block), 80)), (0, 0x7F, 0xFF)):
        altered = block[:place] + bytes([value]) + block[place + 1 :]
        assert sum(map(len, unpack(altered).values())) <= 3 * len(block)
