"""What travels between the nodes, and its way to disk and back."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

import nodes
from nodegraph.registry import Registry
from nodes.types import Area, Attached, ClipVisionOutput, Condition, Conditioning, Latent, Sampler


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.register(*nodes.modules())
    return made


def there_and_back(registry: Registry, wire: str, value: object) -> object:
    codec = registry.codec(wire)
    assert codec is not None
    return codec.decode(codec.encode(value))


def assert_equal(found: object, expected: object) -> None:
    """Dataclasses with tensors are compared field by field."""
    if isinstance(expected, Tensor):
        assert isinstance(found, Tensor)
        assert torch.equal(found, expected)
    elif dataclasses.is_dataclass(expected):
        assert type(found) is type(expected)
        for field in dataclasses.fields(expected):
            assert_equal(getattr(found, field.name), getattr(expected, field.name))
    elif isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_equal(one, other)
    else:
        assert found == expected


def test_an_empty_latent_is_zeros_of_four_channels_at_eight_pixels_a_cell() -> None:
    latent = Latent.empty(72, 40, 2)

    assert torch.equal(latent.samples, torch.zeros(2, 4, 5, 9))
    assert latent.size == (72, 40)


def test_the_size_of_an_empty_latent_is_what_was_asked_for() -> None:
    assert Latent.empty(77, 45, 1).size == (77, 45)


def test_a_latent_with_new_samples_is_no_longer_empty_and_keeps_the_rest() -> None:
    mask = torch.ones(1, 1, 4, 4)
    latent = Latent(torch.zeros(1, 4, 2, 2), mask, (5,), factor=4, pixels=(8, 8))

    other = latent.with_samples(torch.ones(1, 4, 3, 2))

    assert other.pixels is None
    assert other.noise_mask is mask
    assert other.batch_index == (5,)
    assert other.size == (8, 12)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("IMAGE", torch.rand(1, 2, 2, 3)),
        ("MASK", torch.rand(1, 2, 2)),
        ("SIGMAS", torch.tensor([2.0, 1.0, 0.0])),
        ("LATENT", Latent(torch.rand(2, 4, 1, 1), torch.rand(1, 1, 8, 8), (3, 1), 4, None)),
        ("LATENT", Latent.empty(64, 128, 1)),
        (
            "CONDITIONING",
            Conditioning(
                (
                    Condition(torch.rand(1, 2, 3), torch.rand(1, 3), 0.5, torch.rand(1, 4, 4)),
                    Condition(None, start=0.25, kept=torch.rand(1, 4, 2, 2), hole=torch.ones(1)),
                    Condition(
                        None,
                        mask_strength=0.25,
                        end=0.5,
                        attached=(Attached("strange", {"by": (1, 2.5)}),),
                        area=Area(0.5, 0.25, 0.1, 0.0, shares=True),
                        within_mask=True,
                        depth=torch.rand(1, 1, 3, 5),
                        edited=torch.rand(1, 4, 3, 5),
                    ),
                    Condition(None, area=Area(64, 128, 8, 16)),
                )
            ),
        ),
        (
            "CLIP_VISION_OUTPUT",
            ClipVisionOutput(torch.rand(1, 3), torch.rand(1, 2, 4), torch.rand(1, 2, 4)),
        ),
        ("SAMPLER", Sampler("ddim", (("eta", 0.5),), "dynamic", 0.9, "trailing")),
    ],
    ids=[
        "image",
        "mask",
        "sigmas",
        "latent",
        "empty latent",
        "conditioning",
        "image encoding",
        "sampler",
    ],
)
def test_a_value_comes_back_from_disk_as_it_was(
    registry: Registry, wire: str, value: object
) -> None:
    assert_equal(there_and_back(registry, wire, value), value)


@pytest.mark.parametrize("wire", ["MODEL", "CLIP", "VAE", "CLIP_VISION"])
def test_handles_of_models_are_not_written_to_disk(registry: Registry, wire: str) -> None:
    assert wire in registry.port_types
    assert registry.codec(wire) is None


def test_every_port_type_has_a_colour_of_its_own(registry: Registry) -> None:
    colours = [kind.color for kind in registry.port_types.values()]

    assert len(set(colours)) == len(colours) >= 11
