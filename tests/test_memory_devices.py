import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from nodegraph.memory import LeaseError, ModelManager, SimulatedDevice, out_of_memory
from nodegraph.memory.devices import (
    HOST_SHARE,
    HostDevice,
    _control_group,
    _meminfo,
    device_named,
    host_available,
)
from nodegraph.memory.ledger import Ledger
from nodegraph.memory.weights import move, size_of, weights_of


def test_a_ledger_counts_what_is_there_and_the_most_that_was() -> None:
    ledger = Ledger()
    ledger.add(5)
    ledger.add(3)
    ledger.give_back(6)
    ledger.add(1)

    assert (ledger.present, ledger.peak) == (3, 8)
    ledger.restart_peak()
    assert ledger.peak == 3


def test_a_watched_object_gives_its_bytes_back_when_it_dies() -> None:
    ledger = Ledger()
    tensor = torch.zeros(2)
    ledger.add(8)
    ledger.watch(tensor.untyped_storage(), 8)

    view = tensor[:1]
    del tensor
    assert ledger.present == 8
    del view
    assert ledger.present == 0


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:x", "sim", "", "cuda:"])
def test_an_unknown_device_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(LeaseError, match="expected cpu, cuda or cuda:N"):
        device_named(name)


def test_without_a_gpu_cuda_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(LeaseError, match="'cuda:0': PyTorch finds no CUDA device here; use cpu"):
        ModelManager().free("cuda:0")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch tells about a computer with two GPUs of 10 GiB, 8 GiB of them free."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 << 30, 10 << 30))


@pytest.mark.usefixtures("two_gpus")
def test_a_gpus_default_budget_leaves_a_tenth_and_room_for_activations() -> None:
    assert device_named("cuda").name == "cuda:1"
    assert device_named("cuda:0").capacity() == pytest.approx((8 - 1 - 0.5) * 2**30, abs=2)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_beyond_the_last_is_refused_with_their_number() -> None:
    with pytest.raises(LeaseError, match="no device cuda:2: 2 CUDA devices found"):
        device_named("cuda:2")


def test_host_memory_is_read_from_meminfo(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       100 kB\nMemAvailable:    42 kB\n")

    assert _meminfo("MemAvailable", meminfo) == 42 * 1024
    assert _meminfo("SwapFree", meminfo) is None
    assert _meminfo("MemAvailable", tmp_path / "missing") is None


def test_a_containers_limit_is_honoured_in_both_versions_of_control_groups(tmp_path: Path) -> None:
    assert _control_group(tmp_path) is None
    old = tmp_path / "memory"
    old.mkdir()
    (old / "memory.limit_in_bytes").write_text("1000\n")
    (old / "memory.usage_in_bytes").write_text("300\n")
    assert _control_group(tmp_path) == 700
    (tmp_path / "memory.max").write_text("500\n")
    (tmp_path / "memory.current").write_text("600\n")
    assert _control_group(tmp_path) == 0
    (tmp_path / "memory.max").write_text("max\n")
    assert _control_group(tmp_path) == 700


def test_the_hosts_default_budget_is_a_share_of_what_is_free() -> None:
    budget = HostDevice().capacity()

    assert 0 < budget <= HOST_SHARE * 1.5 * host_available()
    assert ModelManager().stats().devices["cpu"].budget > 0


def test_a_simulated_device_copies_counts_and_runs_out() -> None:
    device = SimulatedDevice(memory=16)
    host = torch.arange(3.0)

    placed = device.place(host)
    assert torch.equal(placed, host)
    assert placed.data_ptr() != host.data_ptr()
    assert (device.ledger.present, device.available()) == (12, 4)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="sim:0 is out of memory"):
        device.place(host)
    del placed
    assert device.available() == 16


def test_a_transfer_keeps_the_memory_layout() -> None:
    channels_last = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)

    assert SimulatedDevice().place(channels_last).stride() == channels_last.stride()


def test_tied_weights_are_found_once_under_all_their_names() -> None:
    module = nn.ModuleDict({"a": nn.Linear(3, 2), "b": nn.Linear(3, 2, bias=False)})
    module["b"].weight = module["a"].weight
    module["c"] = nn.Linear(3, 2, bias=False)
    module["c"].weight = nn.Parameter(module["a"].weight.data)  # another object, the same memory

    names = [weight.names for weight in weights_of(module)]

    assert names == [["a.weight", "b.weight", "c.weight"], ["a.bias"]]
    assert size_of(module) == (6 + 2) * 4


def test_moving_keeps_ties_and_the_parameter_objects() -> None:
    module = nn.ModuleDict({"a": nn.Linear(3, 2, bias=False), "b": nn.Linear(3, 2, bias=False)})
    module["b"].weight = nn.Parameter(module["a"].weight.data)
    parameter, old = module["a"].weight, weakref.ref(module["a"].weight.untyped_storage())
    expected = parameter.detach().clone()

    for weight in weights_of(module):
        move(weight, lambda tensor: tensor.detach().clone())

    assert module["a"].weight is parameter
    assert torch.equal(module["b"].weight, expected)
    assert module["a"].weight.data_ptr() == module["b"].weight.data_ptr()
    assert old() is None


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (MemoryError(), "host"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 TB"), "host"),
        (RuntimeError("CUDA error: out of memory"), "device"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x"), "device"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "device"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("out of memory"), None),
        (KeyboardInterrupt(), None),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(
    error: BaseException, where: str | None
) -> None:
    assert out_of_memory(error) == where


def test_the_cpu_allocators_own_error_is_recognised() -> None:
    with pytest.raises(RuntimeError) as failure:
        torch.empty(1 << 60, dtype=torch.uint8)

    assert out_of_memory(failure.value) == "host"


def test_a_lack_of_memory_is_found_behind_the_error_raised_from_it() -> None:
    outer = RuntimeError("node 3 failed")
    outer.__cause__ = MemoryError()
    loop = RuntimeError("a")
    loop.__cause__ = loop

    assert out_of_memory(outer) == "host"
    assert out_of_memory(loop) is None
