"""Axes of vmap: other ones than the first, inside containers, and arguments by name."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest

from autograd import Value, exp, grad, hessian, jacobian, sin, vmap

POINTS = np.arange(1.0, 13.0).reshape(2, 6) / 7.0


def rosenbrock(p: Any) -> Any:
    return (1.0 - p[0]) ** 2 + 100.0 * (p[1] - p[0] ** 2) ** 2


def scaled(x: Any, scale: Any = 1.0, mode: str = "up") -> Any:
    return x * scale if mode == "up" else -x * scale


# ---- lists that hold arrays ----------------------------------------------------------


def test_list_of_arrays_of_one_length_is_refused_and_told_of_axes() -> None:
    x0s, x1s = POINTS
    with pytest.raises(TypeError, match=r"2 arrays of length 6; .* in_axes=\(\[0, 0\]"):
        vmap(hessian(rosenbrock))([x0s, x1s])
    with pytest.raises(TypeError, match=r"in_axes=\(\[0, 0, 0, …\],\)"):
        vmap(sum)([x0s] * 5)


def test_axes_in_a_list_take_each_item_as_a_batch() -> None:
    x0s, x1s = POINTS
    wanted = vmap(hessian(rosenbrock))(POINTS.T)
    found = vmap(hessian(rosenbrock), in_axes=([0, 0],))([x0s, x1s])
    assert np.array_equal(found, wanted)
    assert np.array_equal(vmap(hessian(rosenbrock), in_axes=1)(POINTS), wanted)


def test_lists_of_lists_and_ragged_arrays_stay_batches() -> None:
    assert vmap(sum)([[1.0, 2.0], [3.0, 4.0]]) == [3.0, 7.0]
    with pytest.raises(ValueError, match="each lane must have the structure"):
        vmap(lambda x: x[0])([np.ones(2), np.ones(3)])


# ---- axes ----------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_of_arrays_and_of_nested_lists(axis: int) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    wanted = [float(np.sin(row).sum()) for row in np.moveaxis(x, axis, 0)]

    def total(rows: Any) -> Any:
        return sum(sin(item) for row in rows for item in row)

    for batch in (x, x.tolist()):
        f = vmap(total, in_axes=axis)
        for _ in range(2):
            assert np.asarray(f(batch)) == pytest.approx(wanted, rel=1e-13)


def test_axes_inside_containers_share_and_batch_item_by_item() -> None:
    f = vmap(
        lambda p, x: p["w"] * x[0] + p["b"][0],
        in_axes=({"w": 0, "b": (None,)}, 1),
    )
    xs = [[3.0, 4.0], [0.0, 0.0]]
    assert f({"w": [1.0, 2.0], "b": (0.5,)}, xs) == [3.5, 8.5]
    assert f({"b": (0.5,), "w": [1.0, 2.0]}, xs) == [3.5, 8.5]
    found = f({"w": np.array([1.0, 2.0]), "b": (0.5,)}, np.array(xs))
    assert type(found) is np.ndarray and found.tolist() == [3.5, 8.5]


def test_axes_inside_containers_reduce_and_differentiate() -> None:
    loss = vmap(lambda p, x: exp(p["w"] * x), in_axes=({"w": None}, 0), reduce="sum")
    slope = grad(lambda w: loss({"w": w}, [1.0, 2.0]))(0.5)
    assert slope == pytest.approx(np.exp(0.5) + 2 * np.exp(1.0), rel=1e-15)
    assert type(loss({"w": Value(0.5)}, [1.0, 2.0])) is Value


@pytest.mark.parametrize(
    "axes, args, said",
    [
        (1, (np.ones(3),), "must name an axis of the batch, but is 1 for an array of"),
        (2, ([[1.0]],), "must name an axis of the batch, but is 2 for 1.0"),
        (-3, ([[1.0]],), "must name an axis of the batch, but is -3 for"),
        (1, ([[1.0, 2.0], [3.0]],), "lists must be as long as each other along axis 1"),
        (({"a": 0},), ({"b": [1.0]},), "must have the containers of the argument"),
        (([0, 0],), ([1.0],), "must have the containers of the argument"),
        (({"a": None},), ({"a": 1.0},), "at least one argument must be a batch"),
    ],
)
def test_axes_that_do_not_fit_are_refused(axes: Any, args: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vmap(lambda *xs: xs[0], in_axes=axes)(*args)


# ---- by name -------------------------------------------------------------------------


def test_arguments_by_name_are_batches_if_they_hold_some() -> None:
    f = vmap(scaled)
    assert f([1.0, 2.0], scale=[3.0, 4.0]) == [3.0, 8.0]
    assert f([1.0, 2.0], scale=3.0) == [3.0, 6.0]
    assert f([1.0, 2.0], mode="down", scale=2.0) == [-2.0, -4.0]
    assert f([1.0, 2.0], scale=2.0, mode="down") == [-2.0, -4.0]
    assert f(x=[1.0, 2.0]) == [1.0, 2.0]
    assert f(np.array([1.0]), scale={"a": [2.0]}["a"]).tolist() == [2.0]


def test_values_that_f_closes_over_are_read_at_each_call_by_name() -> None:
    w = Value(2.0)
    f = vmap(lambda x, k: x * w * k)
    assert f([1.0], k=3.0) == [6.0]
    w.data = 5.0
    (y,) = f([1.0], k=3.0)
    y.backward()
    assert (y.data, w.grad) == (15.0, 3.0)


def test_batched_with_axes_pickles() -> None:
    f = vmap(rosenbrock, in_axes=1)
    wanted = f(POINTS)
    again = pickle.loads(pickle.dumps(f))
    assert np.array_equal(again(POINTS), wanted)


# ---- what comes back -----------------------------------------------------------------


def test_lists_of_arrays_for_each_lane_come_back_as_an_array() -> None:
    def f(x: Any) -> Any:
        return [x[0] * x[1], x[0] + x[1], sin(x[0])]

    batched = vmap(jacobian(f))
    for _ in range(2):
        found = batched(POINTS.T)
        assert found.shape == (6, 3, 2)
        assert np.allclose(found[4], np.array(jacobian(f)(POINTS[:, 4])), rtol=1e-15)
    lists = batched(POINTS.T.tolist())
    assert type(lists) is list and np.allclose(lists, found, rtol=1e-15)
