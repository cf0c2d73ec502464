"""The folder of results: bounded, atomic, shared, and never a reason for a run to fail."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache import DiskCache, disk
from nodegraph.outputs import SavedFile, Shown
from nodegraph.types import Codec, structural
from nodegraph.values import fingerprint, nbytes

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Latent:
    samples: Any


LATENT = structural(Latent)
CODECS = (LATENT,)


def key(number: int) -> str:
    return f"{number:032x}"


def latent(value: float = 1.0, size: int = 1000) -> tuple[Latent]:
    return (Latent(torch.full((size,), float(value))),)


def offer(
    cache: DiskCache,
    name: str,
    outputs: tuple[Any, ...],
    codecs: tuple[Codec | None, ...] = CODECS,
    seconds: float = 10.0,
) -> disk.Offer:
    return cache.offer(
        name,
        outputs,
        codecs=codecs,
        seconds=seconds,
        fingerprint=fingerprint(outputs),
        nbytes=nbytes(outputs),
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache(tmp_path / "cache", 1 << 20)
    yield cache
    cache.close()


def test_a_result_survives_a_restart(cache: DiskCache) -> None:
    assert offer(cache, key(1), latent(2.5)) == disk.Offer(True)
    cache.close()

    again = DiskCache(cache.folder, 1 << 20)
    found = again.get(key(1), CODECS)

    assert found is not None
    assert fingerprint(found.outputs) == fingerprint(latent(2.5))
    assert found.seconds == 10.0
    assert again.get(key(2), CODECS) is None
    assert again.stats().hits == 1


def test_only_whole_files_under_their_own_names_remain(cache: DiskCache) -> None:
    for number in range(3):
        offer(cache, key(number), latent())
    cache.flush()

    assert names(cache.folder) == {f"{key(number)}.safetensors" for number in range(3)}
    assert cache.stats().written == 3


def test_cheap_results_are_not_written_unless_they_refer_to_files(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 1 << 20, min_seconds=1.0)
    shown = Shown((SavedFile("a.png", "", "output"),))

    assert offer(cache, key(1), latent(), seconds=0.9) == disk.Offer(False)
    assert offer(cache, key(2), (shown,), seconds=0.001).queued
    assert offer(cache, key(3), latent(), seconds=1.0).queued
    cache.close()

    assert cache.get(key(1), CODECS) is None
    assert cache.get(key(2), ()).outputs == (shown,)  # type: ignore[union-attr]


def test_a_slot_without_a_codec_is_the_reason_and_nothing_is_written(cache: DiskCache) -> None:
    offered = offer(cache, key(1), (1, *latent()), (None, None))
    cache.flush()

    assert offered == disk.Offer(False, "output 1 is a Latent, and its port type has no codec")
    assert not cache.folder.exists()


def test_keys_that_are_no_file_names_work(cache: DiskCache, tmp_path: Path) -> None:
    odd = ["../escape", "UPPER" * 4, "upper" * 4, "a/b", "", ".hidden-name", "ä" * 200, "x" * 500]
    for number, name in enumerate(odd):
        offer(cache, name, latent(number))
    cache.flush()

    for number, name in enumerate(odd):
        assert cache.get(name, CODECS).outputs[0].samples[0] == number  # type: ignore[union-attr]
    assert names(tmp_path) == {"cache"}
    assert all(path.suffix == ".safetensors" for path in cache.folder.iterdir())


def test_what_waits_to_be_written_is_found_already(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = threading.Event()
    monkeypatch.setattr(disk, "pack", lambda *_: leave.wait(10) and None)
    outputs = latent()
    offer(cache, key(1), outputs)

    found = cache.get(key(1), CODECS)
    outputs[0].samples.add_(1)
    after = cache.get(key(1), CODECS)
    leave.set()

    assert found is not None
    assert found.outputs is outputs
    assert after is None


# --- bounds ---------------------------------------------------------------------------------


def total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 20_000)  # four of about 4.4 kB
    for number in range(4):
        offer(cache, key(number), latent(number))
    cache.flush()
    assert cache.get(key(0), CODECS) is not None
    assert cache.get(key(1), CODECS) is not None

    offer(cache, key(4), latent())
    cache.close()

    kept = {number for number in range(5) if cache.path(key(number)).exists()}
    assert kept == {0, 1, 3, 4}
    assert total(tmp_path) <= 20_000


def test_use_is_remembered_over_a_restart(tmp_path: Path) -> None:
    first = DiskCache(tmp_path, 1 << 20)
    for number in range(4):
        offer(first, key(number), latent())
    first.flush()
    first.get(key(0), CODECS)
    first.close()

    second = DiskCache(tmp_path, 14_000)  # three
    offer(second, key(9), latent())
    second.close()

    kept = {path.stem for path in tmp_path.iterdir()}
    assert {key(0), key(9)} <= kept
    assert not {key(1), key(2)} & kept
    assert second.stats().bytes == total(tmp_path)


def test_one_may_fill_the_folder_but_not_exceed_it(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 100_000)

    offer(cache, key(1), latent(size=24_000))  # 96 kB: more than what eviction would leave
    offer(cache, key(2), latent(size=24_900))  # 99.6 kB and its header
    offer(cache, key(3), latent(size=30_000))
    cache.close()

    assert names(tmp_path) == {f"{key(2)}.safetensors"}
    assert 99_600 < total(tmp_path) <= 100_000
    assert cache.warnings[0].endswith("it is larger than the whole disk cache, 100000 bytes")


def test_writing_again_replaces_and_is_counted_once(cache: DiskCache) -> None:
    for size in (1000, 3000, 2000):
        offer(cache, key(1), latent(size=size))
        cache.flush()

    assert cache.get(key(1), CODECS).outputs[0].samples.shape == (2000,)  # type: ignore[union-attr]
    assert cache.stats().bytes == total(cache.folder)
    assert cache.stats().files == 1


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 5), st.integers(0, 3000)),
        max_size=25,
    )
)
def test_it_never_exceeds_its_bound_and_never_lies(steps: list[tuple[str, int, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        cache = DiskCache(Path(name), 30_000)
        last: dict[int, int] = {}
        for action, number, size in steps:
            if action == "put":
                offer(cache, key(number), latent(number, size))
                last[number] = size
            elif action == "get":
                found = cache.get(key(number), CODECS)
                if found is not None:
                    expected = latent(number, last[number])
                    assert fingerprint(found.outputs) == fingerprint(expected)
            else:
                cache.drop(key(number))
                last.pop(number, None)
                assert cache.get(key(number), CODECS) is None
            cache.flush()
            assert total(Path(name)) <= 30_000
            assert cache.stats().bytes == (total(Path(name)) if cache.stats().written else 0)
        cache.close()


def test_too_much_waiting_is_refused_rather_than_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(tmp_path, 1 << 20, pending_bytes=10_000)
    leave = threading.Event()
    real = disk.pack
    monkeypatch.setattr(disk, "pack", lambda *a: leave.wait(10) and real(*a))

    offers = [offer(cache, key(number), latent()) for number in range(4)]
    shown = offer(cache, key(9), (Shown(),))
    leave.set()
    cache.close()

    assert [each.queued for each in offers] == [True, True, False, False]
    assert "behind with writing" in offers[-1].reason
    assert shown.queued
    assert cache.stats().refused == 2
    assert len(names(tmp_path)) == 3


def test_a_closed_cache_takes_nothing_but_still_reads(cache: DiskCache) -> None:
    offer(cache, key(1), latent())
    cache.close()

    assert not offer(cache, key(2), latent()).queued
    assert cache.get(key(1), CODECS) is not None


# --- what must not come back ------------------------------------------------------------------


CHANGES = {
    "add_": lambda t: t.add_(1),
    "numpy view": lambda t: t.numpy().__setitem__(5, 9.0),
    "data": lambda t: setattr(t, "data", t.data + 1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("moment", ["pack", "write", "_sync"])
def test_a_value_changed_before_it_was_on_disk_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, change: Any
) -> None:
    cache, outputs = DiskCache(tmp_path, 1 << 20), latent()
    real = getattr(disk, moment)

    def interfere(*arguments: Any) -> Any:
        result = real(*arguments)
        change(outputs[0].samples)
        return result

    monkeypatch.setattr(disk, moment, interfere)
    offer(cache, key(1), outputs)
    cache.close()

    assert names(tmp_path) == set()
    assert cache.stats().changed == 1
    assert cache.stats().written == 0


def test_a_value_changed_while_it_waited_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, outputs, leave = DiskCache(tmp_path, 1 << 20), latent(), threading.Event()
    real = disk.pack
    monkeypatch.setattr(disk, "pack", lambda *a: leave.wait(10) and real(*a))
    offer(cache, key(1), latent())
    offer(cache, key(2), outputs)

    outputs[0].samples.add_(1)
    leave.set()
    cache.close()

    assert names(tmp_path) == {f"{key(1)}.safetensors"}
    assert cache.stats().changed == 1


def test_a_dropped_result_does_not_come_back_even_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, writing, leave = DiskCache(tmp_path, 1 << 20), threading.Event(), threading.Event()
    real = disk.write

    def slow(*arguments: Any) -> None:
        writing.set()
        assert leave.wait(10)
        real(*arguments)

    monkeypatch.setattr(disk, "write", slow)
    offer(cache, key(1), latent())
    assert writing.wait(10)
    cache.drop(key(1))
    leave.set()
    cache.close()

    assert names(tmp_path) == set()
    assert cache.get(key(1), CODECS) is None


def test_a_damaged_file_is_a_miss_and_goes(cache: DiskCache) -> None:
    offer(cache, key(1), latent())
    cache.flush()
    path, chosen = cache.path(key(1)), random.Random(1)
    good = path.read_bytes()

    for count in range(1, 41):
        bad = bytearray(good)
        bad[chosen.randrange(len(bad))] ^= 1 << chosen.randrange(8)
        path.write_bytes(bad)
        found = cache.get(key(1), CODECS)
        assert found is None or fingerprint(found.outputs) == fingerprint(latent())
        assert path.exists() == (found is not None)
        assert cache.stats().damaged + cache.stats().hits == count
    path.write_bytes(good[: len(good) // 2])

    assert cache.get(key(1), CODECS) is None
    assert not path.exists()
    assert cache.stats().damaged > 20


def test_a_file_under_the_wrong_name_is_damaged(cache: DiskCache) -> None:
    offer(cache, key(1), latent())
    cache.flush()
    os.rename(cache.path(key(1)), cache.path(key(2)))

    assert cache.get(key(2), CODECS) is None
    assert names(cache.folder) == set()


def test_a_file_whose_codec_is_missing_stays(cache: DiskCache) -> None:
    offer(cache, key(1), latent())
    cache.flush()

    assert cache.get(key(1), (None,)) is None
    assert cache.get(key(1), CODECS) is not None
    assert cache.stats().damaged == 0


def test_a_file_of_a_class_nobody_knows_any_more_goes(cache: DiskCache) -> None:
    offer(cache, key(1), latent())
    cache.flush()

    assert cache.get(key(1), (structural(),)) is None
    assert names(cache.folder) == set()


# --- crashes and other processes --------------------------------------------------------------


def test_temporary_files_of_the_dead_are_removed_and_those_of_the_living_stay(
    tmp_path: Path,
) -> None:
    old, new, foreign = tmp_path / ".a-1.tmp", tmp_path / ".b-2.tmp", tmp_path / "notes.txt"
    for path in (old, new, foreign):
        path.write_bytes(b"half a res")
    os.utime(old, (time.time() - 3700,) * 2)
    os.utime(foreign, (0, 0))

    cache = DiskCache(tmp_path, 10)  # so small that everything of ours has to go
    offer(cache, key(1), latent())
    cache.close()
    cache = DiskCache(tmp_path, 1 << 20)
    offer(cache, key(1), latent())
    cache.close()

    assert names(tmp_path) == {".b-2.tmp", "notes.txt", f"{key(1)}.safetensors"}


def test_a_process_killed_while_writing_leaves_nothing_that_is_read(tmp_path: Path) -> None:
    program = f"""
        import os, torch
        from pathlib import Path
        from nodegraph.cache import DiskCache, disk
        from nodegraph.types import structural
        from nodegraph.values import fingerprint
        cache = DiskCache(Path({str(tmp_path)!r}), 1 << 20)
        outputs = ([torch.ones(1000)],)
        put = lambda key: cache.offer(key, outputs, codecs=(structural(),), seconds=9,
                                      fingerprint=fingerprint(outputs), nbytes=1)
        put("{key(1)}")
        cache.flush()
        disk._sync = lambda path: os._exit(9)
        put("{key(2)}")
        cache.flush()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT)

    cache = DiskCache(tmp_path, 1 << 20)
    left = [name for name in names(tmp_path) if name.endswith(".tmp")]

    assert done.returncode == 9
    assert len(left) == 1
    assert cache.get(key(2), (structural(),)) is None
    assert cache.get(key(1), (structural(),)) is not None


def test_two_caches_share_a_folder(tmp_path: Path) -> None:
    one, two = DiskCache(tmp_path, 30_000), DiskCache(tmp_path, 30_000)

    def work(cache: DiskCache, seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(60):
            number = chosen.randrange(10)
            if chosen.random() < 0.5:
                offer(cache, key(number), latent(number))
            else:
                found = cache.get(key(number), CODECS)
                if found is not None and fingerprint(found.outputs) != fingerprint(latent(number)):
                    wrong.append(number)

    wrong: list[int] = []
    threads = [threading.Thread(target=work, args=each) for each in ((one, 1), (two, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.close()
    two.close()

    assert wrong == []
    assert one.stats().damaged == two.stats().damaged == 0
    assert list(one.warnings) == list(two.warnings) == []
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


def test_what_one_wrote_the_other_reads_and_counts_when_it_makes_room(tmp_path: Path) -> None:
    one, two = DiskCache(tmp_path, 20_000), DiskCache(tmp_path, 20_000)
    offer(two, key(100), latent())
    two.flush()
    for number in range(4):
        offer(one, key(number), latent(number))
    one.flush()
    assert two.get(key(3), CODECS) is not None

    for number in range(4):
        offer(two, key(200 + number), latent())
    two.close()
    one.close()

    assert total(tmp_path) <= 20_000


def test_a_long_running_process_looks_again_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = DiskCache(tmp_path, 20_000), DiskCache(tmp_path, 20_000)
    offer(one, key(1), latent())
    one.flush()
    offer(two, key(2), latent())
    two.close()
    monkeypatch.setattr(disk, "RESCAN_SECONDS", -1.0)

    offer(one, key(3), latent())
    one.close()

    assert one.stats().files == 3
    assert one.stats().bytes == total(tmp_path)


def test_a_file_that_another_process_removed_is_a_miss(cache: DiskCache) -> None:
    offer(cache, key(1), latent())
    cache.flush()
    cache.path(key(1)).unlink()

    assert cache.get(key(1), CODECS) is None
    cache.drop(key(1))

    assert list(cache.warnings) == []


# --- a disk that does not work ----------------------------------------------------------------


def test_a_full_disk_is_a_warning_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    cache = DiskCache(tmp_path, 1 << 20, on_warning=said.append)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "write", full)
    for number in range(3):
        offer(cache, key(number), latent())
    cache.flush()
    monkeypatch.undo()
    offer(cache, key(5), latent())
    cache.close()

    assert said == [f"the result cache cannot write to {tmp_path}: No space left on device"]
    assert list(cache.warnings) == said
    assert cache.stats().failed == 3
    assert names(tmp_path) == {f"{key(5)}.safetensors"}


def test_a_warning_that_nobody_can_take_does_not_stop_the_writing(tmp_path: Path) -> None:
    def refuse(message: str) -> None:
        raise RuntimeError(message)

    cache = DiskCache(tmp_path, 1 << 20, on_warning=refuse)

    offer(cache, key(1), (Latent(object()),))
    offer(cache, key(2), latent())
    cache.close()

    assert names(tmp_path) == {f"{key(2)}.safetensors"}


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file" / "cache", 1 << 20)

    offer(cache, key(1), latent())
    cache.close()

    assert "cannot write" in cache.warnings[0]
    assert cache.get(key(2), CODECS) is None


def test_a_file_that_cannot_be_read_is_a_warning_and_stays(cache: DiskCache) -> None:
    cache.folder.mkdir()
    cache.path(key(1)).mkdir()

    assert cache.get(key(1), CODECS) is None
    cache.drop(key(1))

    assert "cannot read" in cache.warnings[0]
    assert "cannot remove" in cache.warnings[1]


def test_use_that_cannot_be_noted_is_still_a_hit(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(cache, key(1), latent())
    cache.flush()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)

    assert cache.get(key(1), CODECS) is not None


def test_a_codec_that_fails_is_a_warning_and_the_next_result_is_written(cache: DiskCache) -> None:
    def fail(value: Any) -> Any:
        raise ZeroDivisionError("in a plugin")

    offer(cache, key(1), latent(), (Codec(fail, fail),))
    offer(cache, key(2), (Latent(object()),))
    offer(cache, key(3), latent())
    cache.flush()

    assert list(cache.warnings) == [
        "a result cannot be kept on disk: ZeroDivisionError: in a plugin",
        "a result cannot be kept on disk: TypeError: a value of type object cannot be stored",
    ]
    assert names(cache.folder) == {f"{key(3)}.safetensors"}


def test_files_and_folder_are_synced_before_and_after_the_rename(
    cache: DiskCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    sync, rename = disk._sync, os.replace
    monkeypatch.setattr(
        disk, "_sync", lambda path: (calls.append(f"sync {path.suffix or 'folder'}"), sync(path))
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), rename(a, b)))

    offer(cache, key(1), latent())
    cache.flush()

    assert calls == ["sync .tmp", "rename", "sync folder"]


def test_a_lack_of_memory_while_reading_keeps_the_file(tmp_path: Path) -> None:
    def exhausted(_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    codec, outputs = Codec(encode=list, decode=exhausted), ((1, 2),)
    cache = DiskCache(tmp_path, 10**6)
    print_ = fingerprint(outputs)
    cache.offer("k", outputs, codecs=[codec], seconds=1, fingerprint=print_, nbytes=100)
    cache.flush()

    assert cache.get("k", [codec]) is None

    again = cache.get("k", [Codec(encode=list, decode=tuple)])
    assert again is not None
    assert again.outputs == outputs
    cache.close()
