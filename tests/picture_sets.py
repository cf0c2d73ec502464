"""Folders of small pictures whose every pixel is known, for tests of what is trained on."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nodes.training.dataset import Dataset, Entry, Listing, of_listing


def save(path: Path, values: Any) -> Path:
    """A picture of (H, W), (H, W, 3) or (H, W, 4) values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)
    return path


def flat(path: Path, colour: tuple[int, ...] = (9, 9, 9), size: tuple[int, int] = (4, 4)) -> Path:
    """A picture of one colour; size is (width, height)."""
    return save(path, np.full((size[1], size[0], len(colour)), colour, np.uint8))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def rows(path: Path, *lines: Mapping[str, Any]) -> Path:
    return write(path, "\n".join(json.dumps(line) for line in lines))


def png(values: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.asarray(values)).save(stream, "PNG")
    return stream.getvalue()


def coordinates(width: int, height: int) -> np.ndarray[Any, Any]:
    """(H, W, 3) whose red is the column, green the row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)


def of_arrays(*pictures: Any, hints: Mapping[str, Any] | None = None) -> Dataset:
    """A data set of pictures in memory, the hints the same for all, captions "0", "1" ..."""
    beside = {name: png(values) for name, values in (hints or {}).items()}
    entries = [
        Entry(f"{number:03}", png(values), str(number), hints=beside)
        for number, values in enumerate(pictures)
    ]
    return of_listing(Listing(entries), "arrays")


def levels(pixels: Tensor) -> Tensor:
    """Values in [-1, 1] as 0 .. 255."""
    return ((pixels + 1) * 127.5).round().to(torch.int64)
