"""Plans: what the targets need, in order, and the keys of every step."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import pytest
from executor_support import ByContent, OneFolder, entry, registry_of
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import FileMissing
from nodegraph.graph import validate
from nodegraph.node import FileOf, FilesIn, Seed, Text, node
from nodegraph.plan import FileUse, Keys, Plan, Step, make_plan
from nodegraph.registry import Alias, Registry


class Two(NamedTuple):
    one: int
    two: int


@node("Number", category="t")
def number(value: float = 1.0, seed: Annotated[int, Seed()] = 0) -> int:
    return 1


@node("Add", category="t")
def add(a: int, b: int = 1) -> Two:
    return Two(1, 2)


@node("Read", category="t")
def read(name: Annotated[str, FileOf("texts", extra=("none",))], times: int = 1) -> int:
    return 1


@node("Load", category="t")
def load(
    name: Annotated[str, FileOf("texts", extra=("none",), beside=("config.json", "more.txt"))],
) -> int:
    return 1


@node("ReadAll", category="t")
def read_all(names: list[Annotated[str, FileOf("texts")]]) -> int:
    return 1


@node("Poem", category="t")
def poem(text: Annotated[str, Text(files=FilesIn("texts", str.split))]) -> int:
    return 1


@node("Name", category="t")
def name() -> str:
    return "a.txt"


@node("Any", category="t")
def anything(value: Any) -> int:
    return 1


@node("Fresh", category="t", cached=False)
def fresh(a: int = 0) -> int:
    return a


def look(path: str) -> str:
    if path == "broken":
        raise OSError
    return 5 if path == "number" else f"seen {state[0]}"  # type: ignore[return-value]


@node("Look", category="t", fingerprint=look)
def looking(path: str) -> int:
    return 1


state = ["once"]
NODES = (
    *(number, add, read, load, read_all, poem, name, anything, fresh, looking),
    Alias({"Plus": ("Add", "+")}),
)
REGISTRY = registry_of(*NODES)
GRAPH = {
    "1": entry("Number", value=2.5),
    "2": entry("Add", a=["1", 0]),
    "10": entry("Add", a=["2", 1], b=["1", 0]),
    "3": entry("Number"),
}


def plan_of(
    document: Any, *targets: str, keys: Keys | None = None, on: Registry = REGISTRY
) -> Plan:
    return make_plan(validate(document, on, targets=targets), keys or Keys())


def key_of(class_type: str, keys: Keys | None = None, **inputs: Any) -> str:
    document = {"n": entry("Number"), "m": entry("Name"), "x": entry(class_type, **inputs)}
    key = plan_of(document, "x", keys=keys).steps[-1].key
    assert key is not None
    return key


# -- which steps, in which order -----------------------------------------------------------------


def test_a_plan_has_what_the_targets_need_each_after_what_it_reads_from() -> None:
    plan = plan_of(GRAPH, "10")

    assert [step.id for step in plan.steps] == ["1", "2", "10"]
    assert plan.targets == ("10",)
    assert plan.document == GRAPH


def test_targets_are_taken_in_the_order_of_their_ids() -> None:
    assert [step.id for step in plan_of(GRAPH, "10", "3", "2").steps] == ["1", "2", "3", "10"]
    assert plan_of(GRAPH, "10", "3", "2").targets == ("2", "3", "10")


def test_fewer_targets_than_the_graph_s_may_be_planned() -> None:
    graph = validate(GRAPH, REGISTRY, targets=["10", "3"])

    assert [step.id for step in make_plan(graph, Keys(), targets=["3"]).steps] == ["3"]


@given(st.permutations(list(GRAPH)), st.booleans())
def test_order_and_keys_do_not_depend_on_the_document_s_order(
    ids: list[str], backwards: bool
) -> None:
    document = {
        id: entry(
            GRAPH[id]["class_type"],
            **dict(sorted(GRAPH[id]["inputs"].items(), reverse=backwards)),
        )
        for id in ids
    }

    one, other = plan_of(GRAPH, "10", "3"), plan_of(document, "3", "10")

    assert [(step.id, step.key) for step in one.steps] == [
        (step.id, step.key) for step in other.steps
    ]


SCRIPT = """
import test_plan
plan = test_plan.plan_of(
    {**test_plan.GRAPH, "s": test_plan.entry("Any", value={"b": 1, "a": [2], "c": None})}, "10", "s"
)
print([(step.id, step.key) for step in plan.steps])
"""


def test_order_and_keys_do_not_depend_on_the_hash_seed() -> None:
    here = Path(__file__).parent
    printed = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("0", "1", "42")
    }

    assert len(printed) == 1
    assert "'10'" in printed.pop()


# -- keys ----------------------------------------------------------------------------------------


def test_equal_work_has_equal_keys_whatever_the_ids() -> None:
    renamed = {
        "x": entry("Number", value=2.5),
        "y": entry("Plus", a=["x", 0], b=1),
        "z": entry("Add", a=["y", "two"], b=["x", 0]),
    }

    assert plan_of(renamed, "z").steps[-1].key == plan_of(GRAPH, "10").steps[-1].key


def test_a_chain_and_its_prefix_share_their_keys() -> None:
    shorter, longer = plan_of(GRAPH, "2"), plan_of(GRAPH, "10")

    assert [step.key for step in shorter.steps] == [step.key for step in longer.steps[:2]]
    assert len({step.key for step in longer.steps}) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"value": 1.0}, {"value": 2.0}),
        ({"value": 1.0, "seed": 0}, {"value": 1.0, "seed": 2**64 - 1}),
        ({"value": 0.1}, {"value": 0.1 + 1e-17 + 1e-16}),
    ],
)
def test_another_literal_is_another_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key_of("Number", **one) != key_of("Number", **other)


def test_another_slot_or_source_is_another_key() -> None:
    document = {
        "n": entry("Number"),
        "m": entry("Number", value=3),
        "t": entry("Add", a=["n", 0]),
        "one": entry("Add", a=["t", 0]),
        "two": entry("Add", a=["t", 1]),
        "m1": entry("Add", a=["m", 0]),
        "same": entry("Add", a=["n", 0]),
        "swapped": entry("Add", a=["m", 0], b=["n", 0]),
        "straight": entry("Add", a=["n", 0], b=["m", 0]),
    }
    keys = {step.id: step.key for step in plan_of(document, *document).steps}

    assert keys["same"] == keys["t"]
    assert len(set(keys.values())) == len(document) - 1


def test_what_a_default_is_is_a_literal_like_others() -> None:
    assert key_of("Number") == key_of("Number", value=1, seed=0)


def test_precision_and_device_class_count() -> None:
    keys = [Keys("fp32", "cpu"), Keys("bf16", "cpu"), Keys("fp32", "cuda")]

    assert len({key_of("Number", keys=each) for each in keys}) == 3


def test_what_a_precision_policy_comes_to_counts() -> None:
    keys = [Keys(arithmetic="unet float32"), Keys(arithmetic="unet bfloat16")]

    assert len({key_of("Number", keys=each) for each in keys}) == 2


def test_a_raised_version_and_another_function_of_the_same_name_count() -> None:
    def made(version: int) -> Registry:
        @node("Number", category="t", version=version)
        def number(value: float = 1.0) -> int:
            return version

        return registry_of(number)

    @node("Number", category="t")
    def other(value: float = 1.0) -> int:
        return 1

    document = {"1": entry("Number")}
    keys = {
        plan_of(document, "1", on=on).steps[0].key for on in (made(1), made(2), registry_of(other))
    }

    assert len(keys) == 3


def test_texts_that_look_alike_in_a_key_are_told_apart() -> None:
    values = [None, "null", "1", 1, True, [1], ["1"], {"a": 1}, {"a": "1"}, "", "\ud800", "é"]

    keys = {key_of("Any", value={"__value__": value}) for value in values}

    assert len(keys) == len(values)


def test_the_order_of_keys_in_a_literal_does_not_matter() -> None:
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}

    assert key_of("Any", value=one) == key_of("Any", value=other)


def test_the_fingerprint_hook_is_part_of_the_key() -> None:
    before = key_of("Look", path="x")
    state[0] = "twice"

    assert key_of("Look", path="x") != before
    state[0] = "once"
    assert key_of("Look", path="x") == before


@pytest.mark.parametrize("path", ["broken", "number"])
def test_a_hook_that_gives_trouble_leaves_the_key_to_the_run(path: str) -> None:
    plan = plan_of({"1": entry("Look", path=path), "2": entry("Add", a=["1", 0])}, "2")

    assert [step.key for step in plan.steps] == [None, None]
    with pytest.raises((OSError, TypeError)):
        Keys().complete(plan.steps[0].node, {}, {})


def test_what_is_never_cached_gives_no_key_to_itself_or_to_what_reads_it() -> None:
    plan = plan_of(
        {"1": entry("Fresh"), "2": entry("Add", a=["1", 0]), "3": entry("Number")}, "2", "3"
    )

    assert [step.key is None for step in plan.steps] == [True, True, False]
    assert Keys().complete(plan.steps[1].node, {"1": None}, {}).key is None


# -- files ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("one")
    (tmp_path / "c.txt").write_text("three")
    return tmp_path


def keys_of(folder: Path) -> Keys:
    return Keys(folders=OneFolder(folder), hashes=ByContent())  # type: ignore[arg-type]


def read_step(folder: Path, name: str, **inputs: Any) -> Step:
    on = registry_of(*NODES, folders=OneFolder(folder))
    document = {"1": entry("Read", name=name, **inputs)}
    return plan_of(document, "1", keys=keys_of(folder), on=on).steps[0]


def test_a_file_counts_by_its_content_and_for_the_step_itself_by_its_name(folder: Path) -> None:
    a, b, c = (read_step(folder, f"{name}.txt") for name in "abc")

    assert a.content == b.content != c.content
    assert len({a.key, b.key, c.key}) == 3
    assert a.files == (FileUse("name", "texts", "a.txt", "one"),)


def test_a_changed_file_changes_content_and_key(folder: Path) -> None:
    before = read_step(folder, "a.txt")
    (folder / "a.txt").write_text("two")
    after = read_step(folder, "a.txt")

    assert before.content != after.content
    assert before.key != after.key


def test_files_that_are_read_along_with_it_count_by_their_content(folder: Path) -> None:
    on = registry_of(*NODES, folders=OneFolder(folder))

    def content(name: str) -> str | None:
        document = {"1": entry("Load", name=name)}
        return plan_of(document, "1", keys=keys_of(folder), on=on).steps[0].content

    alone, no_file = content("a.txt"), content("none")
    (folder / "config.json").write_text("8 heads")
    beside = content("a.txt")
    (folder / "config.json").write_text("4 heads")
    changed = content("a.txt")
    (folder / "config.json").rename(folder / "more.txt")
    renamed = content("a.txt")

    assert None not in (alone, beside, changed, renamed, no_file)
    assert len({alone, beside, changed, renamed}) == 4
    assert content("b.txt") == renamed, "of equal content, with the same beside it"
    assert content("none") == no_file, "a name that is no file has nothing beside it"


def test_other_literals_of_a_step_that_reads_a_file_still_count(folder: Path) -> None:
    assert read_step(folder, "a.txt").content != read_step(folder, "a.txt", times=2).content


def test_a_name_that_is_no_file_is_a_literal(folder: Path) -> None:
    step = read_step(folder, "none")

    assert step.files == ()
    assert step.key == step.content != read_step(folder, "a.txt").content


def test_all_files_of_a_list_count(folder: Path) -> None:
    on = registry_of(*NODES, folders=OneFolder(folder))

    def step(*names: str) -> Step:
        document = {"1": entry("ReadAll", names={"__value__": list(names)})}
        return plan_of(document, "1", keys=keys_of(folder), on=on).steps[0]

    assert [use.sha256 for use in step("a.txt", "c.txt").files] == ["one", "three"]
    assert step("a.txt", "c.txt").content == step("b.txt", "c.txt").content
    assert step("a.txt", "c.txt").content != step("c.txt", "a.txt").content
    assert step("a.txt", "c.txt").content != step("a.txt").content


def test_a_name_that_arrives_over_a_link_completes_the_key(folder: Path) -> None:
    on = registry_of(*NODES, folders=OneFolder(folder))
    keys = keys_of(folder)
    document = {
        "0": entry("Name"),
        "1": entry("Read", name=["0", 0]),
        "2": entry("Add", a=["1", 0]),
    }
    plan = plan_of(document, "2", keys=keys, on=on)
    late, after = plan.steps[1:]
    assert (late.key, after.key) == (None, None)
    contents = {step.id: step.content for step in plan.steps}

    done = keys.complete(late.node, contents, {"name": "a.txt"})

    assert done == Step(late.node, *_keys(read_step(folder, "a.txt")))
    assert keys.complete(late.node, contents, {"name": "c.txt"}).content != done.content
    several = keys.complete(late.node, contents, {"name": ("a.txt",)})
    assert several.content != done.content, "a list of one gives a list"
    assert [use.sha256 for use in several.files] == ["one"]
    assert keys.step(after.node, {**contents, "1": done.content}).key is not None


def poem_step(folder: Path, text: str) -> Step:
    on = registry_of(*NODES, folders=OneFolder(folder))
    document = {"1": entry("Poem", text=text)}
    return plan_of(document, "1", keys=keys_of(folder), on=on).steps[0]


def test_files_that_a_text_names_count_by_their_content(folder: Path) -> None:
    before = poem_step(folder, "see a.txt")
    alone = poem_step(folder, "see nothing")
    (folder / "a.txt").write_text("changed")

    after = poem_step(folder, "see a.txt")

    assert [(use.name, use.sha256) for use in before.files] == [("a.txt", "one")]
    assert after.content != before.content
    assert poem_step(folder, "see nothing").content == alone.content


def test_a_text_counts_beside_the_files_it_names(folder: Path) -> None:
    steps = [poem_step(folder, text) for text in ("a.txt", "a.txt !", "b.txt", "a.txt a.txt")]

    assert len({step.content for step in steps}) == 4
    assert [len(step.files) for step in steps] == [1, 1, 1, 1]


def test_a_file_that_a_text_names_and_that_is_not_there_is_no_trouble(folder: Path) -> None:
    before = poem_step(folder, "see later.txt")
    (folder / "later.txt").write_text("now")

    after = poem_step(folder, "see later.txt")

    assert before.key is not None
    assert before.files == ()
    assert after.content != before.content


def test_a_text_that_arrives_over_a_link_is_the_same_step_as_a_literal_one(folder: Path) -> None:
    on = registry_of(*NODES, folders=OneFolder(folder))
    keys = keys_of(folder)
    plan = plan_of({"0": entry("Name"), "1": entry("Poem", text=["0", 0])}, "1", keys=keys, on=on)
    late = plan.steps[1]

    done = keys.complete(late.node, {"0": plan.steps[0].content}, {"text": "a.txt"})

    assert late.key is None
    assert done == Step(late.node, *_keys(poem_step(folder, "a.txt")))


def _keys(step: Step) -> tuple[str | None, str | None, tuple[FileUse, ...]]:
    return step.key, step.content, step.files


def test_a_file_that_is_gone_is_the_run_s_trouble(folder: Path) -> None:
    on = registry_of(*NODES, folders=OneFolder(folder))
    graph = validate({"1": entry("Read", name="a.txt")}, on, targets=["1"])
    (folder / "a.txt").unlink()

    [step] = make_plan(graph, keys_of(folder)).steps

    assert step.key is None
    with pytest.raises(FileMissing):
        keys_of(folder).complete(step.node, {}, {})


def test_without_hashes_a_file_counts_by_its_name() -> None:
    assert key_of("Read", name="a.txt") != key_of("Read", name="b.txt")
