"""Files of networks that enlarge pictures: what is read of them, and which are refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fake_spandrel
import pytest
import torch
from safetensors.torch import save_file

from nodes.models.errors import CheckpointError, ModelError
from nodes.models.upscaler import inspect_upscaler


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_spandrel.install(monkeypatch)


def stored(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file(tensors, path)
    return path


@pytest.mark.usefixtures("spandrel")
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_file_says_its_scale_architecture_and_bytes(tmp_path: Path, scale: int) -> None:
    path = stored(tmp_path / "a.safetensors", fake_spandrel.weights(scale))

    file = inspect_upscaler(path)

    assert (file.scale, file.architecture) == (scale, "Shuffle")
    assert file.nbytes == 4 * (3 * scale**2 * 27 + 1)


@pytest.mark.usefixtures("spandrel")
def test_a_built_network_enlarges_colours_in_float32_and_is_closed_to_training(
    tmp_path: Path,
) -> None:
    weights = {name: w.half() for name, w in fake_spandrel.weights(2, blur=0).items()}
    x = torch.rand(1, 3, 4, 5)

    network = inspect_upscaler(stored(tmp_path / "a.safetensors", weights)).build()

    assert torch.equal(network(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert not network.training
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.usefixtures("spandrel")
@pytest.mark.parametrize("nested", [None, "params_ema", "params"])
def test_a_pickle_is_read_on_request_alone(tmp_path: Path, nested: str | None) -> None:
    weights: Any = fake_spandrel.weights(2)
    torch.save({nested: weights} if nested else weights, tmp_path / "a.pth")

    with pytest.raises(CheckpointError, match=r"a\.pth: is a PyTorch checkpoint.*--allow-ckpt"):
        inspect_upscaler(tmp_path / "a.pth")
    file = inspect_upscaler(tmp_path / "a.pth", ckpt=True)

    assert file.scale == 2
    assert torch.equal(file.build().network.enlarge.weight, weights["enlarge.weight"])


@pytest.mark.usefixtures("spandrel")
def test_a_pickle_with_code_in_it_is_refused(tmp_path: Path) -> None:
    torch.save({"enlarge.weight": Path("x")}, tmp_path / "a.pth")

    with pytest.raises(CheckpointError, match="is refused: it holds more than weights"):
        inspect_upscaler(tmp_path / "a.pth", ckpt=True)


@pytest.mark.usefixtures("spandrel")
@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"foo": torch.zeros(2)}, "is no network that spandrel knows: UnsupportedModelError"),
        (
            {"enlarge.weight": torch.zeros(12, 3, 1, 1)},
            "is no network that spandrel knows: Error",
        ),
        ({"mask_conv.weight": torch.zeros(2)}, "is a network that takes more than a picture"),
        ({"enlarge.weight": torch.zeros(12, 1, 3, 3)}, "takes 1 channels and gives 1; expected"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, tensors: dict[str, torch.Tensor], message: str
) -> None:
    path = stored(tmp_path / "odd.safetensors", tensors)

    with pytest.raises(CheckpointError, match=rf"odd\.safetensors: {message}"):
        inspect_upscaler(path)


def test_without_spandrel_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)

    with pytest.raises(ModelError, match="pip install spandrel, with the torchvision"):
        inspect_upscaler(tmp_path / "a.safetensors")


def test_a_spandrel_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spandrel", raising=False)
    (tmp_path / "spandrel.py").write_text("raise RuntimeError('operator nms does not exist')")

    with pytest.raises(ModelError, match=r"beside torch \d.*\(operator nms does not exist\)"):
        inspect_upscaler(tmp_path / "a.safetensors")
