"""Files of condition encoders: what goes in comes out, and everything else is refused clearly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_models import equal_states

from nodes.models.clip_config import CLIPConfig
from nodes.models.encoders import (
    CORE,
    ClassConfig,
    ClipImageConfig,
    EncoderConfig,
    PatchConfig,
    SegmentationConfig,
    TokenEncoder,
    fresh,
    read_encoder,
    save_encoder,
)
from nodes.models.encoders.plain import from_json, to_json
from nodes.models.errors import CheckpointError

PATCHES: dict[str, Any] = {"width": 24, "size": (8, 8), "patch": 4, "inner": 16, "layers": 2}
PATCHES |= {"heads": 2, "mlp": 32}
CONFIGS: dict[str, EncoderConfig] = {
    "text": CLIPConfig(vocab=60, width=24, layers=1, heads=2, mlp=8, positions=9, end_token=59),
    "class": ClassConfig(width=24, classes=2, names=("Katze, süß", "dog")),
    "image": PatchConfig(**PATCHES),
    "segmentation": SegmentationConfig(
        **PATCHES, classes=2, palette=((0, 0, 0), (9, 99, 255)), names=("sky", "ground")
    ),
    "depth": PatchConfig(**PATCHES),
    "clip_image": ClipImageConfig(width=24, embedding=8, reads="last_hidden_state"),
}


def made(kind: str) -> TokenEncoder:
    return fresh(CORE[kind], CONFIGS[kind], seed=3)


@pytest.fixture(params=list(CORE))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def saved(tmp_path: Path, kind: str, **options: Any) -> Path:
    path = tmp_path / "some folder" / f"{kind}.safetensors"
    save_encoder(path, kind, CONFIGS[kind], made(kind), **options)
    return path


def test_an_encoder_comes_back_bit_for_bit(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, kind, metadata={"trained": "never"})

    found = read_encoder(path, CORE)

    assert (found.name, found.config) == (kind, CONFIGS[kind])
    assert equal_states(found.load(), made(kind))
    assert found.file.metadata["trained"] == "never"
    assert not any(p.requires_grad for p in found.load().parameters())
    for name, parameter in made(kind).state_dict().items():
        assert torch.equal(found.tensor(name), parameter)
    with pytest.raises(KeyError):
        found.tensor("nothing of that name")


def test_half_precision_is_written_and_read(tmp_path: Path) -> None:
    path = saved(tmp_path, "image", dtype=torch.float16)

    module = read_encoder(path, CORE).load(torch.bfloat16)

    assert read_encoder(path, CORE).file.dtypes()["positions"] == torch.float16
    assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}
    expected = made("image").get_parameter("positions").half().bfloat16()
    assert torch.equal(module.get_parameter("positions"), expected)


def test_others_read_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path, "class")

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        assert metadata["format"] == "nodegraph.condition_encoder"
        assert metadata["kind"] == "class"
        assert json.loads(metadata["config"])["names"] == ["Katze, süß", "dog"]
        table = made("class").get_parameter("embedding.weight")
        assert torch.equal(file.get_tensor("embedding.weight"), table)


def test_a_file_that_cannot_be_written_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "class.safetensors"
    module = made("class").requires_grad_(False)
    module.get_parameter("embedding.weight").fill_(1e6)

    with pytest.raises(CheckpointError, match="numbers beyond float16"):
        save_encoder(path, "class", CONFIGS["class"], module, dtype=torch.float16)

    assert not list(tmp_path.iterdir())


# -- latent diffusion's own ------------------------------------------------------------------------


def test_the_classes_of_a_latent_diffusion_checkpoint_are_read(tmp_path: Path) -> None:
    table = torch.randn(1001, 16)
    tensors = {
        "cond_stage_model.embedding.weight": table,
        "model.diffusion_model.out.0.weight": torch.zeros(4),
    }
    save_file(tensors, tmp_path / "cin.safetensors")
    torch.save({"state_dict": tensors}, tmp_path / "cin.ckpt")

    for name in ("cin.safetensors", "cin.ckpt"):
        found = read_encoder(tmp_path / name, CORE, ckpt=True)
        module = found.load()
        assert (found.name, found.config) == ("class", ClassConfig(width=16, classes=1000))
        assert torch.equal(module(torch.tensor([281])), table[281].view(1, 1, 16))
        assert torch.equal(module.null(torch.tensor([281])), table[1000].view(1, 1, 16))


def test_a_pickle_needs_leave(tmp_path: Path) -> None:
    torch.save({"cond_stage_model.embedding.weight": torch.zeros(3, 4)}, tmp_path / "cin.ckpt")

    with pytest.raises(CheckpointError, match="read only on request"):
        read_encoder(tmp_path / "cin.ckpt", CORE)


# -- what is refused -------------------------------------------------------------------------------


def rewritten(path: Path, metadata: dict[str, str | None], **tensors: Any) -> Path:
    """The file with other metadata and tensors; None takes one out."""
    with safe_open(path, "pt") as file:
        said = {**file.metadata(), **metadata}
        held = {name: file.get_tensor(name) for name in file.keys()} | tensors  # noqa: SIM118
    kept = {name: tensor for name, tensor in held.items() if tensor is not None}
    save_file(kept, path, {name: text for name, text in said.items() if text is not None})
    return path


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"kind": "smell"},
            "of kind 'smell', which is not known here; there are text, class, image",
        ),
        ({"kind": None}, "of kind '', which is not known"),
        ({"config": None}, "damaged configuration of kind depth: Expecting value"),
        ({"config": "[]"}, "damaged configuration of kind depth: expected a JSON object"),
        ({"config": "{}"}, "damaged configuration of kind depth: it lacks width"),
        ({"config": "[" * 100_000}, "nested too deeply"),
        ({"format": "pt"}, 'is no condition encoder: expected metadata with the format "nodegraph'),
        ({"format": None}, "is no condition encoder"),
    ],
)
def test_metadata_that_says_something_else_is_refused(
    tmp_path: Path, metadata: dict[str, str | None], message: str
) -> None:
    path = rewritten(saved(tmp_path, "depth"), metadata)

    with pytest.raises(CheckpointError, match=message) as caught:
        read_encoder(path, CORE)

    assert str(caught.value).startswith("some folder/depth.safetensors: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": "24"}, "width is '24'; expected int"),
        ({"width": True}, "width is True; expected int"),
        ({"size": [8]}, r"size is \(8,\); expected tuple\[int, int\]"),
        ({"colour": 1}, "it has colour, which this kind does not know"),
        ({"heads": 3}, "16 is no multiple of 3 heads"),
        ({"layers": 10**12}, "layers: expected 0 to 256"),
        ({"layers": 3}, "missing: the file is incomplete"),
        ({"layers": 1}, "not part of the architecture"),
        ({"width": 25}, r"project.weight has shape \(24, 16\), but .* \(25, 16\)"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = saved(tmp_path, "depth")
    config = json.dumps({**json.loads(to_json(CONFIGS["depth"])), **change})

    with pytest.raises(CheckpointError, match=message):
        read_encoder(rewritten(path, {"config": config}), CORE)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"positions": None}, "the tensor positions is missing"),
        ({"more": torch.zeros(1)}, "the tensor more is not part"),
        ({"nothing": torch.zeros(15)}, r"nothing has shape \(15,\)"),
        ({"nothing": torch.zeros(16, dtype=torch.int32)}, "nothing has the dtype torch.int32"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    tmp_path: Path, tensors: dict[str, Any], message: str
) -> None:
    path = rewritten(saved(tmp_path, "depth"), {}, **tensors)

    with pytest.raises(CheckpointError, match=message):
        read_encoder(path, CORE)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "image")
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(CheckpointError, match="cut short"):
        read_encoder(path, CORE)


def test_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(2, 2)}, path)

    with pytest.raises(CheckpointError, match="is no condition encoder: expected metadata"):
        read_encoder(path, CORE)


# -- configurations as text ------------------------------------------------------------------------


@dataclass(frozen=True)
class Odd:
    width: int
    share: float = 0.5
    flag: bool = False
    mode: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ()
    pairs: tuple[tuple[int, str], ...] = ()
    limit: int | None = None


@given(
    st.builds(
        Odd,
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.sampled_from(["a", "b"]),
        st.lists(st.text(), max_size=3).map(tuple),
        st.lists(st.tuples(st.integers(), st.text()), max_size=3).map(tuple),
        st.none() | st.integers(),
    )
)
@settings(max_examples=50, deadline=None)
def test_any_configuration_comes_back(odd: Odd) -> None:
    assert from_json(Odd, to_json(odd)) == odd


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("mode", "c"), ("names", "abc"), ("names", [1]), ("pairs", [[1]]), ("pairs", [[1, 2]])],
        *[("limit", "1"), ("share", "1"), ("flag", 1), ("width", 1.0), ("width", None)],
    ],
)
def test_a_field_of_another_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} is "):
        from_json(Odd, json.dumps({"width": 1, field: value}))


def test_a_whole_number_is_a_float_where_one_is_wanted() -> None:
    assert from_json(Odd, '{"width": 1, "share": 2}').share == 2
