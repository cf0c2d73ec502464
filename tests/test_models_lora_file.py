"""What a LoRA file holds: every format's names, sizes off the header, files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lora_files import write
from torch import Tensor

from nodes.models.adapters import Adapter, Orthogonal
from nodes.models.errors import CheckpointError
from nodes.models.lora_file import LoraFile, read_lora

OUT, IN, RANK = 6, 4, 2


def rand(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def read(path: Path, tensors: dict[str, Tensor], **metadata: str) -> LoraFile:
    return read_lora(write(path / "l.safetensors", tensors, **metadata))


def only(lora: LoraFile) -> tuple[str, Adapter, Tensor | None]:
    """The name of a file's one module, its change and DoRA's lengths."""
    [(name, module)] = lora.modules.items()
    with lora.file.reader() as get:
        return name, lora.adapter(module, get), lora.magnitude(module, get)


UP, DOWN = rand(OUT, RANK), rand(RANK, IN)


@pytest.mark.parametrize(
    ("up", "down", "module"),
    [
        ("lora_unet_a_b.lora_up.weight", "lora_unet_a_b.lora_down.weight", "lora_unet_a_b"),
        ("unet.a.b.lora.up.weight", "unet.a.b.lora.down.weight", "unet.a.b"),
        ("x.b.lora_linear_layer.up.weight", "x.b.lora_linear_layer.down.weight", "x.b"),
        ("unet.a.to_q.lora_B.weight", "unet.a.to_q.lora_A.weight", "unet.a.to_q"),
        ("unet.a.to_q.lora_B.default.weight", "unet.a.to_q.lora_A.default.weight", "unet.a.to_q"),
        ("a.processor.to_k_lora.up.weight", "a.processor.to_k_lora.down.weight", "a.to_k"),
        ("a.processor.to_out_lora.up.weight", "a.processor.to_out_lora.down.weight", "a.to_out.0"),
    ],
)
def test_every_formats_pair_is_one_module(tmp_path: Path, up: str, down: str, module: str) -> None:
    lora = read(tmp_path, {up: UP, down: DOWN})

    name, adapter, magnitude = only(lora)

    assert name == module
    torch.testing.assert_close(adapter.product(), UP @ DOWN)
    assert magnitude is None
    assert lora.size(lora.modules[module]) == (OUT, OUT * IN)
    assert not lora.unknown


def pair(module: str = "m", **more: Tensor) -> dict[str, Tensor]:
    named = {f"{module}.{role}": tensor for role, tensor in more.items()}
    return {f"{module}.lora_up.weight": UP, f"{module}.lora_down.weight": DOWN, **named}


def test_alpha_scales_by_the_rank(tmp_path: Path) -> None:
    _, adapter, _ = only(read(tmp_path, pair(alpha=torch.tensor(3.0))))

    torch.testing.assert_close(adapter.product(), 1.5 * UP @ DOWN)


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"unet.lora_alpha": 6}, 3.0),
        ({"unet.lora_alpha": 6, "unet.use_rslora": True}, 6 / 2**0.5),
        ({"unet.lora_alpha": 6, "unet.alpha_pattern": {"a.b": 1}}, 0.5),
        ({"unet.lora_alpha": 6, "unet.alpha_pattern": {"x.b": 1}}, 3.0),
        ({"text_encoder.lora_alpha": 6}, 1.0),
        ({"unet.lora_alpha": "six"}, 1.0),
        ([], 1.0),
    ],
)
def test_pefts_alpha_stands_in_the_metadata(tmp_path: Path, settings: object, scale: float) -> None:
    tensors = {"unet.a.b.lora_B.weight": UP, "unet.a.b.lora_A.weight": DOWN}

    lora = read(tmp_path, tensors, lora_adapter_metadata=json.dumps(settings))

    torch.testing.assert_close(only(lora)[1].product(), scale * UP @ DOWN)


def test_metadata_that_is_no_json_is_passed_over(tmp_path: Path) -> None:
    lora = read(tmp_path, pair(), lora_adapter_metadata="{")

    torch.testing.assert_close(only(lora)[1].product(), UP @ DOWN)


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in pair().items()}

    assert only(read(tmp_path, halves))[1].product().dtype == torch.float32


@pytest.mark.parametrize(
    ("role", "given", "expected"),
    [
        ("dora_scale", (OUT, 1), (OUT, 1)),
        ("dora_scale", (1, IN), (1, IN)),
        ("lora_magnitude_vector", (OUT,), (OUT, 1)),
        ("lora_magnitude_vector.weight", (1, OUT, 1, 1), (OUT, 1)),
        ("lora_magnitude_vector.default.weight", (OUT,), (OUT, 1)),
    ],
)
def test_doras_lengths_have_two_names(
    tmp_path: Path, role: str, given: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    _, _, magnitude = only(read(tmp_path, pair(**{role: rand(*given)})))

    assert magnitude is not None
    torch.testing.assert_close(magnitude, rand(*given).reshape(expected))


def test_a_convolutions_middle_has_a_size_of_its_own(tmp_path: Path) -> None:
    tensors = {
        "m.lora_up.weight": rand(OUT, RANK, 1, 1),
        "m.lora_down.weight": rand(RANK, IN, 1, 1),
        "m.lora_mid.weight": rand(RANK, RANK, 3, 3),
    }

    lora = read(tmp_path, tensors)

    assert lora.size(lora.modules["m"]) == (OUT, OUT * IN * 9)
    assert only(lora)[1].product().shape == (OUT, IN, 3, 3)


def loha(*kernel: int) -> dict[str, Tensor]:
    down = {"m.hada_w1_b": rand(RANK, IN), "m.hada_w2_b": rand(RANK, IN) + 1}
    if not kernel:
        return {"m.hada_w1_a": rand(OUT, RANK), "m.hada_w2_a": rand(OUT, RANK) - 1, **down}
    cores = {"m.hada_t1": rand(RANK, RANK, *kernel), "m.hada_t2": rand(RANK, RANK, *kernel)}
    return {"m.hada_w1_a": rand(RANK, OUT), "m.hada_w2_a": rand(RANK, OUT), **down, **cores}


@pytest.mark.parametrize("kernel", [(), (3, 3)])
def test_loha_is_read(tmp_path: Path, kernel: tuple[int, ...]) -> None:
    tensors = loha(*kernel)

    lora = read(tmp_path, {**tensors, "m.alpha": torch.tensor(1.0)})

    product = only(lora)[1].product()
    size = OUT * IN * (9 if kernel else 1)
    assert lora.size(lora.modules["m"]) == (OUT, size)
    assert product.numel() == size
    if not kernel:
        first, second = (tensors[f"m.hada_w{i}_a"] @ tensors[f"m.hada_w{i}_b"] for i in (1, 2))
        torch.testing.assert_close(product, 0.5 * first * second)


@pytest.mark.parametrize(
    ("tensors", "shape", "scale"),
    [
        ({"lokr_w1": (2, 2), "lokr_w2": (3, 2)}, (OUT, IN), 1.0),
        ({"lokr_w1": (2, 2), "lokr_w2_a": (3, 5), "lokr_w2_b": (5, 2)}, (OUT, IN), 0.2),
        ({"lokr_w1_a": (2, 5), "lokr_w1_b": (5, 2), "lokr_w2": (3, 2)}, (OUT, IN), 0.2),
        ({"lokr_w1": (2, 2), "lokr_w2": (3, 2, 3, 3)}, (OUT, IN, 3, 3), 1.0),
        (
            {
                "lokr_w1": (2, 2),
                "lokr_w2_a": (5, 3),
                "lokr_w2_b": (5, 2),
                "lokr_t2": (5, 5, 3, 3),
            },
            (OUT, IN, 3, 3),
            0.2,
        ),
        ({"lokr_w1": (2, 2), "lokr_w2_a": (3, 5), "lokr_w2_b": (5, 2, 3, 3)}, (OUT, IN, 3, 3), 0.2),
    ],
)
def test_lokr_is_read(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], shape: tuple[int, ...], scale: float
) -> None:
    given = {f"m.{role}": rand(*size) for role, size in tensors.items()}

    lora = read(tmp_path, {**given, "m.alpha": torch.tensor(1.0)})

    product = only(lora)[1].product()
    assert lora.size(lora.modules["m"]) == (shape[0], torch.Size(shape).numel())
    assert product.reshape(shape).shape == shape
    if "lokr_w1" in tensors and "lokr_w2_a" in tensors and "lokr_t2" not in tensors:
        second = given["m.lokr_w2_a"] @ given["m.lokr_w2_b"].flatten(1)
        blocks = product.reshape(2, 3, 2, -1)
        expected = given["m.lokr_w1"][0, 1] * second.reshape(3, 2, -1)[:, 1]
        found = product.reshape(OUT, IN, -1)[:3, 3]
        assert blocks.shape[0] == 2
        torch.testing.assert_close(found, scale * expected)


def test_whole_differences_of_weight_and_bias(tmp_path: Path) -> None:
    lora = read(tmp_path, {"m.diff": rand(OUT, IN), "m.diff_b": rand(OUT), "n.b_norm": rand(3)})

    first, second = lora.modules["m"], lora.modules["n"]
    assert (first.changes_weight, first.changes_bias) == (True, True)
    assert (second.changes_weight, second.changes_bias) == (False, True)
    assert lora.size(first) == (OUT, OUT * IN)
    with lora.file.reader() as get:
        torch.testing.assert_close(lora.adapter(first, get).product(), rand(OUT, IN))


@pytest.mark.parametrize(("alpha", "limit"), [(None, 0.0), (0.0, 0.0), (0.01, 0.06)])
def test_ofts_alpha_is_a_limit_for_each_row(
    tmp_path: Path, alpha: float | None, limit: float
) -> None:
    more = {} if alpha is None else {"m.alpha": torch.tensor(alpha)}
    blocks = rand(3, 2, 2)

    lora = read(tmp_path, {"m.oft_blocks": blocks, "m.rescale": rand(OUT, 1), **more})

    found = only(lora)[1]
    assert isinstance(found, Orthogonal)
    assert found.limit == pytest.approx(limit)
    assert torch.equal(found.generators, blocks)
    assert found.rescale is not None
    assert torch.equal(found.rescale, rand(OUT, 1))
    assert lora.size(lora.modules["m"]) == (OUT, None)


def test_boft_is_not_read(tmp_path: Path) -> None:
    boft = {"m.oft_blocks": rand(2, 3, 2, 2), "m.alpha": torch.tensor(0.0), "m.rescale": rand(6, 1)}

    lora = read(tmp_path, {**pair("n"), **boft})

    assert (set(lora.modules), lora.unknown) == ({"n"}, ("m.oft_blocks",))


def test_tensors_without_a_role_are_listed(tmp_path: Path) -> None:
    lora = read(tmp_path, {**pair(), "m.oft_blocks": rand(2), "other": rand(2)})

    assert set(lora.unknown) == {"m.oft_blocks", "other"}


# -- files that are none ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (["a.weight", "b.weight"], r"it holds 2 tensors \(a\.weight, b\.weight\)"),
        (["a", "b", "c", "d"], r"it holds 4 tensors \(a, b, c, \.\.\.\)"),
        (["m.alpha"], "is no LoRA"),
        (["emb_params"], "it holds an embedding: put it into embeddings"),
        (
            ["model.diffusion_model.output_blocks.0.x", "first_stage_model.decoder.up.0.x"],
            "it holds a UNet and a VAE: load it with a checkpoint's loader",
        ),
    ],
)
def test_a_file_that_is_no_lora_says_what_it_holds(
    tmp_path: Path, tensors: list[str], says: str
) -> None:
    with pytest.raises(CheckpointError, match=f"is no LoRA: .*{says}|{says}"):
        read(tmp_path, {name: rand(2) for name in tensors})


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (["m.lora_up.weight"], "m has up, but no down"),
        (["m.lora_mid.weight"], "m has mid, but no up, down"),
        (["m.hada_w1_a", "m.hada_w1_b"], "but no hada_w2_a, hada_w2_b"),
        (["m.lokr_w1"], "m has lokr_w1, but no lokr_w2"),
        (["m.lokr_w1", "m.lokr_w2_a"], "but no lokr_w2_b"),
        (["m.dora_scale"], "m has dora_scale alone"),
    ],
)
def test_half_of_a_change_is_an_error(tmp_path: Path, tensors: list[str], says: str) -> None:
    with pytest.raises(CheckpointError, match=f"is incomplete: .*{says}"):
        read(tmp_path, {name: rand(2, 2) for name in tensors})
