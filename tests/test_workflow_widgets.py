"""Names for widget values that are stored by position."""

from typing import Any

import pytest
import standin_nodes

from nodegraph.registry import Registry
from nodegraph.workflow import convert
from nodegraph.workflow.widgets import Slot, name_values

SAMPLER = ["seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"]


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(standin_nodes)
    return registry


def named(registry: Registry, type: str, values: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    converted = convert({"nodes": [{"id": 1, "type": type, "widgets_values": values}]}, registry)
    return converted.document["1"]["inputs"], converted.warnings


@pytest.mark.parametrize("control", ["fixed", "increment", "decrement", "randomize", True])
def test_what_becomes_of_a_seed_after_a_run_is_not_an_input(
    registry: Registry, control: str | bool
) -> None:
    found = named(registry, "KSampler", [7, control, 20, 8.5, "euler", "normal", 0.5])

    assert found == (dict(zip(SAMPLER, [7, 20, 8.5, "euler", "normal", 0.5], strict=True)), ())


def test_values_without_that_are_read_as_well(registry: Registry) -> None:
    found, warnings = named(registry, "KSampler", [7, 20, 8.5, "euler", "normal", 0.5])

    assert found == dict(zip(SAMPLER, [7, 20, 8.5, "euler", "normal", 0.5], strict=True))
    assert warnings == ()


def test_a_seed_that_is_not_the_first_widget_has_it_too(registry: Registry) -> None:
    values = ["enable", 5, "fixed", 20, 8, "euler", "normal", 0, 10000, "disable"]

    found, warnings = named(registry, "KSamplerAdvanced", values)

    assert (found["noise_seed"], found["steps"]) == (5, 20)
    assert (found["end_at_step"], found["return_with_leftover_noise"]) == (10000, "disable")
    assert warnings == ()


def test_a_choice_after_a_seed_may_be_called_fixed() -> None:
    slots = [Slot("seed", seed=True), Slot("mode", text=True)]

    assert name_values([1, "fixed"], slots).values == {"seed": 1, "mode": "fixed"}
    assert name_values([1, "fixed", "fixed"], slots).values == {"seed": 1, "mode": "fixed"}
    assert name_values([1, "fixed"], slots[:1]).values == {"seed": 1}


@pytest.mark.parametrize(
    ("type", "values"),
    [
        ("LoadImageMask", ["a.png", "red", "image"]),
        ("LoadImageMask", ["a.png", "image", "red"]),
        ("LoadImageMask", ["a.png", "red"]),
    ],
)
def test_the_value_of_an_upload_button_is_not_an_input(
    registry: Registry, type: str, values: list[str]
) -> None:
    assert named(registry, type, values) == ({"image": "a.png", "channel": "red"}, ())


def test_a_picture_may_be_called_image(registry: Registry) -> None:
    assert named(registry, "LoadImage", ["image", "image"]) == ({"image": "image"}, ())
    assert named(registry, "LoadImage", ["image"]) == ({"image": "image"}, ())


def test_missing_values_are_left_to_the_defaults(registry: Registry) -> None:
    assert named(registry, "EmptyLatentImage", [64]) == ({"width": 64}, ())
    assert named(registry, "EmptyLatentImage", [64, None, 2]) == (
        {"width": 64, "batch_size": 2},
        (),
    )
    assert named(registry, "EmptyLatentImage", None) == ({}, ())


def test_values_left_over_are_reported(registry: Registry) -> None:
    found, warnings = named(registry, "EmptyLatentImage", [64, 64, 1, "extra", 3])

    assert found == {"width": 64, "height": 64, "batch_size": 1}
    (warning,) = warnings
    assert warning == (
        "node 1 (EmptyLatentImage): 2 of its widget values are left over; was it saved with "
        "another version of the node?"
    )


def test_widgets_of_optional_ports_come_last(registry: Registry) -> None:
    found, _ = named(registry, "ImageScale", ["area", 64, 32, 0.25])

    assert found == {"upscale_method": "area", "width": 64, "height": 32, "blend": 0.25}


def test_values_by_name_need_no_order_and_strange_ones_are_reported(registry: Registry) -> None:
    values = {"steps": 4, "seed": 1, "control_after_generate": "fixed", "preview": {}}

    found, warnings = named(registry, "KSampler", values)

    assert found == {"seed": 1, "steps": 4}
    assert len(warnings) == 1
    assert "1 of its widget values are left over" in warnings[0]
