"""Lines that come again and again, as the steps of a loop in time: for t in 0..99: …

Where lines of a program are like those some lines before, over and over, and read what
these wrote just as those did, they are the body of a loop over t. What each of them
writes becomes one array with t ahead of its indices; where the first step reads what
was there before, s[0] in place of a state, that is the array's first part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import eq
from typing import Final

from .loops import (
    Affine,
    Array,
    Call,
    Check,
    Expression,
    Fold,
    Lookup,
    Loop,
    Number,
    Part,
    Program,
    Read,
    Repeat,
    Statement,
    Var,
    changed,
    moved,
    reads,
)

TIMES: Final = 3  # steps that make a loop
LONGEST: Final = 300  # lines of one step
MANY: Final = 4  # steps for which arrays that others wrote are made one
TRIED: Final = 20  # of the places where lines come again
Block = list[Loop | Check]


class UnlikeError(Exception):
    """Lines, or expressions, that are not alike."""


def repeated(whole: Program) -> Program:
    """The program with its steps in time as loops, the longest first."""
    done = False
    while not done:
        done = True
        for start, period, count in _candidates(whole.lines):
            found = _folded(whole, start, period, count)
            if found is not None:
                whole, done = found, False
                break
    for line in whole.flat():
        line.value = with_parts_joined(line.value)
    outputs = _all_joined([Part((y,), over=over) for y, over in whole.outputs])
    whole.outputs = [(part.factors[0], part.over) for part in outputs]
    return whole


# ---- what comes again ----------------------------------------------------------------


def _candidates(lines: Sequence[Statement]) -> list[tuple[int, int, int]]:
    """Where lines come again, after how many, how many: what saves most comes first."""
    known: dict[object, int] = {}
    kinds = [known.setdefault(_kind(line), len(known)) for line in lines]
    found = []
    for period in range(1, min(len(kinds) // TIMES, LONGEST) + 1):
        same = [*map(eq, kinds, kinds[period:]), False]
        start = 0 if sum(same) >= (TIMES - 1) * period else len(same)
        while start < len(same):
            stop = same.index(False, start)
            if stop - start >= (TIMES - 1) * period:
                found.append((start, period, stop - start + period))
            start = stop + 1
    found.sort(key=lambda each: (each[1] - each[2] // each[1] * each[1], each[1]))
    return found[:TRIED]


def _kind(line: Statement) -> object:
    """What lines have in common that may be steps of one loop."""
    if isinstance(line, Repeat) or line.ahead:
        return line
    sizes = tuple([var.size for var in line.over])
    check = (line.expected, line.place) if isinstance(line, Check) else ()
    return check, sizes, _shape(line.value)


def _shape(x: Expression) -> object:
    if isinstance(x, Number):
        return repr(x.value)
    if isinstance(x, Read):
        return x.array if x.array.numbers else None
    if isinstance(x, Call):
        return x.row, *map(_shape, x.args)
    return x.row, *[
        (
            part.negative, tuple([(var.size, var.down) for var in part.over]),
            *map(_shape, part.factors), part.mask and _shape(part.mask),
        )
        for part in x.parts
    ]  # fmt: skip


def _folded(whole: Program, start: int, period: int, count: int) -> Program | None:
    """The program with those lines as a loop, if they are one."""
    written = {line.array: line for line in whole.flat() if isinstance(line, Loop)}
    lines: list[Loop | Check] = [
        line
        for line in whole.lines[start : start + count]
        if not isinstance(line, Repeat)
    ]
    for shift in _shifts(lines, period):
        steps = (count - shift) // period
        blocks = [lines[shift + k * period :][:period] for k in range(steps)]
        for first, last in ((0, steps), (1, steps), (0, steps - 1), (1, steps - 1)):
            if last - first >= TIMES:
                at = start + shift + first * period
                try:
                    _steps(blocks[first:last][:MANY], written).body()  # which is quick
                    return _steps(blocks[first:last], written).folded(whole, at)
                except UnlikeError:
                    pass
    return None


def _steps(blocks: list[Block], written: dict[Array, Loop]) -> _Steps:
    found = _Steps(blocks, written)
    return _Steps(blocks, written, down=True) if found.goes_back() else found


def _shifts(lines: Sequence[Loop | Check], period: int) -> list[int]:
    """Where a step may begin: first, where the fewest arrays go over to the next."""
    wrote = {line.array: k for k, line in enumerate(lines) if isinstance(line, Loop)}
    middle = range(period, min(2 * period, len(lines)))
    back = [
        (k, wrote[r.array])
        for k in [*middle, *[k + period for k in middle if k + period < len(lines)]]
        for r, _ in reads(lines[k].value)
        if r.array in wrote and wrote[r.array] < k
    ]

    def over(shift: int) -> int:
        return len({
            array % period
            for k, array in back
            if (k - shift) // period != (array - shift) // period
        })  # fmt: skip

    return sorted(range(min(period, 40)), key=lambda shift: (over(shift), shift))[:3]


# ---- a loop of steps -----------------------------------------------------------------


def pairs(
    x: Expression, y: Expression, same: dict[Var, Var]
) -> Iterator[tuple[Read, Read]]:
    """What two like expressions read, side by side; `same` are their indices."""
    if isinstance(x, Read) and isinstance(y, Read):
        yield x, y
    elif isinstance(x, Call) and isinstance(y, Call):
        _require(x.row is y.row and len(x.args) == len(y.args))
        for a, b in zip(x.args, y.args):
            yield from pairs(a, b, same)
    elif isinstance(x, Fold) and isinstance(y, Fold):
        _require(x.row is y.row and len(x.parts) == len(y.parts))
        for p, q in zip(x.parts, y.parts):
            yield from _pairs_of_parts(p, q, same)
        yield from pairs(x.start, y.start, same)
    else:
        _require(isinstance(x, Number) and repr(x) == repr(y))


def _pairs_of_parts(
    p: Part, q: Part, same: dict[Var, Var]
) -> Iterator[tuple[Read, Read]]:
    _require(p.negative == q.negative and len(p.factors) == len(q.factors))
    _match(p.over, q.over, same)
    for a, b in zip(p.factors, q.factors):
        yield from pairs(a, b, same)
    _require((p.mask is None) == (q.mask is None))
    if p.mask and q.mask:
        yield from pairs(p.mask, q.mask, same)


def _match(xs: Sequence[Var], ys: Sequence[Var], same: dict[Var, Var]) -> None:
    sizes = [[(var.size, var.down) for var in each] for each in (xs, ys)]
    _require(sizes[0] == sizes[1])
    same.update(zip(ys, xs))


def _require(condition: bool) -> None:
    if not condition:
        raise UnlikeError


class _Steps:
    """The same lines for each value of t, which write parts of the same arrays."""

    def __init__(
        self, blocks: list[Block], written: dict[Array, Loop], down: bool = False
    ) -> None:
        self.blocks, self.written = blocks, written
        self.down = down  # whether t is less at each step
        self.where = {
            line.array: (k, step)
            for step, block in enumerate(blocks)
            for k, line in enumerate(block)
            if isinstance(line, Loop)
        }
        self.copies: list[Loop] = []
        self.now: dict[Array, tuple[Array, int]] = {}  # the part of an array it becomes
        self.arrays = self._arrays(self._state())
        if len(blocks) >= MANY:
            self._gather()

    def _state(self) -> dict[int, list[tuple[Read, Read]]]:
        """What the first step reads where the others read what one of these wrote."""
        found: dict[int, list[tuple[Read, Read]]] = {}
        for x, y in zip(*self.blocks[:2]):
            for old, new in self._side_by_side(x, y):
                k, step = self.where.get(new.array, (-1, -1))
                if step == 0 and old.array not in self.where:
                    found.setdefault(k, []).append((old, new))
        return found

    def _side_by_side(
        self, x: Loop | Check, y: Loop | Check
    ) -> Iterator[tuple[Read, Read]]:
        """What two lines read, by the indices of the first."""
        same: dict[Var, Var] = {}
        _match(x.over, y.over, same)
        for a, b in pairs(x.value, y.value, same):
            change = {v: _index(w) for v, w in same.items()}
            yield a, Read(b.array, tuple([i.after(change) for i in b.places]))

    def _arrays(self, state: dict[int, list[tuple[Read, Read]]]) -> dict[int, Array]:
        """An array for each line, with a part for each step, and for a state before."""
        found: dict[int, Array] = {}
        for array, (k, step) in self.where.items():
            if k not in found:
                found[k] = Array((len(self.blocks) + (k in state), *array.shape))
            self.now[array] = found[k], self._part(k in state, step)
        for k, read_before in state.items():
            self._begin(found[k], read_before)
        return found

    def _part(self, state: bool, step: int) -> int:
        """Which part of its array a step writes; step -1 is the state before."""
        last = len(self.blocks) - 1
        return last - step if self.down else step + state

    def _begin(self, array: Array, reads_of: list[tuple[Read, Read]]) -> None:
        """Let the state before be the first part of an array, itself or as a copy."""
        old = reads_of[0][0].array
        loop = self.written.get(old)
        alike = all(a.array is old and a.places == b.places for a, b in reads_of)
        if loop and not loop.ahead and alike and old.shape == array.shape[1:]:
            now = array, self._part(True, -1)
            _require(self.now.setdefault(old, now) == now)
            return
        over = tuple([Var(n) for n in array.shape[1:]])
        copy = next(filter(None, [_as_copy(a, b, over) for a, b in reads_of]), None)
        _require(copy is not None)
        assert copy
        for a, b in reads_of:
            change = {v: i for v, i in zip(over, b.places) if isinstance(i, Affine)}
            _require(moved(copy, change) == a)
        part = Affine(self._part(True, -1))
        self.copies.append(Loop(array, over, copy, (part,)))

    def folded(self, whole: Program, start: int) -> Program:
        """The program with the loop in place of the lines from there on."""
        t, body = self.body()
        stop = start + len(self.blocks) * len(body)
        before = [self._elsewhere(line) for line in whole.lines[:start]]
        after = [self._elsewhere(line) for line in whole.lines[stop:]]
        lines = [*before, *self.copies, *_as_lines(t, body), *after]
        outputs = [(self._renamed(y), over) for y, over in whole.outputs]
        return Program(whole.inputs, lines, outputs)

    def _gather(self) -> None:
        """Where each step reads an array of its own, make these parts of one, too."""
        for lines in zip(*self.blocks):
            columns = [self._side_by_side(lines[0], line) for line in lines]
            for column in zip(*columns):
                arrays = [r.array for _, r in column]
                if len({*arrays}) == len(arrays) and self._are_free(arrays):
                    whole = Array((len(arrays), *arrays[0].shape))
                    for step, array in enumerate(arrays):
                        self.now[array] = whole, self._part(False, step)

    def _are_free(self, arrays: list[Array]) -> bool:
        """Whether they are of one shape, written whole, and no parts of others yet."""
        return all(
            array in self.written
            and not self.written[array].ahead
            and array not in self.now
            and array.shape == arrays[0].shape
            for array in arrays
        )

    def body(self) -> tuple[Var, list[Loop | Check]]:
        """The index, and what one step is; UnlikeError if they are no steps."""
        t = Var(len(self.blocks), self.down)
        return t, [self._line(k, t) for k in range(len(self.blocks[0]))]

    def goes_back(self) -> bool:
        """Whether the steps read what others wrote from its end to its beginning."""
        deltas = [
            delta
            for x, y in zip(*self.blocks[:2])
            for old, new in self._side_by_side(x, y)
            if old.array is new.array
            for delta in _delta(old, new)
        ]
        return sum([(d < 0) - (d > 0) for d in deltas]) > 0

    def _renamed(self, x: Expression) -> Expression:
        return changed(x, self._read)

    def _read(self, r: Read) -> Read:
        if r.array not in self.now:
            return r
        array, part = self.now[r.array]
        return Read(array, (Affine(part), *r.places))

    def _elsewhere(self, line: Statement) -> Statement:
        if isinstance(line, Repeat):
            return Repeat(line.var, [*map(self._elsewhere, line.lines)])
        x = self._renamed(line.value)
        if isinstance(line, Loop) and line.array in self.now:
            array, part = self.now[line.array]
            return Loop(array, line.over, x, (Affine(part),))
        return replace(line, value=x)

    def _line(self, k: int, t: Var) -> Loop | Check:
        """One line of the body, from what it is in each step."""
        first, *others = [block[k] for block in self.blocks]
        found = iter(
            [self._first(a, b) for a, b in self._side_by_side(first, others[0])]
        )
        base = replace(first, value=changed(first.value, lambda r: next(found)))
        deltas: list[list[int]] = []
        for line in others:
            line = replace(line, value=self._renamed(line.value))
            deltas.append([
                delta
                for a, b in self._side_by_side(base, line)
                for delta in _delta(a, b)
            ])  # fmt: skip
        _require(all(
            delta == [d * step for d in deltas[0]]
            for step, delta in enumerate(deltas, start=1)
        ))  # fmt: skip
        each = iter(deltas[0])
        step = Affine(len(self.blocks) - 1, ((t, -1),)) if self.down else _index(t)
        x = changed(base.value, lambda r: _along(r, step, each))
        if isinstance(first, Loop):
            array, part = self.now[first.array]
            ahead = Affine(part - self.down * (len(self.blocks) - 1), ((t, 1),))
            return Loop(array, first.over, x, (ahead,))
        guards = [g for block in self.blocks for g in block[k].guards]  # type: ignore[union-attr]
        return replace(first, guards=guards, value=x, ahead=(step,))

    def _first(self, old: Read, new: Read) -> Read:
        """What the first step reads: the state before, where others read a step."""
        k, step = self.where.get(new.array, (-1, -1))
        if step == 0 and old.array not in self.where:
            part = Affine(self._part(True, -1))
            return Read(self.arrays[k], (part, *new.places))
        return self._read(old)


def _as_copy(old: Read, new: Read, over: Sequence[Var]) -> Read | None:
    """The old one for each element of the new one's array, if that is read as it is."""
    steps = [i.steps for i in new.places if isinstance(i, Affine) and not i.start]
    alone = [line[0][0] for line in steps if len(line) == 1 and line[0][1] == 1]
    if len({*alone}) != len(over):
        return None
    change = {v: _index(w) for v, w in zip(alone, over)}
    found = moved(old, change)
    assert isinstance(found, Read)
    inside = {var for i in found.places for var in _variables(i)}
    return found if inside <= {*over} else None


def _variables(i: Affine | Lookup) -> Iterator[Var]:
    for each in i.places if isinstance(i, Lookup) else (i,):
        yield from [var for var, _ in each.steps]


def _delta(a: Read, b: Read) -> Iterator[int]:
    """How far the second is from the first, in each index."""
    _require(a.array is b.array)
    for i, j in zip(a.places, b.places):
        if isinstance(i, Lookup) or isinstance(j, Lookup):
            _require(i == j)
        else:
            _require({*i.steps} == {*j.steps})
            yield j.start - i.start


def _index(var: Var) -> Affine:
    return Affine(0, ((var, 1),))


def _along(r: Read, step: Affine, deltas: Iterator[int]) -> Read:
    """What is read at a step, by how far it goes in each index."""
    places: list[Affine | Lookup] = []
    for i in r.places:
        if isinstance(i, Affine) and (delta := next(deltas)):
            start = i.start + delta * step.start
            more = [(var, delta * each) for var, each in step.steps]
            i = Affine(start, (*i.steps, *more))
        places.append(i)
    return Read(r.array, tuple(places))


def _as_lines(t: Var, body: list[Loop | Check]) -> list[Statement]:
    """A loop over t; of one line that reads nothing of its own, t is but an index."""
    (line, *others) = body
    if others or isinstance(line, Check):
        return [Repeat(t, [*body])]
    if any(r.array is line.array for r, _ in reads(line.value)):
        return [Repeat(t, [line])]
    up = Var(t.size)  # no step needs another
    x = moved(line.value, {t: _index(up)})
    return [Loop(line.array, (up, *line.over), x)]


# ---- terms that come again -----------------------------------------------------------


def with_parts_joined(x: Expression) -> Expression:
    """An expression whose sums have their like parts, one after the other, as one."""
    if isinstance(x, Call):
        return Call(x.row, tuple([with_parts_joined(arg) for arg in x.args]))
    if not isinstance(x, Fold):
        return x
    parts = [
        part._replace(
            factors=tuple([with_parts_joined(factor) for factor in part.factors]),
            mask=part.mask and with_parts_joined(part.mask),
        )
        for part in x.parts
    ]
    return x._replace(parts=tuple(_all_joined(parts)))


def _all_joined(parts: Sequence[Part]) -> Iterator[Part]:
    k = 0
    while k < len(parts):
        part, count = _joined(parts, k)
        yield part
        k += count


def _joined(parts: Sequence[Part], k: int) -> tuple[Part, int]:
    """A part with as many as follow and are like it, and how many these are."""
    first, deltas = parts[k], list[list[int]]()
    alone = Fold(None, (first,))
    for part in parts[k + 1 :]:
        try:
            found = [
                delta
                for a, b in _in_first(alone, Fold(None, (part,)))
                for delta in _delta(a, b)
            ]
            want = [d * (len(deltas) + 1) for d in deltas[0]] if deltas else found
            _require(found == want)
        except UnlikeError:
            break
        deltas.append(found)
    if len(deltas) < TIMES - 1:
        return first, 1
    down = sum([(d < 0) - (d > 0) for d in deltas[0]]) > 0
    r = Var(len(deltas) + 1, down)
    step = Affine(len(deltas), ((r, -1),)) if down else _index(r)
    each = iter(deltas[0])
    fold = changed(alone, lambda read: _along(read, step, each))
    assert isinstance(fold, Fold)
    (part,) = fold.parts
    return part._replace(over=(r, *part.over)), len(deltas) + 1


def _in_first(x: Fold, y: Fold) -> Iterator[tuple[Read, Read]]:
    same: dict[Var, Var] = {}
    for a, b in pairs(x, y, same):
        change = {v: _index(w) for v, w in same.items()}
        yield a, Read(b.array, tuple([i.after(change) for i in b.places]))
