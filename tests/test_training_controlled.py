"""ControlNet's training starts from a network that changes nothing, and can learn from there."""

import torch
from test_training_lessons import SMALL, Table, lesson, seeded, small_unet
from torch import Tensor

from nodes.models.controlnet import ControlNet
from nodes.training.chance import Chance
from nodes.training.controlled import Guided, new_controlnet, shown


class Hints(Table):
    """Rows of latents, and for each a hint of 8 x 8 pixels a cell."""

    def hint(self, name: str, examples: tuple[int, ...], chance: Chance) -> Tensor:
        assert name == "edges"
        return seeded(11, len(self.rows), 3, 32, 32)[list(examples)].sigmoid()


def test_at_step_0_the_output_is_the_unet_s_to_the_bit_and_the_gradients_are_not_zero() -> None:
    unet = small_unet().requires_grad_(False)
    network = new_controlnet(unet, seed=0)
    x, t, context = seeded(0, 2, 4, 8, 8), torch.tensor([3, 700]), seeded(1, 2, 3, 8)
    data = Hints(seeded(5, 6, 4, 8, 8))
    control = Guided(network, data, "edges")((0, 1), Chance(0), x, t, context)
    assert torch.equal(unet(x, t, context, control=control), unet(x, t, context))

    taught = lesson(
        unet, data=data, trained={"control": network}, control=Guided(network, data, "edges")
    )
    total, _ = taught.loss((0, 1, 2), Chance(2))
    plain, _ = lesson(unet, data=data).loss((0, 1, 2), Chance(2))
    assert total.item() == plain.item()
    torch.autograd.backward(total)
    for zero in (*network.zero_convs, network.middle_block_out):
        gradient = zero[0].weight.grad  # type: ignore[index]
        assert gradient is not None
        assert bool(gradient.any())
    assert all(p.grad is None for p in unet.parameters())
    # behind zero convolutions nothing has a gradient yet
    assert all(not p.grad.any() for p in network.middle_block.parameters() if p.grad is not None)


def test_after_one_step_the_copy_and_the_hint_encoder_have_gradients_as_well() -> None:
    unet = small_unet().requires_grad_(False)
    network = new_controlnet(unet, seed=0)
    data = Hints(seeded(5, 6, 4, 8, 8))
    taught = lesson(
        unet, data=data, trained={"control": network}, control=Guided(network, data, "edges")
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    for step in range(3):
        optimizer.zero_grad()
        total, _ = taught.loss((0, 1, 2), Chance(step))
        torch.autograd.backward(total)
        optimizer.step()
    for module in (network.input_blocks[1], network.middle_block, network.input_hint_block):
        assert any(bool(p.grad.any()) for p in module.parameters() if p.grad is not None)


def test_the_copy_is_the_unet_s_own_and_the_rest_depends_on_the_seed() -> None:
    unet = small_unet()
    one, same, other = (new_controlnet(unet, seed) for seed in (0, 0, 1))
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name])
        if name in unet.state_dict():
            assert torch.equal(weight, unet.state_dict()[name])
    first = "input_hint_block.0.weight"
    assert not torch.equal(one.state_dict()[first], other.state_dict()[first])
    assert ControlNet(one.config).config.unet == SMALL


def test_a_hint_is_shown_at_8_pixels_a_cell_whatever_the_picture_s_size() -> None:
    network = new_controlnet(small_unet(), 0)
    x_t = torch.zeros(2, 4, 4, 6)
    assert shown(network, torch.rand(2, 3, 20, 30), x_t).shape == (2, 3, 32, 48)
    assert shown(network, torch.rand(2, 1, 32, 48), x_t).shape == (2, 3, 32, 48)
