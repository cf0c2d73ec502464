"""The workflow that trains DDPM on pixels and samples it with its three variances, made short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from node_support import settings_in
from training_desk import SIZE, squares

import nodes
from nodegraph import Engine, RunResult
from nodes.imaging.files import decode

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / "workflows" / "train_ddpm.json"
SMALL: dict[str, dict[str, Any]] = {
    "SplitDataset": {"validation": 0.34},
    "NewUNet": {"channels": 32, "multipliers": "1", "blocks": "1", "depths": "0"},
    "TrainingRecipe": {"steps": 20, "batch": 2, "rate": 3e-3, "warmup": 1, "ema": 0.0},
    "TrainDiffusion": {"resolution": SIZE},
    "EmptyLatentImage": {"width": SIZE, "height": SIZE, "batch_size": 2},
    "BasicScheduler": {"steps": 20},
    "BitsPerDimension": {"resolution": SIZE, "count": 1},
}
DATA = {"class_type": "LoadImageFolder", "inputs": {"folder": "squares"}}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("ddpm")
    squares(folder / "input" / "squares")
    with Engine(nodes.modules(), settings_in(folder)) as made:
        yield made


def small() -> dict[str, Any]:
    """The workflow on squares in place of emoji, with few steps."""
    document: dict[str, Any] = json.loads(WORKFLOW.read_text())
    for entry in document.values():
        entry["inputs"] |= SMALL.get(entry["class_type"], {})
    (emoji,) = (id for id, entry in document.items() if entry["class_type"] == "EmojiDataset")
    return {**document, emoji: DATA}


@pytest.fixture(scope="module")
def result(engine: Engine) -> RunResult:
    return engine.run(small()).require()


def test_a_learned_variance_is_trained_and_sampled_beside_beta_and_beta_tilde(
    engine: Engine, result: RunResult
) -> None:
    files = [file for shown in result.shown.values() for file in shown.files]
    drawn = {
        file.filename.removeprefix("train_ddpm_").partition("_0")[0]: decode(
            file.under(engine.folders.folder(file.type))
        ).image
        for file in files
    }
    assert set(drawn) == {"learned", "beta", "beta_tilde"}
    assert all(picture.shape == (1, SIZE, SIZE, 3) for picture in drawn.values())
    assert all(float(picture.std()) > 0.05 for picture in drawn.values())
    for one, other in pairwise([*drawn.values(), drawn["learned"]]):
        assert float((one - other).abs().mean()) > 0.002


def test_the_bound_falls_with_the_loss_and_its_report_has_three_terms(
    engine: Engine, result: RunResult
) -> None:
    (history,) = engine.folders.output.glob("training/*/history.jsonl")
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    assert lines[-1]["simple"] < lines[0]["simple"]
    assert all(line["bound"] > 0 for line in lines)
    (text,) = (shown.values["text"][0] for shown in result.shown.values() if "text" in shown.values)
    assert [line.partition(":")[0] for line in text.splitlines()[1:]] == [
        "L_0", "L_1 to L_(T-1)", "L_T",
    ]  # fmt: skip
