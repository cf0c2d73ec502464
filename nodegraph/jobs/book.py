"""The names one call of a job's node was given, in the journal."""

from __future__ import annotations

from collections.abc import Sequence

from nodegraph.saving import Given

from . import store
from .journal import Journal


class JournalBook:
    """See `saving.Book`. Used in the thread of the call; waits for the disk."""

    def __init__(self, journal: Journal, job: str, node: str, call: int) -> None:
        self._journal = journal
        self._job = job
        self._call = f"{node}/{call}"
        self._requests = 0  # of names, by this call
        self._request = ""

    def given(self) -> Sequence[Given]:
        self._requests += 1
        self._request = request = f"{self._call}/{self._requests}"
        return self._journal.read(lambda c: store.names_of(c, self._job, request))

    def give(self, names: Sequence[str]) -> None:
        request = self._request
        self._journal.write(lambda c: store.give_names(c, self._job, request, names)).result()

    def writing(self, name: str, sha256: str) -> None:
        self._journal.write(lambda c: store.write_name(c, self._job, name, sha256)).result()

    def give_up(self, name: str) -> None:
        self._journal.write(lambda c: store.drop_name(c, self._job, name)).result()
