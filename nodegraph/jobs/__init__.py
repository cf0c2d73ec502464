"""Jobs: a queue over a journal that loses nothing.

request -> Journal -> JobQueue -> Runner -> Engine -> messages
"""

from .ears import Ears
from .job import Job, Request, Result, Status
from .journal import Journal, JournalError
from .messages import Message
from .queue import Closing, JobQueue, OtherJob, QueueFull
from .running import Runner
from .store import Query

__all__ = [
    "Closing",
    "Ears",
    "Job",
    "JobQueue",
    "Journal",
    "JournalError",
    "Message",
    "OtherJob",
    "Query",
    "QueueFull",
    "Request",
    "Result",
    "Runner",
    "Status",
]
