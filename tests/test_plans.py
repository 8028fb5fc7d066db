"""The checks of plans find what is wrong, and memory that was not written shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from plans import BrokenError, check_looped, check_plan, check_rows, check_tape

from autograd import exp, vmap
from autograd import primitives as p
from autograd.compiled.tape import Guard, Instruction, Tape

pytest.importorskip("llvmlite")

import numpy as np

from autograd.compiled import native, numpy_blocks, product_loops
from autograd.compiled.lower import Check, Ending, Plan, Step
from autograd.compiled.native import compile

STEPS = (Step(2, p.mul, (0, 1)), Step(3, p.add, (2, 0.5)))
GUARD = Guard(1, 2, True)


def in_or_out(slot: int) -> bool:
    return slot < 2


@pytest.mark.parametrize(
    "tape",
    [
        Tape(1, (Instruction(p.exp, (0,)),), (1,), (Guard(1, 1, True),)),
        Tape(0, (), (0.5,)),
    ],
)
def test_a_tape_in_order_passes(tape: Tape) -> None:
    check_tape(tape)


@pytest.mark.parametrize(
    ("code", "outputs", "guards"),
    [
        ([(p.exp, (1,))], (1,), ()),
        ([(p.exp, (0,))], (2,), ()),
        ([(p.exp, (0,))], (1,), (Guard(0, 1, True),)),
        ([(p.exp, (0,))], (1,), (Guard(1, 0, True), Guard(0, 0, True))),
        ([(p.exp, (0,))], (1,), (Guard(2, 0, True),)),
    ],
)
def test_a_tape_out_of_order_is_found(code: Any, outputs: Any, guards: Any) -> None:
    code = tuple([Instruction(*each) for each in code])
    with pytest.raises(BrokenError):
        Tape(1, code, outputs, guards)


def test_a_plan_in_order_passes() -> None:
    check_plan(Plan("", STEPS, [Check(1, 0, GUARD)], [Ending(3, 0)]), in_or_out)


@pytest.mark.parametrize(
    ("steps", "after", "outputs"),
    [
        (STEPS[::-1], 2, [3]),
        (STEPS * 2, 1, [3]),
        (STEPS[:1], 1, [3]),
        (STEPS, 0, [3]),
        (STEPS, 3, [3]),
        ((*STEPS, Step(1, p.exp, (0,))), 1, [3]),
    ],
)
def test_a_plan_out_of_order_is_found(steps: Any, after: int, outputs: Any) -> None:
    endings = [Ending(y, i) for i, y in enumerate(outputs)]
    with pytest.raises(BrokenError):
        check_plan(Plan("", steps, [Check(after, 0, GUARD)], endings), in_or_out)


def mixed(w: Any, v: Any, x: Any) -> Any:
    """A product of a vector that must be copied, and another of a part of its rows."""
    y = [v[0] * exp(x[i]) + v[1] * exp(x[7 + i]) for i in range(7)]
    return [sum(w[3 * o + r] * y[r] for r in range(3)) for o in range(6)] + y


Change = Callable[[product_loops.Looped], None]


def later(looped: product_loops.Looped) -> None:
    """Move the first step that copies a number to the end."""
    k = next(k for k, x in enumerate(looped.items) if is_copy(x))
    looped.items.append(looped.items.pop(k))


def is_copy(item: Any) -> bool:
    return isinstance(item, Step) and item.row is p.identity


def without(looped: product_loops.Looped) -> None:
    """Leave the first copy out."""
    looped.items.remove(next(filter(is_copy, looped.items)))


def reversed_loops(looped: product_loops.Looped) -> None:
    looped.items.reverse()


def with_one_ending_less(looped: product_loops.Looped) -> None:
    looped.endings.pop()


def elsewhere(looped: product_loops.Looped) -> None:
    """Let the places of two numbers change."""
    places = looped.layout.places
    x, y, *_ = places
    places[x], places[y] = places[y], places[x]


def seen(monkeypatch: pytest.MonkeyPatch, change: Change) -> list[Any]:
    """What `looped` is asked and gives for a batch of `mixed`, once it is changed."""
    function, found = native.looped, []

    def changed(plan: Any, shared: Any, *rest: Any) -> Any:
        looped = function(plan, shared, *rest)
        assert looped is not None
        change(looped)
        found.append((plan, shared, looped))
        return looped

    monkeypatch.setattr(native, "looped", changed)
    rng = np.random.default_rng(0)
    w, v, x = rng.normal(size=18), rng.normal(size=(9, 2)), rng.normal(size=(9, 14))
    found.append(vmap(mixed, in_axes=(None, 0, 0))(w.tolist(), v, x))
    return found


@pytest.mark.parametrize(
    "change", [later, without, reversed_loops, with_one_ending_less, elsewhere]
)
def test_a_plan_with_loops_that_is_wrong_is_found(
    monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    def check_after(looped: product_loops.Looped) -> None:
        plan, shared = asked
        check_looped(plan, shared, looped)
        change(looped)
        with pytest.raises(BrokenError):
            check_looped(plan, shared, looped)
        raise InterruptedError

    function, asked = native.looped, []

    def remember(plan: Any, shared: Any, *rest: Any) -> Any:
        asked[:] = plan, shared
        return function(plan, shared, *rest)

    monkeypatch.setattr(native, "looped", remember)
    with pytest.raises(InterruptedError):
        seen(monkeypatch, check_after)


@pytest.mark.parametrize("change", [later, without])
def test_a_number_that_was_never_written_shows(
    monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    """Without the check, the memory is full of NaN."""
    *_, found = seen(monkeypatch, change)
    assert np.isnan(found).any()


def rows_of(tape: Tape) -> Any:
    return numpy_blocks._planned(tape, (True,) * tape.inputs)


def test_a_row_that_is_used_again_too_early_is_found() -> None:
    code = [
        Instruction(p.exp, (0,)),
        Instruction(p.sin, (1,)),
        Instruction(p.add, (1, 2)),
    ]
    tape = Tape(1, tuple(code), (3,))
    plan = rows_of(tape)
    check_rows(tape, (True,), plan)
    kernel, args, _ = plan.steps[1]
    plan.place[2] = plan.place[1]
    plan.steps[1] = kernel, args, plan.place[1]
    with pytest.raises(BrokenError):
        check_rows(tape, (True,), plan)


def test_the_workspace_of_a_call_is_not_clean() -> None:
    """Every call at one point, and on lanes, begins with a NaN in each place."""
    code = [Instruction(p.exp, (k,)) for k in range(1500)]
    compiled = compile(Tape(1, tuple(code), (1500,)))
    assert "call void @poison.scalar" in compiled.ir()
    assert np.isnan(np.empty(3)).all()
    assert np.empty(2, np.int64).tolist() == [0x5A] * 2
