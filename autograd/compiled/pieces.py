"""A batch cut into pieces: for threads, and for the workers of an executor.

Cuts are made between blocks of lanes, whose sums are the parts of every total, so that
the bits of a result do not depend on where it was computed.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final

from .branches import Turns, Way
from .calls import BLOCK, threads_for
from .columns import Column
from .jit import executable
from .tape import Tape

try:
    import numpy as np
except ImportError:  # lists will do
    np = None  # type: ignore[assignment]

MOST_PIECES: Final = 64  # that a batch is cut into for an executor


def in_threads(work: Callable[[int, int], Any], way: Way, n: int) -> list[Any]:
    """work(start, stop) for the parts of a batch, in threads if that is worth it."""
    threads = threads_for(way, n)
    if threads < 2:
        return [work(0, n)]
    step = -(-n // (threads * BLOCK)) * BLOCK
    starts = range(0, n, step)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, starts, [min(i + step, n) for i in starts]))


def no_guards(n: int) -> Any:
    return [-1] * n if np is None else np.full(n, -1, np.int32)


def by_guard(failed: Any, lanes: Any) -> list[tuple[int, Any]]:
    """(guard, the lanes that fail it first) for each guard that has any."""
    if np is not None:
        if not len(failed) or failed.max() < 0:
            return []
        guards = np.unique(failed[failed >= 0]).tolist()
        return [(k, np.asarray(lanes)[failed == k]) for k in guards]
    groups: dict[int, list[int]] = {}
    for k, lane in zip(failed, lanes):
        if k >= 0:
            groups.setdefault(k, []).append(lane)
    return sorted(groups.items())


# ---- elsewhere -----------------------------------------------------------------------


def _pieces(n: int) -> list[range]:
    """The lanes cut between blocks into pieces of about equal length."""
    blocks = -(-n // BLOCK)
    step = -(-blocks // min(blocks, MOST_PIECES)) * BLOCK
    return [range(i, min(i + step, n)) for i in range(0, n, step)]


def cut(columns: list[Column], start: int, stop: int) -> list[Column]:
    return [c if type(c) is float else c[start:stop] for c in columns]


@lru_cache(maxsize=64)
def loaded(ways: bytes) -> list[Way]:
    """The ways that a pickle holds, compiled once in each process."""
    found: list[tuple[Turns, Tape, tuple[int, ...]]] = pickle.loads(ways)
    return [Way(turns, tape, kept, executable(tape)) for turns, tape, kept in found]


def packed(ways: list[Way]) -> bytes:
    return pickle.dumps([(way.turns, way.tape, way.guards) for way in ways])


def mapped(
    executor: Executor, work: Any, ways: list[Way], columns: list[Column], n: int
) -> Iterator[tuple[range, Any]]:
    """(lanes, result) for each piece, all of which were submitted at once."""
    pieces, known = _pieces(n), packed(ways)
    futures = [
        executor.submit(work, known, cut(columns, lanes.start, lanes.stop), len(lanes))
        for lanes in pieces
    ]
    for lanes, future in zip(pieces, futures):
        yield lanes, future.result()
