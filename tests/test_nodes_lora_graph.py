"""LoRA in whole graphs on the embedded model, under ComfyUI's names: stacked, changed, saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_files import write
from node_support import settings_in
from torch import Tensor

import nodes
from nodegraph import Engine
from nodes.models.checkpoint import inspect
from nodes.models.clip_config import CLIPConfig

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "models" / "checkpoints" / "emoji.safetensors"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("lora graph")
    (folder / "models" / "checkpoints").mkdir(parents=True)
    (folder / "models" / "checkpoints" / CHECKPOINT.name).symlink_to(CHECKPOINT)
    for seed, name in enumerate("ab"):
        lora(folder, name, seed)
    settings = settings_in(folder, plugins=(ROOT / "plugins",))
    with Engine(nodes.modules(), settings) as made:
        yield made


def lora(folder: Path, name: str, seed: int) -> None:
    """Random changes of rank 2 to some of the embedded model's attention."""
    info = inspect(CHECKPOINT)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for part, home in (("unet", "lora_unet_"), ("text", "lora_te_")):
        for key, shape in info.parts[part].shapes.items():  # type: ignore[index]
            if key.endswith(("attn1.to_v.weight", "attn2.to_q.weight", "mlp.fc1.weight")):
                module = home + key.removesuffix(".weight").replace(".", "_")
                up = torch.randn(shape[0], 2, generator=generator)
                down = torch.randn(2, shape[1], generator=generator) * 0.02
                tensors |= {f"{module}.lora_up.weight": up, f"{module}.lora_down.weight": down}
    write(folder / "models" / "loras" / f"{name}.safetensors", tensors)


def graph(*stack: tuple[str, float], checkpoint: str = CHECKPOINT.name) -> dict[str, Any]:
    def entry(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    document = {"1": entry("CheckpointLoaderSimple", ckpt_name=checkpoint)}
    last = "1"
    for number, (name, strength) in enumerate(stack):
        document[f"lora{number}"] = entry(
            "LoraLoader",
            model=[last, 0],
            clip=[last, 1],
            lora_name=f"{name}.safetensors",
            strength_model=strength,
            strength_clip=strength,
        )
        last = f"lora{number}"
    document["2"] = entry("CLIPTextEncode", text="cat face", clip=[last, 1])
    document["3"] = entry("EmptyLatentImage", width=64, height=64, batch_size=1)
    document["4"] = entry(
        "KSampler",
        model=[last, 0],
        seed=7,
        steps=2,
        cfg=1.0,
        sampler_name="euler",
        scheduler="normal",
        positive=["2", 0],
        negative=["2", 0],
        latent_image=["3", 0],
        denoise=1.0,
    )
    document["5"] = entry("CheckpointSave", model=[last, 0], clip=[last, 1], vae=["1", 2])
    return document


def latent(engine: Engine, document: dict[str, Any]) -> Tensor:
    samples = engine.run(document, targets=["4"]).require()["4"][0].samples
    assert isinstance(samples, Tensor)
    return samples


def test_a_stack_gives_the_same_pixels_in_any_order(engine: Engine) -> None:
    plain = latent(engine, graph())
    one = latent(engine, graph(("a", 0.8)))

    stacked = latent(engine, graph(("a", 0.8), ("b", -0.5)))
    turned = latent(engine, graph(("b", -0.5), ("a", 0.8)))

    assert torch.equal(stacked, turned)
    assert len({float(x.sum()) for x in (plain, one, stacked)}) == 3
    assert torch.equal(latent(engine, graph(("a", 0.0), ("b", 0.0))), plain)


def test_a_changed_file_of_the_same_name_is_noticed(engine: Engine) -> None:
    folder = engine.folders.models[0].parent
    lora(folder, "c", 5)
    before = latent(engine, graph(("c", 1.0)))

    lora(folder, "c", 6)

    assert not torch.equal(latent(engine, graph(("c", 1.0))), before)
    lora(folder, "c", 5)
    assert torch.equal(latent(engine, graph(("c", 1.0))), before)


def test_a_saved_checkpoint_draws_the_same_without_its_lora(engine: Engine) -> None:
    patched = latent(engine, graph(("a", 0.8)))
    result = engine.run(graph(("a", 0.8)), targets=["5"]).require()
    [file] = result.shown["5"].files

    saved = file.under(engine.folders.folder("output"))
    saved.rename(engine.folders.models[0] / "checkpoints" / "mine.safetensors")

    assert file.filename == "ComfyUI_00001_.safetensors"
    assert torch.equal(latent(engine, graph(checkpoint="mine.safetensors")), patched)
    config = inspect(engine.folders.models[0] / "checkpoints" / "mine.safetensors").text
    assert isinstance(config, CLIPConfig)
