"""Walks over graphs: order, reach, cycles, who needs what."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.traversal import dependants, find_cycle, natural, post_order, reached, reading

EDGES = {"1": [], "2": ["1"], "3": ["1"], "4": ["2", "3"], "5": ["3"], "6": []}


@st.composite
def graphs(draw: st.DrawFn, *, cycles: bool = False) -> dict[str, list[str]]:
    """Up to nine nodes, each reading from some of the others (or of those before it)."""
    count = draw(st.integers(1, 9))
    ids = [str(i) for i in range(count)]
    return {
        id: draw(st.lists(st.sampled_from(ids if cycles else ids[:i]), max_size=3, unique=True))
        if cycles or i
        else []
        for i, id in enumerate(ids)
    }


def paths_from(id: str, edges: dict[str, list[str]]) -> set[str]:
    """Everything `id` reads from, by the definition."""
    found = {id}
    while True:
        more = found | {source for each in found for source in edges[each]}
        if more == found:
            return found
        found = more


# -- order of ids --------------------------------------------------------------------------------


def test_numbers_in_ids_are_ordered_as_numbers() -> None:
    ids = ["10", "9", "a10", "a9", "2.10", "2.9", "", "2"]

    assert sorted(ids, key=natural) == ["", "2", "2.9", "2.10", "9", "10", "a9", "a10"]


@given(st.lists(st.text(alphabet="01a.²é", max_size=5), unique=True))
def test_the_order_of_ids_does_not_depend_on_where_they_stood(ids: list[str]) -> None:
    shuffled = random.Random(1).sample(ids, len(ids))

    assert sorted(ids, key=natural) == sorted(shuffled, key=natural)


@given(st.text(), st.text())
def test_different_ids_never_count_as_equal(one: str, other: str) -> None:
    assert (natural(one) == natural(other)) == (one == other)


def test_an_id_may_have_more_digits_than_a_number_can() -> None:
    long = "9" * 10_000

    assert sorted([long, "0" + long, "1" * 10_000, "8"], key=natural)[0] == "8"
    assert natural(long) < natural("1" + "0" * 10_000)


# -- walks ---------------------------------------------------------------------------------------


def test_what_a_node_needs_comes_before_it_and_a_branch_at_a_time() -> None:
    assert post_order(["5", "4"], EDGES) == ["1", "3", "5", "2", "4"]


@given(graphs())
def test_every_node_comes_once_and_after_what_it_reads_from(edges: dict[str, list[str]]) -> None:
    order = post_order(edges, edges)

    assert sorted(order) == sorted(edges)
    for id, sources in edges.items():
        assert all(order.index(source) < order.index(id) for source in sources)


def test_reached_are_the_nodes_and_all_they_read_from() -> None:
    assert reached(["4", "6"], EDGES) == {"1", "2", "3", "4", "6"}


@given(graphs(cycles=True), st.data())
def test_reach_is_what_its_definition_says(
    edges: dict[str, list[str]], data: st.DataObject
) -> None:
    id = data.draw(st.sampled_from(sorted(edges)))

    assert reached([id], edges) == paths_from(id, edges)


def test_a_chain_of_a_hundred_thousand_nodes_is_walked() -> None:
    edges = {str(i): [str(i - 1)] if i else [] for i in range(100_000)}

    assert len(post_order(["99999"], edges)) == 100_000
    assert find_cycle(edges) == []
    assert dependants(["0"], ["99999"], edges, most=9) == {"0": ("99999",)}


# -- cycles --------------------------------------------------------------------------------------


def test_a_cycle_is_given_as_a_path_that_ends_where_it_began() -> None:
    cycle = find_cycle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})

    assert cycle[0] == cycle[-1]
    assert sorted(cycle[1:]) == ["a", "b", "c"]


@given(graphs(cycles=True))
def test_there_is_a_cycle_exactly_if_a_node_reaches_itself(edges: dict[str, list[str]]) -> None:
    cycle = find_cycle(edges)

    on_cycle = {id for id in edges if any(id in paths_from(s, edges) for s in edges[id])}
    assert bool(cycle) == bool(on_cycle)
    assert set(cycle) <= on_cycle
    for source, reader in itertools.pairwise(cycle):
        assert source in edges[reader]


@given(graphs(cycles=True))
def test_which_cycle_is_found_does_not_depend_on_the_order_of_the_nodes(
    edges: dict[str, list[str]],
) -> None:
    assert find_cycle(edges) == find_cycle(dict(reversed(edges.items())))


# -- dependants ----------------------------------------------------------------------------------


def test_dependants_are_the_targets_that_need_a_node() -> None:
    found = dependants(["1", "2", "5", "6", "nobody"], ["4", "5"], EDGES, most=9)

    assert found == {"1": ("4", "5"), "2": ("4",), "5": ("5",), "6": (), "nobody": ()}


@given(graphs(cycles=True), st.data())
def test_dependants_are_what_their_definition_says_also_on_cycles(
    edges: dict[str, list[str]], data: st.DataObject
) -> None:
    targets = data.draw(st.lists(st.sampled_from(sorted(edges)), unique=True))
    most = data.draw(st.integers(1, 4))

    found = dependants(edges, targets, edges, most=most)

    needing = {
        id: tuple(target for target in targets if id in paths_from(target, edges)) for id in edges
    }
    assert found == {id: ids[:most] for id, ids in needing.items()}
    assert reading(edges, edges) == edges.keys()
    for id in edges:
        assert {target for target in targets if target in reading([id], edges)} == {*needing[id]}


def test_each_node_of_a_long_chain_may_be_asked_about_with_many_targets() -> None:
    """All targets of all nodes would be 2.5 thousand million."""
    chain = {str(i): [str(i - 1)] if i else [] for i in range(50_000)}
    edges = chain | {f"x{i}": [str(i)] for i in range(50_000)}
    targets = [f"x{i}" for i in range(50_000)]

    found = dependants(chain, targets, edges, most=100)

    assert found["49990"] == tuple(targets[49_990:])
    assert found["7"] == tuple(targets[7:107])


@pytest.mark.parametrize("depth", [10, 30])
def test_cycles_inside_cycles_are_no_trouble(depth: int) -> None:
    """Each node reads from the one before it, and the first from all of them."""
    ids = [str(i) for i in range(depth)]
    edges = {id: [ids[i - 1]] if i else ids[1:] for i, id in enumerate(ids)}

    assert dependants(ids, ids[:2], edges, most=9) == dict.fromkeys(ids, ("0", "1"))
