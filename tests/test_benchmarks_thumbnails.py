"""The script that makes the examples' small pictures."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.thumbnails import MOST, main, stand_in, thumbnail
from nodegraph.server import templates


def saved(folder: Path, name: str, size: tuple[int, int], noise: bool = False) -> Path:
    """A picture: noise, or the left half black and the right half white."""
    path = folder / f"{name}.png"
    picture = Image.new("RGB", size, "white")
    picture.paste((0, 0, 0), (0, 0, size[0] // 2, size[1]))
    if noise:
        generator = torch.Generator().manual_seed(0)
        values = torch.randint(0, 256, (size[1], size[0], 3), generator=generator)
        picture = Image.fromarray(values.to(torch.uint8).numpy())
    picture.save(path)
    return path


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def test_a_small_picture_keeps_its_pixels_as_squares(tmp_path: Path) -> None:
    small = opened(thumbnail([saved(tmp_path, "a", (64, 64))], crop=False))

    assert (small.format, small.size) == ("WEBP", (256, 256))
    red = small.convert("RGB").getchannel("R")
    assert red.getpixel((120, 9)) < 20
    assert red.getpixel((135, 9)) > 235


@pytest.mark.parametrize(
    ("size", "crop", "expected"),
    [
        ((1000, 500), False, (256, 128)),
        ((100, 300), False, (85, 256)),
        ((900, 100), False, (256, 28)),
        ((900, 100), True, (256, 128)),
    ],
)
def test_the_longer_side_is_the_same_for_all(
    tmp_path: Path, size: tuple[int, int], crop: bool, expected: tuple[int, int]
) -> None:
    assert opened(thumbnail([saved(tmp_path, "a", size)], crop=crop)).size == expected


def test_four_pictures_are_side_by_side(tmp_path: Path) -> None:
    paths = [saved(tmp_path, str(index), (64, 64)) for index in range(5)]

    sheet = opened(thumbnail(paths, crop=False)).convert("RGB").getchannel("R")

    dark = [sheet.getpixel((x, 200)) < 128 for x in (30, 90, 160, 220)]
    assert dark == [True, False, True, False]


def test_what_is_hard_to_compress_is_small_all_the_same(tmp_path: Path) -> None:
    assert len(thumbnail([saved(tmp_path, "a", (64, 64), noise=True)], crop=False)) <= MOST


@pytest.mark.parametrize("example", templates.templates(), ids=lambda each: each.name)
def test_each_example_has_a_picture_in_the_docs_where_it_cannot_run(
    example: templates.Template,
) -> None:
    assert all(path.is_file() for path in stand_in(example.name))


def test_an_example_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["nothing", "--out", str(tmp_path / "out")])

    assert "no example nothing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
