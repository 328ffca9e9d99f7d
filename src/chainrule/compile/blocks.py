"""Rows in blocks, blocks in chunks, chunks in threads: the same numbers for any number of threads.

The rows are cut into chunks by their number and length alone. Each chunk has sums of its own, in float64, to which its
blocks are added in order; the chunks' sums are added in order in the end. Threads share out whole chunks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil

VARIABLE = "CHAINRULE_THREADS"  # the environment variable that bounds the threads
ALONE = 1 << 20  # bytes below which one thread is faster than two
CHUNK = 1 << 18  # bytes of a chunk at least
MOST_CHUNKS = 64
SUMS = 1 << 21  # bytes of all chunks' sums at most
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are cut: `chunks` of `chunk` rows each, taken `block` rows at a time; `alone` if by one thread."""

    chunks: int
    chunk: int
    block: int
    alone: bool

    @classmethod
    def of(cls, rows: int, row_bytes: int, sum_bytes: int, block: int) -> Cut:
        """Cut `rows` rows of so many bytes into chunks of whole blocks, each with sums of so many bytes."""
        total = rows * row_bytes
        wanted = max(1, min(MOST_CHUNKS, total // CHUNK, max(2, SUMS // max(1, sum_bytes))))
        chunk = max(1, ceil(ceil(rows / wanted) / block)) * block
        chunks = max(1, ceil(rows / chunk))
        return cls(chunks, chunk, block, chunks == 1 or total <= ALONE)


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
            self.pool, self.size = ThreadPoolExecutor(size, thread_name_prefix="chainrule"), size
        return self.pool


_POOL = _Pool()


def over_chunks(work: Callable[[int, int], object], cut: Cut) -> None:
    """Call `work(first, last)` so that every chunk is in one call; each thread takes a contiguous part."""
    threads = 1 if cut.alone else min(thread_count(), cut.chunks)
    if threads == 1:
        work(0, cut.chunks)
        return
    edges = [cut.chunks * t // threads for t in range(threads + 1)]
    pool = _POOL.of(threads - 1)
    others = [pool.submit(work, edges[t], edges[t + 1]) for t in range(1, threads)]
    try:
        work(edges[0], edges[1])
    finally:
        for other in others:
            other.result()
