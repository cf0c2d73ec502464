"""Who waits for whom while a plan runs: what is wanted, what is ready, what is still needed.

Work is pulled from the targets. A task is demanded when something needs its value; it is answered
from the cache, or by a task that does the same work already, or else it waits for its inputs and
becomes ready. A value is let go when its last reader is done; wanted again (by a lazy input, or
because it was spoilt) it is demanded again. What nobody needs any more is not run.

No threads, events or clocks are in here, and nothing recurses. The caller holds its lock around
every call, and afterwards looks at the news.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .plan import Plan, Step
from .tasks import State, Task, Value

LEADER = "(leader)"  # the name under which a task holds the one that does its work
UNDER_WAY = frozenset({State.WAITING, State.READY, State.RUNNING})
LOST = frozenset({State.FAILED, State.SKIPPED})


@dataclass
class News:
    """What happened since it was last looked at.

    woken:    lanes with one more ready task, once for each.
    recalled: tasks that got their value without running. dropped: that nobody needs any more.
    skipped:  tasks that cannot run.
    """

    woken: list[str] = field(default_factory=list)
    recalled: list[Task] = field(default_factory=list)
    dropped: list[Task] = field(default_factory=list)
    skipped: list[Task] = field(default_factory=list)


class Schedule:
    """The tasks of one run.

    recall:  gives a task its value from the cache, if it is there.
    open:    how many targets have not ended.
    outputs: the values of the targets that are done.
    because: for each task that was skipped, the one that failed.
    """

    def __init__(self, plan: Plan, recall: Callable[[Task], bool]) -> None:
        targets = set(plan.targets)
        self.tasks = {
            step.id: Task(step, (rank,), step.id in targets, uses=int(step.id in targets))
            for rank, step in enumerate(plan.steps)
        }
        self.open = len(targets)
        self.outputs: dict[str, Value] = {}
        self.because: dict[str, str] = {}
        self.news = News()
        self._recall = recall
        self._ready: dict[str, list[Task]] = {}
        self._leaders: dict[tuple[str | None, str], Task] = {}

    def take_news(self) -> News | None:
        """What happened since the last time, if anything did."""
        news = self.news
        if not (news.woken or news.recalled or news.dropped or news.skipped):
            return None
        self.news = News()
        return news

    @property
    def stuck(self) -> bool:
        """Whether nothing is ready although targets are open."""
        ready = (task for queue in self._ready.values() for task in queue)
        return self.open > 0 and not any(task.state is State.READY for task in ready)

    # -- forward -----------------------------------------------------------------------------

    def demand(self, roots: Iterable[Task]) -> None:
        """See to it that those of these tasks that somebody uses end."""
        todo = list(roots)[::-1]
        while todo:
            task = todo.pop()
            if task.state is not State.IDLE or not task.uses:
                continue
            if self._recall(task):
                self.news.recalled.append(task)
                self._arrive(task)
                continue
            task.state = State.WAITING
            if not self._follow(task):
                todo.extend(self._hold(task, self._eager(task)))
            self._ready_if_complete(task)

    def pop(self, lane: str) -> Task | None:
        """The first ready task of a lane, which runs from now on."""
        queue = self._ready.get(lane)
        while queue:
            task = heapq.heappop(queue)
            if task.state is State.READY:
                task.state = State.RUNNING
                task.taken = {name: _value_of(source) for name, source in task.held.items()}
                return task
        return None

    def recalled(self, task: Task) -> bool:
        """Whether a running task, whose key has become known, need not run any further."""
        if self._recall(task):
            self.news.recalled.append(task)
            self._release(task)
            self._arrive(task)
            return True
        leader = self._leader(task)
        if leader is None:
            return False
        self._release(task)
        task.state = State.WAITING
        self._follow(task)
        self._ready_if_complete(task)
        return True

    def wait_for(self, task: Task, names: Iterable[str]) -> None:
        """A running task waits for more of its inputs, which it did not hold."""
        if self._drop_if_unused(task):
            return
        task.state = State.WAITING
        sources = {name: self.tasks[task.node.inputs[name].node] for name in names}
        self.demand(self._hold(task, sources))
        self._ready_if_complete(task)

    def expand(self, task: Task, steps: Sequence[Step], awaited: Iterable[str]) -> None:
        """A running task waits for tasks that run in its place; `task.grown` is set."""
        if self._drop_if_unused(task):
            return
        task.state = State.WAITING
        task.children = tuple(step.id for step in steps)
        for step in steps:
            rank = (*task.rank, len(self.tasks))
            self.tasks[step.id] = Task(step, rank, parent=task.id, depth=task.depth + 1)
        sources = {f"({id})": self.tasks[id] for id in awaited}
        self.demand(self._hold(task, sources))
        self._ready_if_complete(task)

    def finish(self, task: Task) -> None:
        """A running task is done: `task.value` is there, its inputs are no longer needed."""
        task.grown = None
        self._release(task)
        self._arrive(task)

    def _eager(self, task: Task) -> dict[str, Task]:
        """The tasks it reads from without having to ask."""
        by_name = task.node.type.by_name
        links = task.node.links()
        return {name: self.tasks[link.node] for name, link in links if not by_name[name].lazy}

    def _hold(self, task: Task, sources: Mapping[str, Task]) -> list[Task]:
        """Have `task` wait for `sources`; returns those to be demanded."""
        idle: list[Task] = []
        for name, source in sources.items():
            if name not in task.held:
                task.held[name] = source
                source.uses += 1
            if source.state in LOST:
                self._skip(task, source)
                return []
            if source.state is not State.DONE and task not in source.dependents:
                source.dependents[task] = None
                task.missing += 1
                idle.append(source)
        return idle

    def _leader(self, task: Task) -> Task | None:
        """Another task that is doing the same work, or has done it."""
        key = task.step.key
        if key is None:
            return None
        # Not across expansions: a task inside one may do the work that its own parent waits for.
        leader = self._leaders.setdefault((task.parent, key), task)
        if leader is task or leader.state in UNDER_WAY or leader.value is not None:
            return None if leader is task else leader
        self._leaders[task.parent, key] = task
        return None

    def _follow(self, task: Task) -> bool:
        """Have a task wait for the one that does its work, if there is one."""
        task.leader = self._leader(task)
        if task.leader is None:
            return False
        self._hold(task, {LEADER: task.leader})
        return True

    def _ready_if_complete(self, task: Task) -> None:
        if task.missing or task.state is not State.WAITING:
            return
        if task.leader is not None:
            self._adopt(task)
            self._arrive(task)
            return
        task.state = State.READY
        lane = task.node.type.lane
        heapq.heappush(self._ready.setdefault(lane, []), task)
        self.news.woken.append(lane)

    def _adopt(self, task: Task) -> None:
        """Take the value of the task that did the same work."""
        assert task.leader is not None
        task.value = _value_of(task.leader)
        task.leader = None
        self.news.recalled.append(task)
        self._release(task)

    def _arrive(self, task: Task) -> None:
        """A task has its value: note it, and wake who waits for it."""
        todo = [task]
        while todo:
            done = todo.pop()
            done.state = State.DONE
            if done.target and done.id not in self.outputs:
                self.outputs[done.id] = _value_of(done)
                self.open -= 1
            dependents, done.dependents = done.dependents, {}
            for dependent in dependents:
                dependent.missing -= 1
                if dependent.leader is done:
                    self._adopt(dependent)
                    todo.append(dependent)
                else:
                    self._ready_if_complete(dependent)
            self._let_go_if_unused(done)

    # -- back --------------------------------------------------------------------------------

    def fail(self, task: Task) -> None:
        """A task failed: what needs it cannot run."""
        task.state = State.FAILED
        self._close(task)

    def stop(self, task: Task) -> None:
        """A running task gave up because the run was cancelled."""
        task.state = State.IDLE

    def lose(self, tasks: Collection[Task]) -> None:
        """These tasks' values are not what they made: whoever needs one waits for a new one."""
        for task in tasks:
            task.value = None
            task.state = State.IDLE
            if task.id in self.outputs:
                del self.outputs[task.id]
                self.open += 1
        waiting = [t for t in self.tasks.values() if t.state in (State.WAITING, State.READY)]
        for task in waiting:
            if any(source.state is State.IDLE for source in task.held.values()):
                task.state = State.WAITING
                self._hold(task, task.held)
        self.demand(tasks)

    def again(self, task: Task) -> None:
        """A running task is to run once more, when its inputs are there."""
        if self._drop_if_unused(task):
            return
        task.state = State.WAITING
        self.demand(self._hold(task, task.held))
        self._ready_if_complete(task)

    def _skip(self, task: Task, because: Task) -> None:
        self._mark_skipped(task, because)
        self._close(task)

    def _mark_skipped(self, task: Task, because: Task) -> None:
        task.state = State.SKIPPED
        self.because[task.id] = self.because.get(because.id, because.id)
        self.news.skipped.append(task)

    def _close(self, task: Task) -> None:
        """A task ended without a value: skip what waits for it, drop what only it needed."""
        todo, again = [task], []
        while todo:
            ended = todo.pop()
            self.open -= ended.target
            dependents, ended.dependents = ended.dependents, {}
            for dependent in dependents:
                dependent.missing -= 1
                if dependent.leader is ended:
                    dependent.leader = None
                    dependent.state = State.IDLE
                    again.append(dependent)
                elif dependent.state is State.WAITING:
                    self._mark_skipped(dependent, ended)
                    todo.append(dependent)
            self._release(ended)
        for task in again:
            self._release(task)
        self.demand(again)

    def _release(self, task: Task) -> None:
        """A task no longer needs what it holds, nor, if nobody else does, what that holds."""
        todo = [task]
        while todo:
            ended = todo.pop()
            held, ended.held = ended.held, {}
            ended.missing = 0
            for source in held.values():
                source.uses -= 1
                source.dependents.pop(ended, None)
                if source.uses:
                    continue
                if source.state in (State.WAITING, State.READY):
                    self._drop(source)
                    todo.append(source)
                else:
                    self._let_go_if_unused(source)

    def _drop_if_unused(self, task: Task) -> bool:
        """Whether a running task is not to go on, since what needed it has ended meanwhile."""
        if task.uses:
            return False
        self._drop(task)
        self._release(task)
        return True

    def _drop(self, task: Task) -> None:
        task.state = State.IDLE
        task.leader = task.grown = None
        self.news.dropped.append(task)

    def _let_go_if_unused(self, task: Task) -> None:
        if not task.uses and task.state is State.DONE:
            task.value = None
            task.state = State.IDLE


def _value_of(task: Task) -> Value:
    assert task.value is not None, f"the value of {task.id} is not there"
    return task.value
