"""The names one call of a job's node was given, in the journal."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence

from nodegraph.context import CancelToken
from nodegraph.errors import Cancelled
from nodegraph.saving import Given

from . import store
from .journal import Journal


class JournalBook:
    """See `saving.Book`. Used in the threads of the call; waits for the disk.

    cancel: once it is abandoned, the call gets no more names.
    """

    def __init__(
        self, journal: Journal, job: str, node: str, call: int, cancel: CancelToken
    ) -> None:
        self._journal = journal
        self._job = job
        self._node = node
        self._call = call
        self._cancel = cancel
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()  # so far, by what they are for

    def request(self, what: str) -> str:
        self._check()
        with self._lock:
            self._requests[what] += 1
            return json.dumps([self._node, self._call, what, self._requests[what]])

    def given(self, request: str) -> Sequence[Given]:
        return self._journal.read(lambda c: store.names_of(c, self._job, request))

    def give(self, request: str, names: Sequence[str]) -> None:
        self._journal.write(lambda c: store.give_names(c, self._job, request, names)).result()

    def writing(self, name: str, sha256: str) -> None:
        self._check()
        self._journal.write(lambda c: store.write_name(c, self._job, name, sha256)).result()

    def give_up(self, name: str) -> None:
        self._journal.write(lambda c: store.drop_name(c, self._job, name)).result()

    def _check(self) -> None:
        if self._cancel.abandoned:
            raise Cancelled("the run ended without this node: it saves nothing any more")
