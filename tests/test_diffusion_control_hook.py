"""When a control network is asked along, and what it is shown."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nodes.diffusion.area import Area
from nodes.diffusion.control_hook import ControlHook, fitted
from nodes.diffusion.hooks import Asked
from nodes.models.control import Control


def network(x: Tensor, t: Tensor, tokens: Tensor | None, hint: Tensor) -> Control:
    raise AssertionError("nobody calls it here")


class Encoder:
    """Gives back what it was shown, and counts."""

    def __init__(self) -> None:
        self.shown: list[Tensor] = []

    def __call__(self, hint: Tensor) -> Tensor:
        self.shown.append(hint)
        return hint


def asked(sigma: float, h: int = 2, w: int = 3, area: Area | None = None) -> Asked:
    return Asked(torch.zeros(1, 4, h, w), 5, sigma, 0, 3, None, area)


def places(height: int, width: int) -> Tensor:
    """A picture whose red tells the row and whose green tells the column."""
    rows, columns = torch.arange(height).float(), torch.arange(width).float()
    red, green = rows[:, None].expand(height, width), columns.expand(height, width)
    return torch.stack([red, green, torch.zeros(height, width)])[None]


def hook(encode: Encoder, image: Tensor | None = None, **options: object) -> ControlHook:
    given = {"start_sigma": 5.0, "end_sigma": 2.0, "strength": 0.5, **options}
    return ControlHook(network, encode, places(16, 24) if image is None else image, (2, 3), **given)  # type: ignore[arg-type]


def test_it_asks_between_its_levels_both_included() -> None:
    made = hook(Encoder())

    found = [made.control(asked(s)) is not None for s in (5.1, 5.0, 3.0, 2.0, 1.9)]

    assert found == [False, True, True, True, False]


def test_at_strength_zero_it_never_asks() -> None:
    encode = Encoder()

    assert hook(encode, strength=0.0).control(asked(3.0)) is None
    assert not encode.shown


def test_a_range_without_levels_never_asks() -> None:
    assert hook(Encoder(), start_sigma=2.0, end_sigma=5.0).control(asked(3.0)) is None


def test_what_it_asks_carries_strength_and_weights() -> None:
    query = hook(Encoder(), weights=(0.5, 1.0)).control(asked(3.0))

    assert query is not None
    assert query.network is network
    assert (query.strength, query.weights) == (0.5, (0.5, 1.0))


def test_the_hint_is_encoded_once_for_all_steps() -> None:
    encode = Encoder()
    made = hook(encode)

    queries = [made.control(asked(sigma)) for sigma in (5.0, 4.0, 3.0)]

    assert len(encode.shown) == 1
    assert all(query is not None and query.hint is encode.shown[0] for query in queries)


def test_a_hook_that_is_never_in_range_encodes_nothing() -> None:
    encode = Encoder()

    hook(encode).control(asked(1.0))

    assert not encode.shown


def test_another_size_is_encoded_once_as_well() -> None:
    encode = Encoder()
    made = hook(encode)

    for h in (2, 4, 2, 4):
        made.control(asked(3.0, h=h))

    assert [tuple(hint.shape) for hint in encode.shown] == [(1, 3, 16, 24), (1, 3, 32, 24)]


def test_an_area_is_shown_its_own_part_of_the_picture() -> None:
    encode = Encoder()
    area = Area(1, 2, top=1, left=1)

    hook(encode).control(asked(3.0, h=1, w=2, area=area))

    [shown] = encode.shown
    assert torch.equal(shown, places(16, 24)[..., 8:16, 8:24])


def test_areas_of_one_size_are_told_apart() -> None:
    encode = Encoder()
    made = hook(encode)

    for left in (0, 1, 2, 0):
        made.control(asked(3.0, h=2, w=1, area=Area(2, 1, left=left)))

    assert [hint[0, 1, 0, 0].item() for hint in encode.shown] == [0, 8, 16]


@pytest.mark.parametrize(("h", "w"), [(2, 3), (3, 2), (1, 1)])
def test_a_hint_has_eight_pixels_for_each_cell(h: int, w: int) -> None:
    assert fitted(torch.rand(2, 3, 50, 31), h, w).shape == (2, 3, 8 * h, 8 * w)


def test_a_hint_of_the_right_size_stays_as_it_is() -> None:
    image = torch.rand(1, 3, 16, 24)

    assert torch.equal(fitted(image, 2, 3), image)


def test_a_larger_hint_gives_its_nearest_pixels() -> None:
    assert torch.equal(fitted(places(48, 48), 2, 2), places(48, 48)[..., 1::3, 1::3])


def test_of_a_hint_too_wide_or_too_tall_the_centre_is_taken() -> None:
    wide, tall = fitted(places(8, 24), 1, 1), fitted(places(24, 8), 1, 1)

    assert torch.equal(wide, places(8, 24)[..., 8:16])
    assert torch.equal(tall, places(24, 8)[..., 8:16, :])
