"""Devices as the model manager sees them: memory to copy tensors into and out of."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nodegraph.errors import NodeGraphError

from .ledger import Ledger

if TYPE_CHECKING:
    from torch import Tensor

HOST = "cpu"
HOST_SHARE = 0.7  # of the free host memory; the rest is for results, pictures and the system
DEVICE_SHARE = 0.9  # of a GPU's memory, less what follows
ACTIVATIONS = 512 << 20  # bytes a GPU always keeps for activations and workspaces
UNKNOWN_HOST = 4 << 30  # bytes assumed where the system does not tell


class LeaseError(NodeGraphError):
    """A model cannot be lent as asked."""


class Device(Protocol):
    """One device. `copies`: a placed tensor has its own memory, apart from the host's."""

    @property
    def name(self) -> str: ...
    @property
    def copies(self) -> bool: ...

    def capacity(self) -> int:
        """Bytes that weights may take, measured now."""

    def place(self, tensor: Tensor) -> Tensor:
        """A host tensor, on the device."""

    def fetch(self, tensor: Tensor) -> Tensor:
        """A tensor of the device, on the host."""

    def stage(self, tensor: Tensor) -> Tensor:
        """A host tensor, where it can be placed from quickly and often."""

    def available(self) -> int | None:
        """Bytes free now; None: not known."""

    def release_cached(self) -> None:
        """Return memory that an allocator keeps for later."""

    def restart_peak(self) -> None:
        """Begin a new count of `peak`."""

    def peak(self) -> int | None:
        """The most bytes in use at once since `restart_peak`; None: not known."""


class HostDevice:
    """The CPU: placing a tensor on it is no copy."""

    name = HOST
    copies = False

    def capacity(self) -> int:
        return int(HOST_SHARE * host_available())

    def place(self, tensor: Tensor) -> Tensor:
        return tensor

    def fetch(self, tensor: Tensor) -> Tensor:
        return tensor

    def stage(self, tensor: Tensor) -> Tensor:
        return tensor

    def available(self) -> int | None:
        return None

    def release_cached(self) -> None:
        return None

    def restart_peak(self) -> None:
        return None

    def peak(self) -> int | None:
        return None


class CudaDevice:
    """One CUDA device. Peaks are the caching allocator's, exact, of all tensors on the device."""

    copies = True

    def __init__(self, index: int) -> None:
        import torch

        if index >= torch.cuda.device_count():
            found = torch.cuda.device_count()
            raise LeaseError(
                f"there is no device cuda:{index}: {found} CUDA devices found; use cpu"
            )
        self.name = f"cuda:{index}"
        self._cuda = torch.cuda
        self._device = torch.device("cuda", index)

    def capacity(self) -> int:
        free, total = self._cuda.mem_get_info(self._device)
        return max(0, int(free - (1 - DEVICE_SHARE) * total) - ACTIVATIONS)

    def place(self, tensor: Tensor) -> Tensor:
        # From pinned memory the copy is ordered on the stream before any use of it; from pageable
        # memory an asynchronous copy would only hide a wait.
        return tensor.to(self._device, non_blocking=tensor.is_pinned())

    def fetch(self, tensor: Tensor) -> Tensor:
        return tensor.to(HOST)

    def stage(self, tensor: Tensor) -> Tensor:
        try:
            return tensor.pin_memory()
        except RuntimeError:  # the system's limit on locked memory: pageable works, more slowly
            return tensor

    def available(self) -> int | None:
        return self._cuda.mem_get_info(self._device)[0]

    def release_cached(self) -> None:
        with self._cuda.device(self._device):
            self._cuda.empty_cache()

    def restart_peak(self) -> None:
        self._cuda.reset_peak_memory_stats(self._device)

    def peak(self) -> int | None:
        return self._cuda.max_memory_allocated(self._device)


class SimulatedDevice:
    """Separate memory on the host that behaves as a device's: every transfer is a copy.

    Counts the copies' storages itself, from their making to their death, and raises PyTorch's
    out-of-memory error past `memory` bytes (None: endless).
    """

    copies = True

    def __init__(self, name: str = "sim:0", memory: int | None = None) -> None:
        self.name = name
        self.memory = memory
        self.ledger = Ledger()

    def capacity(self) -> int:
        return 1 << 30 if self.memory is None else self.memory

    def place(self, tensor: Tensor) -> Tensor:
        import torch

        if self.memory is not None and self.ledger.present + tensor.nbytes > self.memory:
            raise torch.cuda.OutOfMemoryError(f"{self.name} is out of memory ({self.memory} bytes)")
        copy = tensor.detach().clone()
        self.ledger.add(copy.nbytes)
        self.ledger.watch(copy.untyped_storage(), copy.nbytes)
        return copy

    def fetch(self, tensor: Tensor) -> Tensor:
        return tensor.detach().clone()

    def stage(self, tensor: Tensor) -> Tensor:
        return tensor

    def available(self) -> int | None:
        return None if self.memory is None else self.memory - self.ledger.present

    def release_cached(self) -> None:
        return None

    def restart_peak(self) -> None:
        self.ledger.restart_peak()

    def peak(self) -> int | None:
        return self.ledger.peak


def device_named(name: str) -> Device:
    """The device called `cpu`, `cuda`, `cuda:N` or `sim:N`; LeaseError for another name."""
    if name == HOST:
        return HostDevice()
    if re.fullmatch(r"sim:\d+", name):
        return SimulatedDevice(name)
    if match := re.fullmatch(r"cuda(?::(\d+))?", name):
        import torch

        if not torch.cuda.is_available():
            raise LeaseError(f"device {name!r}: PyTorch finds no CUDA device here; use cpu")
        return CudaDevice(int(match[1]) if match[1] else torch.cuda.current_device())
    raise LeaseError(f"device {name!r}: expected cpu, cuda or cuda:N")


def memory_of(name: str) -> tuple[int, int]:
    """(all, free) bytes of a device's memory, as the system sees it. LeaseError for no device."""
    device = device_named(name)
    if isinstance(device, CudaDevice):
        import torch

        free, total = torch.cuda.mem_get_info(device.name)
        return total, free
    return host_total(), host_available()


def host_total() -> int:
    """Bytes of host memory there are, free or not."""
    return _meminfo("MemTotal") or 2 * _physical()


def host_available() -> int:
    """Bytes of host memory that can be had without swapping, within the container's limit."""
    free = [_meminfo("MemAvailable"), _control_group()]
    known = [amount for amount in free if amount is not None]
    return min(known) if known else _physical()


def _meminfo(field: str, path: Path = Path("/proc/meminfo")) -> int | None:
    try:
        match = re.search(rf"^{field}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) << 10 if match else None


def _control_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's memory limit leaves, in either version of control groups."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return max(0, int((root / limit).read_text()) - int((root / used).read_text()))
        except (OSError, ValueError):  # not there, or "max": no limit
            continue
    return None


def _physical() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_HOST
