"""The script that makes the gallery's pictures: it reads the page, and runs what stands there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import gallery
from benchmarks.gallery import CAPTIONS, commands, main, make_section, pictures, sections, sheet

ROOT = Path(__file__).parents[1]
PART = """One

```
python main.py run a.json --set 2.text="two words"
python main.py run b.json --models output \\
    --set 1.x=1
```

<img src="images/gallery/x_1.png" width="1"> <img src="images/gallery/x_2.png" width="1">

    make run
"""


def test_a_section_s_commands_and_pictures_are_read() -> None:
    assert commands(PART) == [
        ["main.py", "run", "a.json", "--set", "2.text=two words"],
        ["main.py", "run", "b.json", "--models", "output", "--set", "1.x=1"],
    ]
    assert pictures(PART) == ["images/gallery/x_1.png", "images/gallery/x_2.png"]


def test_every_section_of_the_gallery_has_commands() -> None:
    parts = sections((ROOT / "docs" / "gallery.md").read_text())

    assert len(parts) > 10
    assert all(commands(part) for part in parts.values())


class Runs:
    """Takes the place of a process: each saves so many pictures in its output folder."""

    def __init__(self, count: int) -> None:
        self.count, self.lines = count, []  # type: ignore[var-annotated]

    def __call__(self, line: list[str], **_: Any) -> Any:
        self.lines.append(line)
        output = Path(line[line.index("--output") + 1])
        made = [output / f"{len(self.lines)}_{k}.png" for k in range(self.count)]
        for path in made:
            path.write_text(path.name)
        return subprocess.CompletedProcess(line, 0, "\n".join(map(str, made)) + "\nx.txt\n")


def test_each_command_makes_its_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs = Runs(4)
    monkeypatch.setattr(gallery.subprocess, "run", runs)

    make_section("One", PART, tmp_path)

    texts = [(tmp_path / place).read_text() for place in pictures(PART)]
    assert texts == ["1_0.png", "2_0.png"]
    output = runs.lines[1][runs.lines[1].index("--output") + 1]
    assert runs.lines[1][4:6] == ["--models", output]  # what one saved is there for the next


def test_the_last_command_makes_all_of_them_where_there_are_more_pictures_than_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    three = PART.replace("x_2.png", 'x_2.png"> <img src="images/gallery/x_3.png')
    monkeypatch.setattr(gallery.subprocess, "run", Runs(3))

    make_section("One", three, tmp_path)

    assert [(tmp_path / p).read_text() for p in pictures(three)] == [f"2_{k}.png" for k in range(3)]
    monkeypatch.setattr(gallery.subprocess, "run", Runs(2))
    with pytest.raises(RuntimeError, match="One: 3 pictures are shown, 2 were made"):
        make_section("One", three, tmp_path)


def test_the_sheet_has_every_caption_below_its_picture() -> None:
    page = sheet(iter([Image.new("RGB", (8, 8), "red")] * len(CAPTIONS)))

    rows = -(-len(CAPTIONS) // 8)
    assert page.size == (8 * 136, rows * 160)
    for place in range(len(CAPTIONS)):
        x, y = place % 8 * 136, place // 8 * 160
        assert page.getpixel((x + 68, y + 68)) == (255, 0, 0)
        words = page.crop((x, y + 132, x + 136, y + 160)).convert("L")
        assert words.getextrema()[0] < 200


def test_a_section_that_is_asked_for_is_made_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gallery.subprocess, "run", Runs(4))

    main(["--section", "Text to image", "--docs", str(tmp_path)])

    assert len([*tmp_path.rglob("*.png")]) == 4
