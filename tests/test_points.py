"""Which code runs a path at one point, and how better code takes its place."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from autograd import Value, grad, jit, sin, stop_gradient
from autograd.compiled import points
from autograd.compiled.machine import native

needs_llvm = pytest.mark.skipif(native()[0] is None, reason="no llvmlite")


def serial(steps: int) -> Callable[[Any], Any]:
    """A long program in which each operation waits for the one before."""

    def f(x: Any) -> Any:
        y = x
        for _ in range(steps):
            y = sin(y) * x + y * 0.5
        return y

    return f


def until(holds: Callable[[], bool]) -> None:
    while not holds():  # or the test hangs, which CI ends
        time.sleep(0.01)


def test_short_tape_is_simplified_and_long_one_rolled() -> None:
    short, long = jit(serial(3)), jit(serial(500))
    short(0.3), long(0.3)
    assert short.path().code.simple and not long.path().code.simple
    assert long.path().short == long.path().long  # there is nothing to simplify


def test_tape_that_gets_short_counts_as_short() -> None:
    f = jit(lambda x: sum([x * x for _ in range(150)]))
    assert f(3.0) == 1350.0
    assert len(f.path().long.code) == 300 and f.path().code.simple


@pytest.mark.parametrize("result", [3.0, [], "the argument"])
def test_long_program_of_which_nothing_is_left_can_be_called(result: Any) -> None:
    def f(x: Any) -> Any:
        serial(500)(x)
        return x if result == "the argument" else result

    g = jit(f)
    for x in (0.3, 0.4, 0.3):
        assert g(x) == (x if result == "the argument" else result)
    assert jit(grad(lambda x: serial(500)(x) * 0.0 + 1.0))(0.3) == 0.0
    slope = jit(grad(lambda x: stop_gradient(serial(500)(x))))
    assert [slope(x) for x in (0.3, 0.4)] == [0.0, 0.0]


@needs_llvm
def test_llvm_takes_over_once_calls_have_cost_as_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f, plain = jit(grad(serial(100))), grad(serial(100))
    monkeypatch.setattr(points, "COMPILING", 1e-6)
    assert f(0.3) == plain(0.3)
    path = f.path()
    before = path.code
    assert not before.simple and 1 < path.until < 1000
    xs = [0.1 + 0.001 * k for k in range(path.until + 3)]
    assert [f(x) for x in xs] == [plain(x) for x in xs]
    until(lambda: path.code.simple)
    assert path.code is not before and f.path() is path
    assert [f(x) for x in xs] == [plain(x) for x in xs]
    assert path.taken == 1 + 2 * len(xs)
    assert grad(f)(0.3) == grad(plain)(0.3)


def test_code_may_be_replaced_while_c_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    f = jit(serial(500))
    first = f(0.3)
    tree = next(iter(f.trees.values()))
    replaced = f.path().ready.clear  # as it is when LLVM takes over, in a thread
    monkeypatch.setattr(tree, "_get_ready", lambda path, on_values: replaced())
    replaced()
    assert tree.ready(False) is None
    assert f(0.3) == first


def test_calls_are_counted_until_c_has_forgotten_the_old_code() -> None:
    f = jit(serial(500))
    f(0.3)
    path, in_c = f.path(), SimpleNamespace(taken=3)
    path.ready = {False: in_c}

    def forget() -> None:  # while calls go on
        in_c.taken += 2

    path.replace(path.code, forget)
    assert path.taken == 1 + 5 and path.ready == {}


@needs_llvm
def test_branches_hold_when_llvm_has_taken_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def f(x: Any) -> Any:
        y = serial(200)(x)
        return y * y if y > 0.1 else -y

    monkeypatch.setattr(points, "COMPILING", 1e-9)
    g = jit(f)
    xs = [0.02 * k - 1.0 for k in range(100)]
    assert [g(x) for x in xs] == [f(x) for x in xs]
    for _ in range(3):
        for x in xs:
            g(x)
    until(lambda: any(path.code.simple for path in g.paths))
    assert [g(x) for x in xs] == [f(x) for x in xs]
    until(lambda: all(path.code.simple for path in g.paths if path.taken > 50))
    assert [g(x) for x in xs] == [f(x) for x in xs]


@needs_llvm
def test_long_code_comes_in_modules_of_bounded_size() -> None:
    found, _ = native()
    assert found is not None
    tape = jit(serial(2000)).path(0.3).long
    code = found.compile(tape)
    assert code.scalar([0.3]) == tape.run([0.3])
    assert len(code._compiled_scalar()._engines) > 1


AT_EXIT = """
from autograd import jit, sin
from autograd.compiled import points
points.COMPILING = 1e-9
def f(x):
    y = x
    for _ in range(20000):
        y = sin(y) * x + y * 0.5
    return y
g = jit(f)
for k in range(50):
    g(0.3 + k)
print("done")
"""


@needs_llvm
def test_process_ends_while_a_thread_compiles() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


# ---- for reading ---------------------------------------------------------------------


def test_rolled_shows_arguments_and_labels_by_name() -> None:
    w = Value(2.0, label="w")
    f = jit(lambda x, rate: sum(a * a for a in x) * rate + w)
    text = f.rolled([1.0, 2.0], rate=0.5)
    assert text.splitlines()[0] == "def f(x[2], rate, w):"
    assert "Σ_r x[r]·x[r]" in text and f.rolled() == text


def test_rolled_shows_the_path_taken_with_its_guards() -> None:
    f = jit(lambda x: serial(300)(x) if x > 0.0 else -x)
    assert "assert not (0 < x)" in f.rolled(-1.0) and "return" in f.rolled(-1.0)
    assert "assert 0 < x" in f.rolled(1.0) and "for t in 0..299" in f.rolled(1.0)
    with pytest.raises(ValueError, match="must have been called"):
        jit(lambda x: x).rolled()


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = sys.modules["llvmlite"] = None
from autograd import Value, accelerated, grad, jit, sin
from autograd.compiled.rolled import code

def f(x, more):
    y = x
    for k in range(300):
        y = sin(y) * more[k % 2] + y * 0.5
    return {"y": y, "positive": y > 0.0, "both": [y, x]}

def slope(x, more):
    return grad(lambda x: f(x, more)["y"])(x)

for each in (f, slope):
    compiled = jit(each)
    for x in (0.3, 0.4, 0.3, 2, True):
        assert compiled(x, [0.5, 2.0]) == each(x, [0.5, 2.0])
    in_c = accelerated and code.extension is not None
    assert (compiled.ready is not None) is in_c or each is f
x = Value(0.3)
for _ in range(3):
    jit(f)(x, [0.5, 2.0])["y"].backward()
    jit(lambda x: f(x, [0.5, 2.0])["y"])(x).backward()
assert abs(x.grad / 6.0 - slope(0.3, [0.5, 2.0])) < 1e-12
print("done")
"""


def test_long_programs_run_without_numpy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMPY], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
