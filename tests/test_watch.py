"""Lines are kept and anomalies found inside a block, and nothing stays on after it."""

import contextlib
import gc
import math
import os
import signal
import sys
import threading
from importlib import import_module

import pytest
from in_python import ENGINES
from interrupts import interrupted_everywhere

import nn
from autograd import (
    Value,
    detect_anomaly,
    exp,
    grad,
    jit,
    jvp,
    log,
    record_lines,
    sin,
    sqrt,
    watch,
)

# ---- lines of NumPy, which computes for its caller -----------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "cumsum"])
def test_line_of_what_numpy_computes_is_that_of_its_caller(name):
    np = pytest.importorskip("numpy")
    xs = np.array([Value(2.0), Value(3.0)])
    with record_lines():
        y, line = getattr(np, name)(xs), here(0)
    nodes = [node for node in np.ravel([y]) if node.op]
    assert all(node.line.endswith(line) for node in nodes)
    assert nodes or name in ("max", "min")


def test_anomaly_inside_numpy_is_told_by_the_line_of_its_caller():
    np = pytest.importorskip("numpy")
    xs = np.array([Value(1e308), Value(1e308)])
    line = here(2)
    with pytest.raises(FloatingPointError, match=line), detect_anomaly():
        np.mean(xs)


def test_branch_inside_numpy_is_told_by_the_line_of_its_caller():
    np = pytest.importorskip("numpy")
    f, line = jit(lambda xs: np.max(xs)), here(0)
    assert f(np.array([1.0, 2.0])) == 2.0
    assert line in repr(f.paths)


# ---- detect_anomaly ------------------------------------------------------------------


def here(offset: int) -> str:
    return f"test_watch.py:{sys._getframe(1).f_lineno + offset}"


def test_detect_anomaly_names_operation_operands_and_line():
    x = Value(0.0, "x")
    line = here(2)
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        log(x * 1.0)
    text = str(caught.value)
    assert text.startswith("log: the value must be finite, but is -inf at mul=0.0")
    assert text.endswith(line)


def test_detect_anomaly_finds_the_first_bad_adjoint_of_a_sweep():
    with pytest.raises(FloatingPointError) as caught, detect_anomaly():
        x = Value(0.0, "x")
        line = here(1)
        root = x.sqrt()
        y = root * 2.0 + 1.0
        y.backward()
    text = str(caught.value)
    assert text.startswith("sqrt: the local derivative inf times the adjoint 2.0")
    assert text.endswith(line)


def test_detect_anomaly_watches_transforms_too():
    found = pytest.raises(FloatingPointError, match="^sqrt: the local derivative inf")
    with found, detect_anomaly():
        grad(sqrt)(0.0)


def test_detect_anomaly_is_silent_on_finite_programs():
    with detect_anomaly():
        assert grad(grad(lambda x: exp(sin(x * x))))(1.5) < 0


def test_detect_anomaly_ends_with_its_block_and_nests():
    with detect_anomaly():
        with detect_anomaly():
            pass
        with pytest.raises(FloatingPointError):
            Value(0.0).log()
    assert Value(0.0).log().data == -math.inf


def test_detect_anomaly_holds_for_its_own_thread_only():
    found = []
    with detect_anomaly():
        thread = threading.Thread(target=lambda: found.append(Value(0.0).log().data))
        thread.start()
        thread.join()
    assert found == [-math.inf]


# ---- record_lines --------------------------------------------------------------------


def test_record_lines_keeps_the_line_of_each_node_made_inside():
    x = Value(2.0, "x")
    with record_lines():
        line = here(1)
        y = x * x
        y.label = "y"
        z = y.sin()
    assert y.line.endswith(line)
    assert z.line.endswith(here(-2))
    assert y.label == "y"
    assert x.line is None


def test_record_lines_names_the_callers_line_for_what_a_network_computes():
    model = nn.MLP(2, [2, 1], "tanh", seed=0)
    with record_lines():
        line = here(1)
        y = model([1.0, 2.0])
    assert y.line.endswith(line)
    assert all(node.line == y.line for node in y.parents if node.op)


def test_record_lines_ends_with_its_block_also_after_an_error():
    with pytest.raises(KeyError), record_lines():
        raise KeyError
    assert (Value(2.0) * 2).line is None


def test_record_lines_checks_nothing():
    with record_lines():
        x = Value(0.0)
        y = x.log()
        y.backward()
    assert y.data == -math.inf
    assert x.grad == math.inf


def test_record_lines_and_detect_anomaly_nest_in_each_other():
    for outer, inner in [
        (record_lines, detect_anomaly),
        (detect_anomaly, record_lines),
    ]:
        with outer(), inner():
            assert (Value(2.0) * 2).line is not None
            with pytest.raises(FloatingPointError):
                Value(0.0).log()
    with record_lines():
        with detect_anomaly():
            pass
        assert Value(0.0).log().line is not None
    with detect_anomaly():
        with record_lines():
            pass
        with pytest.raises(FloatingPointError):
            Value(0.0).sqrt().backward()
    assert Value(0.0).log().line is None


def test_record_lines_holds_for_its_own_thread_only():
    found = []
    with record_lines():
        thread = threading.Thread(target=lambda: found.append((Value(2.0) * 2).line))
        thread.start()
        thread.join()
    assert found == [None]


def test_detect_anomaly_leaves_gradients_as_they_were():
    x = Value(0.0)
    x.grad = 5.0
    with pytest.raises(FloatingPointError), detect_anomaly():
        q = x.sqrt()
        (q * q).backward()
    assert x.grad == 5.0


def test_detect_anomaly_watches_tangents():
    found = pytest.raises(FloatingPointError, match="the tangent must be finite")
    with found, detect_anomaly():
        jvp(lambda x: x.sqrt() * 2.0, (0.0,), (1.0,))


def test_watching_ends_with_its_block_in_whatever_order_blocks_end():
    first, second = record_lines(), detect_anomaly()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(FloatingPointError):
        Value(0.0).log()
    second.__exit__(None, None, None)
    assert (Value(1.0) * 2).line is None
    assert Value(0.0).log().data == -math.inf


# ---- interrupts ----------------------------------------------------------------------


def interrupts_in(engine, work, *names):
    files = [os.path.join(engine.__path__[0], name) for name in names or ("watch.py",)]
    return interrupted_everywhere(work, *files)


def require_unwatched(engine):
    x = engine.Value(3.0)
    y = x * x
    y.backward()
    assert (y.data, x.grad, y.line, y.partials) == (9.0, 6.0, None, (3.0, 3.0))
    assert engine.Value(0.0).log().data == -math.inf
    assert engine.watch.watching() is None
    assert not engine.watch.watchers


def a_line(engine, x):
    with engine.record_lines():
        x.sin()


def an_anomaly(engine, x):
    with engine.detect_anomaly():
        x.sin()


def both(engine, x):
    with engine.record_lines(), engine.detect_anomaly(), engine.record_lines():
        x.sin()


def in_a_stack(engine, x):
    with contextlib.ExitStack() as stack:
        stack.enter_context(engine.record_lines())
        stack.enter_context(engine.detect_anomaly())
        x.sin()


def in_a_generator(engine, x):
    @contextlib.contextmanager
    def block():
        with engine.record_lines():
            yield

    with block():
        x.sin()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("work", [a_line, an_anomaly, both, in_a_generator])
def test_interrupt_at_any_bytecode_leaves_no_watcher(engine, work):
    x = engine.Value(2.0)
    held = sys.getrefcount(x)
    for kept in interrupts_in(engine, lambda: work(engine, x)):
        require_unwatched(engine)
        kept.clear()
    gc.collect()
    assert sys.getrefcount(x) == held


@pytest.mark.parametrize("engine", ENGINES)
def test_interrupt_of_an_exit_stack_leaves_a_watcher_no_longer_than_it_lives(engine):
    x = engine.Value(2.0)
    for kept in interrupts_in(engine, lambda: in_a_stack(engine, x)):
        kept.clear()  # frames of the stack, which is in Python, hold the blocks
        gc.collect(0)
        require_unwatched(engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_interrupt_at_any_bytecode_leaves_no_trace(engine):
    x = engine.Value(2.0)
    held = sys.getrefcount(x)

    Trace = import_module(f"{engine.__name__}.compiled.trace").Trace  # noqa: N806

    def work():
        trace = Trace([1.0], [])
        y = trace.run(lambda values: x * values[0].sin())
        trace.tape([y])
        trace.close()

    files = "watch.py", "compiled/trace.py"
    for kept in interrupts_in(engine, work, *files):
        require_unwatched(engine)
        kept.clear()
    gc.collect()
    assert sys.getrefcount(x) == held


@pytest.mark.parametrize("engine", ENGINES)
def test_interrupt_at_any_bytecode_leaves_the_block_around(engine):
    x = engine.Value(0.0)
    with engine.detect_anomaly():
        for kept in interrupts_in(engine, lambda: a_line(engine, x)):
            assert len(kept) == 1
            with pytest.raises(FloatingPointError):
                x.log()
    with engine.record_lines():
        for kept in interrupts_in(engine, lambda: an_anomaly(engine, x)):
            assert len(kept) == 1
            assert x.log().line is not None
    require_unwatched(engine)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.*text of a number:RuntimeWarning")  # of pytest's
@pytest.mark.parametrize("engine", ENGINES)
def test_interrupts_by_signals_leave_no_watcher(engine):
    x = engine.Value(2.0)

    def ring(number, frame):
        if armed:
            raise KeyboardInterrupt

    def work():
        for _ in range(20):
            both(engine, x)
            engine.jit(lambda y: x * y.sin())(1.0)

    work()  # imports what it needs, which takes long and is interrupted badly
    came, armed = 0, False
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for k in range(200):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 1e-5 * (1 + k % 97))
                work()
            except KeyboardInterrupt:
                came += 1
            armed = False
            require_unwatched(engine)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert came > 50


# ---- what else may happen to a block -------------------------------------------------


def test_block_that_is_never_entered_watches_nothing():
    block = record_lines()
    assert (Value(1.0) * 2).line is None
    del block
    require_unwatched(ENGINES[0])


def test_block_is_entered_once():
    block = record_lines()
    with block:
        pass
    with pytest.raises(RuntimeError), block:
        assert (Value(1.0) * 2).line is None


def test_block_dropped_with_its_generator_is_over():
    def lines():
        with record_lines():
            yield

    suspended = lines()
    next(suspended)
    assert (Value(1.0) * 2).line is not None
    del suspended
    require_unwatched(ENGINES[0])


def test_block_may_end_in_another_thread():
    block = record_lines()
    block.__enter__()
    assert (Value(1.0) * 2).line is not None
    thread = threading.Thread(target=block.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    require_unwatched(ENGINES[0])


def test_generator_that_outlives_its_trace_watches_no_trace():
    kept = []

    def f(x):
        def lines():
            with record_lines():
                yield

        kept.append(lines())
        next(kept[-1])
        return x * x

    assert jit(f)(3.0) == 9.0
    x = Value(2.0)
    y = x * x
    assert (y.data, y.line is None) == (4.0, False)
    kept.clear()
    require_unwatched(ENGINES[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_process_forgets_the_blocks_of_other_threads():
    entered, done = threading.Event(), threading.Event()

    def work():
        with record_lines():
            entered.set()
            done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    pid = os.fork()
    if pid == 0:
        os._exit(len(watch.watchers))
    done.set()
    thread.join()
    assert os.waitpid(pid, 0)[1] == 0
    require_unwatched(ENGINES[0])
