"""A batch that is cut and run elsewhere gives the bits that it gives in one process."""

import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from autograd import exp, grad, sin, value_and_grad
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
