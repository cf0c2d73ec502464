import copy
import gc
import itertools
import threading
import time

import pytest
import torch
from memory_models import IDS, Toy, answer, toy
from torch import Tensor, nn

from nodegraph.memory import SimulatedDevice
from nodegraph.memory.ledger import Ledger
from nodegraph.memory.streaming import Streamer
from nodegraph.memory.weights import Weight, size_of


class Bench:
    """A module streamed to a simulated device, and the record of what was transferred."""

    def __init__(self, module: nn.Module, limit: int = 0) -> None:
        self.module = module
        self.device = SimulatedDevice()
        self.ledger = Ledger()
        self.brought: list[str] = []
        self.streamer = Streamer(module, self.ledger, self._read, copies=True)
        self.streamer.trim(limit)

    def _read(self, weight: Weight, original: Tensor) -> Tensor:
        self.brought.append(weight.names[0])
        return self.device.place(original)


def linears(*widths: int) -> nn.Sequential:
    layers = [nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def test_each_weight_comes_when_its_layer_runs_and_goes_when_the_next_one_needs_room() -> None:
    bench = Bench(linears(4, 4, 4, 4))

    with torch.no_grad():
        bench.module(torch.ones(1, 4))

    assert bench.brought == ["0.weight", "1.weight", "2.weight"]
    assert (bench.device.ledger.peak, bench.device.ledger.present) == (64, 64)
    assert bench.ledger.peak == 64


def test_what_fits_beside_the_largest_layer_stays_and_is_brought_once() -> None:
    bench = Bench(linears(4, 4, 4, 4, 4), limit=64 * 3)

    with torch.no_grad():
        for _ in range(3):
            bench.module(torch.ones(1, 4))

    assert bench.brought.count("0.weight") == bench.brought.count("1.weight") == 1
    assert bench.brought.count("2.weight") == bench.brought.count("3.weight") == 3
    assert bench.device.ledger.peak == 64 * 3


def test_a_model_that_fits_whole_is_brought_once() -> None:
    bench = Bench(toy(), limit=2 * size_of(toy()))

    results = {answer(bench.module) for _ in range(2)}

    assert results == {answer(toy())}
    assert len(bench.brought) == len(set(bench.brought))


@pytest.mark.parametrize("limit", [0, 8192, 20000])
def test_a_streamed_model_computes_the_same_bits_within_its_limit(limit: int) -> None:
    bench = Bench(toy(), limit)

    results = {answer(bench.module) for _ in range(2)}

    assert results == {answer(toy())}
    assert bench.device.ledger.peak <= bench.streamer.limit < size_of(toy())


def test_the_floor_is_the_dearest_layer_with_what_its_parents_hold() -> None:
    class Parent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(5))
            self.small, self.large = nn.Linear(2, 2), nn.Linear(10, 2)

    module = nn.ModuleDict({"parent": Parent(), "other": nn.Linear(10, 2, bias=False)})

    assert Bench(module).streamer.floor == (5 + 10 * 2 + 2) * 4


def test_a_layer_that_uses_all_weights_of_its_children_at_once_computes_the_same_bits() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval().requires_grad_(False)
    x = torch.rand(2, 3, 8)
    with torch.no_grad():
        expected = layer(x)
        bench = Bench(layer)
        result = bench.module(x)

    assert torch.equal(result, expected)


def test_weights_that_somebody_holds_are_counted_until_they_are_free() -> None:
    bench = Bench(linears(4, 4, 4))

    with torch.no_grad():
        held = [layer.weight.detach()[:1] for layer in bench.module]
    assert bench.ledger.present == bench.device.ledger.present == 128
    del held
    bench.streamer.trim(0)

    assert bench.ledger.present == bench.device.ledger.present == 64


def test_a_layer_with_weights_runs_in_one_thread_at_a_time() -> None:
    running: list[int] = []
    most = 0

    class Watched(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            nonlocal most
            running.append(1)
            most = max(most, len(running))
            time.sleep(0.02)  # long enough for the others to come
            running.pop()
            return super().forward(x)

    module = nn.Sequential(Watched(2, 2), Watched(2, 2)).requires_grad_(False)
    bench = Bench(module)
    threads = [threading.Thread(target=module, args=(torch.ones(1, 2),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1
    assert bench.device.ledger.peak == bench.streamer.floor


def test_gradients_flow_through_a_streamed_model_to_its_input() -> None:
    module = linears(4, 8, 3)
    x = torch.rand(2, 4, requires_grad=True)
    (expected,) = torch.autograd.grad(module(x).square().sum(), x)
    bench = Bench(module)

    (gradient,) = torch.autograd.grad(bench.module(x).square().sum(), x)

    assert torch.equal(gradient, expected)


def test_a_tied_weight_is_one_weight() -> None:
    bench = Bench(toy(), limit=1 << 20)

    assert isinstance(bench.module, Toy)
    assert bench.module.head.weight is bench.module.token.weight
    assert bench.brought == ["token.weight"]


def test_a_streamed_module_looks_as_if_it_were_on_the_device() -> None:
    bench, plain = Bench(toy()), toy()

    state = bench.module.state_dict()
    assert list(state) == list(plain.state_dict())
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())
    parameters = dict(bench.module.named_parameters())
    assert list(parameters) == list(dict(plain.named_parameters()))
    assert all(isinstance(value, nn.Parameter) for value in parameters.values())
    assert not any(value.requires_grad for value in parameters.values())


def test_a_copy_of_a_streamed_module_is_an_ordinary_module() -> None:
    bench = Bench(toy())

    duplicate = copy.deepcopy(bench.module)
    bench.streamer.close()

    assert type(duplicate.__dict__["_parameters"]) is dict
    assert all(type(value) is nn.Parameter for value in duplicate.parameters())
    assert torch.equal(duplicate(IDS), toy()(IDS))


def test_what_a_forward_stores_in_a_buffer_stays_there() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.register_buffer("table", torch.zeros(2))
            self.register_buffer("late", None)

        def forward(self) -> Tensor:
            self.table = self.table + self.weight
            self.late = self.table
            return self.table

    bench = Bench(Counting().requires_grad_(False))

    assert bench.module().tolist() == [1, 1]
    assert bench.module().tolist() == [2, 2]
    assert bench.module.late.tolist() == [2, 2]


def test_a_forward_set_on_the_module_itself_is_still_used() -> None:
    layer = linears(2, 2)
    layer[0].forward = lambda x: x + 7  # type: ignore[method-assign]
    bench = Bench(layer)

    assert bench.module(torch.zeros(2)).tolist() == [7, 7]
    bench.streamer.close()
    assert bench.module(torch.zeros(2)).tolist() == [7, 7]


def test_closing_gives_the_module_its_own_weights_back_and_frees_the_device() -> None:
    module = toy()
    before = dict(module.named_parameters())
    bench = Bench(module, limit=1 << 20)
    answer(module)

    bench.streamer.close()

    assert all(before[name] is value for name, value in module.named_parameters())
    assert "forward" not in module.token.__dict__
    assert bench.device.ledger.present == 0
    assert answer(module) == answer(toy())


def test_trimming_lets_go_of_kept_weights_while_the_module_is_in_use() -> None:
    bench = Bench(linears(4, 4, 4, 4), limit=64 * 3)
    with torch.no_grad():
        bench.module(torch.ones(1, 4))
    assert bench.device.ledger.present == 64 * 3

    bench.streamer.trim(64 * 2)
    assert bench.device.ledger.present == 64 * 2
    with torch.no_grad():
        bench.module(torch.ones(1, 4))
    assert bench.device.ledger.present == 64 * 2


def test_resting_keeps_only_what_stays() -> None:
    bench = Bench(linears(4, 4, 4, 4), limit=64 * 2)
    with torch.no_grad():
        bench.module(torch.ones(1, 4))

    bench.streamer.rest()

    assert bench.device.ledger.present == 64


def test_a_read_that_fails_leaves_nothing_counted_and_can_be_repeated() -> None:
    device = SimulatedDevice(memory=32)
    ledger = Ledger()
    module = linears(4, 4)
    streamer = Streamer(module, ledger, lambda _, original: device.place(original), copies=True)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        module(torch.ones(1, 4))
    assert ledger.present == 0

    device.memory = 64
    assert module(torch.ones(1, 4)).shape == (1, 4)
    assert ledger.present == 64
    del streamer
    gc.collect()
