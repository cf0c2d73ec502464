"""fingerprint: equal content, equal number; any change, another number."""

from __future__ import annotations

import copy
import dataclasses
import enum
import subprocess
import sys
from collections import OrderedDict, deque
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.values import Many, device_checksum, fingerprint
from nodegraph.values import content as content_module

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.uint8,
    torch.uint16,
    torch.bool,
    torch.complex64,
    torch.complex128,
]


@dataclasses.dataclass(frozen=True)
class Latent:
    samples: Any
    mask: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    samples: Any


class Pair(NamedTuple):
    first: Any
    second: Any


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


def ramp(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.arange(1, 1 + int(np.prod(shape))).reshape(shape).to(dtype)


WRAPPERS = {
    "bare": lambda t: t,
    "dataclass": Latent,
    "slotted dataclass": Slotted,
    "list": lambda t: [1, t],
    "tuple": lambda t: (t, "a"),
    "dict": lambda t: {"samples": t},
    "named tuple": lambda t: Pair(1, t),
    "Many": lambda t: Many((t, t)),
    "deep": lambda t: {"a": [(Latent(samples=[{"b": t}]),)]},
    "proxy": lambda t: MappingProxyType({"a": t}),
    "deque": lambda t: deque([t]),
    "set": lambda t: {t},
}
CHANGES = {
    "add_": lambda t: t.add_(1),
    "one element": lambda t: t.__setitem__((1, 2), -5.0),
    "numpy view": lambda t: t.numpy().__setitem__((0, 0), 7.5),
    "data assignment": lambda t: setattr(t, "data", t.data + 1),
    "data in place": lambda t: t.data.mul_(2),
    "detached alias": lambda t: t.detach().view(-1)[3].fill_(0),
    "smallest step": lambda t: t.view(torch.int32)[1, 1].add_(1),
    "sign of zero": lambda t: t[0, 0].neg_(),
    "transposed in place": lambda t: t.t_(),
    "reshaped in place": lambda t: t.resize_(3, 2),
    "dtype of the data": lambda t: setattr(t, "data", t.data.double()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_any_change_of_a_tensor_shows_wherever_it_is(wrap: Any, change: Any) -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    value = wrap(tensor)
    before = fingerprint(value)

    change(tensor)

    assert fingerprint(value) != before


CONTAINER_CHANGES = {
    "an item replaced": ([1, 2, 3], lambda v: v.__setitem__(1, 5)),
    "-1 by -2, which hash alike": ([-1], lambda v: v.__setitem__(0, -2)),
    "1 by True": ([1], lambda v: v.__setitem__(0, True)),
    "1 by 1.0": ([1], lambda v: v.__setitem__(0, 1.0)),
    "1 by text": ([1], lambda v: v.__setitem__(0, "1")),
    "text by bytes": (["a"], lambda v: v.__setitem__(0, b"a")),
    "None by False": ([None], lambda v: v.__setitem__(0, False)),
    "an item appended": ([1], lambda v: v.append(1)),
    "two items swapped": ([1, 2], lambda v: v.reverse()),
    "a list by a tuple": ([[1]], lambda v: v.__setitem__(0, (1,))),
    "a key added": ({"a": 1}, lambda v: v.update(b=None)),
    "a key removed": ({"a": 1, "b": 2}, lambda v: v.pop("b")),
    "a key renamed": ({"a": 1}, lambda v: v.update(b=v.pop("a"))),
    "a value of a key": ({"a": 1}, lambda v: v.update(a=2)),
    "a set's member": ({1, 2}, lambda v: v.add(3)),
    "a byte": (bytearray(b"abc"), lambda v: v.__setitem__(1, 0)),
    "nested deep": ([[[[[0]]]]], lambda v: v[0][0][0][0].__setitem__(0, 1)),
    "an item moved between lists": ([[1], [2]], lambda v: v[0].append(v[1].pop())),
    "a path": ([Path("a")], lambda v: v.__setitem__(0, Path("b"))),
    "an enum": ([Mode.FAST], lambda v: v.__setitem__(0, Mode.SLOW)),
    "a numpy number": ([np.float32(1)], lambda v: v.__setitem__(0, np.float32(2))),
    "a complex number": ([1j], lambda v: v.__setitem__(0, 2j)),
    "a dict's order": (OrderedDict(a=1, b=2), lambda v: v.move_to_end("a")),
}


@pytest.mark.parametrize(("value", "change"), CONTAINER_CHANGES.values(), ids=CONTAINER_CHANGES)
def test_any_change_of_a_container_shows(value: Any, change: Any) -> None:
    value = copy.deepcopy(value)
    before = fingerprint(value)

    change(value)

    assert fingerprint(value) != before


def test_a_tensor_swapped_for_one_of_other_content_shows() -> None:
    value = {"samples": torch.zeros(2, 3)}
    before = fingerprint(value)

    for other in (torch.ones(2, 3), torch.zeros(3, 2), torch.zeros(6), torch.zeros(2, 3).int()):
        value["samples"] = other
        assert fingerprint(value) != before
    value["samples"] = torch.zeros(2, 3)

    assert fingerprint(value) == before


def test_a_field_of_a_frozen_dataclass_that_was_forced_shows() -> None:
    value = Latent(torch.zeros(2))
    before = fingerprint(value)

    object.__setattr__(value, "mask", torch.zeros(1))

    assert fingerprint(value) != before


ARRAY_CHANGES = {
    "float32": np.zeros((3, 4), np.float32),
    "strided": np.zeros((6, 8), np.int16)[::2, ::2],
    "fortran": np.asfortranarray(np.zeros((3, 4))),
    "bool": np.zeros((3, 4), bool),
    "dates": np.zeros((3, 4), "datetime64[s]"),
    "text": np.full((3, 4), "aa"),
    "big-endian": np.zeros((3, 4), ">f8"),
    "objects": np.array([[1, "a", None, 2.5]] * 3, object),
}


@pytest.mark.parametrize("array", ARRAY_CHANGES.values(), ids=ARRAY_CHANGES)
def test_any_element_of_an_array_counts(array: np.ndarray) -> None:
    seen = {fingerprint([array])}

    for index in np.ndindex(array.shape):
        changed = array.copy()
        changed[index] = "x" if array.dtype.kind in "UO" else 1
        seen.add(fingerprint([changed]))

    assert len(seen) == 1 + array.size


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_read_bit_for_bit(dtype: torch.dtype) -> None:
    tensor = torch.zeros(5, 7).to(dtype)
    before = fingerprint(tensor)

    seen = {before}
    for index in range(tensor.numel() * tensor.element_size()):
        memory = tensor.clone()
        memory.view(-1).view(torch.uint8)[index] ^= 1
        seen.add(fingerprint(memory))

    assert len(seen) == 1 + tensor.numel() * tensor.element_size()
    assert fingerprint(tensor.clone()) == before


LAYOUTS = {
    "permuted": lambda t: t.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "transposed": lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
    "a slice of more": lambda t: torch.nn.functional.pad(t, (1, 1, 1, 1, 1, 1))[1:-1, 1:-1, 1:-1],
    "every other": lambda t: t.repeat_interleave(2, 0)[::2],
    "negated twice": lambda t: torch._neg_view(-t),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 700, 600), (2, 3, 90_000)])
def test_memory_layout_does_not_count(layout: Any, shape: tuple[int, ...]) -> None:
    tensor = ramp(*shape)
    same = layout(tensor)
    assert torch.equal(tensor, same)

    before = fingerprint(tensor)

    assert fingerprint(same) == before
    same[-1, -1, -1] += 1
    assert fingerprint(same) != before


def test_a_lazy_conjugate_is_not_its_base() -> None:
    tensor = torch.tensor([1 + 2j, 3 - 1j])

    assert fingerprint(tensor.conj()) == fingerprint(tensor.conj().resolve_conj())
    assert fingerprint(tensor.conj()) != fingerprint(tensor)


def test_an_expanded_tensor_reads_like_the_full_one() -> None:
    row = ramp(1, 5)

    assert fingerprint(row.expand(1000, 5)) == fingerprint(row.repeat(1000, 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.tensor(3.0),
        lambda: torch.empty(0),
        lambda: torch.empty(0, 4),
        lambda: torch.empty(2, 3, device="meta"),
        lambda: torch.ones(2, requires_grad=True),
        lambda: torch.nn.Parameter(torch.ones(3)),
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.ones(2, 2).half(),
        lambda: np.array(3),
        lambda: np.zeros((0, 2)),
        lambda: np.zeros(3, "U0"),
    ],
)
def test_odd_tensors_have_a_content_too(make: Any) -> None:
    assert fingerprint(make()) == fingerprint(make())
    assert fingerprint(make()) not in (fingerprint(None), fingerprint(torch.ones(7)))


def test_empty_tensors_of_other_shapes_differ() -> None:
    empties = [torch.empty(0), torch.empty(0, 1), torch.empty(1, 0), torch.empty(0).half()]
    metas = [torch.empty(2, device="meta"), torch.empty(3, device="meta")]

    assert len({fingerprint(value) for value in [*empties, *metas]}) == 6


def test_a_gradient_is_not_content() -> None:
    assert fingerprint(torch.ones(2)) == fingerprint(torch.ones(2, requires_grad=True))


SPARSE = {
    "coo": lambda t: t.to_sparse(),
    "csr": lambda t: t.to_sparse_csr(),
    "csc": lambda t: t.to_sparse_csc(),
    "bsr": lambda t: t.to_sparse_bsr((2, 2)),
    "bsc": lambda t: t.to_sparse_bsc((2, 2)),
}


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
@pytest.mark.parametrize("layout", SPARSE.values(), ids=SPARSE)
def test_sparse_tensors_are_read_by_their_parts(layout: Any) -> None:
    tensor = layout(torch.eye(4))
    before = fingerprint([tensor])

    again, moved = layout(torch.eye(4)), layout(torch.eye(4).roll(1, 0))
    assert fingerprint([again]) == before
    assert fingerprint([moved]) != before
    values = tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()
    values.add_(1)

    assert fingerprint([tensor]) != before


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors_are_read_by_their_parts(layout: torch.layout) -> None:
    def make(last: float) -> torch.Tensor:
        parts = [torch.ones(2, 3), torch.full((1, 3), last)]
        return torch.nested.nested_tensor(parts, layout=layout)

    assert fingerprint(make(1.0)) == fingerprint(make(1.0))
    assert fingerprint(make(1.0)) != fingerprint(make(2.0))


def test_an_opaque_object_counts_by_identity_and_is_not_looked_into() -> None:
    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = fingerprint(Latent(model))

    with torch.no_grad():
        model.weight.add_(1)

    assert fingerprint(Latent(model)) == before
    assert fingerprint(Latent(other)) != before
    assert fingerprint([print, Latent]) == fingerprint([print, Latent])


def test_an_opaque_object_that_cannot_be_hashed_is_fine() -> None:
    class Unhashable:
        def __eq__(self, other: object) -> bool:
            return True

    held = Unhashable()

    assert fingerprint([held]) == fingerprint([held])


def test_what_is_equal_counts_the_same_whether_shared_or_not() -> None:
    shared = [1, torch.ones(2)]
    twice, apart = [shared, shared], [shared, [1, torch.ones(2)]]

    assert fingerprint(twice) == fingerprint(apart)


def test_sharing_many_times_over_takes_no_time() -> None:
    value: list[Any] = [1]
    for _ in range(200):  # 2^200 paths
        value = [value, value]

    assert fingerprint(value) == fingerprint(copy.deepcopy(value))


def test_cycles_end_and_still_show_changes() -> None:
    loop: dict[str, Any] = {"a": [1, 2]}
    loop["self"] = loop
    loop["a"].append([loop])
    before = fingerprint(loop)

    assert fingerprint(loop) == before
    loop["a"][0] = 5

    assert fingerprint(loop) != before


def test_nesting_has_no_limit() -> None:
    def nested(innermost: int) -> list[Any]:
        value: list[Any] = [innermost]
        for _ in range(20_000):
            value = [value]
        return value

    a, b, c = nested(1), nested(1), nested(2)

    assert fingerprint(a) == fingerprint(b) != fingerprint(c)
    for value in (a, b, c):  # take them apart by hand: their own clean-up is recursive
        while value and isinstance(value[0], list):
            value[:] = value.pop()


def test_classes_with_equal_fields_are_different_values() -> None:
    values = [Latent(1), Slotted(1), Pair(1, None), (1, None), [1, None], {1: None}, {1, None}]

    assert len({fingerprint(value) for value in values}) == len(values)


def test_sets_have_no_order() -> None:
    one, other = set(range(0, 800, 8)), set(range(792, -8, -8))
    assert list(one) != list(other)

    assert fingerprint(one) == fingerprint(other)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8)
    | st.complex_numbers(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=4), inner, max_size=4),
        st.builds(Latent, inner, inner),
        st.lists(inner, max_size=3).map(lambda items: Many(tuple(items))),
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(plain)
def test_a_deep_copy_has_the_same_fingerprint(value: Any) -> None:
    assert fingerprint(copy.deepcopy(value)) == fingerprint(value)


@settings(max_examples=60, deadline=None)
@given(plain, plain)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    same = repr(one) == repr(other)  # repr tells 1 from 1.0 and True, and nan equals itself

    assert (fingerprint(one) == fingerprint(other)) == same


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_device_checksum_sees_every_bit(dtype: torch.dtype) -> None:
    tensor = torch.zeros(4, 3).to(dtype)
    size = tensor.numel() * tensor.element_size()

    seen = {device_checksum(tensor)}
    for index in range(size):
        memory = tensor.clone()
        memory.view(-1).view(torch.uint8)[index] ^= 0x80
        seen.add(device_checksum(memory))

    assert len(seen) == 1 + size


def test_the_device_checksum_is_the_sum_it_says() -> None:
    mask = 2**64 - 1

    def weight(i: int) -> int:  # signed shifts, as torch's are
        def signed(z: int) -> int:
            return (z & mask) - (2**64 if z & 2**63 else 0)

        z = signed((i + 1) * 0x9E3779B97F4A7C15)
        z = signed((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9)
        return (z ^ (z >> 27)) | 1

    words = torch.tensor([5, -7, 2**31 - 1, 0, -(2**31)], dtype=torch.int32)

    expected = sum(weight(i) * int(x) for i, x in enumerate(words)) & mask

    assert device_checksum(words) == expected
    assert device_checksum(words.view(torch.float32)) == expected


def test_the_device_checksum_knows_positions() -> None:
    tensor = torch.tensor([1.0, 2.0, 4.0, 8.0])
    orders = torch.cartesian_prod(*[torch.arange(4)] * 4)
    orders = orders[(orders.sort(dim=1).values == torch.arange(4)).all(dim=1)]

    checksums = {device_checksum(tensor[order]) for order in orders}

    assert len(checksums) == 24


def test_changes_that_cancel_in_a_plain_weighted_sum_show() -> None:
    tensor = torch.zeros(64, dtype=torch.int32)
    changed = tensor.clone()
    changed[10:13] = torch.tensor([1, -2, 1])  # cancels under weights that are linear in i

    assert device_checksum(changed) != device_checksum(tensor)


def test_the_device_checksum_does_not_depend_on_blocks_or_layout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tensor = ramp(37, 11)
    whole = device_checksum(tensor)

    monkeypatch.setattr(content_module, "BLOCK_WORDS", 7)

    assert device_checksum(tensor) == whole
    assert device_checksum(tensor.t().contiguous().t()) == whole
    assert device_checksum(torch.empty(0)) == 0


class OnAccelerator(torch.Tensor):
    """A tensor that says it is on an accelerator."""

    device = property(lambda self: torch.device("cuda:0"))  # type: ignore[assignment]


def test_an_accelerator_tensor_is_read_by_the_device_checksum() -> None:
    tensor = torch.zeros(3, 4).as_subclass(OnAccelerator)
    value = Latent([tensor])
    before = fingerprint(value)

    assert fingerprint(Latent([torch.zeros(3, 4).as_subclass(OnAccelerator)])) == before
    assert fingerprint(Latent([torch.zeros(4, 3).as_subclass(OnAccelerator)])) != before
    tensor[2, 3] = 1e-30

    assert fingerprint(value) != before


def test_neither_torch_nor_numpy_is_imported() -> None:
    program = (
        "import sys; from nodegraph.values import *; import nodegraph.cache; "
        "fingerprint([1, 'a', {'b': (2.0,)}]); nbytes([1]); to_host((1,)); "
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    root = Path(__file__).parent.parent

    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True)

    assert done.returncode == 0, done.stderr.decode()
