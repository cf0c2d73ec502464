"""The pictures of docs/gallery.md and the README's first one, made anew.

    python -m benchmarks.gallery [--section TITLE ...] [--first] [--docs FOLDER]

A section's commands are run as they stand there, and what the last one saved are its pictures, in
order. `--first` draws docs/images/emoji.png alone: captions and what the embedded model makes of
them. Three minutes on a CPU.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import nodes
from nodegraph import Engine, Settings

from .measure import ROOT

CAPTIONS = (
    "cat face", "red apple", "christmas tree", "penguin", "cactus", "hamburger", "octopus",
    "sailboat", "panda", "castle", "four leaf clover", "robot", "doughnut", "frog", "light bulb",
    "pizza", "owl", "butterfly", "taxi", "avocado", "trumpet", "teddy bear", "ringed planet",
    "blue heart",
)  # fmt: skip
COLUMNS, SIDE, MARGIN, WORDS, GREY = 8, 128, 4, 24, "#59636e"  # in pixels, but the columns
SEED = 7


def sections(page: str) -> dict[str, str]:
    """The parts of the page by their titles."""
    return {part.splitlines()[0]: part for part in page.split("\n## ")[1:]}


def commands(part: str) -> list[list[str]]:
    """The words of each command that runs a workflow, without `python`."""
    blocks = "\n".join(re.findall(r"```\n(.*?)```", part, re.DOTALL)).replace("\\\n", " ")
    words = [shlex.split(line) for line in blocks.splitlines()]
    return [line[1:] for line in words if line[:3] == ["python", "main.py", "run"]]


def pictures(part: str) -> list[str]:
    """Where the section's pictures are, from the page's folder."""
    return re.findall(r'<img src="([^"]+)"', part)


def drawn(lines: Sequence[Sequence[str]], output: Path) -> list[Path]:
    """What the last of the commands saved, in order."""
    saved: list[Path] = []
    for line in lines:
        own = [str(output) if word == "output" else word for word in line]
        done = subprocess.run(
            [sys.executable, *own, "--output", str(output), "--quiet"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        saved = [ROOT / path for path in done.stdout.splitlines() if path.endswith(".png")]
    return saved


def make_section(title: str, part: str, docs: Path) -> None:
    """Raises RuntimeError where a command saves other pictures than the section shows."""
    places = pictures(part)
    if not places:
        return
    with tempfile.TemporaryDirectory() as name:
        found: list[Path] = []
        lines = commands(part)
        if len(places) > len(lines) or "train_" in part:
            found = drawn(lines, Path(name))
        else:
            found = [drawn([line], Path(name))[0] for line in lines]
        if len(found) < len(places):
            raise RuntimeError(f"{title}: {len(places)} pictures are shown, {len(found)} were made")
        for source, place in zip(found, places, strict=False):
            (docs / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, docs / place)


def sheet(images: Iterator[Image.Image]) -> Image.Image:
    """Pictures in rows, each with its caption below."""
    rows = -(-len(CAPTIONS) // COLUMNS)
    cell, row = SIDE + 2 * MARGIN, SIDE + WORDS + 2 * MARGIN
    page = Image.new("RGB", (COLUMNS * cell, rows * row), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for place, (caption, image) in enumerate(zip(CAPTIONS, images, strict=True)):
        x, y = place % COLUMNS * cell + MARGIN, place // COLUMNS * row + MARGIN
        page.paste(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x, y))
        pen.text((x + SIDE / 2, y + SIDE + WORDS / 2), caption, GREY, font, anchor="mm")
    return page


def first_picture(place: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(
            models=(ROOT / "models",), output=folder, temp=folder, cache=folder, precision="fp32"
        )
        with Engine(nodes.modules(), settings) as engine:

            def images() -> Iterator[Image.Image]:
                for caption in CAPTIONS:
                    values = {"2.text": caption, "4.batch_size": 1, "5.seed": SEED}
                    graph = ROOT / "workflows" / "text_to_image.json"
                    [tensor] = engine.run(graph, values, targets=["6"]).require()["6"][0]
                    yield Image.fromarray((tensor * 255).round().byte().numpy())

            sheet(images()).save(place, optimize=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--section", nargs="+", help="titles; default: all")
    parser.add_argument("--first", action="store_true", help="the README's picture alone")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where images/ is")
    asked = parser.parse_args(arguments)
    parts = sections((ROOT / "docs" / "gallery.md").read_text())
    for title in () if asked.first else asked.section or parts:
        print(title, flush=True)
        make_section(title, parts[title], asked.docs)
    if asked.first or not asked.section:
        first_picture(asked.docs / "images" / "emoji.png")


if __name__ == "__main__":
    main(sys.argv[1:])
