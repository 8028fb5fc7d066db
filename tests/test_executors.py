"""A batch that is cut and run elsewhere gives the bits that it gives in one process."""

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from autograd import Primitive, Value, exp, grad, jit, sin, value_and_grad
from autograd.compiled import calls
from autograd.compiled.batch import vmap

np = pytest.importorskip("numpy")

POINTS = np.random.default_rng(2).normal(size=20_000)


def branching(w, x):
    if x < -1.0:
        return sin(w * x)
    if x * w > 0.5:
        return exp(-x) * w
    return x * x + w


BOTH = value_and_grad(branching, argnums=(0, 1))


def check(pool):
    """Lanes and sums on the executor, on known paths and on paths not met before."""
    here = vmap(BOTH, in_axes=(None, 0))(0.7, POINTS)
    f = vmap(BOTH, in_axes=(None, 0), executor=pool)
    for there in (f(0.7, POINTS), f(0.7, POINTS)):
        assert there[0].tobytes() == here[0].tobytes()
        assert there[1][1].tobytes() == here[1][1].tobytes()
    total = vmap(BOTH, in_axes=(None, 0), reduce="sum")(0.7, POINTS)
    f = vmap(BOTH, in_axes=(None, 0), reduce="sum", executor=pool)
    assert f(0.7, POINTS) == total
    assert f(0.7, POINTS) == total


def test_threads_of_its_own_give_the_same_bits(monkeypatch):
    def both():
        f = vmap(BOTH, in_axes=(None, 0))
        total = vmap(BOTH, in_axes=(None, 0), reduce="sum")
        return f(0.7, POINTS), total(0.7, POINTS)

    monkeypatch.setattr(calls, "WORTH_A_THREAD", 10**12)
    alone, alone_total = both()
    monkeypatch.setattr(calls, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(calls, "_processors", lambda: 3)
    several, several_total = both()
    assert several[0].tobytes() == alone[0].tobytes()
    assert several[1][1].tobytes() == alone[1][1].tobytes()
    assert several_total == alone_total


def test_threads_give_the_same_bits():
    with ThreadPoolExecutor(3) as pool:
        check(pool)


def test_processes_give_the_same_bits():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        check(pool)


def test_likelihood_summed_elsewhere_is_a_node_here():
    with ThreadPoolExecutor(2) as pool:
        there = vmap(branching, in_axes=(None, 0), reduce="sum", executor=pool)
        here = vmap(branching, in_axes=(None, 0), reduce="sum")
        slopes = [grad(lambda w, f=f: f(w, POINTS) + w * w)(0.7) for f in (there, here)]
    assert slopes[0] == slopes[1]


def test_batch_smaller_than_a_block_and_an_empty_one_run_there_too():
    with ThreadPoolExecutor(2) as pool:
        f = vmap(lambda x: x * x if x > 0 else -x, executor=pool)
        assert f([-1.0, 3.0]) == [1.0, 9.0]
        assert f([]) == []


def test_error_there_is_raised_here():
    class Broken(ThreadPoolExecutor):
        def submit(self, work, /, *args, **kwargs):
            return super().submit(lambda: 1 / 0)

    with Broken(1) as pool, pytest.raises(ZeroDivisionError):
        vmap(lambda x: x * x, executor=pool)([1.0])


@pytest.mark.parametrize("executor", [4, "threads", object(), ThreadPoolExecutor])
def test_what_is_no_executor_is_refused_where_it_is_given(executor):
    with pytest.raises(TypeError, match="^vmap: executor must be .*Executor or None"):
        vmap(branching, executor=executor)


@pytest.mark.parametrize("reduce", [None, "sum"])
@pytest.mark.parametrize("workers", [1, 2])
def test_pool_that_is_waited_for_by_its_own_threads_does_not_hang(reduce, workers):
    here = vmap(branching, in_axes=(None, 0), reduce=reduce)(0.7, POINTS)
    with ThreadPoolExecutor(workers) as pool:
        f = vmap(branching, in_axes=(None, 0), reduce=reduce, executor=pool)
        futures = [pool.submit(f, 0.7, POINTS) for _ in range(2 * workers)]
        for future in futures:
            assert np.array_equal(future.result(timeout=60), here)


def test_rows_called_back_by_a_pool_may_use_it_themselves():
    with ThreadPoolExecutor(1) as pool:
        inner = vmap(lambda x: x * x, reduce="sum", executor=pool)
        row = Primitive("own", lambda x: inner([x, 1.0]), lambda z, x: 2.0 * x)
        assert vmap(lambda x: row(x), executor=pool)([2.0, 3.0]) == [5.0, 10.0]


def test_threads_need_no_pickle():
    row = Primitive("local", lambda x: x + 1.0, lambda z, x: 1.0)  # of a lambda
    with ThreadPoolExecutor(2) as pool:
        assert vmap(lambda x: row(x) * x, executor=pool)([1.0, 2.0]) == [2.0, 6.0]
        total = vmap(lambda x: row(x) * x, reduce="sum", executor=pool)
        assert total(POINTS) == vmap(lambda x: row(x) * x, reduce="sum")(POINTS)


# ---- functions that travel by value --------------------------------------------------


def test_function_that_no_name_leads_to_travels_by_value_with_cloudpickle():
    cloudpickle = pytest.importorskip("cloudpickle")
    w = Value(2.0)
    f = jit(lambda x: w * x if x > 0 else -x)
    assert f(1.0).data == 2.0
    there = pickle.loads(cloudpickle.dumps(f))
    assert there(-3.0) == 3.0 and len(there.paths) == 2
    both = pickle.loads(cloudpickle.dumps([f, f, jit(lambda x: x + 1.0)]))
    assert both[0] is both[1]
    assert (both[0](-3.0), both[2](1.0)) == (3.0, 2.0)
    batch = vmap(lambda x: x * x if x > 0 else -x)
    assert batch([1.0]) == [1.0]
    assert pickle.loads(cloudpickle.dumps(batch))([-2.0]) == [2.0]


def test_function_that_travels_by_value_keeps_the_values_it_closes_over():
    cloudpickle = pytest.importorskip("cloudpickle")
    w = Value(2.0)
    f = jit(lambda x: w * x if x > 0 else w + x)
    f(1.0)
    there, v = pickle.loads(cloudpickle.dumps((f, w)))
    v.data = 10.0
    assert (there(3.0).data, there(-3.0).data) == (30.0, 7.0)
    assert there(3.0).parents == (v,)


def test_function_that_no_name_leads_to_stays_here_with_pickle():
    f = jit(lambda x: x * x if x > 0 else -x)
    f(3.0)
    for there in (pickle.loads(pickle.dumps(f)), pickle.loads(pickle.dumps([f, f]))[1]):
        assert there(4.0) == 16.0
        with pytest.raises(ValueError, match="did not travel"):
            there(-1.0)


def test_function_travels_by_value_with_dask():
    protocol = pytest.importorskip("distributed.protocol.pickle")
    f = jit(lambda x: x * x if x > 0 else -x)
    f(3.0)
    assert protocol.loads(protocol.dumps(f))(-1.0) == 1.0
    assert protocol.loads(protocol.dumps(vmap(f)))([-1.0]) == [1.0]


SCRIPT = """
import pickle, sys
import cloudpickle
from autograd import jit

@jit
def decorated(x):
    return x * x if x > 0 else -x

def plain(x):
    return x + 1.0 if x > 0 else -x

compiled = jit(plain)
decorated(1.0), compiled(1.0)
sys.stdout.buffer.write(cloudpickle.dumps([decorated, compiled]))
"""


def test_functions_of_a_script_travel_by_value_with_cloudpickle():
    pytest.importorskip("cloudpickle")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True
    )
    decorated, compiled = pickle.loads(done.stdout)
    assert (decorated(-2.0), compiled(-2.0)) == (2.0, 2.0)


# ---- threads and processes -----------------------------------------------------------


def test_pickling_goes_on_while_other_threads_trace():
    def f(x, y):
        for k in range(12):
            if x > k:
                x = x + 1.0
        return x, y

    g = jit(f)

    def trace():
        for k in range(150):
            g(float(k % 13), 1.0), g(1.0, [float(k)] * k)
        return True

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(trace)
        while not future.done():
            there = pickle.loads(pickle.dumps(g))
            assert sum(path.taken for path in there.paths) <= 300
        assert future.result()
    assert sum(path.taken for path in g.paths) == 300


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def in_a_child(work, patience=60):
    """The exit code of a forked process, which is killed if it hangs."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    for _ in range(patience * 50):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_while_another_thread_compiles_leaves_a_child_that_compiles():
    def compile_on(lanes):
        f = vmap(lambda x: sin(x) * lanes + exp(x), reduce="sum")
        return f(POINTS[:100])

    stop = threading.Event()

    def work():
        for k in itertools.count():
            if stop.is_set():
                return
            compile_on(float(k))

    compile_on(-1.0)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert [in_a_child(lambda: compile_on(-2.0)) for _ in range(5)] == [0] * 5
    finally:
        stop.set()
        thread.join()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_while_another_thread_traces_leaves_a_child_that_traces():
    entered, done = threading.Event(), threading.Event()
    main = threading.get_ident()

    def f(x):
        if threading.get_ident() != main:
            entered.set()
            done.wait()
        return x * x

    g = jit(f)
    thread = threading.Thread(target=g, args=(1.0,))
    thread.start()
    entered.wait()

    def work():
        assert g(3.0) == 9.0

    try:
        assert in_a_child(work) == 0
    finally:
        done.set()
        thread.join()


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_waits_until_no_thread_is_inside_llvm():
    binding = pytest.importorskip("llvmlite.binding")
    vmap(sin)(POINTS[:10])
    stop = threading.Event()

    def work():
        while not stop.is_set():
            binding.get_host_cpu_features()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        codes = [in_a_child(lambda: vmap(exp)(POINTS[:10]), 20) for _ in range(20)]
    finally:
        stop.set()
        thread.join()
    assert codes == [0] * 20


FORKED_AT_FIRST = """
import os
import threading
import time
from autograd import jit, sin, vmap

def compile():
    jit(lambda x: sin(x) * x)(1.0), vmap(lambda x: sin(x) * x)([1.0, 2.0])

jit(lambda x: x)(1.0)  # what is imported before has no part in it
thread = threading.Thread(target=compile)
thread.start()
for _ in range(20):
    time.sleep(0.01)
    child = os.fork()
    if not child:
        compile()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
thread.join()
print("done")
"""


@needs_fork
def test_fork_waits_until_no_thread_imports_llvm():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED_AT_FIRST],
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout == "done\n"


AT_EXIT = """
import atexit
import sys

def last():
    from autograd.compiled import calls
    from autograd import vmap
    calls.WORTH_A_THREAD, calls._processors = 1, lambda: 2
    print(vmap(lambda x: x * x, reduce="sum")([2.0] * 5000))

atexit.register(last)
"""


def test_first_batch_may_be_run_at_exit():
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("20000.0\n", "")


# ---- Dask ----------------------------------------------------------------------------


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_dask_cluster_gives_the_same_bits(cluster):
    with cluster.get_client() as client:
        check(client.get_executor())


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_killed_dask_worker_is_survived(cluster):
    here = vmap(BOTH, in_axes=(None, 0), reduce="sum")(0.7, POINTS)
    with cluster.get_client() as client:
        pids = list(client.run(os.getpid).values())
        pool = client.get_executor()
        f = vmap(BOTH, in_axes=(None, 0), reduce="sum", executor=pool)
        assert f(0.7, POINTS) == here
        killer = threading.Timer(0.02, os.kill, (pids[0], signal.SIGKILL))
        killer.start()
        found = [f(0.7, POINTS) for _ in range(5)]
        killer.join()
        client.wait_for_workers(2)
        assert pids[0] not in client.run(os.getpid).values()
    assert found == [here] * 5
