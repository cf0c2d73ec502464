"""What docs/datasets.md shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from picture_sets import flat, rows, write

from nodes.training.dataset import read_dataset
from nodes.training.hints import HintMaker, add_hints
from nodes.training.image_folder import read_image_folder

TEXT = (Path(__file__).parent.parent / "docs/datasets.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(code: str) -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": "example"}
    exec(code, found)
    return found


def test_the_folder_of_the_example_is_read_as_the_page_says(tmp_path: Path) -> None:
    flat(tmp_path / "apple.jpg")
    write(tmp_path / "apple.txt", "a red apple")
    flat(tmp_path / "apple_mask.png")
    flat(tmp_path / "pears/conference.jpg")

    apple, pear = read_dataset(tmp_path, read_image_folder).examples

    assert (apple.caption, list(apple.hints), apple.label) == ("a red apple", ["mask"], None)
    assert pear.label == "pears"


def test_the_row_of_the_example_is_read_as_the_page_says(tmp_path: Path) -> None:
    flat(tmp_path / "img/1.jpg")
    flat(tmp_path / "d/1.png")
    (line,) = re.findall(r'^\{"file_name".*\}$', TEXT, re.MULTILINE)
    write(tmp_path / "metadata.jsonl", line)

    (example,) = read_dataset(tmp_path, read_image_folder).examples

    assert (example.caption, example.label, list(example.hints)) == (
        "a red apple",
        "apple",
        ["depth"],
    )


def test_the_batch_of_the_example_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        flat(tmp_path / f"input/fruit/{name}.png", size=(80, 60))
    monkeypatch.chdir(tmp_path)

    made = run(blocks()[0])

    assert made["x"].shape == (2, 3, 48, 80)


def test_the_reader_and_the_hint_of_the_example_work(tmp_path: Path) -> None:
    flat(tmp_path / "set/red_apple.png", (51, 51, 51))
    rows(tmp_path / "set/metadata.jsonl", {})
    made = run(blocks()[1])
    readers, hints = made["READERS"], made["HINTS"]
    maker: HintMaker = hints.entries["brightness"]

    dataset = read_dataset(tmp_path / "set", readers.entries["by name"])
    more = add_hints(dataset, "b", "brightness", maker, tmp_path, lambda *_: None)

    assert dataset.captions == ("red apple",)
    assert more.hints == ("b",)
    assert (readers.point, hints.point) == ("dataset_readers", "dataset_hints")
    torch.testing.assert_close(
        maker.make(torch.full((1, 2, 2, 3), 0.2)), torch.full((1, 2, 2), 0.2)
    )
