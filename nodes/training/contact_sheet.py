"""A data set at a glance: pictures with their captions in a grid, and a report in words."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from nodes.imaging.pixels import dequantise, quantise
from nodes.training.dataset import Dataset
from nodes.training.framing import Views
from nodes.training.pixels import Pixels

GAP, LINE, LINES = 4, 12, 2  # pixels, pixels, and how many lines a caption has
LETTER = 6  # pixels a letter takes, about
SHOWN = 20  # problems and classes that the report names
GROUND, INK = (255, 255, 255), (40, 40, 40)


def contact_sheet(pixels: Pixels, examples: Sequence[int], columns: int) -> Tensor:
    """(1, H, W, 3) in [0, 1]: the pictures as batches see them, in rows, captions below."""
    pictures = [pixels.shown([number], Views.middle(1))[0] for number in examples]
    captions = [pixels.dataset.examples[number].caption for number in examples]
    images = [(picture.movedim(0, -1).cpu() + 1) / 2 for picture in pictures]
    return grid(images, captions, columns)


def grid(images: Sequence[Tensor], captions: Sequence[str], columns: int) -> Tensor:
    """Pictures (h, w, 3) in [0, 1] of any size, each in the middle of a cell: (1, H, W, 3)."""
    width = max(image.shape[1] for image in images) + GAP
    height = max(image.shape[0] for image in images) + GAP + LINES * LINE
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = index % columns * width, index // columns * height
        picture = Image.fromarray(quantise(image).numpy())
        across = (width - picture.width) // 2
        down = (height - LINES * LINE - picture.height) // 2
        sheet.paste(picture, (left + across, top + down))
        below = top + height - LINES * LINE
        for line, text in enumerate(_lines(caption, width)):
            draw.text((left + GAP // 2, below + line * LINE), text, fill=INK, font=font)
    return dequantise(torch.from_numpy(np.array(sheet)))[None]


def _lines(caption: str, width: int) -> list[str]:
    letters = max(width // LETTER, 4)
    return textwrap.wrap(caption, letters, max_lines=LINES, placeholder=" ..")


def report(pixels: Pixels) -> str:
    """What there is, how it is framed, and what is wrong, in lines."""
    dataset = pixels.dataset
    return "\n".join([*_content(dataset), *_frames(pixels), *_faults(dataset)])


def _content(dataset: Dataset) -> Iterator[str]:
    captioned = sum(bool(example.caption) for example in dataset.examples)
    distinct = len([caption for caption in dataset.captions if caption])
    yield f"{dataset.name or 'data set'}: {_many(len(dataset), 'picture')}"
    yield f"captions: {captioned} of {len(dataset)}, {distinct} distinct"
    if dataset.labels:
        counts = Counter(e.label for e in dataset.examples if e.label is not None)
        shown = [f"{label} {count}" for label, count in sorted(counts.items())[:SHOWN]]
        yield f"classes: {len(counts)} ({', '.join(shown)}{_more(len(counts))})"
    hints = Counter(name for example in dataset.examples for name in example.hints)
    for name, count in sorted(hints.items()):
        yield f"hint {name}: {count} of {len(dataset)}"
    yield f"identity: {dataset.identity}"


def _frames(pixels: Pixels) -> Iterator[str]:
    if not len(pixels.dataset):
        return
    sides = [side for example in pixels.dataset.examples for side in example.size]
    yield f"sides: {min(sides)} to {max(sides)} pixels"
    for (width, height), numbers in pixels.buckets.items():
        small = sum(_enlarged(pixels, number) for number in numbers)
        note = f", {small} of them smaller than that" if small else ""
        yield f"size {width} x {height}: {_many(len(numbers), 'picture')}{note}"


def _enlarged(pixels: Pixels, number: int) -> bool:
    width, height = pixels.dataset.examples[number].size
    return width < pixels.sizes[number][0] or height < pixels.sizes[number][1]


def _faults(dataset: Dataset) -> Iterator[str]:
    if not dataset.problems:
        yield "no problems"
        return
    yield f"{_many(len(dataset.problems), 'problem')}:"
    yield from (f"  {problem}" for problem in dataset.problems[:SHOWN])
    if len(dataset.problems) > SHOWN:
        yield f"  and {len(dataset.problems) - SHOWN} more"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _more(count: int) -> str:
    return " ..." if count > SHOWN else ""
