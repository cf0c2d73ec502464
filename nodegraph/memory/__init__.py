"""The model manager: who holds which weights where, within a budget of bytes for every device.

    ModelSource   how to get one model; its `key` says which
    ModelManager  lends models (`lease`), evicts and streams them, recovers from lack of memory

Devices are named `cpu` (the host), `cuda:N`, and `sim:N` (a simulated device: separate, accounted
memory on the host, on which the rules of this package are proven without a GPU).
"""

from .devices import Device, LeaseError, SimulatedDevice
from .exhaustion import out_of_memory
from .manager import ModelManager
from .source import ModelSource
from .stats import DeviceStats, Measurement, MemoryStats, ModelStats

__all__ = [
    "Device",
    "DeviceStats",
    "LeaseError",
    "Measurement",
    "MemoryStats",
    "ModelManager",
    "ModelSource",
    "ModelStats",
    "SimulatedDevice",
    "out_of_memory",
]
