"""The workflows that train the embedded model, with few steps on few emoji, and what runs them."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from few_emoji import all_emoji, engine_on, needs_font
from safetensors import safe_open

from nodegraph import Engine, RunResult
from nodes.imaging.files import decode
from nodes.models.checkpoint_info import inspect
from nodes.models.controlnet_file import inspect_controlnet

ROOT = Path(__file__).parents[1]
MOST = 40 << 20  # bytes that a file of the embedded model may have
SMALL = {
    "EmojiDataset": {"size": 32},
    "SplitDataset": {"limit": 10, "validation": 0.2},
    "PickFromDataset": {"captions": "*a*"},
    "TrainingRecipe": {"steps": 2, "batch": 2, "arithmetic": "fp32", "compiled": False},
    "TrainAutoencoder": {"resolution": 32},
    "TrainDiffusion": {"resolution": 32, "prompts": "cat face"},
    "TrainControlNet": {"resolution": 32},
    "ShowDataset": {"resolution": 32, "count": 2},
    "EmptyLatentImage": {"batch_size": 1, "width": 32, "height": 32},
    "KSampler": {"steps": 2},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """On every 80th emoji."""
    with engine_on(all_emoji()[::80], tmp_path_factory.mktemp("training")) as made:
        yield made


def small(name: str) -> dict[str, Any]:
    document = json.loads((ROOT / "workflows" / f"{name}.json").read_text())
    return {
        f"{id}.{port}": value
        for id, entry in document.items()
        for port, value in SMALL.get(entry["class_type"], {}).items()
    }


def trained(engine: Engine, name: str) -> tuple[Path, Path]:
    """The model and the picture that a workflow saved."""
    result = engine.run(ROOT / "workflows" / f"{name}.json", small(name)).require()
    model, picture = sorted(saved(engine, result), key=lambda path: path.suffix, reverse=True)
    assert (model.suffix, picture.suffix) == (".safetensors", ".png")
    assert model.stat().st_size < MOST
    assert float(decode(picture).image.std()) > 0
    return model, picture


def saved(engine: Engine, result: RunResult) -> list[Path]:
    return [
        file.under(engine.folders.folder(file.type))
        for shown in result.shown.values()
        for file in shown.files
        if file.type == "output"
    ]


def runs(engine: Engine) -> dict[str, int]:
    """How many runs of each kind there are."""
    names = [path.name.partition("-")[0] for path in engine.folders.output.glob("training/*")]
    return {name: names.count(name) for name in names}


@needs_font
def test_the_autoencoder_is_trained_once_for_its_own_graph_and_the_model_s(
    engine: Engine,
) -> None:
    vae, _ = trained(engine, "train_emoji_autoencoder")
    assert set(inspect(vae).parts) == {"vae"}
    assert runs(engine) == {"autoencoder": 1}

    model, picture = trained(engine, "train_emoji")
    assert runs(engine) == {"autoencoder": 1, "diffusion": 2}
    assert decode(picture).image.shape == (1, 32, 32, 3)
    info = inspect(model)
    assert set(info.parts) == {"unet", "text", "vae"}
    with safe_open(vae, "pt") as alone, safe_open(model, "pt") as whole:  # type: ignore[no-untyped-call]
        for name in alone.keys():  # noqa: SIM118  (it is no mapping)
            assert torch.equal(
                alone.get_tensor(name), whole.get_tensor(f"first_stage_model.{name}")
            )
        assert {whole.get_tensor(name).dtype for name in whole.keys()} == {torch.float16}  # noqa: SIM118


@needs_font
def test_the_large_model_fits_into_a_file_of_40_mib(engine: Engine) -> None:
    model, _ = trained(engine, "train_emoji_gpu")

    assert set(inspect(model).parts) == {"unet", "text", "vae"}


@needs_font
@pytest.mark.parametrize("kind", ["edges", "silhouettes"])
def test_a_controlnet_is_trained_for_the_embedded_model(engine: Engine, kind: str) -> None:
    before = (
        runs(engine).get("controlnet", 0) if (engine.folders.output / "training").exists() else 0
    )
    model, _ = trained(engine, f"train_emoji_{kind}")

    assert inspect_controlnet(model).config.unet.model_channels == 64  # type: ignore[union-attr]
    assert runs(engine)["controlnet"] == before + 1


@needs_font
def test_a_model_that_reads_a_map_is_trained_from_the_embedded_one(engine: Engine) -> None:
    path = ROOT / "workflows" / "train_emoji_condition.json"
    values = {**small("train_emoji_condition"), "5.resolution": 32}

    result = engine.run(path, values).require()

    [picture] = saved(engine, result)
    assert decode(picture).image.shape == (1, 32, 32, 3)
    [encoder] = engine.folders.output.glob("training/*/encoder.safetensors")
    with safe_open(encoder, "pt") as file:  # type: ignore[no-untyped-call]
        assert file.metadata()["kind"] == "depth"


# -- one after the other ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driver() -> ModuleType:
    path = ROOT / "workflows" / "train_embedded.py"
    spec = importlib.util.spec_from_file_location("train_embedded", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["train_embedded"] = made  # where dataclasses look their module up
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("gpu", [False, True])
def test_each_stage_sets_what_its_graph_has(
    driver: ModuleType, engine: Engine, gpu: bool, tmp_path: Path
) -> None:
    for stage in driver.stages(gpu):
        document = json.loads((ROOT / "workflows" / f"{stage.graph}.json").read_text())
        by_title = {entry["_meta"]["title"]: entry for entry in document.values()}
        for value in stage.values:
            name, _, _ = value.partition("=")
            title, _, port = name.rpartition(".")
            kind = engine.registry.nodes[by_title[title]["class_type"]]
            assert port in {known.name for known in kind.inputs}
        savers = [e for e in document.values() if e["class_type"].endswith("Save")]
        assert len(savers) == 1  # what is copied to stage.result


WAITS = """
import signal, sys, time
def stop(*_):
    print("saved", file=sys.stderr)
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
time.sleep(60)
"""


def test_a_stage_is_interrupted_when_its_time_is_up(driver: ModuleType) -> None:
    began = time.monotonic()

    found = driver.run([sys.executable, "-c", WAITS], began + 1)

    assert found == driver.TIME_UP
    assert time.monotonic() - began < 30


def test_a_stage_that_fails_ends_all(
    driver: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(driver, "NICE", 0)
    monkeypatch.setattr(
        driver.Stage, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(4)"]
    )

    assert driver.main(["--models", str(tmp_path)]) == 4
    assert list(tmp_path.iterdir()) == []


def test_what_the_stages_save_is_put_where_the_next_one_looks_for_it(
    driver: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(driver, "NICE", 0)

    def command(stage: Any, options: list[str]) -> list[str]:
        assert options == ["--models", str(tmp_path / "models"), "--cache", "x"]
        (tmp_path / f"{stage.graph}.safetensors").write_text(stage.graph)
        said = f"{tmp_path / stage.graph}.safetensors\n{tmp_path / 'a.png'}"
        return [sys.executable, "-c", f"print({said!r})"]

    monkeypatch.setattr(driver.Stage, "command", command)

    assert driver.main(["--models", str(tmp_path / "models"), "--cache", "x"]) == 0

    found = {
        str(path.relative_to(tmp_path / "models")): path.read_text()
        for path in (tmp_path / "models").rglob("*.safetensors")
    }
    assert found == {
        "vae/emoji-trained.safetensors": "train_emoji_autoencoder",
        "checkpoints/emoji-trained.safetensors": "train_emoji",
        "controlnet/emoji-trained-edges.safetensors": "train_emoji_edges",
        "controlnet/emoji-trained-silhouettes.safetensors": "train_emoji_silhouettes",
    }
