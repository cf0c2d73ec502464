"""What the rows of a class embedding stand for: checked, written into files, read from them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nodes.models.checkpoint import load
from nodes.models.checkpoint_info import inspect
from nodes.models.checkpoint_metadata import Declared
from nodes.models.class_table import ClassTable
from nodes.models.errors import ArchitectureError, CheckpointError
from nodes.models.fresh import fresh_unet
from nodes.models.save import save_original
from nodes.models.unet_config import UNetConfig

# As guided-diffusion builds them: learned variance, scale-shift norm, resampling residual blocks.
ADM = UNetConfig(
    3, 6, 64, (1, 2), (1, 1), (0, 1), 1, head_channels=64, num_classes=5,
    scale_shift_norm=True, resblock_updown=True,
)  # fmt: skip
COLOURS = ClassTable(4, ("red", "green", "blue", "ümber"), null=True)


def saved(path: Path, declared: Declared, config: UNetConfig = ADM) -> Path:
    save_original(path, declared, unet=fresh_unet(config, 0))
    return path


def test_the_null_class_is_a_row_more_after_all_classes() -> None:
    assert (COLOURS.rows, COLOURS.null_number) == (5, 4)
    assert (ClassTable(4).rows, ClassTable(4).null_number) == (4, None)


@pytest.mark.parametrize(
    ("classes", "names", "complaint"),
    [
        (0, (), "at least 1, got 0"),
        (2, ("a",), "expected 2, one for each class, got 1"),
        (2, ("a", "a"), "two classes are called 'a'"),
    ],
)
def test_numbers_and_names_that_do_not_fit_are_refused(
    classes: int, names: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(ArchitectureError, match=complaint):
        ClassTable(classes, names)


def test_a_file_says_which_classes_there_are(tmp_path: Path) -> None:
    info = inspect(saved(tmp_path / "m.safetensors", Declared(classes=COLOURS)))

    assert info.classes == COLOURS
    assert info.declared.classes == COLOURS
    assert info.unet == ADM


def test_the_layout_of_guided_diffusion_is_read_and_every_row_of_it_is_a_class(
    tmp_path: Path,
) -> None:
    unet = fresh_unet(ADM, 0)
    path = tmp_path / "classes.safetensors"
    save_file(unet.state_dict(), path)

    info = inspect(path)

    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(path).items()}
    assert shapes["label_emb.weight"] == (5, 4 * 64)  # (classes, E)
    assert shapes["time_embed.2.weight"] == (4 * 64, 4 * 64)
    assert shapes["input_blocks.1.0.emb_layers.1.weight"] == (2 * 64, 4 * 64)  # scale and shift
    assert shapes["input_blocks.3.1.qkv.weight"] == (3 * 128, 128, 1)
    assert (info.unet, info.classes) == (ADM, ClassTable(5))
    rows = load(info, "unet", dtype=torch.float32).state_dict()["label_emb.weight"]
    assert torch.equal(rows, unet.state_dict()["label_emb.weight"])


def test_a_file_without_classes_says_nothing_of_them(tmp_path: Path) -> None:
    config = replace(ADM, num_classes=None)
    path = saved(tmp_path / "m.safetensors", Declared(classes=COLOURS), config)

    assert inspect(path).classes is None
    assert b"nodegraph.classes" not in path.read_bytes()


def test_what_is_said_has_to_fit_the_rows_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    said = {"nodegraph.classes": json.dumps(asdict(replace(COLOURS, null=False)))}
    save_original(path, Declared(), unet=fresh_unet(ADM, 0), metadata=said)

    with pytest.raises(CheckpointError, match=r"tell of 4 rows in the class embedding, which has"):
        inspect(path)


@pytest.mark.parametrize(
    "said",
    [
        "no JSON",
        "[]",
        "7",
        "{}",
        '{"classes": "5", "names": [], "null": false}',
        '{"classes": true, "names": [], "null": false}',
        '{"classes": 5, "names": "abcde", "null": false}',
        '{"classes": 5, "names": [1, 2, 3, 4, 5], "null": false}',
        '{"classes": 5, "names": [], "null": 1}',
        '{"classes": 5, "names": ["a"], "null": false}',
    ],
)
def test_damaged_metadata_are_named(tmp_path: Path, said: str) -> None:
    path = tmp_path / "m.safetensors"
    metadata = {"nodegraph.classes": said}
    save_original(path, Declared(), unet=fresh_unet(ADM, 0), metadata=metadata)

    with pytest.raises(CheckpointError, match=r"nodegraph\.classes"):
        inspect(path)


def test_the_name_of_an_untrained_file_without_classes_is_what_it_was() -> None:
    assert "classes" not in repr(Declared(prediction="eps"))
