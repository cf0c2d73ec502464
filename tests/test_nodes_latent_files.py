"""Latents to files and back, in the ecosystem's format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from node_support import Desk
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nodegraph import FileMissing, NodeGraphError, SavedFile
from nodes.latent_files import load_latent, save_latent
from nodes.types import Latent

GRAPH = {"1": {"class_type": "SaveLatent", "inputs": {}}}
SAMPLES = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, prompt=GRAPH)


def back(desk: Desk, latent: Latent) -> Latent:
    """Saved, and loaded from where it was saved."""
    [file] = save_latent(latent, context=desk.context).files
    return load_latent(f"{file.subfolder}/{file.filename} [output]", context=desk.context)


def stored(desk: Desk, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> str:
    save_file(tensors, desk.place("input", "x.latent"), metadata)
    return "x.latent"


@pytest.mark.parametrize("mask", [None, torch.rand(2, 1, 24, 40)], ids=["no mask", "mask"])
@pytest.mark.parametrize("index", [None, (4, 2)], ids=["no index", "index"])
@pytest.mark.parametrize("factor", [8, 4, 1])
def test_a_latent_comes_back_as_it_was(
    desk: Desk, mask: Tensor | None, index: tuple[int, ...] | None, factor: int
) -> None:
    loaded = back(desk, Latent(SAMPLES, mask, index, factor))

    assert torch.equal(loaded.samples, SAMPLES)
    assert loaded.batch_index == index
    assert loaded.factor == factor
    assert (loaded.noise_mask is None) == (mask is None)
    if mask is not None:
        assert loaded.noise_mask is not None
        assert torch.equal(loaded.noise_mask, mask)


def test_an_empty_latent_is_saved_as_zeros_and_named_after_its_size(desk: Desk) -> None:
    shown = save_latent(Latent.empty(72, 40, 1), "%width%x%height%", context=desk.context)

    [file] = shown.files
    assert file == SavedFile("72x40_00001_.latent", "", "output", file.sha256)
    loaded = load_latent("72x40_00001_.latent [output]", context=desk.context)
    assert torch.equal(loaded.samples, torch.zeros(1, 4, 5, 9))


def test_a_saved_latent_is_in_the_ecosystems_format_with_its_graph(desk: Desk) -> None:
    shown = save_latent(Latent(SAMPLES), context=desk.context)

    assert shown.as_json() == {
        "latents": [{"filename": "ComfyUI_00001_.latent", "subfolder": "latents", "type": "output"}]
    }
    with safe_open(desk.path(shown.files[0]), framework="pt") as file:
        assert set(file.keys()) == {"latent_tensor", "latent_format_version_0"}
        assert torch.equal(file.get_tensor("latent_tensor"), SAMPLES)
        assert json.loads(file.metadata()["prompt"]) == GRAPH


def test_a_view_is_saved_as_what_it_shows(desk: Desk) -> None:
    turned = SAMPLES.transpose(2, 3)

    assert torch.equal(back(desk, Latent(turned)).samples, turned)


def test_a_latent_of_another_program_is_loaded_at_eight_pixels_a_cell(desk: Desk) -> None:
    name = stored(
        desk, {"latent_tensor": SAMPLES.half(), "latent_format_version_0": torch.empty(0)}
    )

    loaded = load_latent(name, context=desk.context)

    assert loaded.samples.dtype == torch.float32
    assert torch.equal(loaded.samples, SAMPLES.half().float())
    assert (loaded.factor, loaded.noise_mask, loaded.batch_index) == (8, None, None)


def test_an_old_latent_is_brought_to_the_vaes_scale(desk: Desk) -> None:
    loaded = load_latent(stored(desk, {"latent_tensor": SAMPLES}), context=desk.context)

    torch.testing.assert_close(loaded.samples * 0.18215, SAMPLES)


def test_a_loaded_latent_does_not_hang_on_its_file(desk: Desk) -> None:
    mask = torch.rand(2, 1, 64, 64)
    tensors = {
        "latent_tensor": SAMPLES,
        "latent_format_version_0": torch.empty(0),
        "nodegraph.noise_mask": mask,
    }
    path = desk.place("input", stored(desk, tensors))
    loaded = load_latent("x.latent", context=desk.context)

    with path.open("r+b") as file:
        header = int.from_bytes(file.read(8), "little")
        file.seek(8 + header)
        file.write(bytes(SAMPLES.nbytes + mask.nbytes))

    assert torch.equal(loaded.samples, SAMPLES)
    assert loaded.noise_mask is not None
    assert torch.equal(loaded.noise_mask, mask)


@pytest.mark.parametrize(
    ("tensors", "metadata", "complaint"),
    [
        ({"other": SAMPLES}, None, "no tensor latent_tensor"),
        ({"latent_tensor": SAMPLES[0]}, None, r"\(4, 3, 5\), expected \(B, C, h, w\)"),
        ({"latent_tensor": SAMPLES[:0]}, None, r"\(0, 4, 3, 5\)"),
        (
            {"latent_tensor": SAMPLES, "nodegraph.noise_mask": torch.ones(2, 3, 3)},
            None,
            r"mask is \(2, 3, 3\), expected \(B, 1, H, W\)",
        ),
        (
            {"latent_tensor": SAMPLES, "nodegraph.batch_index": torch.tensor([1])},
            None,
            r"index is \[1\], expected one for each",
        ),
        (
            {"latent_tensor": SAMPLES, "nodegraph.batch_index": torch.tensor([1, -1])},
            None,
            r"index is \[1, -1\]",
        ),
        ({"latent_tensor": SAMPLES}, {"nodegraph.factor": "0"}, "factor is 0"),
        ({"latent_tensor": SAMPLES}, {"nodegraph.factor": "eight"}, "'eight'"),
    ],
)
def test_a_file_that_holds_no_latent_is_refused_with_what_is_wrong(
    desk: Desk, tensors: dict[str, Tensor], metadata: dict[str, str] | None, complaint: str
) -> None:
    name = stored(desk, tensors, metadata)

    with pytest.raises(NodeGraphError, match=rf"x\.latent is no latent file.*{complaint}"):
        load_latent(name, context=desk.context)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64])
def test_a_damaged_file_is_refused_by_name(desk: Desk, content: bytes) -> None:
    desk.place("input", "x.latent").write_bytes(content)

    with pytest.raises(NodeGraphError, match=r"x\.latent is no latent file, or is damaged"):
        load_latent("x.latent", context=desk.context)


def test_a_latent_that_is_not_there_is_named(desk: Desk) -> None:
    with pytest.raises(FileMissing, match=r"'x\.latent' is not in"):
        load_latent("x.latent", context=desk.context)


def test_a_latent_that_cannot_be_written_leaves_no_name_reserved(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise MemoryError("no room")

    monkeypatch.setattr("nodes.latent_files.save", full)

    with pytest.raises(MemoryError):
        save_latent(Latent(SAMPLES), "a", context=desk.context)
    assert not list((desk.folder / "output").iterdir())
