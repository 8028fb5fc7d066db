"""The lanes of a batch, each with its results: run by path until none is left.

Here, in threads, or on an executor; what fails a guard goes on to the path that holds.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

from .branches import Branches, Turns, Way, way_of
from .columns import Column, empty, picked, point
from .pieces import Packed, by_guard, cut, in_threads, mapped, no_guards, unpacked

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]

Turned = tuple[Turns, Any]  # the lanes whose guards begin with these turns


def run_lanes(
    tree: Branches,
    columns: list[Column],
    n: int,
    outs: list[Column],
    executor: Executor | None,
) -> None:
    """Write the outputs of every lane, tracing the paths that no one has been on."""
    todo: list[Turned] = [((), range(n))]
    if executor is not None and n:
        todo = _lanes_elsewhere(executor, tree.ways, columns, n, outs)
    while todo:
        todo = _run_groups(tree.ways, columns, n, outs, todo)
        if todo:
            turns, lanes = todo[0]
            own = columns[: tree.paths[0].own]
            tree.grow(turns, point(own, int(lanes[0])))
            columns = tree.columns(own)


def _run_groups(
    ways: list[Way],
    columns: list[Column],
    n: int,
    outs: list[Column],
    todo: list[Turned],
) -> list[Turned]:
    """Run groups of lanes until none is left; gives those whose path is not known."""
    missing = []
    while todo:
        turns, lanes = todo.pop()
        way = way_of(ways, turns)
        if way is None:
            missing.append((turns, lanes))
            continue
        failed = _run_group(way, columns, n, outs, lanes)
        way.counted += len(lanes)
        for k, left in by_guard(failed, lanes):
            way.counted -= len(left)
            todo.append((way.other(k), left))
    return missing


def _run_group(
    way: Way, columns: list[Column], n: int, outs: list[Column], lanes: Any
) -> Any:
    """Run some lanes on one path; gives the guard that failed for each, or -1."""
    columns = columns[: way.tape.inputs]
    if len(lanes) == n:
        return _batch(way, columns, n, outs)
    some = [empty(len(lanes)) for _ in outs]
    there = [picked(c, lanes) for c in columns]
    failed = _batch(way, there, len(lanes), some)
    for out, column in zip(outs, some):
        if np is not None:
            out[lanes] = column
        else:
            for lane, y in zip(lanes, column):
                out[lane] = y
    return failed


def _batch(way: Way, columns: list[Column], n: int, outs: list[Column]) -> Any:
    """Run lanes at once; gives the guard that failed for each, or -1."""
    failed = no_guards(n)

    def run(start: int, stop: int) -> None:
        way.executable.batch(
            cut(columns, start, stop),
            stop - start,
            [out[start:stop] for out in outs],
            failed[start:stop],
        )

    if np is None:  # a part of a list is a copy
        way.executable.batch(columns, n, outs, failed)
    else:
        in_threads(run, way, n)
    return failed


# ---- elsewhere -----------------------------------------------------------------------


def _lanes_there(ways: Packed, columns: list[Column], n: int) -> Any:
    """On the executor: the outputs of a piece, and the lanes on paths not known."""
    known = unpacked(ways)
    outs = [empty(n) for _ in known[0].tape.outputs]
    return outs, _run_groups(known, columns, n, outs, [((), range(n))])


def _lanes_elsewhere(
    executor: Executor, ways: list[Way], columns: list[Column], n: int, outs: list[Any]
) -> list[Turned]:
    missing: list[Turned] = []
    for lanes, (found, left) in mapped(executor, _lanes_there, ways, columns, n):
        for out, column in zip(outs, found):
            out[lanes.start : lanes.stop] = column
        for turns, some in left:
            moved = [lanes.start + int(lane) for lane in some]
            missing.append((turns, moved if np is None else np.array(moved)))
    return missing
