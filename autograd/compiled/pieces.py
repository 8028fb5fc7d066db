"""A batch cut into pieces: for threads, and for the workers of an executor.

Cuts are made between blocks of lanes, whose sums are the parts of every total, so that
the bits of a result do not depend on where it was computed.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import lru_cache
from threading import current_thread, main_thread
from typing import Any, Final

from .branches import Turns, Way
from .calls import BLOCK, threads_for
from .columns import Column
from .points import executable
from .tape import Tape

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]

MOST_PIECES: Final = 64  # that a batch is cut into for an executor


def in_threads(work: Callable[[int, int], Any], way: Way, n: int) -> list[Any]:
    """work(start, stop) for the parts of a batch, in threads if that is worth it."""
    threads = threads_for(way, n)
    if threads < 2 or not main_thread().is_alive():  # at exit, none can be started
        return [work(0, n)]
    from concurrent.futures import ThreadPoolExecutor  # nor its module be imported

    step = -(-n // (threads * BLOCK)) * BLOCK
    starts = range(0, n, step)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, starts, [min(i + step, n) for i in starts]))


def no_guards(n: int) -> Any:
    return [-1] * n if np is None else np.full(n, -1, np.int32)


def by_guard(failed: Any, lanes: Any) -> list[tuple[int, Any]]:
    """(guard, the lanes that fail it first) for each guard that has any."""
    if np is not None:
        return [(k, _those(lanes, places)) for k, places in _sorted(failed)]
    groups: dict[int, list[int]] = {}
    for k, lane in zip(failed, lanes):
        if k >= 0:
            groups.setdefault(k, []).append(lane)
    return sorted(groups.items())


def _sorted(failed: Any) -> Iterator[tuple[int, Any]]:
    """Each guard that fails, and where, in order; few do, so they are looked for."""
    k = -1
    while (left := np.flatnonzero(failed > k)).size:
        failed_there = failed[left]
        k = int(failed_there.min())
        places = left if k == failed_there.max() else left[failed_there == k]
        yield k, places


def _those(lanes: Any, places: Any) -> Any:
    """The lanes at some places."""
    if isinstance(lanes, range):
        return places + lanes.start if lanes.start else places
    return lanes.take(places)


# ---- elsewhere -----------------------------------------------------------------------


def _pieces(n: int) -> list[range]:
    """The lanes cut between blocks into pieces of about equal length."""
    blocks = -(-n // BLOCK)
    step = -(-blocks // min(blocks, MOST_PIECES)) * BLOCK
    return [range(i, min(i + step, n)) for i in range(0, n, step)]


def cut(columns: list[Column], start: int, stop: int) -> list[Column]:
    return [c if type(c) is float else c[start:stop] for c in columns]


Packed = bytes | list[Way]


def _packed(executor: Executor, ways: list[Way]) -> Packed:
    """The ways for workers: a pickle, or in this process copies with counts apart."""
    if _has_threads(executor):
        return [Way(way.turns, way.tape, way.guards, way.executable) for way in ways]
    return pickle.dumps([(way.turns, way.tape, way.guards) for way in ways])


def unpacked(ways: Packed) -> list[Way]:
    return _loaded(ways) if isinstance(ways, bytes) else ways


@lru_cache(maxsize=64)
def _loaded(ways: bytes) -> list[Way]:
    """The ways that a pickle holds, compiled once in each process."""
    found: list[tuple[Turns, Tape, tuple[int, ...]]] = pickle.loads(ways)
    return [Way(turns, tape, kept, executable(tape)) for turns, tape, kept in found]


def _has_threads(executor: Executor) -> bool:
    """Whether its workers are threads of this process, and of this interpreter."""
    module: Any = sys.modules.get("concurrent.futures.thread")
    if module is None or not isinstance(executor, module.ThreadPoolExecutor):
        return False
    return type(executor).__name__ != "InterpreterPoolExecutor"


def _is_worker_of(executor: Executor) -> bool:
    """Whether this is a thread of the pool, for which work may wait in its queue."""
    return current_thread() in getattr(executor, "_threads", ())


def mapped(
    executor: Executor, work: Any, ways: list[Way], columns: list[Column], n: int
) -> Iterator[tuple[range, Any]]:
    """(lanes, result) for each piece, all of which were submitted at once."""
    known = _packed(executor, ways)
    pieces: list[tuple[range, tuple[Any, ...]]] = [
        (lanes, (known, cut(columns, lanes.start, lanes.stop), len(lanes)))
        for lanes in _pieces(n)
    ]
    futures = [executor.submit(work, *piece) for _, piece in pieces]
    waits_for_itself = _is_worker_of(executor)  # which knows that after a submission
    for (lanes, piece), future in zip(pieces, futures):
        alone = waits_for_itself and future.cancel()
        yield lanes, work(*piece) if alone else future.result()
