"""Sums over the lanes of a batch, and their derivatives by what all lanes share.

part     the sums of the outputs over one block of lanes, on one path
span     blocks that have lanes on a path
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from ..primitives import Primitive
from ..trees import NUMBER
from ..value import Value
from .branches import Branches, Turns, Way, turns_of, way_of
from .calls import BLOCK
from .columns import Column, point
from .jit import Tree
from .nodes import Shares
from .paths import Path
from .pieces import Packed, by_guard, cut, in_threads, mapped, no_guards, unpacked
from .points import executable, shortened
from .source import combine
from .tape import Tape, joined
from .trace import numbers_of

try:
    import numpy as np
except Exception:  # lists will do: see machine.py
    np = None  # type: ignore[assignment]

Span = tuple[Turns, int, int, int]  # turns, a first and a last block, a lane in them


class Sums:
    """The sums over a batch of what each lane gives, as functions of what is shared.

    Its gradient is another: that of each lane's gradient, by the same paths. `chain`
    says which outputs were differentiated on the way here. For a gradient, `absences`
    counts the lanes in which a select has left an operand out.
    """

    def __init__(
        self,
        tree: Branches,
        inputs: list[Column],
        n: int,
        executor: Executor | None,
        chain: tuple[int, ...] = (),
        counts: bool = False,
    ) -> None:
        self.tree, self.n, self.executor = tree, n, executor
        self.inputs, self.chain, self.counts = inputs, chain, counts
        self.shared = [i for i, x in enumerate(inputs) if type(x) in (float, Value)]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "executor": None}

    def operands(self, inputs: Sequence[Any]) -> list[Any]:
        """What the sums depend on: the shared inputs, and those closed over."""
        return [*(inputs[i] for i in self.shared), *self.tree.closed]

    def at(self, operands: Sequence[Any]) -> list[float]:
        """The sums where the shared inputs have these numbers."""
        inputs = list(self.inputs)
        for i, x in zip(self.shared, operands):
            inputs[i] = x
        return self.totals(inputs, operands[len(self.shared) :])

    def totals(
        self, inputs: Sequence[Any], closed: Sequence[float] = ()
    ) -> list[float]:
        """The sum of each output over all lanes; `closed` replaces what was used."""
        parts: list[Sequence[float]] = []
        todo: list[Span] = [((), 0, -(-self.n // BLOCK), 0)] if self.n else []
        columns = [*inputs, *closed]
        columns = numbers_of([*columns, *self.tree.closed[len(closed) :]])
        if self.executor is not None and self.n:
            todo = _parts_elsewhere(self.executor, self.ways(), columns, self.n, parts)
        while todo:
            todo = _run_spans(self.ways(), columns, self.n, parts, todo)
            if todo:
                turns, _, _, lane = todo[0]
                self.tree.grow(turns, point(columns[: len(inputs)], lane))
                used = len(columns) - len(inputs)
                columns += numbers_of(self.tree.closed[used:])
        return combined(parts, len(self.ways()[0].tape.outputs))

    def ways(self) -> list[Way]:
        """The tree's paths, those taken most first, as they are run here."""
        if not self.chain:
            return self.tree.ways
        what = self._what()
        for path in self.tree.paths:
            if what not in path.derived:
                short, kept = shortened(self._tape(path))
                path.derived[what] = Way(turns_of(path), short, kept, executable(short))
        known = {turns_of(path): path.derived[what] for path in self.tree.paths}
        return [known[way.turns] for way in self.tree.ways]

    def _what(self) -> tuple[Any, ...]:
        """What is differentiated, and with respect to what."""
        return self.chain, self.counts, tuple(self.shared), len(self.tree.closed)

    def gradient(self, j: int) -> Sums:
        """The sums of ∂(output j)/∂(each operand)."""
        chain = (*self.chain, j)
        return Sums(self.tree, self.inputs, self.n, self.executor, chain)

    def absences(self) -> Sums:
        """The number of lanes in which each part of this gradient is absent."""
        return Sums(self.tree, self.inputs, self.n, self.executor, self.chain, True)

    def _tape(self, path: Path) -> Tape:
        tape, own = path.long, len(self.inputs)
        every = range(own, own + len(self.tree.closed))
        closed = [i if i < tape.inputs else None for i in every]
        for depth, j in enumerate(self.chain, start=1):
            counts = self.counts and depth == len(self.chain)
            tape = _gradient_tape(tape, j, [*self.shared, *closed], counts)
        return tape


class Total(Primitive):
    """One output summed over a batch, as a primitive of the shared inputs."""

    def __init__(self, sums: Sums, j: int, known: float | None = None) -> None:
        order = "".join(f"D{i + 1}_" for i in (*sums.chain, j)[1:])  # D1_: by the first
        name = f"{order}sum_{sums.tree.owner.__name__}"
        super().__init__(name, self._value, self._rule)
        self.variadic, self.arity = True, 0
        self._sums, self._j = sums, j
        self._known = known  # the value where the node is made, asked for once
        self._gradient: Sums | None = None

    def __reduce__(self) -> Any:
        return Total, (self._sums, self._j)

    def value(self, *xs: float) -> float:
        known, self._known = self._known, None
        return self._value(*xs) if known is None else known

    def inside(self, xs: Sequence[Any]) -> None:
        """Nothing: its lanes are too many to be looked at."""

    def _value(self, *xs: float) -> float:
        return self._sums.at(xs)[self._j]

    def _rule(self, z: Any, *xs: Any) -> list[Any]:
        if self._gradient is None:
            self._gradient = self._sums.gradient(self._j)
        found: list[Any] = self._gradient.at(numbers_of(xs))[: len(xs)]
        if Value in map(type, xs):
            rows = [Total(self._gradient, i, y) for i, y in enumerate(found)]
            found = [Value._apply(row, tuple(xs)) for row in rows]
        return found

    def derivatives(
        self, z: Any, *args: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The partials; None where a select has left an operand out in every lane."""
        found, n = self._rule(z, *args), self._sums.n
        if self._gradient is None or 0.0 not in numbers_of(found) or n == 0:
            return tuple(found)
        absent = self._gradient.absences().at(numbers_of(args))
        return tuple([None if k == n else d for d, k in zip(found, absent)])


def _gradient_tape(
    tape: Tape, j: int, wanted: Sequence[int | None], counts: bool
) -> Tape:
    """The tape, its guards, and then the partials of output j by the inputs wanted.

    Where it counts, 1.0 for each that is absent, as is what the tape does not know.
    """
    one = replace(tape, outputs=(tape.outputs[j],), guards=())
    both = joined(tape, Tree(Shares(one), NUMBER).add([1.0] * tape.inputs).long)
    found = both.outputs[len(tape.outputs) + counts * tape.inputs :]
    partials = [float(counts) if i is None else found[i] for i in wanted]
    return replace(both, outputs=tuple(partials))


def _run_spans(
    ways: list[Way],
    columns: list[Column],
    n: int,
    parts: list[Sequence[float]],
    todo: list[Span],
) -> list[Span]:
    """Sum spans of blocks, each path over all of them that have a lane on it.

    A lane counts on the one path whose guards it passes, in its own place in its
    block, so that the sums do not depend on which path was tried first.
    """
    missing = []
    while todo:
        turns, start, stop, witness = todo.pop()
        way = way_of(ways, turns)
        if way is None:
            missing.append((turns, start, stop, witness))
            continue
        first, last = start * BLOCK, min(stop * BLOCK, n)
        part = cut(columns[: way.tape.inputs], first, last)
        found, failed = _parts(way, part, last - first)
        parts += found
        way.counted += last - first
        for k, lanes in by_guard(failed, range(first, last)):
            _require_known_guard(way, k)
            way.counted -= len(lanes)
            if way.guards[k] >= len(turns):
                low, high = int(lanes[0]), int(lanes[-1])
                todo.append((way.other(k), low // BLOCK, high // BLOCK + 1, low))
    return missing


def _require_known_guard(way: Way, k: int) -> None:
    if way.guards[k] >= len(way.turns):
        raise ValueError(
            "vmap: a rule for a partial must not branch on numbers, but one does at "
            f"{way.tape.guards[k].place}; write where(condition, a, b) there"
        )


def _parts(
    way: Way, columns: list[Column], n: int
) -> tuple[list[Sequence[float]], Any]:
    """The sums of each block, and the guard that failed for each lane, or -1."""
    runs: Any = way.executable
    failed = no_guards(n)
    if np is None:
        return runs.block_totals(columns, n, failed), failed

    def run(start: int, stop: int) -> Any:
        part = cut(columns, start, stop)
        return runs.block_totals(part, stop - start, failed[start:stop])

    return [part for parts in in_threads(run, way, n) for part in parts], failed


def combined(parts: list[Sequence[float]], outputs: int) -> list[float]:
    """The sum of all parts for each output: rounded once, so in any order."""
    if not parts:
        return [0.0] * outputs
    if len(parts) == 1:
        return [float(total) + 0.0 for total in parts[0]]
    return [total + 0.0 for total in combine(parts if np is None else np.array(parts))]


# ---- elsewhere -----------------------------------------------------------------------


def _parts_there(ways: Packed, columns: list[Column], n: int) -> Any:
    """On the executor: the sums of a piece, and the spans on paths not known."""
    parts: list[Sequence[float]] = []
    todo: list[Span] = [((), 0, -(-n // BLOCK), 0)]
    missing = _run_spans(unpacked(ways), columns, n, parts, todo)
    return parts, missing


def _parts_elsewhere(
    executor: Executor,
    ways: list[Way],
    columns: list[Column],
    n: int,
    parts: list[Sequence[float]],
) -> list[Span]:
    missing = []
    for lanes, (found, left) in mapped(executor, _parts_there, ways, columns, n):
        parts += found
        first = lanes.start // BLOCK
        for turns, start, stop, witness in left:
            missing.append((turns, first + start, first + stop, lanes.start + witness))
    return missing
