"""Rows in blocks, blocks in chunks, chunks in threads: the same numbers for any number of threads.

The rows are cut into chunks by their number and length alone. Each chunk has sums of its own, in float64, to which its
blocks are added in order; the chunks' sums are added in order in the end. Threads share out whole chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil

from chainrule.compile.threads import in_threads, thread_count

ALONE = 1 << 20  # bytes below which one thread is faster than two
ALONE_LIGHT = 3 << 20  # the same where an entry costs no more than reading it
CHUNK = 1 << 18  # bytes of a chunk at least
MOST_CHUNKS = 64
SUMS = 1 << 21  # bytes of all chunks' sums at most


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are cut: `chunks` of `chunk` rows each, taken `block` rows at a time; `alone` if by one thread."""

    chunks: int
    chunk: int
    block: int
    alone: bool

    @classmethod
    def of(cls, rows: int, row_bytes: int, sum_bytes: int, block: int, is_light: bool = False) -> Cut:
        """Cut `rows` rows of so many bytes into chunks of whole blocks, each with sums of so many bytes.

        With `is_light`, little is done to each entry. That says how many threads there are, and not how rows are cut.
        """
        total = rows * row_bytes
        most = 1 if total <= ALONE else min(MOST_CHUNKS, total // CHUNK)
        wanted = max(1, min(most, max(2, SUMS // max(1, sum_bytes))))
        chunk = max(1, ceil(ceil(rows / wanted) / block)) * block
        chunks = max(1, ceil(rows / chunk))
        return cls(chunks, chunk, block, chunks == 1 or (is_light and total <= ALONE_LIGHT))


def over_chunks(work: Callable[[int, int], object], cut: Cut) -> None:
    """Call `work(first, last)` so that every chunk is in one call; each thread takes a contiguous part."""
    threads = 1 if cut.alone else min(thread_count(), cut.chunks)
    edges = [cut.chunks * t // threads for t in range(threads + 1)]
    in_threads([partial(work, first, last) for first, last in pairwise(edges)])
