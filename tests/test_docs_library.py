"""The examples of docs/library.md, run as they stand there."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.settings import Settings

HOME = Path(__file__).parent.parent
TEXT = (HOME / "docs" / "library.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(autouse=True)
def home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder like the one the examples are written for, whose output is thrown away."""
    for name in ("models", "workflows"):
        (tmp_path / name).symlink_to(HOME / name)
    monkeypatch.chdir(tmp_path)


def run(number: int) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[number], "library.md", "exec"), names)  # our own documentation
    return names


def test_the_first_example_makes_a_picture_and_streams_events(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = run(0)

    assert names["images"].shape == (1, 64, 64, 3)
    assert names["images"].dtype == torch.float32
    assert 0 <= names["images"].min() < names["images"].max() <= 1
    assert names["files"] == [Path("output/text_to_image_00001_.png")]
    assert names["files"][0].is_file()
    assert capsys.readouterr().out.startswith("RunStarted(")


def test_the_settings_of_the_example_are_settings() -> None:
    assert run(1)["settings"] == Settings(
        models=(Path("models"), Path("/data/comfyui/models")), output=Path("pictures")
    )


def test_the_faults_are_those_the_text_shows() -> None:
    shown = re.findall(r"```\n(unknown_input.*?)```", TEXT, re.DOTALL)

    assert run(2)["faults"] == shown[0].splitlines()


def test_the_watched_run_is_cancelled_at_its_third_step() -> None:
    names = run(3)

    assert names["result"].cancelled
    assert names["finished"] == {}
    assert "KSampler: 3 of 31" in names["log"]
    assert "KSampler: 4 of 31" not in names["log"]
    assert names["log"][0].startswith("LoadCheckpoint took ")


def test_every_example_is_run_here() -> None:
    assert len(BLOCKS) == 4
