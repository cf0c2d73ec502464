"""What is not computed again, and what is: equal work, changed files, deleted files, late names."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from executor_support import ByContent, OneFolder, Rig, entry, rig_of, wait_for
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache import Cache, DiskCache
from nodegraph.context import Context
from nodegraph.errors import FileMissing
from nodegraph.events import Executed, NodeFailed, NodesCached, NodeStarted
from nodegraph.node import FileOf, node
from nodegraph.outputs import SavedFile, Shown
from nodegraph.registry import Alias
from nodegraph.types import PortType
from nodegraph.values import Many

ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    ran.clear()
    return


@node("Number", category="t")
def number(value: int = 1) -> int:
    ran["number"] += 1
    return value


@node("Add", category="t")
def add(a: int, b: int = 1) -> int:
    ran[f"add {a} {b}"] += 1
    return a + b


@node("Read", category="t")
def read(name: Annotated[str, FileOf("texts", extra=("nothing",))], *, context: Context) -> str:
    ran[f"read {name}"] += 1
    return "" if name == "nothing" else context.need_folders().resolve("texts", name).read_text()


@node("Name", category="t")
def name_of(which: str = "a.txt") -> str:
    return which


@node("Names", category="t")
def names_of(which: list[str]) -> list[str]:
    return which


@node("Length", category="t")
def length(text: str) -> int:
    ran[f"length {text}"] += 1
    return len(text)


@node("Save", category="t")
def save(value: int, *, context: Context) -> Shown:
    ran["save"] += 1
    path = context.need_folders().folder("output") / f"{value}.out"
    path.write_text(str(value))
    return Shown((SavedFile(path.name, "", "output"),))


@node("Fresh", category="t", cached=False)
def fresh(value: int) -> int:
    ran["fresh"] += 1
    return value


@node("Clock", category="t", fingerprint=lambda zone: now[0])
def clock(zone: str = "") -> str:
    ran["clock"] += 1
    return now[0]


now = ["noon"]
ALIAS = Alias({"Plus": ("Add", "Plus")})
NODES = (number, add, read, name_of, names_of, length, save, fresh, clock, ALIAS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("a.txt", "one"), ("b.txt", "one"), ("c.txt", "three")):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def rig(folder: Path) -> Iterator[Rig]:
    with rig_of(*NODES, folders=OneFolder(folder), hashes=ByContent()) as rig:
        yield rig


# -- equal work ----------------------------------------------------------------------------------


def chain(*amounts: int, ids: str = "abcdefgh") -> dict[str, Any]:
    document: dict[str, Any] = {ids[0]: entry("Number", value=0)}
    for i, amount in enumerate(amounts, 1):
        document[ids[i]] = entry("Add", a=[ids[i - 1], 0], b=amount)
    return document


def test_equal_work_is_not_done_again_whatever_the_ids(rig: Rig) -> None:
    rig.run(chain(1, 2), targets=["c"]).require()
    result = rig.run(chain(1, 2, ids="xyz"), targets=["z"]).require()

    assert result["z"] == (3,)
    assert ran == {"number": 1, "add 0 1": 1, "add 1 2": 1}
    assert rig.of(NodesCached)[0].nodes == ("x", "y", "z")
    assert rig.of(NodeStarted) == []


def test_going_back_to_an_earlier_value_computes_nothing(rig: Rig) -> None:
    for amount in (5, 6, 5):
        result = rig.run(chain(1, amount), targets=["c"]).require()

    assert result["c"] == (6,)
    assert ran == {"number": 1, "add 0 1": 1, "add 1 5": 1, "add 1 6": 1}


def test_equal_nodes_of_one_graph_run_once(rig: Rig) -> None:
    document = {str(i): entry("Add", a=1, b=2) for i in range(5)}
    document["6"] = entry("Add", a=["4", 0], b=["2", 0])
    document["7"] = entry("Plus", a=["1", 0], b=["3", 0])
    result = rig.run(document, targets=[*"01234", "6", "7"]).require()

    assert {result[id] for id in "01234"} == {(3,)}
    assert (result["6"], result["7"]) == ((6,), (6,))
    assert ran == {"add 1 2": 1, "add 3 3": 1}
    statuses = Counter(account.status for account in result.accounts)
    assert statuses == {"ran": 2, "cached": 5}
    announced = [id for event in rig.of(NodesCached) for id in event.nodes]
    assert sorted(announced) == ["1", "2", "3", "4", "7"]


def test_an_equal_node_runs_when_the_one_it_waited_for_fails() -> None:
    attempts: list[str] = []

    @node("Flaky", category="t")
    def flaky(*, context: Context) -> int:
        attempts.append(context.node)
        if len(attempts) < 3:
            raise ConnectionError("try again")
        return 7

    document = {str(i): entry("Flaky") for i in range(5)}
    document["sum"] = entry("Add", a=["3", 0], b=["4", 0])
    document["no"] = entry("Add", a=["0", 0])
    with rig_of(flaky, *NODES) as rig:
        result = rig.run(document, targets=list(document))

    assert attempts == ["0", "1", "2"]
    assert sorted(result.errors) == ["0", "1"]
    assert [result[id] for id in "234"] == [(7,)] * 3
    assert result["sum"] == (14,)
    assert result.skipped == {"no": "0"}


def test_two_output_nodes_that_are_equal_save_once_and_both_show_it(rig: Rig) -> None:
    document = {
        "1": entry("Number"),
        "2": entry("Save", value=["1", 0]),
        "3": entry("Save", value=1),
    }
    document["4"] = entry("Save", value=["1", 0])
    result = rig.run(document).require()

    assert ran["save"] == 2, "a literal 1 and a link to a 1 are different steps"
    assert [file.filename for file in result.shown["4"].files] == ["1.out"]
    assert {event.node for event in rig.of(Executed)} == {"2", "3", "4"}
    assert [event.cached for event in rig.of(Executed, "4")] == [True]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=6))
def test_no_addition_is_ever_done_twice(amounts: list[list[int]]) -> None:
    ran.clear()
    with rig_of(*NODES) as rig:
        for each in amounts:
            target = "abcdefgh"[len(each)]
            result = rig.run(chain(*each), targets=[target]).require()
            assert result[target] == (sum(each),)

    prefixes = {tuple(each[:i]) for each in amounts for i in range(1, len(each) + 1)}
    assert sum(count for name, count in ran.items() if name != "number") == len(prefixes)
    assert ran["number"] == 1


def test_a_result_too_large_for_the_cache_is_still_made_once_in_a_run() -> None:
    with rig_of(*NODES, cache=Cache(memory_bytes=0)) as rig:
        document = {"1": entry("Add", a=1, b=1), "2": entry("Add", a=1, b=1)}
        document["3"] = entry("Add", a=["1", 0], b=["2", 0])
        result = rig.run(document, targets=["3"]).require()

    assert result["3"] == (4,)
    assert ran == {"add 1 1": 1, "add 2 2": 1}


def test_a_restart_keeps_results(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    where = tmp_path_factory.mktemp("cache")
    options: dict[str, Any] = {"folders": OneFolder(folder), "hashes": ByContent()}
    for _ in range(2):
        disk = DiskCache(where, 1 << 20, min_seconds=0)
        with rig_of(*NODES, cache=Cache(memory_bytes=1 << 20, disk=disk), **options) as rig:
            result = rig.run(chain(1, 2), targets=["c"]).require()
            rig.cache.close()

    assert result["c"] == (3,)
    assert ran == {"number": 1, "add 0 1": 1, "add 1 2": 1}


def test_a_result_that_cannot_go_to_disk_is_accounted_for(tmp_path: Path) -> None:
    class Thing: ...

    @node("Make", category="t")
    def make() -> Thing:
        return Thing()

    disk = DiskCache(tmp_path, 1 << 20, min_seconds=0)
    cache = Cache(memory_bytes=1 << 20, disk=disk)
    with rig_of(PortType("THING", Thing), make, cache=cache) as rig:
        result = rig.run({"1": entry("Make")}, targets=["1"]).require()
    cache.close()

    assert "THING" in result.accounts[0].not_stored or "Thing" in result.accounts[0].not_stored


# -- what may not be reused ----------------------------------------------------------------------


def test_what_is_never_cached_runs_again_and_so_does_what_reads_it(rig: Rig) -> None:
    document = {
        "1": entry("Fresh", value=5),
        "2": entry("Add", a=["1", 0], b=1),
        "3": entry("Add", a=2, b=2),
    }
    plan = rig.plan(document, ["2", "3"])
    for _ in range(3):
        result = rig.executor.run(plan).require()

    assert result["2"] == (6,)
    assert ran == {"fresh": 3, "add 5 1": 3, "add 2 2": 1}


def test_a_fingerprint_hook_tells_when_a_result_is_out_of_date(rig: Rig) -> None:
    document = {"1": entry("Clock"), "2": entry("Length", text=["1", 0])}
    for time in ("noon", "noon", "midnight", "noon"):
        now[0] = time
        result = rig.run(document, targets=["2"]).require()

    assert result["2"] == (4,)
    assert ran == {"clock": 2, "length noon": 1, "length midnight": 1}


def test_an_output_node_whose_file_was_deleted_runs_again(rig: Rig, folder: Path) -> None:
    document = {"1": entry("Number"), "2": entry("Save", value=["1", 0])}
    first = rig.run(document).require()
    second = rig.run(document).require()
    assert rig.of(Executed)[0].cached
    (folder / "1.out").unlink()
    third = rig.run(document).require()

    assert ran["save"] == 2
    assert ran["number"] == 1
    assert first.shown == second.shown == third.shown
    assert (folder / "1.out").is_file()


def test_an_output_node_whose_folder_is_gone_runs_again(folder: Path) -> None:
    class Moved(OneFolder):
        def folder(self, kind: str) -> Path:
            if gone:
                raise FileMissing(f"there is no folder {kind}")
            return self.path

    gone = False

    @node("Show", category="t")
    def show() -> Shown:
        ran["show"] += 1
        return Shown((SavedFile("a.txt", "", "output"),))

    with rig_of(show, folders=Moved(folder)) as rig:
        rig.run({"1": entry("Show")}).require()
        gone = True
        rig.run({"1": entry("Show")}).require()

    assert ran["show"] == 2


def test_a_node_type_that_has_another_number_of_outputs_now_is_run() -> None:
    with rig_of(*NODES) as rig:
        plan = rig.plan({"1": entry("Add", a=1, b=1)}, ["1"])
        key = plan.steps[0].key
        assert key is not None
        rig.cache.put(key, (1, 2, 3, None), seconds=1.0)
        assert rig.executor.run(plan).require()["1"] == (2,)


# -- files ---------------------------------------------------------------------------------------


def test_a_file_is_known_by_what_is_in_it(rig: Rig, folder: Path) -> None:
    def run(name: str) -> Any:
        document = {"1": entry("Read", name=name), "2": entry("Length", text=["1", 0])}
        return rig.run(document, targets=["2"]).require()["2"]

    assert run("a.txt") == (3,)
    assert run("b.txt") == (3,)
    assert ran["length one"] == 1, "what comes after depends on the content alone"
    (folder / "a.txt").write_text("seven!!")
    assert run("a.txt") == (7,)
    (folder / "a.txt").write_text("one")
    assert run("a.txt") == (3,)
    assert ran == {"read a.txt": 2, "length one": 1, "length seven!!": 1}


def test_a_file_name_that_arrives_over_a_link_counts_by_the_file_s_content(
    rig: Rig, folder: Path
) -> None:
    def run(name: str) -> Any:
        document = {
            "0": entry("Name", which=name),
            "1": entry("Read", name=["0", 0]),
            "2": entry("Length", text=["1", 0]),
        }
        return rig.run(document, targets=["2"]).require()["2"]

    assert (run("a.txt"), run("a.txt")) == ((3,), (3,))
    assert ran == {"read a.txt": 1, "length one": 1}
    (folder / "a.txt").write_text("seven!!")
    assert run("a.txt") == (7,)
    assert run("b.txt") == (3,)
    assert run("nothing") == (0,)
    assert ran["read a.txt"] == 2
    assert ran["length one"] == 1, "the same content, also by another name"


def test_a_late_name_is_the_same_step_as_a_literal_one(rig: Rig) -> None:
    rig.run({"1": entry("Read", name="a.txt")}, targets=["1"]).require()
    document = {"0": entry("Name", which="a.txt"), "1": entry("Read", name=["0", 0])}
    assert rig.run(document, targets=["1"]).require()["1"] == ("one",)

    assert ran == {"read a.txt": 1}


def test_equal_late_names_are_read_once(rig: Rig) -> None:
    document = {
        "0": entry("Name", which="a.txt"),
        "1": entry("Read", name=["0", 0]),
        "2": entry("Read", name=["0", 0]),
        "3": entry("Read", name="a.txt"),
    }
    result = rig.run(document, targets=["1", "2", "3"]).require()

    assert {result[id] for id in "123"} == {("one",)}
    assert ran == {"read a.txt": 1}


def test_several_late_names_are_several_files(rig: Rig, folder: Path) -> None:
    def run(*names: str) -> Any:
        document = {
            "0": entry("Names", which={"__value__": list(names)}),
            "1": entry("Read", name=["0", 0]),
        }
        return rig.run(document, targets=["1"]).require()["1"]

    assert run("a.txt", "c.txt", "nothing") == (Many(("one", "three", "")),)
    assert run("a.txt", "c.txt", "nothing") == (Many(("one", "three", "")),)
    assert ran["read a.txt"] == 1
    (folder / "c.txt").write_text("3")
    assert run("a.txt", "c.txt", "nothing") == (Many(("one", "3", "")),)


def test_one_name_and_a_list_of_one_name_are_told_apart(rig: Rig) -> None:
    listed = {
        "0": entry("Names", which={"__value__": ["a.txt"]}),
        "1": entry("Read", name=["0", 0]),
    }
    single = {"1": entry("Read", name="a.txt")}

    assert rig.run(listed, targets=["1"]).require()["1"] == (Many(("one",)),)
    assert rig.run(single, targets=["1"]).require()["1"] == ("one",)
    assert rig.run(listed, targets=["1"]).require()["1"] == (Many(("one",)),)


def test_a_late_name_of_no_file_is_the_node_s_failure(rig: Rig) -> None:
    document = {"0": entry("Name", which="x.txt"), "1": entry("Read", name=["0", 0])}
    result = rig.run(document, targets=["1"])

    assert "node 1 (Read): name arrived over a link" in str(result.errors["1"])
    assert "'x.txt' is not among the texts" in str(result.errors["1"])


def test_a_file_that_goes_missing_after_validation_is_the_node_s_failure(
    rig: Rig, folder: Path
) -> None:
    plan = rig.plan({"1": entry("Read", name="a.txt"), "2": entry("Number")}, ["1", "2"])
    assert plan.steps[0].key is not None
    (folder / "a.txt").unlink()
    result = rig.executor.run(plan)

    assert "FileMissing" in str(result.errors["1"]) or "not among" in str(result.errors["1"])
    assert result["2"] == (1,)


def test_a_list_of_literal_names_depends_on_all_files(folder: Path) -> None:
    @node("ReadAll", category="t")
    def read_all(names: list[Annotated[str, FileOf("texts")]], *, context: Context) -> str:
        ran["read all"] += 1
        folders = context.need_folders()
        return " ".join(folders.resolve("texts", name).read_text() for name in names)

    document = {"1": entry("ReadAll", names={"__value__": ["a.txt", "c.txt"]})}
    with rig_of(read_all, folders=OneFolder(folder), hashes=ByContent()) as rig:
        assert rig.run(document, targets=["1"]).require()["1"] == ("one three",)
        assert rig.run(document, targets=["1"]).require()["1"] == ("one three",)
        (folder / "c.txt").write_text("3")
        assert rig.run(document, targets=["1"]).require()["1"] == ("one 3",)

    assert ran["read all"] == 2


# -- between runs --------------------------------------------------------------------------------


def test_a_value_changed_between_runs_is_computed_again() -> None:
    @node("Listed", category="t")
    def listed() -> Any:
        return [1, 2]

    with rig_of(listed) as rig:
        first = rig.run({"1": entry("Listed")}, targets=["1"]).require()
        first["1"][0].append(3)
        second = rig.run({"1": entry("Listed")}, targets=["1"]).require()

    assert second["1"] == ([1, 2],)


def test_what_failed_is_tried_again_in_the_next_run() -> None:
    attempts: list[int] = []

    @node("Flaky", category="t")
    def flaky() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("try again")
        return 7

    with rig_of(flaky) as rig:
        first = rig.run({"1": entry("Flaky")}, targets=["1"])
        assert len(rig.of(NodeFailed)) == 1
        second = rig.run({"1": entry("Flaky")}, targets=["1"])

    assert not first.outputs
    assert second["1"] == (7,)


def test_an_equal_node_waits_for_the_one_at_work() -> None:
    """Also where it becomes known late, on another lane, that the work is equal."""
    started, go_on = threading.Event(), threading.Event()

    @node("Slow", category="t", lane="io")
    def slow(name: Annotated[str, FileOf("texts")]) -> str:
        ran["slow"] += 1
        started.set()
        wait_for(go_on)
        return name

    @node("Late", category="t", lane="io")
    def late() -> str:
        wait_for(started)
        return "a.txt"

    def note(event: Any) -> None:
        if getattr(event, "node", "") == "0" and type(event).__name__ == "NodeFinished":
            go_on.set()

    document = {
        "0": entry("Late"),
        "1": entry("Slow", name="a.txt"),
        "2": entry("Slow", name=["0", 0]),
    }
    with rig_of(slow, late, io_workers=3, folders=None) as rig:
        result = rig.run(document, targets=["1", "2"], emit=note).require()

    assert (result["1"], result["2"]) == (("a.txt",), ("a.txt",))
    assert ran["slow"] == 1
