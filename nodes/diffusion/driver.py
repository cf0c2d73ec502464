"""Runs samplers on a network: one alone, or many in lock step with shared model calls.

Each round every unfinished run asks about its own (x, σ) for each of its conditions; all rows of
equal shape go to the network in one call, each with its own time and tokens; each run gets its own
answer, guided by its own scale, and moves on. A run that ends leaves; the others do not notice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nodes.diffusion.job import Job, Question
from nodes.diffusion.packing import Network, evaluate
from nodes.diffusion.prediction import Prediction


class Run:
    """A job on its way: `question` is what it asks now; once that is None, `result` is set.

    Whatever a job's sampler, noise or callback raises becomes its `result` and ends it alone.
    KeyboardInterrupt and SystemExit are the process's, not the job's, and pass through.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.question: Question | None = None
        self.result: Tensor | BaseException | None = None
        self._step = -1
        self._advance(None)

    def answer(self, outputs: Sequence[Tensor | Exception]) -> None:
        """Take the network's outputs for the present question and go on to the next."""
        question = self.question
        if question is None:
            raise RuntimeError("this run has ended and asks nothing")
        faults = [output for output in outputs if isinstance(output, Exception)]
        if faults:
            self.end(faults[0])
            return
        try:
            prediction = question.answer([o for o in outputs if isinstance(o, Tensor)])
            self._report(question, prediction)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:
            self.end(fault)
        else:
            self._advance(prediction)

    def end(self, result: Tensor | BaseException) -> None:
        """Stop here with this result; the sampler is closed."""
        self.question, self.result = None, result
        self.job.sampler.close()

    def _report(self, question: Question, prediction: Prediction) -> None:
        if self.job.on_estimate is not None:
            self.job.on_estimate(prediction.denoised)
        step = self.job.step_at(question.level)
        if step > self._step:
            self._step = step
            if self.job.on_step is not None:
                self.job.on_step(step, self.job.steps, question.x, prediction.denoised)

    def _advance(self, prediction: Prediction | None) -> None:
        sampler = self.job.sampler
        try:
            x, level = next(sampler) if prediction is None else sampler.send(prediction)
            self.question = Question(self.job, x, level)
        except StopIteration as finished:
            spent = RuntimeError("the job's sampler had already run; make one for each job")
            self.end(spent if finished.value is None else finished.value)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:
            self.end(fault)


@torch.no_grad()
def step_together(runs: Sequence[Run], network: Network, *, max_rows: int | None = None) -> None:
    """Answer the present question of every unfinished run, in as few network calls as possible.

    Runs may join or leave between two calls of this function.
    """
    asked = []
    for run in runs:
        if run.question is None:
            continue
        try:
            asked.append((run, run.question.queries()))
        except Exception as fault:
            run.end(fault)
    answers = iter(evaluate([q for _, queries in asked for q in queries], network, max_rows))
    for run, queries in asked:
        run.answer([next(answers) for _ in queries])


@torch.no_grad()
def sample_together(
    jobs: Sequence[Job], network: Network, *, max_rows: int | None = None
) -> list[Tensor | BaseException]:
    """Run all jobs; the result of each, in order: the last x, or what ended it.

    Each gets what it would get alone up to the rounding of a larger batch: over 20 steps, relative
    1e-5 in float32 and 2e-2 in bfloat16 (tests hold a small network to it). A job whose callback
    raises ends with that exception as its result while the others go on; an Exception of the
    network ends the jobs whose rows were in that call. `max_rows` bounds the rows of one call.
    """
    runs: list[Run] = []
    try:
        runs.extend(Run(job) for job in jobs)
        while any(run.question is not None for run in runs):
            step_together(runs, network, max_rows=max_rows)
    finally:
        for job in jobs:
            job.sampler.close()
    return [run.result for run in runs if run.result is not None]


def sample(job: Job, network: Network, *, max_rows: int | None = None) -> Tensor:
    """Run one job and return the last x; what ends it early is raised."""
    [result] = sample_together([job], network, max_rows=max_rows)
    if isinstance(result, BaseException):
        raise result
    return result
