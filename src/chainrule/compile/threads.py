"""Threads that share out work: how many there may be, and the pool that they come from."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
Job = Callable[[], object]
Ends = SimpleQueue[BaseException | None]  # how jobs ended, one entry for each

VARIABLE = "CHAINRULE_THREADS"  # the environment variable that bounds the threads
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count() -> int:
    """Return how many threads may run: `$CHAINRULE_THREADS`, or the processors that this process may use."""
    named = os.environ.get(VARIABLE, "")
    if named.isdecimal() and int(named):
        return int(named)
    return PROCESSORS


class _Pool:
    """The threads beside the caller's own, started when they are first needed, and again in a forked process.

    One queue is all that they share: of a call of 50 µs in two threads, an executor's futures took another 50, on two
    cores of AMD EPYC, and queues take 16.
    """

    def __init__(self) -> None:
        self.forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        self.jobs: SimpleQueue[tuple[Job, Ends]] = SimpleQueue()
        self.size = 0

    def begin(self, jobs: Sequence[Job], ends: Ends) -> None:
        """Let threads run the jobs, as many at a time as there are, each with this context's settings.

        Each leaves in `ends` how it ended.
        """
        while self.size < len(jobs):
            self.size += 1
            Thread(target=_work, args=(self.jobs,), name=f"chainrule_{self.size}", daemon=True).start()
        for job in jobs:
            self.jobs.put((partial(copy_context().run, job), ends))


def _work(jobs: SimpleQueue[tuple[Job, Ends]]) -> None:
    """Do what is in the queue, as long as the process lives."""
    while True:
        job, ends = jobs.get()
        try:
            job()
        except BaseException as error:
            ends.put(error)
        else:
            ends.put(None)
        del job, ends  # and with them arrays, while the next one is waited for


_POOL = _Pool()


def in_threads(jobs: Sequence[Job]) -> None:
    """Run the jobs side by side, the last one here, each with this context's settings of floating-point errors.

    All have ended when this returns or raises.
    """
    if len(jobs) == 1:
        jobs[0]()
        return
    ends: Ends = SimpleQueue()
    _POOL.begin(jobs[:-1], ends)
    try:
        jobs[-1]()
    finally:
        errors = [ends.get() for _ in jobs[:-1]]
    _raise_first(errors)


def shared_out(work: Callable[[T], object], parts: Sequence[T]) -> None:
    """Do `work(part)` for every part, each in the thread that is free next, with this context's settings as above.

    This thread begins at once, and does not wait for one that has not begun when all is done. All work has ended when
    this returns or raises.
    """
    left = deque(parts)
    helpers = min(thread_count(), len(parts)) - 1
    ends: Ends = SimpleQueue()
    begun: list[None] = []  # before a thread takes a part; what begins after the last one was taken finds none

    def help_out() -> None:
        begun.append(None)
        _take(left, work)

    if helpers > 0:
        _POOL.begin([help_out] * helpers, ends)
    try:
        _take(left, work)
    finally:
        errors = [ends.get() for _ in begun]
    _raise_first(errors)


def _raise_first(errors: Sequence[BaseException | None]) -> None:
    for error in errors:
        if error is not None:
            raise error


def _take(left: deque[T], work: Callable[[T], object]) -> None:
    """Work on what is left, from its front, as the other threads do; after an error nothing is left."""
    try:
        while left:
            try:
                part = left.popleft()
            except IndexError:  # another thread was faster
                return
            work(part)
    except BaseException:
        left.clear()
        raise
