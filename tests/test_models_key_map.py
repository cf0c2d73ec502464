"""Key maps: files of a further layout read as ones that are known, bit for bit the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lora_files import whole
from node_support import Desk
from safetensors.torch import load_file
from safetensors.torch import save_file as save_tensors
from tiny_pipelines import save_file, save_folder, tiny

from nodegraph import Context
from nodes.loaders import load_checkpoint, load_vae
from nodes.lora import load_lora
from nodes.models.checkpoint import inspect, load, read_tensor
from nodes.models.errors import CheckpointError
from nodes.models.key_map import NO_MAPS, KeyMap, RenamedFile, renamed
from nodes.models.lora_file import read_lora
from nodes.models.weights import open_weights


def toy(names: Collection[str]) -> Mapping[str, str]:
    """The toy layout: `toy/` and the known name with slashes for dots."""
    return {
        name: name.removeprefix("toy/").replace("/", ".")
        for name in names
        if name.startswith("toy/")
    }


TOY: Mapping[str, KeyMap] = {"none": lambda names: {}, "toy": toy}


def in_toy_layout(path: Path) -> Path:
    """The same file in the toy layout, beside it; one tensor keeps its name."""
    tensors = load_file(path)
    first = min(tensors)
    made = path.with_name(f"toy {path.name}")
    spelled = {
        name if name == first else "toy/" + name.replace(".", "/"): tensor
        for name, tensor in tensors.items()
    }
    save_tensors(spelled, made)
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("maps"))
    folder = desk.place("diffusers", "tiny")
    save_folder(tiny("sd1"), folder)
    for kind, name in (("checkpoints", "sd1.safetensors"), ("vae", "vae.safetensors")):
        parts = ("vae",) if kind == "vae" else ("unet", "text", "vae")
        save_file(folder, desk.place(kind, name), parts=parts)
        in_toy_layout(desk.place(kind, name))
    whole(desk.place("loras", "lora.safetensors"), tiny("sd1"), seed=1)
    in_toy_layout(desk.place("loras", "lora.safetensors"))
    return desk.folder


@pytest.fixture
def desk(home: Path) -> Desk:
    return Desk(home)


@pytest.fixture
def context(desk: Desk) -> Context:
    return replace(desk.context, extensions={"key_maps": TOY})


@pytest.mark.parametrize("part", ["unet", "text", "vae"])
def test_a_checkpoint_of_a_further_layout_has_the_same_weights(desk: Desk, part: str) -> None:
    known = inspect(desk.place("checkpoints", "sd1.safetensors"))
    mapped = inspect(desk.place("checkpoints", "toy sd1.safetensors"), maps=TOY)

    ours = load(mapped, part, dtype=torch.float32).state_dict()  # type: ignore[call-overload]
    theirs = load(known, part, dtype=torch.float32).state_dict()  # type: ignore[call-overload]

    assert mapped.parts[part].config == known.parts[part].config  # type: ignore[index]
    assert mapped.unknown == known.unknown
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    name = next(iter(theirs))
    again = read_tensor(mapped, part, name, dtype=torch.float32)  # type: ignore[arg-type]
    assert torch.equal(again, theirs[name])


def test_without_the_map_it_is_no_checkpoint(desk: Desk) -> None:
    path = desk.place("checkpoints", "toy sd1.safetensors")

    for maps in (NO_MAPS, {"none": TOY["none"]}):
        with pytest.raises(CheckpointError, match="toy sd1"):
            inspect(path, maps=maps)


def test_known_layouts_are_read_as_before(desk: Desk) -> None:
    path = desk.place("checkpoints", "sd1.safetensors")

    assert inspect(path, maps=TOY).parts.keys() == inspect(path).parts.keys()
    file = open_weights(path)
    assert renamed(file, TOY) is file


def test_the_loaders_use_the_maps_that_are_registered(desk: Desk, context: Context) -> None:
    found = load_checkpoint("toy sd1.safetensors", context=context)
    vae = load_vae("toy vae.safetensors", context=context)

    with desk.models.lease(found.model.source, "cpu") as unet:
        assert sum(weight.numel() for weight in unet.parameters()) > 0
    assert (vae.factor, found.model.channels) == (2, 4)


def test_a_lora_of_a_further_layout_changes_what_it_says(desk: Desk, context: Context) -> None:
    parts = load_checkpoint("sd1.safetensors", context=context)
    patched = [
        load_lora(parts.model, parts.clip, name, 0.7, 0.3, context=context)
        for name in ("lora.safetensors", "toy lora.safetensors")
    ]

    for part in ("model", "clip"):
        weights = []
        for each in patched:
            with desk.models.lease(getattr(each, part).source, "cpu") as module:
                weights.append({name: w.clone() for name, w in module.state_dict().items()})
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert desk.warnings == []


def test_the_modules_of_a_lora_go_by_their_new_names(desk: Desk) -> None:
    known = read_lora(desk.place("loras", "lora.safetensors"))
    mapped = read_lora(desk.place("loras", "toy lora.safetensors"), maps=TOY)

    assert mapped.modules.keys() == known.modules.keys()
    assert mapped.unknown == known.unknown


def test_a_file_reads_by_its_new_names_whole_and_in_blocks(tmp_path: Path) -> None:
    wide = torch.arange(12.0).reshape(6, 2)
    save_tensors({"old": wide, "same": torch.ones(1)}, tmp_path / "a.safetensors")

    file = RenamedFile(open_weights(tmp_path / "a.safetensors"), {"old": "new"})

    assert file.shapes() == {"new": (6, 2), "same": (1,)}
    assert torch.equal(file.read("new"), wide)
    with file.reader() as read:
        assert torch.equal(read("new", block=1, blocks=3), wide[2:4])
        with pytest.raises(CheckpointError, match="there is no tensor old"):
            read("old")
        with pytest.raises(CheckpointError, match="new has shape"):
            read("new", block=0, blocks=4)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"gone": "new"}, "the key map odd renames gone, which is not in it"),
        ({"a": "b"}, "the key map odd calls 2 tensors b"),
        ({"a": "c", "b": "c"}, "the key map odd calls 2 tensors c"),
    ],
)
def test_a_map_that_makes_no_sense_is_named(
    tmp_path: Path, answer: dict[str, str], complaint: str
) -> None:
    save_tensors({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.safetensors")
    file = open_weights(tmp_path / "a.safetensors")

    with pytest.raises(CheckpointError, match=complaint):
        renamed(file, {"odd": lambda names: answer})


def test_two_names_may_be_swapped(tmp_path: Path) -> None:
    save_tensors({"a": torch.zeros(1), "b": torch.ones(1)}, tmp_path / "a.safetensors")

    file = renamed(open_weights(tmp_path / "a.safetensors"), {"s": lambda _: {"a": "b", "b": "a"}})

    assert (file.read("a").item(), file.read("b").item()) == (1.0, 0.0)
