"""Threads that share out work: how many there may be, and the pool that they come from."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

VARIABLE = "CHAINRULE_THREADS"  # the environment variable that bounds the threads
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count() -> int:
    """Return how many threads may run: `$CHAINRULE_THREADS`, or the processors that this process may use."""
    named = os.environ.get(VARIABLE, "")
    if named.isdecimal() and int(named):
        return int(named)
    return PROCESSORS


class _Pool:
    """The threads beside the caller's own, started when they are first needed, and again in a forked process."""

    def __init__(self) -> None:
        self.forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        self.pool: ThreadPoolExecutor | None = None
        self.size = 0

    def of(self, size: int) -> ThreadPoolExecutor:
        if self.pool is None or self.size < size:
            futures = import_module("concurrent.futures")  # with `logging`: too slow for `import chainrule`
            self.pool, self.size = futures.ThreadPoolExecutor(size, thread_name_prefix="chainrule"), size
        return self.pool


_POOL = _Pool()


def in_threads(jobs: Sequence[Callable[[], object]]) -> None:
    """Run the jobs side by side, the last one here, each with this context's settings of floating-point errors.

    All have ended when this returns or raises.
    """
    if len(jobs) == 1:
        jobs[0]()
        return
    pool = _POOL.of(len(jobs) - 1)
    others = [pool.submit(copy_context().run, job) for job in jobs[:-1]]
    try:
        jobs[-1]()
    finally:
        for other in others:
            other.exception()  # waits
    for other in others:
        other.result()


def shared_out(work: Callable[[T], object], parts: Sequence[T]) -> None:
    """Do `work(part)` for every part, each in the thread that is free next, with this context's settings as above.

    This thread begins at once, and does not wait for one that has not begun when all is done. All work has ended when
    this returns or raises.
    """
    left = deque(parts)
    helpers = min(thread_count(), len(parts)) - 1
    pool = _POOL.of(helpers) if helpers > 0 else None
    others = [pool.submit(copy_context().run, _take, left, work) for _ in range(helpers)] if pool else []
    try:
        _take(left, work)
    finally:
        begun = [other for other in others if not other.cancel()]
        for other in begun:
            other.exception()  # waits
    for other in begun:
        other.result()


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
