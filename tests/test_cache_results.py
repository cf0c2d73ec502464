"""The cache: bounded memory ranked by cost, over disk; nothing changed in place ever comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache import Cache, DiskCache, Stored
from nodegraph.outputs import SavedFile, Shown
from nodegraph.types import structural
from nodegraph.values import Many, fingerprint, nbytes


@dataclass(frozen=True)
class Latent:
    samples: Any


LATENT = structural(Latent)
CODECS = (LATENT,)


class OnAccelerator(torch.Tensor):
    """A tensor that says it is on an accelerator."""

    device = property(lambda self: torch.device("cuda:0"))  # type: ignore[assignment]

    def to(self, *args: Any, **kwargs: Any) -> Any:
        return self.as_subclass(torch.Tensor).clone()


def latent(value: float = 1.0, size: int = 1000) -> tuple[Latent]:
    return (Latent(torch.full((size,), float(value))),)


def far(value: float = 1.0, size: int = 1000) -> tuple[Latent]:
    return (Latent(torch.full((size,), float(value)).as_subclass(OnAccelerator)),)


def key(number: int) -> str:
    return f"{number:032x}"


def devices(cache: Cache, *keys: str) -> list[str]:
    entries = [cache.get(each) for each in keys]
    return ["gone" if e is None else e.outputs[0].samples.device.type for e in entries]


def test_a_result_comes_back_as_the_same_objects() -> None:
    cache, outputs = Cache(memory_bytes=1 << 20), latent()

    stored = cache.put("a", outputs, seconds=2.0)
    entry = cache.get("a")

    assert stored == Stored(True, False)
    assert entry is not None
    assert entry.outputs is outputs
    assert entry.seconds == 2.0
    assert entry.nbytes == nbytes(outputs)
    assert entry.fingerprint == fingerprint(outputs)
    assert not entry.saved
    assert cache.get("b") is None


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "add_ in a dataclass": (lambda: Latent(torch.ones(4)), lambda v: v.samples.add_(1)),
    "numpy view in a dict": (
        lambda: {"a": torch.ones(4)},
        lambda v: v["a"].numpy().__setitem__(0, 2),
    ),
    "data in a list": (lambda: [torch.ones(4)], lambda v: setattr(v[0], "data", torch.zeros(4))),
    "a list's item": (lambda: [1, 2], lambda v: v.__setitem__(0, 3)),
    "a dict's key": (lambda: {"a": 1}, lambda v: v.update(b=2)),
    "one of many": (
        lambda: Many((torch.ones(2), torch.ones(2))),
        lambda v: v.items[1].data.mul_(2),
    ),
}


@pytest.mark.parametrize(("make", "change"), CHANGES.values(), ids=CHANGES)
def test_a_result_changed_in_place_is_forgotten(make: Any, change: Any) -> None:
    cache, value = Cache(memory_bytes=1 << 20), make()
    cache.put("a", (value,), seconds=1.0)
    assert cache.get("a") is not None

    change(value)

    assert cache.get("a") is None
    assert cache.stats().changed == 1
    assert cache.stats().entries == cache.stats().bytes == 0


def test_the_disk_still_has_what_was_changed_in_memory(tmp_path: Path) -> None:
    cache, outputs = Cache(memory_bytes=1 << 20, disk=DiskCache(tmp_path, 1 << 20)), latent(3.0)
    assert cache.put(key(1), outputs, seconds=1.0, codecs=CODECS) == Stored(True, True)
    cache.flush()

    outputs[0].samples.add_(1)
    entry = cache.get(key(1), CODECS)

    assert entry is not None
    assert entry.outputs[0].samples.eq(3.0).all()
    assert cache.get(key(1)) is entry
    cache.close()


def test_cheap_big_results_go_before_expensive_small_ones() -> None:
    cache = Cache(memory_bytes=100_000)
    cache.put("expensive and small", latent(size=100), seconds=60.0)
    cache.put("cheap and big", latent(size=20_000), seconds=0.1)
    cache.put("in between", latent(size=2_000), seconds=1.0)

    cache.put("new", latent(size=10_000), seconds=5.0)

    assert cache.get("cheap and big") is None
    assert None not in [cache.get(k) for k in ("expensive and small", "in between", "new")]
    assert cache.stats().evicted == 1


def test_a_hit_makes_a_result_stay_longer() -> None:
    cache = Cache(memory_bytes=10_000)
    cache.put("a", latent(), seconds=1.0)
    cache.put("b", latent(), seconds=1.0)

    cache.get("a")
    cache.put("c", latent(), seconds=1.0)

    assert [cache.get(k) is None for k in "abc"] == [False, True, False]


def test_a_result_larger_than_the_whole_cache_is_not_kept_and_evicts_nothing() -> None:
    cache = Cache(memory_bytes=10_000)
    cache.put("a", latent(), seconds=0.1)
    cache.put("big", latent(), seconds=0.1)

    stored = cache.put("big", latent(size=5_000), seconds=1000.0)

    assert stored == Stored(False, False)
    assert cache.get("a") is not None
    assert cache.get("big") is None  # not its older result either


def test_putting_again_replaces() -> None:
    cache = Cache(memory_bytes=1 << 20)
    cache.put("a", (1,), seconds=1.0)
    cache.put("a", ("other",), seconds=1.0)

    assert cache.get("a").outputs == ("other",)  # type: ignore[union-attr]
    assert cache.stats().entries == 1
    assert cache.stats().bytes == nbytes(("other",))


def test_a_given_fingerprint_is_believed() -> None:
    cache = Cache(memory_bytes=1 << 20)
    cache.put("a", (1,), seconds=1.0, fingerprint=fingerprint((1,)))
    cache.put("b", (1,), seconds=1.0, fingerprint=fingerprint((2,)))

    assert cache.get("a") is not None
    assert cache.get("b") is None


def test_dropping_forgets_in_memory_or_everywhere(tmp_path: Path) -> None:
    cache = Cache(memory_bytes=1 << 20, disk=DiskCache(tmp_path, 1 << 20))
    cache.put(key(1), latent(), seconds=1.0, codecs=CODECS)
    cache.flush()

    cache.drop(key(1))
    assert cache.get(key(1), CODECS) is not None
    cache.drop(key(1), disk=True)
    cache.drop("never there")

    assert cache.get(key(1), CODECS) is None
    cache.close()


def test_a_restart_keeps_results_and_what_they_cost(tmp_path: Path) -> None:
    shown = Shown((SavedFile("a.png", "", "output"),))
    outputs = (*latent(2.0), 7, shown)
    codecs = (LATENT, None, None)
    first = Cache(memory_bytes=1 << 20, disk=DiskCache(tmp_path, 1 << 20))
    first.put(key(1), outputs, seconds=12.5, codecs=codecs)
    first.close()

    second = Cache(memory_bytes=1 << 20, disk=DiskCache(tmp_path, 1 << 20))
    entry = second.get(key(1), codecs)

    assert entry is not None
    assert fingerprint(entry.outputs) == entry.fingerprint == fingerprint(outputs)
    assert (entry.seconds, entry.saved) == (12.5, True)
    assert second.get(key(1)) is entry  # from memory now
    assert (second.stats().disk_hits, second.stats().hits) == (1, 1)


def test_why_a_result_is_not_on_disk_is_told(tmp_path: Path) -> None:
    cache = Cache(memory_bytes=1 << 20, disk=DiskCache(tmp_path, 1 << 20, min_seconds=0.5))

    no_codec = cache.put(key(1), latent(), seconds=1.0, codecs=(None,))
    cheap = cache.put(key(2), (1,), seconds=0.1)
    cache.close()

    reason = "output 0 is a Latent, and its port type has no codec"
    assert no_codec == Stored(True, False, reason)
    assert cheap == Stored(True, False, "")


def test_what_is_too_large_for_memory_still_goes_to_disk(tmp_path: Path) -> None:
    cache = Cache(memory_bytes=1000, disk=DiskCache(tmp_path, 1 << 20))

    stored = cache.put(key(1), latent(), seconds=1.0, codecs=CODECS)
    cache.flush()

    assert stored == Stored(False, True)
    assert cache.get(key(1), CODECS) is not None
    assert cache.stats().entries == 0
    cache.close()


def test_freeing_lets_go_of_as_much_as_asked_cheapest_first() -> None:
    cache = Cache(memory_bytes=1 << 20)
    for number in range(5):
        cache.put(key(number), latent(), seconds=1.0 + number)

    freed = cache.free(5_000, device="cpu")

    assert freed == 2 * nbytes(latent())
    assert [cache.get(key(n)) is None for n in range(5)] == [True, True, False, False, False]
    assert cache.free() == 3 * nbytes(latent())
    assert cache.stats().bytes == 0
    assert cache.free(10) == 0


put = st.tuples(
    st.just("put"), st.integers(0, 8), st.integers(0, 2000), st.floats(0, 10), st.booleans()
)
get = st.tuples(st.just("get"), st.integers(0, 8))
others = st.tuples(st.sampled_from(["drop", "free"]), st.integers(0, 8))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(put, get, others), max_size=40))
def test_memory_is_bounded_and_right_whatever_happens(steps: list[tuple]) -> None:
    cache = Cache(memory_bytes=20_000, device_share=0.4)
    last: dict[int, tuple[float, int]] = {}
    for action, number, *rest in steps:
        if action == "put":
            size, seconds, on_device = rest
            last[number] = (float(number), size)
            make = far if on_device else latent
            stored = cache.put(key(number), make(number, size), seconds=seconds)
            assert stored.in_memory == (key(number) in cache._held)
        elif action == "get":
            entry = cache.get(key(number))
            if entry is not None:
                host = Latent(entry.outputs[0].samples.as_subclass(torch.Tensor))
                assert fingerprint((host,)) == fingerprint(latent(*last[number]))
        elif action == "drop":
            cache.drop(key(number))
            assert cache.get(key(number)) is None
        else:
            cache.free(number * 1000)
        stats = cache.stats()
        assert 0 <= stats.bytes <= 20_000
        assert 0 <= stats.accelerator_bytes <= 8_000
        assert stats.bytes == sum(held.entry.nbytes for held in cache._held.values())
        assert stats.accelerator_bytes == sum(h.device_bytes for h in cache._held.values())
        assert len(cache._ranking) == stats.entries


def test_threads_may_use_it_at_once(tmp_path: Path) -> None:
    cache = Cache(memory_bytes=40_000, disk=DiskCache(tmp_path, 200_000), device_share=0.2)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        try:
            for step in range(150):
                number = (step * 7 + seed * 13) % 20
                entry = cache.get(key(number), CODECS)
                if entry is None:
                    make = far if step % 3 == 0 else latent
                    cache.put(key(number), make(number), seconds=number, codecs=CODECS)
                elif not entry.outputs[0].samples.as_subclass(torch.Tensor).eq(number).all():
                    wrong.append(number)
                if step % 50 == 0:
                    cache.free(3_000)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache.close()

    assert wrong == []
    assert 0 < cache.stats().bytes <= 40_000
    assert list(cache.disk.warnings) == []  # type: ignore[union-attr]


# --- accelerators -----------------------------------------------------------------------------


def test_results_stay_on_their_device_within_its_share() -> None:
    cache = Cache(memory_bytes=100_000, device_share=0.1)

    cache.put("a", far(), seconds=1.0)
    cache.put("b", far(), seconds=1.0)

    assert devices(cache, "a", "b") == ["cuda", "cuda"]
    assert cache.stats().accelerator_bytes == 8000


def test_beyond_the_share_the_cheapest_move_to_the_host_unchanged() -> None:
    cache = Cache(memory_bytes=100_000, device_share=0.1)
    cache.put("dear", far(1.0), seconds=9.0)
    cache.put("cheap", far(2.0), seconds=1.0)

    cache.put("new", far(3.0), seconds=5.0)

    assert devices(cache, "dear", "cheap", "new") == ["cuda", "cpu", "cuda"]
    entry = cache.get("cheap")
    assert entry is not None
    assert fingerprint(entry.outputs) == entry.fingerprint == fingerprint(latent(2.0))
    assert entry.seconds == 1.0
    assert (cache.stats().moved, cache.stats().accelerator_bytes) == (1, 8000)


def test_what_exceeds_the_share_alone_moves_itself_and_nothing_else() -> None:
    cache = Cache(memory_bytes=100_000, device_share=0.1)
    cache.put("small", far(), seconds=0.1)

    cache.put("big", far(size=5000), seconds=100.0)

    assert devices(cache, "small", "big") == ["cuda", "cpu"]


def test_from_the_host_results_go_out() -> None:
    cache = Cache(memory_bytes=20_000, device_share=0.25)
    for number in range(6):
        cache.put(key(number), far(number), seconds=1.0)

    assert cache.stats().bytes <= 20_000
    assert devices(cache, *map(key, range(6))).count("cuda") == 1
    assert devices(cache, *map(key, range(6))).count("gone") == 2


def test_a_hit_on_a_result_that_is_on_its_way_to_the_host_is_a_hit() -> None:
    cache = Cache(memory_bytes=100_000, device_share=0.1)
    found: list[Any] = []

    class Watched(OnAccelerator):
        def to(self, *args: Any, **kwargs: Any) -> Any:
            found.append(cache.get("moving"))
            return super().to(*args, **kwargs)

    moving = (Latent(torch.ones(1000).as_subclass(Watched)),)
    cache.put("moving", moving, seconds=1.0)
    cache.put("b", far(), seconds=5.0)
    cache.put("c", far(), seconds=5.0)

    assert found[0].outputs is moving
    assert devices(cache, "moving", "b", "c") == ["cpu", "cuda", "cuda"]


def test_a_result_changed_on_its_device_does_not_move_to_the_host() -> None:
    cache, outputs = Cache(memory_bytes=100_000, device_share=0.1), far(1.0)
    cache.put("changed", outputs, seconds=1.0)

    outputs[0].samples.as_subclass(torch.Tensor).add_(1)
    cache.put("b", far(), seconds=5.0)
    cache.put("c", far(), seconds=5.0)

    assert devices(cache, "changed", "b", "c") == ["gone", "cuda", "cuda"]
    assert cache.stats().changed == 1


def test_a_result_that_does_not_fit_on_the_host_is_let_go() -> None:
    class Stuck(OnAccelerator):
        def to(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("out of memory")

    def stuck(size: int = 1000) -> tuple[Latent]:
        return (Latent(torch.ones(size).as_subclass(Stuck)),)

    cache = Cache(memory_bytes=100_000, device_share=0.1)

    assert not cache.put("large", stuck(5000), seconds=1.0).in_memory
    for name in "abc":
        cache.put(name, stuck(), seconds=1.0)

    assert devices(cache, "large", "a", "b", "c") == ["gone", "gone", "cuda", "cuda"]
    assert cache.stats().accelerator_bytes == 8000


@pytest.mark.parametrize("device", ["cuda", "cuda:0", None])
def test_freeing_an_accelerator_moves_to_the_host_and_loses_nothing(device: str | None) -> None:
    cache = Cache(memory_bytes=100_000, device_share=0.5)
    for number in range(4):
        cache.put(key(number), far(number), seconds=1.0 + number)

    freed = cache.free(5000, device=device)

    assert freed == 8000
    assert devices(cache, *map(key, range(4))) == ["cpu", "cpu", "cuda", "cuda"]
    assert cache.free(device=device) == 8000
    assert cache.stats().entries == 4
    assert cache.stats().accelerator_bytes == 0


def test_freeing_another_accelerator_frees_nothing() -> None:
    cache = Cache(memory_bytes=100_000, device_share=0.5)
    cache.put("a", far(), seconds=1.0)

    assert cache.free(10, device="cuda:1") == 0
    assert cache.free(10, device="mps") == 0
    assert devices(cache, "a") == ["cuda"]


def test_a_result_on_an_accelerator_goes_to_disk_too(tmp_path: Path) -> None:
    cache = Cache(memory_bytes=100_000, disk=DiskCache(tmp_path, 1 << 20), device_share=0.5)
    cache.put(key(1), far(4.0), seconds=1.0, codecs=CODECS)
    cache.close()
    cache.drop(key(1))

    entry = cache.get(key(1), CODECS)

    assert entry is not None
    assert fingerprint(entry.outputs) == fingerprint(latent(4.0))
