"""Jobs in the journal: nothing of them is lost, they are found again, and forgotten in order."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.jobs import Job, Journal, Query, Request, Result, Status, store
from nodegraph.jobs.store import DAY, Given

T = TypeVar("T")

GRAPH = {"1": {"class_type": "Show", "inputs": {"value": 1}}}
ODD: dict[str, Any] = {
    "lone": "\ud800 and \udfff",
    "nul": "a\0b",
    "letters": "Ünïcödé 🎨 \u2028",
    "huge": 10**60,
    "nothing": float("nan"),
    "endless": float("inf"),
    "small": 5e-324,
    "deep": [[[[{"": None}]]]],
    "yes": True,
    "": "no name",
}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    journal = Journal(tmp_path_factory.mktemp("state"))
    yield journal
    journal.close()


@pytest.fixture(autouse=True)
def empty(journal: Journal) -> None:
    journal.write(lambda c: c.execute("DELETE FROM jobs")).result()
    journal.write(lambda c: c.execute("DELETE FROM names")).result()


def write(journal: Journal, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
    return journal.write(lambda c: work(c, *arguments, **options)).result(20)


def request_of(text: str = "", **changes: Any) -> Request:
    return Request({"1": {"class_type": "Show", "inputs": {"value": text}}}, ("1",), **changes)


def added(journal: Journal, id: str, **changes: Any) -> Job:
    request = changes.pop("request", None) or request_of()
    return write(journal, store.add, Job(id, request, created=time.time(), **changes))


def ended(journal: Journal, id: str, status: Status = Status.SUCCESS, **changes: Any) -> Job:
    """A job that has run; `seconds`: for how long, up to `at`."""
    at, seconds = changes.pop("at", time.time()), changes.pop("seconds", 1.0)
    result = changes.pop("result", Result())
    job = write(journal, store.begin, added(journal, id, **changes), at - seconds)
    job = job.with_(status=status, ended=at, result=result)
    write(journal, store.end, job)
    return job


def found(journal: Journal, **query: Any) -> list[str]:
    jobs, _ = journal.read(lambda c: store.find(c, Query(**query)))
    return [job.id for job in jobs]


def got(journal: Journal, id: str) -> Job | None:
    return journal.read(lambda c: store.get(c, id))


def same(one: Any, other: Any) -> bool:
    """Equal, NaN and all."""
    return json.dumps(one, default=str) == json.dumps(other, default=str)


# -- a job comes back as it was --------------------------------------------------------------------


def test_every_field_of_a_job_comes_back(journal: Journal) -> None:
    request = Request(
        {"1": {"class_type": "\ud834", "inputs": ODD}},
        ("1", "\ud800"),
        {"extra_pnginfo": {"workflow": {"id": "w\ud800", **ODD}}, **ODD},
        "client \udc80",
        1234.5678,
    )
    result = Result(
        {"1": {"text": ["Ü", "\ud800"], "images": [{"filename": "a.png"}]}},
        {"1": {"node_id": "1"}},
        ((1_000_000_001, "execution_start", {"timestamp": 17, "x": "\ud800"}),),
        {"exception_message": "no"},
    )
    job = Job("id-1", request, number=-2.5, created=11.25, retry_of="id-0")

    job = write(journal, store.add, job)
    waiting = got(journal, "id-1")
    job = write(journal, store.begin, job, 12.5)
    running = got(journal, "id-1")
    job = job.with_(status=Status.ERROR, ended=13.75, result=result)
    write(journal, store.end, job)
    over = got(journal, "id-1")

    assert waiting is not None
    assert (waiting.status, waiting.attempts, waiting.seq) == (Status.PENDING, 0, 1)
    assert running is not None
    assert (running.status, running.started, running.attempts) == (Status.RUNNING, 12.5, 1)
    assert over is not None
    assert same(over.request.document, request.document)
    assert same(over.request.extra, request.extra)
    assert over.with_(request=request) == job
    assert (over.request.targets, over.request.client) == (request.targets, request.client)
    assert (over.request.deadline, over.request.digest) == (1234.5678, request.digest)


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(codec=None, categories=("L", "N", "Cs", "Cc", "So")))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=st.dictionaries(texts(), VALUES, max_size=3), client=texts(), id=texts())
def test_whatever_json_can_say_comes_back(
    journal: Journal, document: dict[str, Any], client: str, id: str
) -> None:
    extra = {"extra_pnginfo": {"workflow": {"id": id, "nodes": document}}}
    request = Request(document, (), extra, client)
    write(journal, store.forget, None)
    write(journal, lambda c: c.execute("DELETE FROM jobs"))
    ended(journal, "x", request=request, result=Result({"1": document}))

    back = got(journal, "x")

    assert back is not None
    assert same(back.request.document, document)
    assert same(back.request.extra, extra)
    assert same(back.result.outputs, {"1": document})
    assert (back.request.client, back.request.digest) == (client, request.digest)
    assert found(journal, workflow=id) == (["x"])


def test_there_is_no_job_of_another_name(journal: Journal) -> None:
    added(journal, "a")

    assert got(journal, "b") is None
    assert got(journal, "\ud800") is None
    assert got(journal, "A") is None


# -- order and pages -------------------------------------------------------------------------------


def test_jobs_are_numbered_in_the_order_in_which_they_were_added(journal: Journal) -> None:
    assert [added(journal, id).seq for id in "abc"] == [1, 2, 3]


def test_what_waits_or_ran_is_taken_up_in_order_and_what_ran_has_one_more_crash(
    journal: Journal,
) -> None:
    for id, number in (("a", 3.0), ("b", 1.0), ("c", 2.0), ("d", 1.0), ("e", 0.0)):
        added(journal, id, number=number)
    ran = write(journal, store.begin, found_job(journal, "c"), 5.0)
    ended(journal, "f")
    write(journal, store.move, "e", 9.0)

    taken = write(journal, store.take_up)
    again = write(journal, store.take_up)

    assert [job.id for job in taken] == ["b", "d", "c", "a", "e"]
    assert [job.crashes for job in taken] == [0, 0, 1, 0, 0]
    assert {job.status for job in taken} == {Status.PENDING}
    assert taken[2].attempts == ran.attempts == 1
    assert [job.crashes for job in again] == [0, 0, 1, 0, 0]


def found_job(journal: Journal, id: str) -> Job:
    job = got(journal, id)
    assert job is not None
    return job


def test_a_job_that_was_put_back_has_no_crash(journal: Journal) -> None:
    write(journal, store.begin, added(journal, "a"), 5.0)
    write(journal, store.put_back, "a")

    [job] = write(journal, store.take_up)

    assert (job.status, job.crashes, job.attempts) == (Status.PENDING, 0, 1)


def test_pages_go_through_all_of_it_in_both_directions(journal: Journal) -> None:
    ids = [f"job{index}" for index in range(10)]
    for id in ids:
        ended(journal, id)

    def pages(newest: bool) -> list[str]:
        return [
            id
            for offset in range(0, 12, 3)
            for id in found(journal, offset=offset, limit=3, newest=newest)
        ]

    assert pages(newest=False) == ids
    assert pages(newest=True) == ids[::-1]
    assert found(journal, offset=7, newest=False) == ids[7:]
    assert found(journal, offset=99) == []
    assert journal.read(lambda c: store.find(c, Query(limit=2)))[1] == 10


def test_jobs_are_sorted_by_how_long_they_took(journal: Journal) -> None:
    for id, seconds in (("a", 2.0), ("b", 9.0), ("c", 1.0)):
        ended(journal, id, seconds=seconds)
    added(journal, "d")

    assert found(journal, by="duration") == ["b", "a", "c", "d"]
    assert found(journal, by="duration", newest=False) == ["d", "c", "a", "b"]


# -- search ----------------------------------------------------------------------------------------


def test_jobs_are_found_by_status(journal: Journal) -> None:
    for id, status in (("a", Status.SUCCESS), ("b", Status.ERROR), ("c", Status.CANCELLED)):
        ended(journal, id, status)
    added(journal, "d")

    assert found(journal, statuses=(Status.ERROR,)) == ["b"]
    assert found(journal, statuses=(Status.SUCCESS, Status.PENDING)) == ["d", "a"]
    assert found(journal) == ["d", "c", "b", "a"]


def test_jobs_that_were_cancelled_before_their_turn_can_be_left_out(journal: Journal) -> None:
    ended(journal, "ran", Status.CANCELLED)
    never = added(journal, "never").with_(status=Status.CANCELLED, ended=5.0)
    write(journal, store.end, never)

    assert found(journal, begun=True) == ["ran"]
    assert found(journal) == ["never", "ran"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HOUSE", ["a"]),
        ("a house", ["a"]),
        ('"quoted"', ["b"]),
        ("back\\slash", ["b"]),
        ("Größe", ["c"]),
        ("out_00007_.png", ["a"]),
        ("b", ["c", "b"]),  # an id, and a letter of another's text
        ("%", []),
        ("_", ["c", "b", "a"]),  # of class_type
        ("\ud800", ["d"]),
        ("nowhere at all", []),
    ],
)
def test_jobs_are_found_by_a_text_of_their_graph_or_results(
    journal: Journal, text: str, expected: list[str]
) -> None:
    output = {"9": {"images": [{"filename": "out_00007_.png"}]}}
    ended(journal, "a", request=request_of("A House"), result=Result(output))
    ended(journal, "b", request=request_of('"quoted" x\\y back\\slash'))
    ended(journal, "c", request=request_of("Größe by eye"))
    if text == "\ud800":
        ended(journal, "d", request=request_of("x \ud800 y"))

    assert found(journal, text=text) == expected


def test_jobs_are_found_by_the_editor_s_file(journal: Journal) -> None:
    for id, workflow in (("a", "one"), ("b", "two"), ("c", 7), ("d", None)):
        extra = {"extra_pnginfo": {"workflow": {"id": workflow}}}
        added(journal, id, request=request_of(extra=extra))
    added(journal, "e", request=request_of(extra={"extra_pnginfo": "odd"}))

    assert found(journal, workflow="two") == ["b"]
    assert found(journal, workflow="7") == []


# -- forgetting ------------------------------------------------------------------------------------


def test_only_jobs_that_have_ended_are_forgotten(journal: Journal) -> None:
    for id in "abc":
        ended(journal, id)
    added(journal, "waits")
    write(journal, store.begin, added(journal, "runs"), 1.0)

    write(journal, store.forget, ["a", "waits", "runs", "nobody", "\ud800"])
    assert found(journal, newest=False) == ["b", "c", "waits", "runs"]
    write(journal, store.forget, None)
    assert found(journal, newest=False) == ["waits", "runs"]


def prune(journal: Journal, **bounds: Any) -> int:
    all_of = {"jobs": 10**9, "days": None, "nbytes": 1 << 60, "now": 100 * DAY, **bounds}
    return write(journal, store.prune, **all_of)


def test_the_oldest_are_pruned_past_a_number(journal: Journal) -> None:
    for id, at in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        ended(journal, id, at=at)
    added(journal, "waits")

    assert prune(journal, jobs=3) == 0
    assert prune(journal, jobs=2) == 1
    assert found(journal, newest=False) == ["a", "c", "waits"]
    assert prune(journal, jobs=0) == 2
    assert found(journal) == ["waits"]


def test_those_past_an_age_are_pruned(journal: Journal) -> None:
    for id, days in (("old", 89.0), ("edge", 90.0), ("new", 99.0)):
        ended(journal, id, at=days * DAY)
    added(journal, "waits")

    assert prune(journal, days=None) == 0
    assert prune(journal, days=10) == 1
    assert found(journal, newest=False) == ["edge", "new", "waits"]
    assert prune(journal, days=0.5) == 2


def test_the_oldest_are_pruned_past_a_size_in_bytes(journal: Journal) -> None:
    """Sizes are bytes in UTF-8, of which some letters have several."""
    for id in "abc":
        ended(
            journal, id, request=request_of("€" * 1000), result=Result({"1": {"text": ["€" * 500]}})
        )
    [size] = {
        row["size"] for row in journal.read(lambda c: c.execute("SELECT size FROM jobs").fetchall())
    }

    assert 4500 < size < 5000
    assert prune(journal, nbytes=3 * size) == 0
    assert prune(journal, nbytes=3 * size - 1) == 1
    assert found(journal, newest=False) == ["b", "c"]
    assert prune(journal, nbytes=size - 1) == 2


def test_pruning_reads_neither_graphs_nor_results(journal: Journal) -> None:
    """It is done after every job, so it must not go through all that is remembered."""
    statements: list[str] = []
    ended(journal, "a")

    def look(connection: Any) -> list[str]:
        connection.set_trace_callback(statements.append)
        store.prune(connection, jobs=10, days=1.0, nbytes=10**9, now=0.0)
        connection.set_trace_callback(None)
        plans = [connection.execute(f"EXPLAIN QUERY PLAN {each}") for each in statements]
        return [row["detail"] for plan in plans for row in plan]

    details = write(journal, look)
    assert len(details) == 2
    assert all("COVERING INDEX jobs_by_end" in detail for detail in details)


# -- names of files --------------------------------------------------------------------------------


def test_names_are_remembered_by_request_and_in_order(journal: Journal) -> None:
    write(journal, store.give_names, "job", "one", ["output/b", "output/a"])
    write(journal, store.give_names, "job", "two", ["output/c"])
    write(journal, store.give_names, "other", "one", ["output/d"])

    assert names(journal, "job", "one") == [Given("output/b"), Given("output/a")]
    assert names(journal, "job", "two") == [Given("output/c")]
    assert names(journal, "job", "three") == []


def names(journal: Journal, job: str, request: str) -> list[Given]:
    return journal.read(lambda c: store.names_of(c, job, request))


def test_a_name_keeps_all_contents_that_a_file_of_that_name_may_have(journal: Journal) -> None:
    write(journal, store.give_names, "job", "one", ["output/a", "output/b"])
    write(journal, store.write_name, "job", "output/a", "sha1")
    write(journal, store.write_name, "job", "output/a", "sha2")
    write(journal, store.write_name, "other", "output/a", "sha3")
    write(journal, store.give_names, "job", "one", ["output/c", "output/a"])

    assert names(journal, "job", "one") == [Given("output/c"), Given("output/a", ("sha1", "sha2"))]


def test_a_name_belongs_to_who_was_given_it_last(journal: Journal) -> None:
    write(journal, store.give_names, "job", "one", ["output/a"])
    write(journal, store.write_name, "job", "output/a", "sha1")
    write(journal, store.give_names, "other", "one", ["output/a"])

    assert names(journal, "job", "one") == []
    assert names(journal, "other", "one") == [Given("output/a")]


def test_a_name_is_given_up_by_its_owner_alone(journal: Journal) -> None:
    write(journal, store.give_names, "job", "one", ["output/a", "output/b"])
    write(journal, store.drop_name, "other", "output/a")
    write(journal, store.drop_name, "job", "output/b")

    assert names(journal, "job", "one") == [Given("output/a")]


def test_a_name_need_not_be_unicode(journal: Journal) -> None:
    name = "output/\udc80 Ü"
    write(journal, store.give_names, "job", "one", [name])
    write(journal, store.write_name, "job", name, "sha")

    assert names(journal, "job", "one") == [Given(name, ("sha",))]
    write(journal, store.drop_name, "job", name)
    assert names(journal, "job", "one") == []


def test_the_names_of_a_job_are_forgotten_with_its_end(journal: Journal) -> None:
    for id in ("a", "b"):
        write(journal, store.give_names, added(journal, id).id, "one", [f"output/{id}"])
    write(journal, store.end, found_job(journal, "a").with_(status=Status.SUCCESS, ended=1.0))

    assert names(journal, "a", "one") == []
    assert names(journal, "b", "one") == [Given("output/b")]


def test_names_of_jobs_that_are_over_do_not_outlast_a_restart(journal: Journal) -> None:
    """A node that was left behind may have been given names after the end of its job."""
    write(journal, store.begin, added(journal, "runs"), 1.0)
    ended(journal, "over")
    for id in ("runs", "over", "forgotten"):
        write(journal, store.give_names, id, "one", [f"output/{id}"])

    write(journal, store.take_up)

    assert names(journal, "runs", "one") == [Given("output/runs")]
    assert names(journal, "over", "one") == names(journal, "forgotten", "one") == []


def test_facts_are_kept_and_replaced(journal: Journal) -> None:
    assert journal.read(lambda c: store.fact(c, "paused", "no")) == "no"
    for value in ("yes", "no", "Ü"):
        write(journal, store.set_fact, "paused", value)
        assert journal.read(lambda c: store.fact(c, "paused")) == value
