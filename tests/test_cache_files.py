"""One result as one file: exact round trips, and nothing damaged ever comes back."""

from __future__ import annotations

import json
import math
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from nodegraph.cache import files
from nodegraph.cache.files import Damaged, NoCodec, Unstorable, obstacle, pack, read, write
from nodegraph.outputs import SavedFile, Shown
from nodegraph.types import Codec, structural
from nodegraph.values import Many, fingerprint

KEY = "0123456789abcdef"


@dataclass(frozen=True)
class Latent:
    samples: Any
    mask: Any = None


LATENT = structural(Latent)


def round_trip(folder: Path, outputs: tuple[Any, ...], *codecs: Codec | None) -> tuple[Any, ...]:
    path = folder / "entry.safetensors"
    write(path, KEY, pack(outputs, codecs), 1.5)
    found = read(path, KEY, codecs)
    assert found.seconds == 1.5
    return found.outputs


def written(folder: Path, outputs: tuple[Any, ...], *codecs: Codec | None) -> Path:
    path = folder / "entry.safetensors"
    write(path, KEY, pack(outputs, codecs), 1.5)
    return path


@pytest.mark.parametrize(
    "value", [0, -1, 2**80, True, False, None, "", "ä\n\ud800", 1.5, -0.0, math.inf, math.nan]
)
def test_plain_values_need_no_codec(tmp_path: Path, value: Any) -> None:
    (back,) = round_trip(tmp_path, (value,))

    assert type(back) is type(value)
    assert fingerprint(back) == fingerprint(value)


def test_what_an_output_node_showed_needs_no_codec(tmp_path: Path) -> None:
    shown = Shown((SavedFile("a.png", "sub", "output"),), "images", {"text": ["x", 1, {"y": 2.5}]})

    assert round_trip(tmp_path, (3, shown)) == (3, shown)
    assert round_trip(tmp_path, (Shown(),)) == (Shown(),)


def test_many_values_in_a_slot_are_stored_one_by_one(tmp_path: Path) -> None:
    value = Many((Latent(torch.ones(2)), Latent(torch.zeros(3))))

    back = round_trip(tmp_path, (value, Many((1, 2)), Many(())), LATENT, None, None)

    assert fingerprint(back) == fingerprint((value, Many((1, 2)), Many(())))


DTYPES = [
    "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 float8_e8m0fnu complex64",
    "complex128 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool",
]


@pytest.mark.parametrize("name", " ".join(DTYPES).split())
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (5,), (2, 3, 4)])
def test_every_dtype_and_shape_comes_back_bit_for_bit(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    random_bytes = torch.randint(0, 2, (math.prod(shape) * 16,), dtype=torch.uint8)
    dtype = getattr(torch, name)
    count = math.prod(shape) * torch.empty((), dtype=dtype).element_size()
    tensor = random_bytes[:count].clone().view(dtype).reshape(shape)

    (back,) = round_trip(tmp_path, (Latent(tensor),), LATENT)

    assert back.samples.dtype == dtype
    assert back.samples.shape == shape
    assert fingerprint(back) == fingerprint(Latent(tensor))


VIEWS = {
    "permuted": lambda base: [base.permute(2, 0, 1)],
    "two views of one storage": lambda base: [base[0], base[1]],
    "overlapping views": lambda base: [base[0], base, base.flatten()[3:]],
    "a small view of something big": lambda base: [torch.arange(1000.0)[7:9]],
    "expanded": lambda base: [base[:, :1].expand(-1, 3, -1)],
    "the same tensor twice": lambda base: [base, base],
    "requires grad": lambda base: [base.clone().requires_grad_()],
    "negated lazily": lambda base: [torch._neg_view(base)],
    "conjugated lazily": lambda base: [torch.complex(base, base).conj()],
    "empty ones": lambda base: [base[:0], base[:0], torch.empty(0)],
}


@pytest.mark.parametrize("make", VIEWS.values(), ids=VIEWS)
def test_tensors_come_back_however_they_lay_in_memory(tmp_path: Path, make: Any) -> None:
    tensors = make(torch.arange(24.0).reshape(2, 3, 4))

    (back,) = round_trip(tmp_path, (Latent(tensors),), LATENT)

    assert fingerprint(back) == fingerprint(Latent(tensors))
    for tensor in back.samples:
        assert tensor.is_contiguous()
        assert not tensor.requires_grad


def test_a_tensor_that_is_there_twice_is_stored_once(tmp_path: Path) -> None:
    tensor = torch.arange(1000.0)

    path = written(tmp_path, (Latent(tensor, tensor), [tensor]), LATENT, structural())
    (latent, listed) = read(path, KEY, (LATENT, structural())).outputs

    assert 4000 < path.stat().st_size < 5000
    assert latent.samples is latent.mask
    assert listed[0] is latent.samples


def test_a_view_is_stored_without_the_rest_of_its_storage(tmp_path: Path) -> None:
    path = written(tmp_path, (Latent(torch.zeros(100_000)[:10]),), LATENT)

    assert path.stat().st_size < 2000


def test_loaded_tensors_own_their_memory_and_can_be_written(tmp_path: Path) -> None:
    path = written(tmp_path, (Latent(torch.ones(1000), torch.ones(5)),), LATENT)
    (back,) = read(path, KEY, (LATENT,)).outputs

    path.write_bytes(b"")
    back.samples.add_(1)

    assert back.samples.sum() == 2000
    assert back.mask.sum() == 5
    assert back.samples.untyped_storage().data_ptr() != back.mask.untyped_storage().data_ptr()


def test_it_is_a_safetensors_file_that_other_tools_can_read(tmp_path: Path) -> None:
    path = written(tmp_path, (Latent(torch.ones(2, 3)), 5), LATENT, None)

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        assert torch.equal(file.get_tensor("0"), torch.ones(2, 3))

    assert metadata["format"] == "nodegraph-result/1"
    assert metadata["key"] == KEY
    assert json.loads(metadata["structure"])[1] == {"plain": 5}


def test_nothing_in_it_is_a_pickle(tmp_path: Path) -> None:
    data = written(tmp_path, (Latent(torch.ones(2)), Shown()), LATENT, None).read_bytes()

    assert b"\x80\x04" not in data[:64]
    assert json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


raw = Codec(encode=lambda value: value, decode=lambda data: data)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
tensors = st.builds(
    lambda shape, dtype: torch.arange(math.prod(shape)).reshape(shape).to(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64]),
)
names = st.text(max_size=5) | st.sampled_from(["$tensor", "$escaped", "$", "items", "fields"])
json_trees = st.recursive(
    scalars | tensors,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
values = st.recursive(
    scalars | tensors,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(names, inner, max_size=3),
        st.builds(Latent, inner, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(json_trees, max_size=3))
def test_any_tree_a_codec_gives_comes_back(trees: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = round_trip(Path(folder), tuple(trees), *[raw] * len(trees))

    assert fingerprint(back) == fingerprint(tuple(trees))


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=3))
def test_nested_structures_come_back_with_their_types(outputs: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        back = round_trip(Path(folder), tuple(outputs), *[LATENT] * len(outputs))

    assert fingerprint(back) == fingerprint(tuple(outputs))


@pytest.mark.parametrize(
    ("outputs", "codecs", "reason"),
    [
        ((1, Latent(1)), (None, None), "output 1 is a Latent, and its port type has no codec"),
        ((Latent(1),), (), "output 0 is a Latent, and its port type has no codec"),
        ((Many((1, torch.ones(1))),), (None,), "output 0 is a Tensor"),
        (([1],), (None,), "output 0 is a list"),
        ((1, "a", None, 2.5, True, Shown(), Many((1, "a"))), (), ""),
        ((Latent(1), 2), (LATENT, None), ""),
    ],
)
def test_what_has_no_codec_is_named(
    outputs: tuple[Any, ...], codecs: tuple[Any, ...], reason: str
) -> None:
    found = obstacle(outputs, codecs)

    assert found.startswith(reason)
    assert bool(found) == bool(reason)
    if reason:
        with pytest.raises(Unstorable, match=reason):
            pack(outputs, codecs)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "its codec gave a object"),
        ((1, 2), "its codec gave a tuple"),
        ({1: 2}, "its codec gave a dict"),
        (torch.eye(2).to_sparse(), "sparse_coo has no form on disk"),
    ],
)
def test_what_a_codec_may_not_give_is_refused(value: Any, message: str) -> None:
    with pytest.raises(Unstorable, match=message):
        pack((value,), (raw,))


def test_a_structure_too_long_for_a_header_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_STRUCTURE", 100)

    with pytest.raises(Unstorable, match="as JSON"):
        pack(("a" * 100,), ())


def rich_entry(folder: Path) -> tuple[Path, tuple[Any, ...], tuple[Codec | None, ...]]:
    outputs = (
        Latent(torch.arange(40.0).reshape(5, 8), {"noise": [torch.ones(3).bfloat16(), "text"]}),
        Many((1, 2)),
        torch.complex(torch.ones(2), torch.ones(2)),
        Shown((SavedFile("a.png", "", "output"),)),
    )
    codecs = (LATENT, None, structural(), None)
    return written(folder, outputs, *codecs), outputs, codecs


def test_every_single_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, outputs, codecs = rich_entry(tmp_path)
    good, expected = path.read_bytes(), fingerprint(outputs)
    chosen = random.Random(0)

    noticed = 0
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << chosen.randrange(8)
        path.write_bytes(bad)
        try:
            back = read(path, KEY, codecs)
        except Damaged:
            noticed += 1
        else:
            assert fingerprint(back.outputs) == expected
            assert back.seconds == 1.5

    assert noticed > 0.9 * len(good)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path, _, codecs = rich_entry(tmp_path)
    good = path.read_bytes()

    for length in [*range(0, len(good), 7), len(good) - 1]:
        path.write_bytes(good[:length])
        with pytest.raises(Damaged):
            read(path, KEY, codecs)


@pytest.mark.parametrize("outputs", [(1, "a"), (Latent(torch.ones(3)),)])
def test_bytes_after_the_end_are_noticed(tmp_path: Path, outputs: tuple[Any, ...]) -> None:
    path = written(tmp_path, outputs, LATENT if outputs[0] != 1 else None)
    path.write_bytes(path.read_bytes() + b"more")

    with pytest.raises(Damaged):
        read(path, KEY, (LATENT if outputs[0] != 1 else None,))


@pytest.mark.parametrize("content", [b"", b"not a file", b"\xff" * 100, b"\2\0\0\0\0\0\0\0{}"])
def test_anything_else_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "entry.safetensors"
    path.write_bytes(content)

    with pytest.raises(Damaged, match=r"entry\.safetensors"):
        read(path, KEY, ())


def test_another_key_format_or_version_of_a_class_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, (Latent(torch.ones(2)),), LATENT)

    @dataclass(frozen=True)
    class Renamed:
        samples: Any

    with pytest.raises(Damaged, match="it holds the result of '0123456789abcdef'"):
        read(path, "another key", (LATENT,))
    with pytest.raises(Damaged, match="KeyError: 'Latent'"):
        read(path, KEY, (structural(Renamed),))
    monkeypatch.setattr(files, "FORMAT", "nodegraph-result/2")
    with pytest.raises(Damaged, match="this version reads 'nodegraph-result/2'"):
        read(path, KEY, (LATENT,))


def test_a_missing_codec_is_not_damage(tmp_path: Path) -> None:
    path = written(tmp_path, (1, Many((Latent(1),))), None, LATENT)

    with pytest.raises(NoCodec):
        read(path, KEY, ())


def test_a_codec_that_raises_while_decoding_means_damage(tmp_path: Path) -> None:
    def fail(data: Any) -> Any:
        raise Unstorable("of a newer version")

    path = written(tmp_path, (Latent(1),), LATENT)

    with pytest.raises(Damaged, match="of a newer version"):
        read(path, KEY, (Codec(LATENT.encode, fail),))


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", KEY, ())
