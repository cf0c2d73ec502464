import pytest
import small_nodes
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.changes import NoSuchNode, Typed, change, find_node
from nodegraph.registry import Registry

DOCUMENT = {
    "1": {"class_type": "Count", "inputs": {"value": 3}, "_meta": {"title": "How many"}},
    "2": {"class_type": "Add", "inputs": {"left": ["1", 0]}, "_meta": {"title": "Sum"}},
    "3": {"class_type": "Save", "inputs": {"value": ["2", 0]}},
    "4": {"class_type": "Save", "inputs": {"value": ["1", 0]}},
    "5": {"class_type": "Join", "inputs": {"words": "a"}},
}


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(small_nodes)
    return registry


def given_to(registry: Registry, name: str, value: object) -> object:
    changed = change(DOCUMENT, {name: value}, registry)
    assert changed.faults == ()
    ((id, input),) = changed.places
    return changed.document[id]["inputs"][input]


@pytest.mark.parametrize("name", ["1.value", "How many.value", "Count.value"])
def test_a_node_is_named_by_id_title_or_type(registry: Registry, name: str) -> None:
    changed = change(DOCUMENT, {name: 7}, registry)

    assert changed.document == {**DOCUMENT, "1": {**DOCUMENT["1"], "inputs": {"value": 7}}}
    assert changed.places == {("1", "value"): name}
    assert changed.faults == ()


def test_the_document_itself_stays_as_it_was(registry: Registry) -> None:
    before = {id: {**entry, "inputs": dict(entry["inputs"])} for id, entry in DOCUMENT.items()}

    change(DOCUMENT, {"1.value": 9, "2.left": 4}, registry)

    assert before == DOCUMENT


def test_an_input_that_the_document_leaves_out_is_added_and_a_link_is_replaced(
    registry: Registry,
) -> None:
    changed = change(DOCUMENT, {"2.right": 1, "2.left": 5}, registry)

    assert changed.document["2"]["inputs"] == {"left": 5, "right": 1}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("1.value", "7", 7),
        ("1.value", "seven", "seven"),  # which the check refuses, with its own words
        ("1.ratio", "1e-3", 0.001),
        ("1.flag", "true", True),
        ("1.word", "7", "7"),
        ("1.word", "true", "true"),
        ("1.word", "1.50", "1.50"),
        ("1.word", '"quoted"', '"quoted"'),
        ("1.word", "[a:b:0.5], cat", "[a:b:0.5], cat"),
        ("1.word", "", ""),
        ("1.mode", "down", "down"),
        ("5.words", '["a", "b"]', {"__value__": ["a", "b"]}),
        ("5.words", "7", "7"),
        ("1.value", "[" * 100_000, "[" * 100_000),
    ],
)
def test_what_somebody_typed_is_read_as_its_input_asks_for(
    registry: Registry, name: str, text: str, value: object
) -> None:
    assert given_to(registry, name, Typed(text)) == value


@given(text=st.text())
def test_a_prompt_arrives_letter_for_letter(text: str) -> None:
    registry = Registry()
    registry.register(small_nodes)

    assert given_to(registry, "1.word", Typed(text)) == text


def test_a_list_is_a_value_and_never_a_link(registry: Registry) -> None:
    assert given_to(registry, "2.left", ["1", 0]) == {"__value__": ["1", 0]}


def test_names_that_fit_nothing_are_all_told_with_what_was_probably_meant(
    registry: Registry,
) -> None:
    names = ["Summ.left", "1.valeu", "Save.value", "9.value", "value", ".x"]

    changed = change(DOCUMENT, dict.fromkeys(names, 1), registry)

    assert [fault.details for fault in changed.faults] == [
        "the graph has no node 'Summ'; did you mean 'Sum'?",
        "Count has no input named 'valeu'; did you mean 'value'?",
        "'Save' may be any of nodes 3, 4; write the id",
        "the graph has no node '9'; it has 1 (How many), 2 (Sum), 3 (Save), 4 (Save), 5 (Join)",
        "'value' does not name an input; write NODE.INPUT, as in 3.seed",
        "'.x' does not name an input; write NODE.INPUT, as in 3.seed",
    ]
    assert [fault.extra["set_as"] for fault in changed.faults] == names
    assert [(fault.node, fault.input) for fault in changed.faults][1] == ("1", "valeu")
    assert changed.document == DOCUMENT


def test_an_input_that_resembles_none_gets_the_list_of_all(registry: Registry) -> None:
    (fault,) = change(DOCUMENT, {"2.zzz": 1}, registry).faults

    assert fault.details == "Add has no input named 'zzz'; it has left, right"


def test_a_long_list_of_nodes_is_cut() -> None:
    document = {str(n): {"class_type": "A", "inputs": {}} for n in range(100, 120)}

    with pytest.raises(NoSuchNode) as caught:
        find_node(document, "Sampler")

    assert str(caught.value).endswith("110 (A), 111 (A) and 8 more")


def test_an_id_goes_before_a_title_and_a_title_before_a_type() -> None:
    document = {
        "a": {"class_type": "b", "inputs": {}, "_meta": {"title": "c"}},
        "b": {"class_type": "c", "inputs": {}},
        "d": {"class_type": "e", "inputs": {}, "_meta": {"title": "a"}},
    }

    assert [find_node(document, name) for name in ("a", "b", "c", "e")] == ["a", "b", "a", "d"]


@pytest.mark.parametrize("entry", [5, {"class_type": "Count", "inputs": [1]}, None])
def test_an_entry_that_is_no_node_is_left_for_the_check_to_refuse(
    registry: Registry, entry: object
) -> None:
    changed = change({"1": entry}, {"1.value": 3}, registry)

    assert changed.document == {"1": entry}
    assert changed.faults == ()
