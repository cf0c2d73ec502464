"""Files of weights: safetensors, shards, PyTorch checkpoints, and what people have instead."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from nodes.models.errors import CheckpointError, ModelError
from nodes.models.weights import open_weights

TENSORS = {
    "w": torch.arange(12, dtype=torch.float32).view(3, 4),
    "h": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "b": torch.tensor([[0.5], [3.0]], dtype=torch.bfloat16),
    "i": torch.tensor(7, dtype=torch.int64),
    "none": torch.empty(0, 5),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path, metadata={"kind": "test"})
    return path


def with_header(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def fault(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_weights(path, **options)
    assert str(caught.value).startswith(f"{path.parent.name}/{path.name}: ")
    assert caught.value.path == path
    return caught.value.fault


def test_names_shapes_dtypes_and_metadata_are_known_without_reading_data(file: Path) -> None:
    weights = open_weights(file)

    assert weights.shapes() == {name: tuple(t.shape) for name, t in TENSORS.items()}
    assert weights.dtypes() == {name: t.dtype for name, t in TENSORS.items()}
    assert weights.metadata == {"kind": "test"}


def test_every_tensor_is_read_back_as_it_was_written(file: Path) -> None:
    weights = open_weights(file)

    for name, tensor in TENSORS.items():
        found = weights.read(name)
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(
            st.sampled_from(
                [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int8]
            ),
            st.lists(st.integers(0, 4), max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_file_the_library_writes_is_read_as_the_library_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
    described: dict[str, tuple[torch.dtype, list[int]]],
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.safetensors"
    save_file({n: torch.randint(0, 9, s).to(d) for n, (d, s) in described.items()}, path)

    weights = open_weights(path)

    for name, expected in load_file(path).items():
        found = weights.read(name)
        assert found.dtype == expected.dtype
        assert torch.equal(found.float(), expected.float())


def test_a_part_of_a_tensor_is_read_alone(file: Path) -> None:
    with open_weights(file).reader() as read:
        assert read("w", block=1, blocks=3).tolist() == [[4.0, 5.0, 6.0, 7.0]]


def test_a_tensor_that_cannot_be_divided_is_named(file: Path) -> None:
    weights = open_weights(file)

    with weights.reader() as read, pytest.raises(CheckpointError, match=r"w has shape \(3, 4\)"):
        read("w", block=0, blocks=2)


def test_a_tensor_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no tensor nowhere"):
        open_weights(file).read("nowhere")


def test_what_was_read_does_not_notice_that_the_file_is_overwritten(file: Path) -> None:
    weights = open_weights(file)
    tensor = weights.read("w")

    with file.open("r+b") as overwritten:
        overwritten.truncate(0)
        overwritten.write(b"\xff" * 4096)

    assert torch.equal(tensor, TENSORS["w"])


def test_a_file_replaced_after_it_was_opened_is_refused(file: Path) -> None:
    weights = open_weights(file)
    other = file.with_suffix(".new")
    save_file({name: tensor + 1 for name, tensor in TENSORS.items()}, other)
    other.replace(file)

    with pytest.raises(CheckpointError, match="changed since it was inspected"):
        weights.read("w")


def test_a_file_cut_short_while_it_is_read_is_an_error_and_not_a_crash(file: Path) -> None:
    with open_weights(file).reader() as read:
        os.truncate(file, file.stat().st_size - 60)

        with pytest.raises(CheckpointError, match="is cut short: it ends at byte"):
            read("w")


@pytest.mark.parametrize("kept", [1, 7, 8, 9, 100, -1, -40])
def test_a_truncated_file_is_called_cut_short(file: Path, kept: int) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:kept])

    assert "cut short" in fault(file) or "does not begin like one" in fault(file)


def test_a_truncated_file_says_how_much_is_there(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:-10])

    assert fault(file) == "is cut short: 54 of 64 bytes of tensors are there: download it again"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty (0 bytes)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"\n\n  <html>not found</html>", "is a web page"),
        (b'{"error": "not found"}', "is JSON text"),
        (b"GGUF\x03\x00\x00\x00rest of it", "is a GGUF file"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00", "compressed with gzip"),
        (b"PK\x03\x04\x00\x00\x08\x08\x00\x00", "is a PyTorch checkpoint (a pickle)"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", "is a PyTorch checkpoint (a pickle)"),
        (b"nothing in particular", "is no safetensors file"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "its header would be 18,446,744,073,709,551,615"),
    ],
)
def test_what_is_no_safetensors_file_is_called_by_its_name(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)

    assert expected in fault(path)


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (b"{not json", 0, "no valid JSON"),
        (b"{" + b'"a":[' * 100_000, 0, "no valid JSON"),
        ({"w": {"dtype": "F32"}}, 8, "no dtype, shape and place for w"),
        ({"w": entry(shape=[-2])}, 8, "no dtype, shape and place for w"),
        ({"w": entry(shape="ab")}, 8, "no dtype, shape and place for w"),
        ({"w": entry(shape=[True])}, 4, "no dtype, shape and place for w"),
        ({"w": entry(data_offsets=[0])}, 8, "no dtype, shape and place for w"),
        ({"w": []}, 8, "no dtype, shape and place for w"),
        ({"w": entry(dtype="Q4")}, 8, "w has the dtype Q4; expected one of F64, F32"),
        ({"w": entry(shape=[3])}, 8, "w takes 8 bytes, but F32 of shape (3,) is 12"),
        ({"w": entry(), "v": entry()}, 8, "begins at byte 0, not 8"),
        ({"w": entry(data_offsets=[4, 12])}, 12, "w begins at byte 4, not 0"),
        ({"w": entry()}, 9, "has 1 bytes more than its header accounts for"),
        ({"__metadata__": [], "w": entry()}, 8, "__metadata__ is no table"),
    ],
)
def test_a_damaged_header_is_described(
    tmp_path: Path, header: Any, size: int, expected: str
) -> None:
    path = with_header(tmp_path / "model.safetensors", header, b"\0" * size)

    assert expected in fault(path)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_header_damaged_anywhere_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    save_file(TENSORS, path)
    data = bytearray(path.read_bytes())
    for place, byte in flips:
        data[place % len(data)] = byte
    path.write_bytes(data)

    with contextlib.suppress(CheckpointError):
        weights = open_weights(path)
        for name, info in weights.tensors.items():
            assert weights.read(name).shape == info.shape


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    assert fault(tmp_path / "none.safetensors") == "does not exist"
    assert fault(tmp_path) == "is a folder; expected a file of weights"


def test_every_error_about_a_file_is_a_model_error() -> None:
    assert issubclass(CheckpointError, ModelError)


def test_shards_are_read_as_one_file(tmp_path: Path) -> None:
    save_file({"w": TENSORS["w"]}, tmp_path / "model-1.safetensors")
    save_file({"h": TENSORS["h"]}, tmp_path / "model-2.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    homes = {"w": "model-1.safetensors", "h": "model-2.safetensors"}
    index.write_text(json.dumps({"weight_map": homes}))

    weights = open_weights(index)

    assert weights.shapes() == {"w": (3, 4), "h": (2,)}
    assert torch.equal(weights.read("h"), TENSORS["h"])
    with weights.reader() as read:
        assert torch.equal(read("w", block=2, blocks=3), TENSORS["w"][2:])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("nonsense", 'expected JSON with a "weight_map"'),
        ("[]", 'expected JSON with a "weight_map"'),
        ('{"weight_map": {}}', "names no tensors"),
        ('{"weight_map": {"w": "../model.safetensors"}}', "which is not beside it"),
        ('{"weight_map": {"w": "/etc/passwd"}}', "which is not beside it"),
        ('{"weight_map": {"q": "model.safetensors"}}', "places q in model.safetensors"),
    ],
)
def test_a_damaged_index_is_described(file: Path, content: str, expected: str) -> None:
    index = file.with_name("model.safetensors.index.json")
    index.write_text(content)

    assert expected in fault(index)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"w": "model-1.safetensors"}}')

    with pytest.raises(CheckpointError, match=r"model-1\.safetensors: does not exist"):
        open_weights(index)


# --- PyTorch checkpoints -----------------------------------------------------------------------


@pytest.fixture
def lightning() -> Iterator[dict[str, Any]]:
    """Extras as PyTorch Lightning leaves them; its modules exist only while the file is written."""
    before = set(sys.modules)
    callbacks = module_with("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    parsing = module_with("pytorch_lightning.utilities.parsing", "AttributeDict", dict)
    yield {
        "epoch": 3,
        "global_step": np.float64(5.0),
        "history": np.arange(3.0),
        "callbacks": {callbacks: {"best": np.int64(3)}, "one": callbacks()},
        "hyper_parameters": parsing(rate=0.1, inner=parsing()),
        "seen": collections.defaultdict(dict, {1: {}}),
    }
    for name in set(sys.modules) - before:
        if name.startswith("pytorch_lightning"):
            del sys.modules[name]


def module_with(path: str, name: str, base: type = object) -> Any:
    parts = path.split(".")
    for end in range(1, len(parts) + 1):
        prefix = ".".join(parts[:end])
        sys.modules.setdefault(prefix, types.ModuleType(prefix))
    kind = type(name, (base,), {"__module__": path})
    setattr(sys.modules[path], name, kind)
    return kind


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("pwned",)


def test_a_pickle_is_read_only_on_request_and_the_error_says_how(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": TENSORS}, path)

    message = fault(path)

    assert "only on request" in message
    assert "allow it (--allow-ckpt)" in message
    assert ".safetensors version" in message


def test_a_lightning_checkpoint_gives_its_tensors_and_runs_none_of_its_classes(
    tmp_path: Path, lightning: dict[str, Any]
) -> None:
    path = tmp_path / "model.ckpt"
    state = collections.OrderedDict(TENSORS)
    state["t"] = torch.nn.Parameter(torch.arange(6.0).view(2, 3).t())
    state["number"] = 5  # type: ignore[assignment]
    torch.save({"state_dict": state, **lightning}, path)
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        del sys.modules[name]

    weights = open_weights(path, ckpt=True)

    assert set(weights.tensors) == {*TENSORS, "t"}
    assert torch.equal(weights.read("w"), TENSORS["w"])
    assert weights.read("t").is_contiguous()
    assert weights.read("t").tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    with weights.reader() as read:
        assert torch.equal(read("w", block=1, blocks=3), TENSORS["w"][1:2])
    assert not any(name.startswith("pytorch_lightning") for name in sys.modules)


@pytest.mark.parametrize("zipped", [True, False])
def test_bare_tensors_are_read_from_either_format_of_torch_save(
    tmp_path: Path, zipped: bool
) -> None:
    path = tmp_path / "vae.pt"
    torch.save(dict(TENSORS), path, _use_new_zipfile_serialization=zipped)

    weights = open_weights(path, ckpt=True)

    assert torch.equal(weights.read("b"), TENSORS["b"])


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.ckpt"
    content = {"state_dict": TENSORS, "extra": Malicious()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)

    message = fault(path, ckpt=True)

    assert "is refused: it holds more than weights (it names posix.mkdir)" in message
    assert not (tmp_path / "pwned").exists()


def test_the_stand_ins_are_allowed_for_no_other_file(
    tmp_path: Path, lightning: dict[str, Any]
) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": TENSORS, **lightning}, path)
    before = set(torch.serialization.get_safe_globals())

    open_weights(path, ckpt=True)

    assert set(torch.serialization.get_safe_globals()) == before


def test_what_was_read_from_a_pickle_does_not_notice_that_it_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(TENSORS, path)
    tensor = open_weights(path, ckpt=True).read("w")

    with path.open("r+b") as overwritten:
        overwritten.truncate(0)

    assert torch.equal(tensor, TENSORS["w"])


def test_nothing_of_a_pickle_stays_mapped(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(TENSORS, path)

    with open_weights(path, ckpt=True).reader() as read:
        read("w")

    assert read is not None  # kept by mistake
    maps = Path("/proc/self/maps")  # Linux shows them
    assert not maps.exists() or str(path) not in maps.read_text()


def test_a_pickle_replaced_after_it_was_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(TENSORS, path)
    weights = open_weights(path, ckpt=True)
    torch.save({"w": torch.zeros(3, 400)}, path)

    with pytest.raises(CheckpointError, match="changed since it was inspected"):
        weights.read("w")


def test_a_damaged_pickle_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:-50])

    assert "is a damaged PyTorch checkpoint" in fault(path, ckpt=True)


def test_a_zip_that_is_no_checkpoint_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")

    assert "is a damaged PyTorch checkpoint" in fault(path, ckpt=True)


@pytest.mark.parametrize("content", [{"a": 1}, [torch.zeros(2)], {3: 4}])
def test_a_pickle_without_named_tensors_is_no_checkpoint(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "model.ckpt"
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(buffer.getvalue())

    assert "holds no named tensors" in fault(path, ckpt=True)
