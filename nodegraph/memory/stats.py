"""What the model manager tells about itself. Sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelStats:
    """One model on one device.

    nbytes:   the whole model's size.
    streamed: its weights come layer by layer; only some of them are on the device at a time.
    leases:   how often it is lent right now.
    """

    key: str
    nbytes: int
    streamed: bool
    leases: int


@dataclass(frozen=True)
class DeviceStats:
    """One device's weights: what they may take, take now, and took at most. Activations not."""

    budget: int
    resident: int
    peak: int
    models: tuple[ModelStats, ...]


@dataclass(frozen=True)
class MemoryStats:
    """All devices, and how often a model was loaded, evicted from a device, set to stream."""

    devices: Mapping[str, DeviceStats]
    loads: int
    evictions: int
    streams: int


@dataclass
class Measurement:
    """`peak_bytes`, set when the measured block ends; None where the device cannot tell."""

    peak_bytes: int | None = None
