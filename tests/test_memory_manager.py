import contextlib
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_models import IDS, ToySource, answer, toy
from torch import Tensor, nn

from nodegraph.memory import LeaseError, ModelManager, SimulatedDevice

SIZE = ToySource().nbytes
SIM = "sim:0"
DEVICES = ("cpu", SIM, "sim:1")
ROOMY = 1 << 30
ANSWERS = [answer(toy(seed)) for seed in range(6)]


def keys(manager: ModelManager, device: str) -> list[str]:
    return [model.key for model in manager.stats().devices[device].models]


def resident(manager: ModelManager, device: str) -> int:
    return manager.stats().devices[device].resident


def in_threads(count: int, work: Callable[[], object]) -> list[BaseException]:
    """Run `work` in many threads at once; returns what they raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


class Exhausting(ToySource):
    """Its model runs out of memory until it is streamed, as one with large activations would."""

    def run(self, manager: ModelManager) -> str:
        with manager.lease(self, SIM) as model:
            if not manager.stats().devices[SIM].models[0].streamed:
                activations = torch.zeros(4)
                self.activations = weakref.ref(activations)
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return answer(model)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import nodegraph.memory, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_lent_model_is_ready_for_inference_and_computes_what_the_source_holds() -> None:
    manager = ModelManager(host_budget=ROOMY)

    with manager.lease(ToySource(3)) as model:
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert answer(model) == answer(toy(3))


def test_two_leases_of_one_key_load_once_and_share_the_module() -> None:
    manager = ModelManager(host_budget=ROOMY)
    first, second = ToySource(), ToySource()

    with manager.lease(first) as one, manager.lease(second) as other:
        assert one is other

    assert (first.loads, second.loads, manager.stats().loads) == (1, 0, 1)
    assert resident(manager, "cpu") == SIZE


def test_eight_threads_that_want_one_model_load_it_once() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)
    source = ToySource()
    expected = answer(toy())

    def work() -> None:
        for device in (SIM, "cpu", SIM):
            with manager.lease(source, device) as model:
                assert answer(model) == expected

    errors = in_threads(8, work)

    assert errors == []
    assert source.loads == 1
    assert resident(manager, SIM) + resident(manager, "cpu") == SIZE
    assert sum(m.leases for d in manager.stats().devices.values() for m in d.models) == 0


def test_threads_with_different_models_stay_within_the_budgets() -> None:
    device = SimulatedDevice()
    manager = ModelManager(budgets={SIM: 5 * SIZE // 2}, host_budget=8 * SIZE, devices=[device])

    def work() -> None:
        for seed in [*range(6), 3, 1]:
            with manager.lease(ToySource(seed), SIM) as model:
                assert answer(model) == ANSWERS[seed]

    errors = in_threads(2, work)

    assert errors == []
    assert device.ledger.peak <= 5 * SIZE // 2
    assert manager.stats().devices["cpu"].peak <= 8 * SIZE


def test_a_model_on_a_device_leaves_no_copy_on_the_host() -> None:
    device = SimulatedDevice()
    manager = ModelManager(host_budget=ROOMY, devices=[device])

    with manager.lease(ToySource(), SIM) as model:
        assert answer(model) == answer(toy())
        assert (device.ledger.present, resident(manager, SIM)) == (SIZE, SIZE)
        assert resident(manager, "cpu") == 0


def test_the_least_recently_used_model_is_evicted_to_the_host_and_then_to_nothing() -> None:
    manager = ModelManager(budgets={SIM: 2 * SIZE}, host_budget=2 * SIZE)
    for seed in (0, 1, 0, 2):  # 1 is used longest ago when 2 needs room
        with manager.lease(ToySource(seed), SIM):
            pass
    assert (keys(manager, SIM), keys(manager, "cpu")) == (["toy 0", "toy 2"], ["toy 1"])

    for seed in (3, 4):  # 0 and 2 go to the host; there is no room for 1 any more
        with manager.lease(ToySource(seed), SIM):
            pass

    assert keys(manager, SIM) == ["toy 3", "toy 4"]
    assert "toy 1" not in keys(manager, "cpu")
    stats = manager.stats()
    assert stats.devices[SIM].peak == 2 * SIZE
    assert stats.devices["cpu"].peak <= 2 * SIZE
    assert (stats.loads, stats.streams) == (5, 0)


def test_a_model_that_comes_back_from_the_host_is_not_loaded_again() -> None:
    manager = ModelManager(budgets={SIM: SIZE}, host_budget=3 * SIZE)
    first = ToySource(0)
    for source in (first, ToySource(1)):
        with manager.lease(source, SIM):
            pass

    with manager.lease(first, SIM) as model:
        assert answer(model) == answer(toy(0))

    assert first.loads == 1


def test_on_the_cpu_eviction_goes_to_nothing_even_if_somebody_keeps_the_module() -> None:
    manager = ModelManager(host_budget=SIZE)
    first = ToySource(0)
    with manager.lease(first) as model:
        memory = [weakref.ref(tensor.untyped_storage()) for tensor in model.parameters()]

    with manager.lease(ToySource(1)):
        assert [reference() for reference in memory] == [None] * len(memory)
        assert keys(manager, "cpu") == ["toy 1"]

    with manager.lease(first) as model:
        assert answer(model) == answer(toy(0))
    assert first.loads == 2
    assert manager.stats().devices["cpu"].peak == SIZE


def test_a_lent_model_is_never_evicted_and_the_next_one_is_streamed_in_what_is_left() -> None:
    device = SimulatedDevice()
    budget = SIZE + SIZE // 2
    manager = ModelManager(budgets={SIM: budget}, host_budget=ROOMY, devices=[device])

    with manager.lease(ToySource(0), SIM) as one, manager.lease(ToySource(1), SIM) as two:
        for _ in range(2):
            assert answer(one) == answer(toy(0))
            assert answer(two) == answer(toy(1))
        streamed = {m.key: m.streamed for m in manager.stats().devices[SIM].models}

    assert streamed == {"toy 0": False, "toy 1": True}
    assert SIZE < device.ledger.peak <= budget


def test_a_streamed_model_becomes_resident_when_there_is_room_for_it() -> None:
    manager = ModelManager(budgets={SIM: SIZE}, host_budget=ROOMY)
    with manager.lease(ToySource(0), SIM), manager.lease(ToySource(1), SIM):
        pass

    with manager.lease(ToySource(1), SIM) as model:
        assert [m.streamed for m in manager.stats().devices[SIM].models] == [False]
        assert answer(model) == answer(toy(1))
    assert manager.stats().devices[SIM].peak <= SIZE + SIZE // 2


def test_streamed_models_make_room_for_one_that_fits_beside_their_largest_layers() -> None:
    device = SimulatedDevice()
    manager = ModelManager(budgets={SIM: 2 * SIZE - 8}, host_budget=ROOMY, devices=[device])

    with contextlib.ExitStack() as leases:
        one, two, three = (leases.enter_context(manager.lease(ToySource(n), SIM)) for n in range(3))
        for seed, model in ((2, three), (1, two), (0, one), (2, three)):
            assert answer(model) == answer(toy(seed))
        streamed = [m.streamed for m in manager.stats().devices[SIM].models]

    assert streamed == [False, True, True]
    assert device.ledger.peak <= 2 * SIZE - 8


def test_a_lent_streamed_model_gives_up_what_it_only_keeps_for_one_that_then_fits() -> None:
    class Small(ToySource):
        key = "small"
        nbytes = 4000

        def load(self) -> nn.Module:
            return nn.Linear(100, 10, bias=False)

    device = SimulatedDevice()
    manager = ModelManager(budgets={SIM: SIZE - 8}, host_budget=ROOMY, devices=[device])
    small = Small()
    small.nbytes = 4000

    with manager.lease(ToySource(), SIM) as model:
        answer(model)
        assert device.ledger.present > SIZE - 8 - 4000
        with manager.lease(small, SIM):
            assert answer(model) == answer(toy())
            streamed = {m.key: m.streamed for m in manager.stats().devices[SIM].models}

    assert streamed == {"toy 0": True, "small": False}
    assert device.ledger.peak <= SIZE - 8


@pytest.mark.parametrize("share", [0.95, 0.6, 0.45])
def test_a_model_beyond_the_budget_is_streamed_with_equal_bits(share: float) -> None:
    device = SimulatedDevice()
    budget = int(share * SIZE)
    manager = ModelManager(budgets={SIM: budget}, host_budget=ROOMY, devices=[device])

    with manager.lease(ToySource(), SIM) as model:
        results = [answer(model) for _ in range(3)]

    assert set(results) == {answer(toy())}
    assert 0 < device.ledger.peak <= budget
    assert manager.stats().devices[SIM].peak == device.ledger.peak
    assert manager.stats().streams == 1


def test_on_the_cpu_a_model_beyond_the_host_budget_is_streamed_from_its_source() -> None:
    source = ToySource()
    manager = ModelManager(host_budget=SIZE // 2)

    with manager.lease(source) as model:
        results = [answer(model) for _ in range(2)]

    assert set(results) == {answer(toy())}
    assert source.loads == 0
    assert 0 < source.read.peak <= SIZE // 2
    assert manager.stats().devices["cpu"].peak <= SIZE // 2


@pytest.mark.parametrize("budget", [SIZE, SIZE // 2])
def test_with_a_host_too_small_a_model_goes_to_the_device_weight_by_weight(budget: int) -> None:
    device, source = SimulatedDevice(), ToySource()
    host_budget = 3 * 16 * 16 * 4  # the largest weight
    manager = ModelManager(budgets={SIM: budget}, host_budget=host_budget, devices=[device])

    with manager.lease(source, SIM) as model:
        assert answer(model) == answer(toy())

    assert source.loads == 0
    assert device.ledger.peak <= budget
    assert 0 < source.read.peak <= host_budget
    assert 0 < manager.stats().devices["cpu"].peak <= host_budget


def test_two_threads_may_run_one_streamed_model_within_the_budget() -> None:
    device = SimulatedDevice()
    manager = ModelManager(budgets={SIM: SIZE // 2}, host_budget=ROOMY, devices=[device])
    expected = answer(toy())

    def work() -> None:
        for _ in range(5):
            with manager.lease(ToySource(), SIM) as model:
                assert answer(model) == expected

    assert in_threads(3, work) == []
    assert device.ledger.peak <= SIZE // 2


def test_nested_leases_of_one_model_end_one_by_one() -> None:
    manager = ModelManager(budgets={SIM: SIZE}, host_budget=ROOMY)

    with manager.lease(ToySource(), SIM) as outer:
        with manager.lease(ToySource(), SIM) as inner:
            assert outer is inner
            assert manager.stats().devices[SIM].models[0].leases == 2
        assert manager.free(SIM) == 0
    assert manager.free(SIM) == SIZE


def test_a_lease_on_another_device_moves_the_model() -> None:
    manager = ModelManager(budgets={SIM: ROOMY, "sim:1": ROOMY}, host_budget=ROOMY)
    source = ToySource()

    for device in (SIM, "cpu", "sim:1", SIM):
        with manager.lease(source, device) as model:
            assert answer(model) == answer(toy())
            assert [resident(manager, name) for name in manager.stats().devices] == [
                SIZE if name == device else 0 for name in manager.stats().devices
            ]
    assert source.loads == 1


def test_a_thread_that_holds_a_model_cannot_have_it_on_another_device() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)

    with (
        manager.lease(ToySource(), SIM),
        pytest.raises(LeaseError, match="toy 0 is lent on sim:0 to the same thread"),
        manager.lease(ToySource(), "cpu"),
    ):
        pass


def test_a_model_lent_elsewhere_by_another_thread_is_waited_for() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)
    lent, done = threading.Event(), threading.Event()
    order: list[str] = []

    def holder() -> None:
        with manager.lease(ToySource(), SIM):
            lent.set()
            done.wait(0.2)
            order.append("held")

    thread = threading.Thread(target=holder)
    thread.start()
    lent.wait()
    with manager.lease(ToySource(), "cpu"):
        order.append("moved")
    thread.join()

    assert order == ["held", "moved"]


def test_an_error_inside_the_lease_ends_it() -> None:
    manager = ModelManager(host_budget=ROOMY)

    with pytest.raises(ZeroDivisionError), manager.lease(ToySource()):
        1 / 0  # noqa: B018

    assert manager.free() == SIZE


def test_a_failing_load_reaches_everybody_who_waits_and_the_next_lease_tries_again() -> None:
    manager = ModelManager(host_budget=ROOMY)
    source = ToySource()

    class Failing(ToySource):
        def load(self) -> nn.Module:
            self.loads += 1
            for _ in range(5000):  # until everybody waits for this load
                if sum(entry.waiting for entry in list(manager._mover.entries.values())) == 4:
                    break
                time.sleep(0.001)
            raise OSError("the disk is gone")

    failing = Failing()

    def work() -> None:
        with manager.lease(failing):
            pass

    errors = in_threads(4, work)

    assert [str(error) for error in errors] == ["the disk is gone"] * 4
    assert failing.loads == 1
    assert resident(manager, "cpu") == 0
    with manager.lease(source) as model:
        assert answer(model) == answer(toy())


def test_a_lease_of_a_model_in_place_does_not_wait_for_anothers_load() -> None:
    manager = ModelManager(host_budget=ROOMY)
    loading, finish = threading.Event(), threading.Event()

    class Slow(ToySource):
        def load(self) -> nn.Module:
            loading.set()
            assert finish.wait(30)
            return super().load()

    with manager.lease(ToySource(0)):
        pass

    def work() -> None:
        with manager.lease(Slow(1)):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    loading.wait()
    with manager.lease(ToySource(0)) as model:  # would hang for ever
        assert answer(model) == answer(toy(0))
    finish.set()
    thread.join()


def test_a_source_may_lease_another_model_while_it_loads() -> None:
    manager = ModelManager(host_budget=2 * SIZE)

    class Patched(ToySource):
        key = "patched"

        def load(self) -> nn.Module:
            with manager.lease(ToySource(0)) as base:
                model = toy(1)
                model.load_state_dict({k: v * 2 for k, v in base.state_dict().items()})
            return model

    with manager.lease(ToySource(5)):
        pass
    with manager.lease(Patched()) as model:
        assert torch.equal(model.position, toy(0).position * 2)
    assert manager.stats().devices["cpu"].peak <= 2 * SIZE


def test_a_move_that_fails_drops_the_model_and_its_bytes() -> None:
    device = SimulatedDevice(memory=SIZE // 2)
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY, devices=[device])

    with pytest.raises(torch.cuda.OutOfMemoryError), manager.lease(ToySource(), SIM):
        pass

    gc.collect()
    assert (resident(manager, SIM), resident(manager, "cpu")) == (0, 0)
    assert device.ledger.present == 0


def test_weights_that_do_not_match_the_skeleton_are_refused_by_name() -> None:
    class Wrong(ToySource):
        def tensor(self, name: str) -> Tensor:
            return super().tensor(name).double()

    manager = ModelManager(host_budget=SIZE // 2)
    with manager.lease(Wrong()) as model, pytest.raises(LeaseError, match=r"position as .*float64"):
        answer(model)


def test_a_tied_weight_is_read_under_whichever_name_the_source_knows() -> None:
    class HeadOnly(ToySource):
        def tensor(self, name: str) -> Tensor:
            if name == "token.weight":
                raise KeyError(name)
            return super().tensor("token.weight" if name == "head.weight" else name)

    manager = ModelManager(host_budget=SIZE // 2)
    with manager.lease(HeadOnly()) as model:
        assert answer(model) == answer(toy())


def test_a_weight_the_source_lacks_is_named() -> None:
    class Empty(ToySource):
        def tensor(self, name: str) -> Tensor:
            raise KeyError(name)

    manager = ModelManager(host_budget=SIZE // 2)
    expected = r"toy 0 has no tensor token.weight or head.weight"
    with manager.lease(Empty()) as model, pytest.raises(LeaseError, match=expected):
        model(IDS)


def test_free_evicts_only_as_much_as_asked_for_and_nothing_that_is_lent() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)
    with contextlib.ExitStack() as leases:
        for seed in range(4):
            leases.enter_context(manager.lease(ToySource(seed), SIM))
    held = ToySource(3)

    with manager.lease(held, SIM):
        assert manager.free(SIM, SIZE + 1) == 2 * SIZE
        assert (keys(manager, SIM), keys(manager, "cpu")) == (
            ["toy 2", "toy 3"],
            ["toy 0", "toy 1"],
        )
        assert manager.free("cpu", 1) == SIZE
        assert manager.free() == 2 * SIZE
        assert (keys(manager, SIM), keys(manager, "cpu")) == (["toy 3"], [])


def test_recover_knows_a_lack_of_memory_and_frees_what_is_not_lent() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)
    for seed, device in ((0, SIM), (1, SIM), (2, "cpu")):
        with manager.lease(ToySource(seed), device):
            pass

    assert manager.recover(ValueError("out of range")) is None
    assert manager.recover(torch.cuda.OutOfMemoryError("CUDA out of memory")) == 2 * SIZE
    assert (resident(manager, SIM), resident(manager, "cpu")) == (0, 3 * SIZE)
    assert manager.recover(MemoryError()) == 3 * SIZE
    assert resident(manager, "cpu") == 0


def test_recover_lets_go_of_what_the_failed_work_had_in_its_hands() -> None:
    manager = ModelManager(host_budget=ROOMY)
    held: list[weakref.ref[Tensor]] = []

    def work() -> None:
        activations = torch.zeros(8)
        held.append(weakref.ref(activations))
        raise MemoryError

    def node() -> None:
        try:
            work()
        except MemoryError as error:
            raise RuntimeError("node 3 failed") from error

    with pytest.raises(RuntimeError) as failure:
        node()
    assert held[0]() is not None

    assert manager.recover(failure.value) == 0
    assert held[0]() is None


def test_a_model_under_which_memory_keeps_running_out_is_streamed_at_last() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)
    source = Exhausting()

    for _ in range(2):
        with pytest.raises(torch.cuda.OutOfMemoryError) as failure:
            source.run(manager)
        assert manager.recover(failure.value) == SIZE

    assert source.run(manager) == answer(toy())
    assert source.activations() is None
    with manager.lease(source, SIM):  # and stays small until `free` forgets
        assert manager.stats().devices[SIM].models[0].streamed
    manager.free()
    with manager.lease(source, SIM):
        assert not manager.stats().devices[SIM].models[0].streamed


def test_a_single_lack_of_memory_is_forgotten_after_a_success() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)

    for _ in range(4):
        with pytest.raises(MemoryError), manager.lease(ToySource(), SIM):
            raise MemoryError
        with manager.lease(ToySource(), SIM):
            assert not manager.stats().devices[SIM].models[0].streamed


def test_a_device_smaller_than_its_budget_is_served_after_recovery() -> None:
    device = SimulatedDevice(memory=SIZE * 3 // 4)
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY, devices=[device])

    def run() -> str:
        with manager.lease(ToySource(), SIM) as model:
            return answer(model)

    for _ in range(2):
        with pytest.raises(torch.cuda.OutOfMemoryError) as failure:
            run()
        manager.recover(failure.value)

    assert run() == answer(toy())
    assert device.ledger.peak <= SIZE * 3 // 4


def test_measuring_tells_the_peak_of_the_block_even_when_blocks_overlap() -> None:
    manager = ModelManager(budgets={SIM: ROOMY}, host_budget=ROOMY)
    source = ToySource()

    with manager.measure(SIM) as whole:
        with manager.lease(source, SIM):
            pass
        manager.free()
        gc.collect()
        with manager.measure(SIM) as rest:
            pass
    with manager.measure("cpu") as host:
        pass

    assert (whole.peak_bytes, rest.peak_bytes, host.peak_bytes) == (SIZE, 0, None)


@pytest.mark.parametrize("budget", [ROOMY, SIZE // 2])
def test_dropping_the_manager_drops_the_models(budget: int) -> None:
    device = SimulatedDevice()
    manager = ModelManager(budgets={SIM: budget}, host_budget=ROOMY, devices=[device])
    gc.collect()
    gc.disable()
    try:
        with manager.lease(ToySource(), SIM) as model:
            answer(model)
            alive = weakref.ref(model)
        del model, manager
        assert alive() is None
        assert device.ledger.present == 0
    finally:
        gc.enable()


def test_a_budget_for_cuda_or_sim_holds_for_each_of_its_devices() -> None:
    manager = ModelManager(budgets={"sim": 100, "sim:1": 200}, host_budget=300)

    for name in ("sim:0", "sim:1"):
        manager.free(name)

    assert {name: d.budget for name, d in manager.stats().devices.items()} == {
        "cpu": 300,
        "sim:0": 100,
        "sim:1": 200,
    }


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([SIM, "sim:1", "cpu"])), max_size=9
    ),
    shares=st.tuples(*[st.sampled_from([0.3, 0.7, 1.0, 1.6, 2.3, 5.0])] * 3),
)
def test_whatever_is_lent_in_turn_no_budget_is_exceeded_and_no_bit_changes(
    steps: list[tuple[int, str]], shares: tuple[float, float, float]
) -> None:
    budgets = {name: int(SIZE * share) for name, share in zip(DEVICES, shares, strict=True)}
    devices = [SimulatedDevice(SIM), SimulatedDevice("sim:1")]
    manager = ModelManager(budgets=budgets, devices=devices)

    for seed, device in steps:
        with manager.lease(ToySource(seed), device) as model:
            assert answer(model) == ANSWERS[seed]

    stats = manager.stats().devices
    for device in devices:
        assert stats[device.name].resident == device.ledger.present
        assert stats[device.name].peak == device.ledger.peak
    assert all(stats[name].peak <= budgets[name] for name in DEVICES)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("budget", [ROOMY, SIZE // 2])
def test_on_a_gpu_models_are_moved_streamed_and_measured(budget: int) -> None:
    manager = ModelManager(budgets={"cuda": budget}, host_budget=ROOMY)
    expected = answer(toy().cuda())

    with manager.lease(ToySource(), "cuda") as model, manager.measure("cuda") as measured:
        results = {answer(model) for _ in range(2)}

    assert results == {expected}
    assert measured.peak_bytes
    assert manager.stats().devices["cuda:0"].peak <= budget
    manager.free()
    assert resident(manager, "cuda:0") == 0
