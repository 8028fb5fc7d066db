"""What must hold of a tape and of every plan made of it: checked while tests run.

Code after code takes it for granted that a number is made once, and before it is used.
A pass that breaks this gives numbers from memory that was never written, which may well
be right by accident. So `watched` puts a check behind each pass and a NaN into memory
before it is used, for all programs that are compiled meanwhile.

    known   whether a slot is there from the start: an input, or shared by all lanes
    held    which slot's number is in a place
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

NOT_WRITTEN = 0x7FF4A5A5A5A5A5A5  # a NaN


class BrokenError(AssertionError):
    """A plan that does not keep what later passes rely on."""


def require(condition: object, *what: object) -> None:
    if not condition:
        raise BrokenError(" ".join(map(str, what)))


def is_slot(x: Any) -> bool:
    return type(x) is int


def same(x: Any, y: Any) -> bool:
    if is_slot(x) or is_slot(y):
        return type(x) is type(y) and bool(x == y)
    return float(x).hex() == float(y).hex()


# ---- tapes ---------------------------------------------------------------------------


def check_tape(tape: Any) -> None:
    """Operands come before what is made of them; guards come in order."""
    inputs, count = tape.inputs, len(tape.code)
    for k, (row, args) in enumerate(tape.code):
        for x in args:
            require(not is_slot(x) or 0 <= x < inputs + k, row, "reads", x, "at", k)
    done = 0
    for guard in tape.guards:
        require(done <= guard.after <= count, guard, "is out of order")
        require(0 <= guard.slot < inputs + guard.after, guard, "looks too early")
        done = guard.after
    for y in tape.outputs:
        require(not is_slot(y) or 0 <= y < inputs + count, "no output", y)


# ---- plans ---------------------------------------------------------------------------


class Made:
    """The slots that are there by now."""

    def __init__(self, known: Callable[[int], bool]) -> None:
        self.known = known
        self.slots: set[int] = set()

    def read(self, xs: Iterable[Any], who: object) -> None:
        for x in xs:
            there = not is_slot(x) or x in self.slots or self.known(x)
            require(there, who, "reads slot", x, "before it is made")

    def make(self, slot: int) -> None:
        require(slot not in self.slots, "slot", slot, "is made twice")
        require(not self.known(slot), "slot", slot, "is made, but was there before")
        self.slots.add(slot)


def check_plan(plan: Any, known: Callable[[int], bool]) -> None:
    """Each slot is made once, before it is used; guards and endings find theirs."""
    made = Made(known)
    run_checks(plan.steps, plan.checks, made, step)
    made.read([ending.operand for ending in plan.endings], "an ending")
    once([ending.which for ending in plan.endings], "ending")


def step(made: Made, item: Any) -> None:
    made.read(item.args, item)
    made.make(item.slot)


def run_checks(
    items: Sequence[Any], checks: Sequence[Any], made: Made, run: Callable[..., None]
) -> None:
    """Run items one by one, and each check as soon as it is due."""
    left = list(reversed(checks))
    for k in range(len(items) + 1):
        while left and left[-1].after <= k:
            require(left[-1].after == k, left[-1], "is out of order")
            check = left.pop()
            made.read([check.guard.slot], check)
        if k < len(items):
            run(made, items[k])
    require(not left, "checks come after the last step", left)
    once([check.which for check in checks], "check")


def once(numbers: Sequence[int], what: str) -> None:
    require(len(set(numbers)) == len(numbers), what, "is there twice in", numbers)


def check_split(tape: Any, is_shared: Sequence[bool], split: Any) -> None:
    """What lanes share is made without them, and all they read of it has a place."""
    inputs = [slot for slot, shared in enumerate(is_shared) if shared]
    made = Made(inputs.__contains__)
    for item in split.shared:
        step(made, item)
    for slot in split.places:
        made.read([slot], "a place")
    once(list(split.places.values()), "place")
    own = Made(lambda x: x in split.places or x < tape.inputs)
    run_checks(split.own, split.checks, own, step)
    own.read(tape.outputs, "an output")
    require(len(split.checks) == len(tape.guards), "checks were lost")


def check_signs(plan: Any, signed: Any) -> None:
    """A plan with its signs inside of products is one still, with the same endings."""
    before = {each.slot for each in plan.steps}
    check_plan(signed, outside(plan, before))
    for name in ("checks", "endings"):
        kept = [[x.which for x in getattr(each, name)] for each in (plan, signed)]
        require(kept[0] == kept[1], name, "were lost")


def outside(plan: Any, made: set[int]) -> Callable[[int], bool]:
    """Whether a slot is one that the plan reads and does not make."""
    read = {x for each in plan.steps for x in each.args if is_slot(x)}
    read |= {check.guard.slot for check in plan.checks}
    read |= {ending.operand for ending in plan.endings if is_slot(ending.operand)}
    read -= made
    return read.__contains__


# ---- plans with loops ----------------------------------------------------------------


class Loops(Made):
    """The same for a plan in which loops read and write places."""

    def __init__(self, plan: Any, shared: dict[int, int], looped: Any) -> None:
        super().__init__(outside(plan, {each.slot for each in plan.steps}))
        layout = looped.layout
        self.at = {place: slot for slot, place in layout.places.items()}
        require(len(self.at) == len(layout.places), "two slots share a place")
        own = {each.slot for each in plan.steps}
        self.copied = {
            each.slot: each.args[0]
            for each in looped.items
            if hasattr(each, "args") and each.slot not in own
        }
        self.shared: dict[int, Any] = {place: slot for slot, place in shared.items()}
        for copy in layout.copies:
            require(copy.which not in self.shared, copy, "is written over another")
            self.shared[copy.which] = copy.operand

    def find(self, access: Any, rows: Sequence[Sequence[Any]]) -> None:
        """Require that a loop finds these numbers where it looks for them."""
        for i, row in enumerate(rows):
            for j, x in enumerate(row):
                place = access.base + i * access.down + j * access.across
                if access.what == "shared":
                    require(place in self.shared, access, "finds nothing")
                    found = self.shared[place]
                else:
                    require(place in self.at, access, "finds nothing")
                    self.read([self.at[place]], access)
                    found = self.at[place]
                    if found != x or not is_slot(x):
                        found = self.copied.get(found, found)
                require(same(found, x), access, "finds", found, "instead of", x)

    def run(self, made: Made, item: Any) -> None:
        if not hasattr(item, "product"):
            step(self, item)
            return
        product = item.product
        self.find(item.a, product.a)
        self.find(item.b, [product.b])
        if item.inits is None:
            require(not any(map(is_slot, product.inits)), item, "lacks an init")
        else:
            self.find(item.inits, [product.inits])
        if product.left_out:
            self.find(item.left_out, [product.left_out])
        for k, y in enumerate(product.outputs):
            place = item.outputs.base + k * item.outputs.down
            require(self.at.get(place) == y, item, "writes", y, "elsewhere")
            self.make(y)


def check_looped(plan: Any, shared: dict[int, int], looped: Any) -> None:
    """Steps and loops find what they read, and together give all that was asked for."""
    made = Loops(plan, shared, looped)
    run_checks(looped.items, looped.checks, made, made.run)
    made.read([ending.operand for ending in looped.endings], "an ending")
    made.read([mask.slot for mask in looped.masks], "a mask")
    given = [ending.which for ending in looped.endings]
    for loop in looped.outers:
        outer = loop.outer
        made.find(loop.rows, [outer.rows])
        made.find(loop.columns, [outer.columns])
        for i in range(len(outer.rows)):
            mask = looped.masks[loop.mask + i * loop.mask_step]
            require(mask == outer.present[i], loop, "has a wrong mask")
            columns = range(len(outer.columns))
            given += [outer.first + i * outer.down + j * outer.across for j in columns]
    once(given, "ending")
    require(set(given) == {e.which for e in plan.endings}, "endings were lost")
    require(len(looped.checks) == len(plan.checks), "checks were lost")


# ---- chunks and places ---------------------------------------------------------------


def check_chunks(items: Sequence[Any], checks: Sequence[Any], chunks: Any) -> None:
    """Cut or not, steps come in one order, and each check after the same steps."""
    steps = [x for c in chunks for x in (c.steps if hasattr(c, "steps") else [c])]
    require(steps == list(items), "steps have another order in chunks")
    found, done = {}, 0
    for chunk in chunks:
        own = getattr(chunk, "steps", [chunk])
        for check in getattr(chunk, "checks", ()):
            require(check.which not in found, check, "is there twice")
            require(0 <= check.after <= len(own), check, "is elsewhere")
            found[check.which] = done + check.after
        done += len(own)
    require(found == {c.which: c.after for c in checks}, "checks moved:", found, checks)


def check_places(
    made: dict[int, int], chunks: Sequence[Any], due: Any, found: Any
) -> None:
    """A chunk that reads a travelling number finds that and no other."""
    places, size = found
    held: dict[int, int] = {}
    require(all(0 <= place < size for place in places.values()), "no such place")
    for k, chunk in enumerate(chunks):
        here: set[int] = set()
        own = {each.slot for each in chunk.steps}

        def read(x: Any) -> None:
            if not is_slot(x) or x not in made:
                return
            if made[x] == k:  # noqa: B023
                require(x in here or x not in own, x, "is read too early")  # noqa: B023
                if x in places:
                    held[places[x]] = x
            else:
                require(made[x] < k, x, "is made in a later chunk")  # noqa: B023
                require(held.get(places[x]) == x, "another is in the place of", x)

        for each in chunk.steps:
            for x in each.args:
                read(x)
            here.add(each.slot)
            if each.slot in places:
                held[places[each.slot]] = each.slot
        for check in chunk.checks:
            read(check.guard.slot)
        for ending in due[k]:
            read(ending.operand)


def check_due(endings: Sequence[Any], made: dict[int, int], due: Any) -> None:
    """Each output is written once, not before it is made."""
    once([ending.which for chunk in due for ending in chunk], "ending")
    require({e.which for e in endings} == {e.which for chunk in due for e in chunk})
    for k, chunk in enumerate(due):
        for ending in chunk:
            at = made.get(ending.operand, -1) if is_slot(ending.operand) else -1
            require(at <= k, ending, "is written before it is made")


def check_rows(tape: Any, inputs_vary: Sequence[bool], plan: Any) -> None:
    """In NumPy's blocks each row still holds what a step reads of it."""
    varies = [*inputs_vary]
    held = {plan.place[x]: x for x in range(tape.inputs) if x in plan.place}
    steps = iter(plan.steps)

    def read(args: Iterable[Any], out: int) -> None:
        for x in args:
            if is_slot(x) and varies[x]:
                require(held.get(plan.place[x]) == x, "another is in the row of", x)
                require(plan.place[x] != out, "a step writes over its operand", x)

    guards = list(reversed(tape.guards))
    for k in range(len(tape.code) + 1):
        while guards and guards[-1].after <= k:
            _, args, place = next(steps)
            require(
                place == -1 and args == (guards.pop().slot,), "a guard is elsewhere"
            )
            read(args, place)
        if k < len(tape.code):
            args = tape.code[k].args
            varies.append(any(is_slot(x) and varies[x] for x in args))
            if varies[-1]:
                _, found, place = next(steps)
                require(found == args and 0 <= place < plan.rows, "a step is elsewhere")
                read(args, place)
                held[place] = tape.inputs + k
    read(tape.outputs, -1)
    require(next(steps, None) is None, "there are steps too many")


# ---- memory that was never written ---------------------------------------------------


def poisoned(code: Any, name: str, width: int) -> Any:
    """The code with a workspace full of NaN at the beginning of each call."""
    count = code.places * max(width, 1)
    begin = rf"(define \w+ @{name}\([^)]*\) \{{\n)"
    fill = f"\\1  call void @poison.{name}(ptr %ws, i64 {count})\n"
    text, found = re.subn(begin, fill, code.text)
    require(found == 1, "no beginning of", name)
    return code._replace(text=f"{text}\n{POISON.replace('NAME', name)}")


POISON = f"""
define internal void @poison.NAME(ptr %ws, i64 %n) {{
  br label %head
head:
  %i = phi i64 [0, %0], [%next, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %p = getelementptr i64, ptr %ws, i64 %i
  store i64 {NOT_WRITTEN}, ptr %p, align 8
  %next = add i64 %i, 1
  br label %head
done:
  ret void
}}
"""


def filled(empty: Callable[..., Any]) -> Callable[..., Any]:
    """`numpy.empty`, but of doubles that are NaN, and of whole numbers of no use."""

    @wraps(empty)
    def make(*args: Any, **options: Any) -> Any:
        array = empty(*args, **options)
        if array.dtype == "f8":
            array.view("i8").fill(NOT_WRITTEN)
        elif array.dtype.kind == "i":
            array.fill(0x5A)
        return array

    return make


# ---- behind every pass ---------------------------------------------------------------


@contextmanager
def watched(*engines: str) -> Iterator[None]:
    """Check what the passes of these packages give, and what they leave unwritten."""
    with pytest.MonkeyPatch.context() as patch:
        for engine in engines:
            compiled = f"{engine}.compiled"
            _watch_python(patch, partial(_part, compiled))
            if find_spec("numpy"):
                _watch_numpy(patch, partial(_part, compiled))
            if find_spec("numpy") and find_spec("llvmlite"):
                _watch_llvm(patch, partial(_part, compiled))
        if find_spec("numpy"):
            numpy = import_module("numpy")
            patch.setattr(numpy, "empty", filled(numpy.empty))
        yield


Find = Callable[[str], Any]


def _part(package: str, name: str) -> Any:
    return import_module(f"{package}.{name}")


def behind(
    patch: pytest.MonkeyPatch, where: Any, name: str, check: Callable[..., Any]
) -> None:
    """After each call of that function, check(its result, *its arguments).

    What the check gives, if it gives anything, takes the place of the result.
    """
    function = getattr(where, name)

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        other = check(result, *args, **options)
        return result if other is None else other

    patch.setattr(where, name, call)


def _watch_python(patch: pytest.MonkeyPatch, find: Find) -> None:
    tape = find("tape").Tape
    behind(patch, tape, "__init__", lambda _, self, *args, **named: check_tape(self))

    def unset(lines: Iterable[str], _: Any) -> list[str]:
        """Slots that are not written yet are NaN."""
        return [line.replace("*[0.0] *", "*[nan] *") for line in lines]

    behind(patch, find("source")._Writer, "in_parts", unset)


def _watch_numpy(patch: pytest.MonkeyPatch, find: Find) -> None:
    def planned(plan: Any, tape: Any, varies: Any) -> None:
        check_rows(tape, varies, plan)

    behind(patch, find("numpy_blocks"), "_planned", planned)


def _watch_llvm(patch: pytest.MonkeyPatch, find: Find) -> None:
    native, lower, loops = find("native"), find("lower"), find("product_loops")

    def split(found: Any, tape: Any, is_shared: Any) -> None:
        check_split(tape, is_shared, found)

    def signs(found: Any, plan: Any, *_: Any) -> None:
        check_signs(plan, found)

    def looped(found: Any, plan: Any, shared: Any, *_: Any) -> None:
        check_plan(plan, outside(plan, {each.slot for each in plan.steps}))
        if found is not None:
            check_looped(plan, shared, found)

    def places(found: Any, made: Any, chunks: Any, due: Any) -> None:
        check_places(made, chunks, due, found)

    def poison(code: Any, plan: Any, *_: Any) -> Any:
        return poisoned(code, plan.name, 0 if plan.name != "lanes" else lower.WIDTH)

    behind(patch, native, "_split", split)
    behind(patch, native, "looped", looped)
    behind(patch, loops, "with_signs_inside", signs)
    behind(
        patch, lower, "_chunked",
        lambda chunks, plan: check_chunks(plan.steps, plan.checks, chunks),
    )  # fmt: skip
    behind(
        patch, loops, "_cut",
        lambda chunks, name, x: check_chunks(x.items, x.checks, chunks),
    )  # fmt: skip
    behind(patch, lower, "travelling_places", places)
    behind(patch, loops, "travelling_places", places)
    behind(
        patch, lower, "_due",
        lambda due, endings, _, made, __: check_due(endings, made, due),
    )  # fmt: skip
    behind(patch, native, "lower", poison)
    behind(
        patch, native, "lower_looped",
        lambda code, name, *_: poisoned(code, name, lower.WIDTH),
    )  # fmt: skip
