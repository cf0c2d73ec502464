"""Every example workflow, run as users run it: by the engine, on the embedded model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from seeded_lora import save_seeded_lora
from torch import Tensor

import nodes
from nodegraph import CancelToken, Engine, Settings
from nodegraph.events import Event, Progress
from nodes.imaging.files import decode
from nodes.imaging.metadata import metadata_json

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
# The others train for long; tests/test_workflows_training.py and _ddpm.py run them short.
TRAINING = ("train_emoji", "train_ddpm")
DRAWING = [path for path in WORKFLOWS if not path.stem.startswith(TRAINING)]
CHECKPOINT = ROOT / "models" / "checkpoints" / "emoji.safetensors"
LORAS = ("emoji-style.safetensors", "emoji-colour.safetensors")  # none are trained
SIZES = {"regional_prompts": (64, 160)}  # height and width, where not 64 x 64
BATCHES = {"compare_samplers", "hints"}  # of four pictures, whatever the size of the latents
PARTS = (slice(0, 48), slice(112, 160))  # of regional_prompts, where one prompt counts
FEW = 5  # steps; more than the first stage of two_stage has


def settings(folder: Path, **options: Any) -> Settings:
    return Settings(
        models=(ROOT / "models", folder / "models"),
        input=ROOT / "input",
        output=folder / "output",
        temp=folder / "temp",
        cache=folder / "cache",
        plugins=(ROOT / "plugins",),
        device="cpu",
        **{"precision": "fp32", "disk_cache_bytes": 0, **options},
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("workflows")
    for seed, name in enumerate(LORAS):
        save_seeded_lora(CHECKPOINT, folder / "models" / "loras" / name, seed)
    with Engine(nodes.modules(), settings(folder)) as made:
        assert not made.plugin_errors
        yield made


def workflow(name: str) -> Path:
    return ROOT / "workflows" / f"{name}.json"


def short(path: Path) -> dict[str, int]:
    """The values that make it quick."""
    document = json.loads(path.read_text())
    return {
        f"{id}.{name}": value
        for id, entry in document.items()
        for name, value in (("steps", FEW), ("batch_size", 1))
        if name in entry["inputs"]
    }


def pictures(engine: Engine, source: Any, values: dict[str, Any] | None = None) -> list[Path]:
    """The pictures that a run saved."""
    result = engine.run(source, values or {}).require()
    return [
        file.under(engine.folders.folder(file.type))
        for shown in result.shown.values()
        for file in shown.files
        if file.filename.endswith(".png")
    ]


def pixels(path: Path) -> Tensor:
    return decode(path).image[0]


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().mean())


@pytest.mark.parametrize("path", DRAWING, ids=lambda path: path.stem)
def test_a_workflow_runs_and_saves_pictures_that_carry_it(engine: Engine, path: Path) -> None:
    saved = pictures(engine, path, short(path))

    assert len(saved) == (4 if path.stem in BATCHES else 1)
    for picture in saved:
        assert pixels(picture).shape == (*SIZES.get(path.stem, (64, 64)), 3)
        assert float(pixels(picture).std()) > 0.1
        texts = metadata_json(picture)
        document = json.loads(path.read_text())
        types = {id: entry["class_type"] for id, entry in document.items()}
        assert {id: e["class_type"] for id, e in texts["prompt"].items()} == types


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_listed_in_the_readme(path: Path) -> None:
    assert f"`{path.name}`" in (ROOT / "workflows" / "README.md").read_text()


def test_the_manifest_names_the_model_by_content_the_seed_and_the_precision(
    engine: Engine,
) -> None:
    path = workflow("text_to_image")

    [saved] = pictures(engine, path, {**short(path), "5.seed": 99})

    manifest = metadata_json(saved)["nodegraph"]
    checkpoint = ROOT / "models" / "checkpoints" / "emoji.safetensors"
    [model] = [file for file in manifest["files"] if file["kind"] == "checkpoints"]
    assert model["sha256"] == engine.hashes.sha256(checkpoint)
    assert manifest["seeds"] == {"5.seed": 99}
    assert manifest["precision"] == "fp32"
    assert {"nodegraph", "torch", "device"} <= set(manifest)


def test_a_saved_picture_run_again_gives_the_same_pixels(engine: Engine, tmp_path: Path) -> None:
    path = workflow("ddpm_ancestral")
    [saved] = pictures(engine, path, {**short(path), "7.noise_seed": 3})

    with Engine(nodes.modules(), settings(tmp_path, memory_cache_bytes=0)) as other:
        [again] = pictures(other, saved)

    assert again != saved
    assert torch.equal(pixels(again), pixels(saved))
    assert metadata_json(again)["prompt"] == metadata_json(saved)["prompt"]


def test_text_to_image_draws_the_cat_that_comes_along_as_an_input(engine: Engine) -> None:
    saved = pictures(engine, workflow("text_to_image"), {"4.batch_size": 1})

    assert difference(pixels(saved[0]), pixels(ROOT / "input" / "example.png")) < 0.01


def test_inpainting_keeps_what_is_not_transparent_and_draws_the_rest_anew(
    engine: Engine,
) -> None:
    [saved] = pictures(engine, workflow("inpaint"))

    before, after = pixels(ROOT / "input" / "example.png"), pixels(saved)
    assert torch.equal(after[:, :28], before[:, :28])
    assert difference(after[:, 36:], before[:, 36:]) > 0.1


def test_outpainting_keeps_the_middle_and_draws_the_sides_anew(engine: Engine) -> None:
    [saved] = pictures(engine, workflow("outpaint"), {"9.steps": FEW})

    middle, given = pixels(saved)[:, 28:36], pixels(ROOT / "input" / "example.png")[:, 28:36]
    assert float((middle - given).abs().max()) < 1.01 / 255
    left, grey = pixels(saved)[:, :12], 127 / 255
    assert float((left - grey).abs().mean()) > 0.2


def test_image_to_image_with_no_denoising_gives_the_picture_back(engine: Engine) -> None:
    path = workflow("image_to_image")

    kept = pictures(engine, path, {**short(path), "6.denoise": 0.0})
    changed = pictures(engine, path, short(path))

    before = pixels(ROOT / "input" / "example.png")
    assert difference(pixels(kept[0]), before) < 0.04
    assert difference(pixels(changed[0]), before) > 0.05


def test_two_stages_with_one_prompt_are_one(engine: Engine) -> None:
    staged = pictures(
        engine, workflow("two_stage"), {**short(workflow("two_stage")), "4.text": "red apple"}
    )
    whole = pictures(
        engine,
        workflow("text_to_image"),
        {
            **short(workflow("text_to_image")),
            "2.text": "red apple",
            "5.sampler_name": "euler",
            "5.scheduler": "normal",
        },
    )

    assert float((pixels(staged[0]) - pixels(whole[0])).abs().max()) <= 1.5 / 255


def test_ddim_and_euler_agree_and_samplers_with_noise_differ(engine: Engine) -> None:
    path = workflow("compare_samplers")

    euler, ancestral, ddpm, ddim = (pixels(p) for p in pictures(engine, path, short(path)))

    assert float((euler - ddim).abs().max()) <= 1.5 / 255
    assert difference(euler, ancestral) > 0.005
    assert difference(euler, ddpm) > 0.005


@pytest.mark.parametrize("name", ["controlnet", "two_controlnets"])
def test_a_controlnet_at_strength_0_gives_the_picture_without_it(engine: Engine, name: str) -> None:
    path = workflow(name)
    applied = {
        f"{id}.strength": 0.0
        for id, entry in json.loads(path.read_text()).items()
        if entry["class_type"] == "ControlNetApplyAdvanced"
    }

    [with_it] = pictures(engine, path, short(path))
    [without] = pictures(engine, path, {**short(path), **applied})

    plain = {**short(workflow("text_to_image")), "2.text": "panda"}
    [never] = pictures(engine, workflow("text_to_image"), plain)
    assert torch.equal(pixels(without), pixels(never))
    assert difference(pixels(with_it), pixels(never)) > 0.005


def test_loras_can_be_stacked_in_any_order(engine: Engine) -> None:
    path = workflow("lora_stack")
    first, second = LORAS
    swapped = {
        **{"8.lora_name": second, "8.strength_model": -0.5, "8.strength_clip": 0.0},
        **{"9.lora_name": first, "9.strength_model": 0.8, "9.strength_clip": 0.8},
    }

    [one] = pictures(engine, path, short(path))
    [other] = pictures(engine, path, {**short(path), **swapped})
    [alone] = pictures(engine, path, {**short(path), "9.strength_model": 0.0})

    assert torch.equal(pixels(one), pixels(other))
    assert difference(pixels(one), pixels(alone)) > 0.001


def test_a_graph_in_the_ecosystems_names_shares_its_results_with_ours(engine: Engine) -> None:
    path = workflow("upscale_latent")
    document = json.loads(path.read_text())
    theirs = {"LoadCheckpoint": "CheckpointLoaderSimple", "CLIPEncode": "CLIPTextEncode"}
    for entry in document.values():
        entry["class_type"] = theirs.get(entry["class_type"], entry["class_type"])
    ours = engine.run(path, short(path), targets=["8"]).require()

    result = engine.run(document, short(path), targets=["8"]).require()

    assert torch.equal(result["8"][0], ours["8"][0])
    assert {account.status for account in result.accounts} == {"cached"}


def test_a_prompt_of_one_region_changes_that_region_most(engine: Engine) -> None:
    path = workflow("regional_prompts")

    one, other = (
        pixels(pictures(engine, path, {**short(path), "2.text": text})[0])
        for text in ("cat face", "soccer ball")
    )

    left, right = (difference(one[:, part], other[:, part]) for part in PARTS)
    assert left > 2 * right


def test_a_node_that_fails_is_named_with_what_to_do(engine: Engine) -> None:
    document = json.loads(workflow("text_to_image").read_text())
    document["9"] = {"class_type": "LoadVAE", "inputs": {"vae_name": "pixel_space"}}
    document["6"]["inputs"]["vae"] = ["9", 0]

    result = engine.run(document, short(workflow("text_to_image")))

    assert str(result.errors["6"]) == (
        "node 6 (VAEDecode) failed: the latent has 4 channels, but this VAE decodes 3: "
        "take the VAE that belongs to the model that made the latent"
    )


def test_a_run_is_cancelled_within_a_step_of_the_sampler(engine: Engine) -> None:
    token = CancelToken()
    steps: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, Progress):
            steps.append(event.value)
            if event.value == 2:
                token.cancel()

    values = {"5.seed": 123456, "4.batch_size": 1}
    result = engine.run(workflow("text_to_image"), values, emit=watch, cancel=token)

    assert result.cancelled
    assert steps == [1, 2]
