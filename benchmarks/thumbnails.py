"""The small pictures of the example workflows, made anew: workflows/thumbnails/NAME.webp.

    python -m benchmarks.thumbnails [NAME ...] [--models FOLDER] [--device DEVICE] [--out FOLDER]

Each graph is run, and what it saved last is its picture: one, or the first four side by side.
Graphs that train for hours, and those whose models are not here (--models names another folder
with models), have pictures of docs/images. Two minutes on a CPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from PIL import Image

import nodes
from nodegraph import Engine, NodeGraphError, Settings
from nodegraph.server.templates import THUMBNAILS, template, templates

from .measure import ROOT

SIDE, MOST = 256, 12_000  # pixels of the longer side; bytes
WIDEST = 2  # times as wide as high, of pictures of the docs
QUALITIES = range(92, 20, -6)
GALLERY = ROOT / "docs" / "images" / "gallery"
TRAINING = "Training"  # the group of those that train for hours
# What stands for those of which docs/gallery.md has no picture; the default for the others.
STAND_INS: Mapping[str, str] = MappingProxyType(
    {
        "train_ddpm": "training/two_variances.png",
        "train_emoji_autoencoder": "training/latents.png",
        "train_emoji_edges": "training/zero_convolutions.png",
        "train_emoji_silhouettes": "gallery/hints_3.png",
    }
)
DEFAULT = "emoji.png"


@contextmanager
def opened(models: Iterable[Path], device: str) -> Iterator[Engine]:
    """An engine for the examples, with all its own files in a folder that goes."""
    with tempfile.TemporaryDirectory() as name:
        parts = {part: Path(name, part) for part in ("output", "temp", "cache", "state")}
        settings = Settings(
            models=(ROOT / "models", *models),
            input=ROOT / "input",
            plugins=(ROOT / "plugins",),
            device=device,
            precision="fp32",
            **parts,
        )
        with Engine(nodes.modules(), settings) as engine:
            yield engine


def made(engine: Engine, name: str) -> list[Path]:
    """The pictures that an example's last node saved. Raises NodeGraphError."""
    path = template(name)
    if path is None:
        raise NodeGraphError(f"there is no example {name}")
    result = engine.run(path).require()
    shown = [[*shown.files] for shown in result.shown.values()]
    pictures = [
        [file.under(engine.folders.folder(file.type)) for file in files]
        for files in shown
        if any(file.filename.endswith(".png") for file in files)
    ]
    if not pictures:
        raise NodeGraphError(f"{name} saved no picture")
    return pictures[-1]


def stand_in(name: str) -> list[Path]:
    """Pictures of the documentation."""
    shown = sorted(GALLERY.glob(f"{name}.png")) or sorted(GALLERY.glob(f"{name}_[0-9].png"))
    return shown or [ROOT / "docs" / "images" / STAND_INS.get(name, DEFAULT)]


def thumbnail(paths: Iterable[Path], crop: bool) -> bytes:
    """The first picture, or the first four side by side, as a small WebP. crop: of what is wide
    only the beginning."""
    pictures = [Image.open(path).convert("RGB") for path in paths][:4]
    sheet = pictures[0] if len(pictures) < 4 else _sheet(pictures)
    if crop:
        sheet = sheet.crop((0, 0, min(sheet.width, WIDEST * sheet.height), sheet.height))
    small = _fitted(sheet)
    for quality in QUALITIES:
        content = BytesIO()
        small.save(content, "WEBP", quality=quality, method=6)
        if content.tell() <= MOST:
            break
    return content.getvalue()


def _sheet(pictures: list[Image.Image]) -> Image.Image:
    width, height = pictures[0].size
    sheet = Image.new("RGB", (2 * width, 2 * height))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % 2 * width, index // 2 * height))
    return sheet


def _fitted(picture: Image.Image) -> Image.Image:
    """The longer side SIDE pixels. Small pictures keep their pixels as squares."""
    longer = max(picture.size)
    if longer < SIDE:
        whole = -(-SIDE // longer)
        size = (whole * picture.width, whole * picture.height)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    scale = SIDE / max(picture.size)
    size = (max(1, round(scale * picture.width)), max(1, round(scale * picture.height)))
    return picture.resize(size, Image.Resampling.BOX) if scale < 1 else picture


def main(arguments: list[str]) -> None:
    known = {each.name: each for each in templates()}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.thumbnails", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--models", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "workflows" / THUMBNAILS)
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no example {', '.join(unknown)}")
    options.out.mkdir(parents=True, exist_ok=True)
    with opened(options.models, options.device) as engine:
        for name in options.names or known:
            why = "it trains for long" if known[name].group == TRAINING else ""
            paths: list[Path] = []
            if not why:
                try:
                    paths = made(engine, name)
                except NodeGraphError as error:
                    why = str(error).splitlines()[0]
            content = thumbnail(paths or stand_in(name), crop=not paths)
            (options.out / f"{name}.webp").write_bytes(content)
            print(f"{name}: {len(content)} bytes{f', a picture of the docs: {why}' if why else ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
