"""How the packages are used, as type checkers see it: tests/test_typed_use.py reads it.

What `right_…` asserts of types holds where it runs, too. Each line of `wrong_…` is a
fault that a checker finds: it says so by an ignore, which must not be left over.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeVar, assert_type

import numpy as np
from numpy import float64
from numpy.typing import NDArray

import autograd
from autograd import (
    Primitive,
    Value,
    bracket,
    check_grads,
    derivatives,
    detect_anomaly,
    dot,
    draw,
    exp,
    explain,
    fixed_point,
    grad,
    hessian,
    hvp,
    hypot,
    jacfwd,
    jacobian,
    jacrev,
    jit,
    jvp,
    logsumexp,
    player,
    ravel,
    record_lines,
    root,
    rounding_error,
    sin,
    sparsity,
    taylor,
    value_and_grad,
    vjp,
    vmap,
    where,
    why,
)
from nn import (
    MLP,
    SGD,
    Adam,
    History,
    Layer,
    Module,
    Neuron,
    accuracy,
    backprop_table,
    cross_entropy,
    fit,
    mse,
    predict,
)

N = TypeVar("N", float, Value)


def of_floats(x: float) -> float:
    return x * sin(x) + 2.0


def of_values(x: Value) -> Value:
    return x * x.sin() + 2.0


def of_both(x: N) -> N:
    return sin(x)


def of_gap(x: float, p: float) -> float:
    return x * x - p


def of_two(x: float, y: float) -> float:
    return x * hypot(x, y)


def of_a_list(x: list[float]) -> float:
    return x[0] * x[1]


def to_a_list(x: list[float]) -> list[float]:
    return [x[0] * x[1], sin(x[0])]


def right_values() -> None:
    v = Value(1.5, label="v")
    assert_type(v.data, float)
    assert_type(v.grad, float)
    assert_type(v.label, str | None)
    assert_type(v.parents, tuple[Value, ...])
    assert_type(v + 1, Value)
    assert_type(2**v, Value)
    assert_type(v % 2.0 - v / 3, Value)
    assert_type(-abs(v), Value)
    assert_type(v.sin().tanh(), Value)
    assert_type(v.clip(0, v), Value)
    assert_type(v < 2, bool)
    assert_type(v == 2, bool)
    assert_type(max(v, v), Value)
    assert_type(v * Fraction(1, 2), Value)
    assert_type(Fraction(1, 2) - v, Value)
    assert_type(v + np.float32(1), Value)
    assert_type(v / np.int64(2), Value)
    Value(True), Value(Fraction(1, 2)), Value(np.float32(2)), Value(np.int64(2))
    v.data, v.grad = 3, np.float64(0.0)
    v.backward()
    arrays: list[Any] = [v + np.ones(2), np.ones(2) * v, v + np.array([v])]
    assert len(arrays) == 3


def right_rows() -> None:
    v = Value(0.5)
    assert_type(sin(1.0), float)
    assert_type(sin(1), float)
    assert_type(exp(np.float32(1)), float)
    assert_type(exp(v), Value)
    assert_type(hypot(1.0, 2.0), float)
    assert_type(hypot(v, 2.0), Value)
    assert_type(hypot(1.0, v), Value)
    assert_type(where(v < 1, 1.0, 0.0), float)
    assert_type(where(v < 1, v, sin(v)), Value)
    assert_type(where(True, 1.0, v), Value)
    assert_type(dot([1.0, 2.0], [3, 4]), float)
    assert_type(dot([v], [1.0]), Value)
    assert_type(dot([1.0], [v]), Value)
    assert_type(logsumexp([1, 2]), float)
    assert_type(logsumexp((v, v)), Value)
    dot([v, v], np.ones(2)), logsumexp(np.ones(2)), dot([v, 1.0], [2.0, 3.0])
    cube = Primitive("cube", lambda x: x * x * x, lambda z, x: 3 * x * x)
    assert_type(cube(2.0), float)
    assert_type(cube(v), Value)
    numbers: list[Value | float] = [v, 1.0]
    assert_type(sin(numbers[1]), Value | float)
    assert_type(hypot(numbers[1], v), Value)


def right_derivatives() -> None:
    v = Value(1.5)
    assert_type(grad(of_floats)(1.0), float)
    assert_type(grad(of_floats)(1), float)
    assert_type(grad(of_values)(1.0), float)
    assert_type(grad(of_values)(v), Value)
    assert_type(grad(sin)(1.0), float)
    assert_type(grad(lambda x: x**3)(2.0), float)
    assert_type(grad(grad(of_both))(v), Value)
    assert_type(grad(of_two, 1)(1.0, 2.0), float)
    assert_type(grad(of_two, argnums=(0, 1))(1.0, 2.0), tuple[float, ...])
    assert_type(grad(of_a_list)([1.0, 2.0]), list[float])
    assert_type(grad(of_a_list)([1, 2]), list[float])
    assert_type(grad(of_a_list)([v, v]), list[Value])
    assert_type(grad(lambda p: p["w"] * 2)({"w": 1.0}), dict[str, float])
    both = grad(lambda x: (x * x, [x]), has_aux=True)(1.0)
    assert_type(both, tuple[Any, Any])
    assert_type(value_and_grad(of_floats)(1.0), tuple[float, float])
    assert_type(value_and_grad(of_values)(v), tuple[Value, Value])
    assert_type(value_and_grad(of_a_list)([1.0, 2.0]), tuple[float, list[float]])
    assert_type(hessian(of_floats)(1.0), float)
    assert_type(hessian(of_a_list)([1.0, 2.0]), list[list[float]])
    assert_type(hessian(of_a_list)([v, v]), list[list[Value]])
    assert_type(jacobian(to_a_list)([1.0, 2.0]), list[list[float]])
    assert_type(jacobian(to_a_list)([v, v]), list[list[Value]])
    assert_type(jacobian(of_floats)(1.0), float)
    assert_type(hessian(of_a_list, sparse=True)([1.0, 2.0]), Any)
    assert_type(jacobian(to_a_list, sparse=True)([1.0, 2.0]), Any)
    assert_type(sparsity(of_a_list)([1.0, 2.0]), Any)
    assert_type(jacfwd(to_a_list)([1.0, 2.0]), list[list[float]])
    assert_type(jacrev(of_floats)(1.0), float)
    assert_type(taylor(of_floats, 1.0, 3), list[float])
    assert_type(root(of_gap, 1.0)(4.0), float)
    assert_type(root(of_gap, 1.0)(Value(4.0)), Value)
    assert_type(fixed_point(of_two, 1.0)(0.1), float)
    assert_type(bracket(of_gap, 0.0, lambda p: p)(4.0), float)
    assert_type(derivatives(of_values, v, 3), list[Value])
    y, pullback = vjp(of_two, 1.0, 2.0)
    assert_type(y, float)
    assert_type(pullback(1.0), tuple[float, ...])
    assert_type(vjp(of_values, v)[0], Value)
    assert_type(jvp(of_two, (1.0, 2.0), (1.0, 0.0)), tuple[float, float])
    assert_type(jvp(of_values, (v,), (1.0,)), tuple[Value, Value])
    assert_type(hvp(of_two, (1.0, 2.0), (1.0, 0.0)), tuple[float, ...])
    assert_type(hvp(of_a_list, ([1.0, 2.0],), ([1.0, 0.0],)), tuple[list[float]])
    flat, unravel = ravel({"w": 1.0})
    assert_type(flat, list[Any])
    assert_type(unravel([2.0]), dict[str, float])
    check_grads(of_two, (1.0, 2.0), order=1)


def right_training_loop() -> None:
    x = Value(2.0)
    loss = sum(((x - i) ** 2 for i in range(3)), Value(0.0))
    assert_type(loss, Value)
    for i in range(2):
        loss += x * i
    loss.backward()
    assert_type(x if loss > 1 else -x, Value)
    assert_type(grad(of_two, argnums=(0, 1))(x, x), tuple[Value, ...])
    step = jit(grad(lambda p: p["w"] ** 2 * p["b"]))
    assert_type(step({"w": 1.0, "b": 2.0}), dict[str, float])


def right_compiled() -> None:
    v = Value(1.5)
    xs = np.linspace(0.0, 1.0, 3)

    @jit
    def compiled(x: float) -> float:
        return x * x

    assert_type(compiled(2.0), float)
    assert_type(compiled.paths[0].taken, int)
    assert_type(jit(of_values)(1.0), float)
    assert_type(jit(of_values)(v), Value)
    assert_type(jit(of_both)(1.0), float)
    assert_type(jit(sin)(v), Value)
    assert_type(jit(lambda x: v * x)(2.0), Any)
    assert_type(jit(grad(of_floats))(1.0), float)
    assert_type(jit(grad(of_a_list))([1.0, 2.0]), list[float])
    assert_type(jit(value_and_grad(of_floats))(1.0), tuple[float, float])
    assert_type(jit(to_a_list)([1.0, 2.0]), list[float])
    assert_type(grad(jit(of_values))(1.0), float)
    assert_type(vmap(of_floats)([1.0, 2.0]), list[float])
    assert_type(vmap(of_values)([1, 2]), list[float])
    assert_type(vmap(of_floats)(xs), NDArray[float64])
    assert_type(vmap(of_two, in_axes=(0, None))([1.0, 2.0], 3.0), list[float])
    assert_type(vmap(grad(of_floats))(xs), NDArray[float64])
    assert_type(vmap(of_floats, reduce="mean")(xs), float)
    assert_type(vmap(jit(of_floats))([1.0]), list[float])


def right_shown() -> None:
    x = Value(1.5)
    with record_lines(), detect_anomaly():
        y = exp(sin(x * x))
    y.backward()
    assert_type(explain(y).text, str)
    assert_type(explain(y).markdown, str)
    assert_type(explain(y, y, inside=True, paths=True).html, str)
    assert_type(why(y, x).text, str)
    assert_type(rounding_error(y).total, float)
    assert_type(player(y).html, str)
    assert_type(draw(y).dot, str)
    assert_type(autograd.accelerated, bool)


def right_networks() -> None:
    model, x = MLP(2, [3, 1], seed=1), [0.5, -1.0]
    y = model(x)
    y.backward()
    assert_type(y.data, float)
    assert_type((y - 1) ** 2, Value)
    assert_type(Neuron(2)(x), Value)
    first, second = Layer(2, 2)((1, 2.0))
    assert_type(first * second, Value)
    assert_type(MLP(2, [3, 2])(np.ones(2))[1], Value)
    assert_type(logsumexp(MLP(2, [3, 2])(x)), Value)
    assert_type(mse(y, 1.0), Value)
    assert_type(mse([model(x), model(x)], [1.0, 0.0]), Value)
    assert_type(mse([1.0], [2.0]), float)
    assert_type(cross_entropy(MLP(2, [2])(x), 1), Value)
    assert_type(model.parameters(), list[Value])
    sgd = SGD(model.parameters(), lr=0.1)
    history = fit(model, [x], [1.0], mse, sgd, epochs=2, progress=False)
    assert_type(history, History)
    fit(model, [x], [1.0], optimizer=Adam(model.parameters()), epochs=1, progress=False)
    assert_type(predict(model, [x]), list[Any])
    assert_type(accuracy([1.0, -1.0], [1, 1]), float)
    assert_type(backprop_table(model, x, 1.0).max_difference, float)
    assert_type(model.draw(x, 1.0).svg(), str)


class Line(Module):
    def __init__(self) -> None:
        self.slope, self.offset = Value(2.0), Value(1.0)

    def __call__(self, x: float) -> Value:
        return self.slope * x + self.offset


def right_modules() -> None:
    line = Line()
    assert_type(line(3.0), Value)
    assert_type(line.parameters()[0].data, float)
    assert_type(dict(line.named_parameters()), dict[str, Value])


def wrong_values(v: Value) -> None:
    Value("3")  # type: ignore[arg-type]
    Value(None)  # type: ignore[arg-type]
    Value(1j)  # type: ignore[arg-type]
    Value(v)  # type: ignore[arg-type]
    Value([1.0])  # type: ignore[arg-type]
    Value(np.ones(2))  # type: ignore[arg-type]
    Value(1.0, 2.0)  # type: ignore[arg-type]
    Value(1.0, name="x")  # type: ignore[call-arg]
    v.backwards()  # type: ignore[attr-defined]
    v.backward(1.0)  # type: ignore[call-arg]
    v.lable = "x"  # type: ignore[attr-defined]
    v.data = "3"  # type: ignore[assignment]
    v.op = "sin"  # type: ignore[misc]
    v + "3"  # type: ignore[operator]
    v * None  # type: ignore[operator]
    v.sin(1.0)  # type: ignore[call-arg]
    v.sine()  # type: ignore[attr-defined]
    float(v)  # type: ignore[arg-type]
    [1.0][v]  # type: ignore[call-overload]


def wrong_rows(v: Value) -> None:
    sin("3")  # type: ignore[arg-type]
    sin(None)  # type: ignore[call-overload]
    sin(1j)  # type: ignore[call-overload]
    sin(x=1.0)  # type: ignore[call-overload]
    logsumexp(["a"])  # type: ignore[list-item]
    autograd.sinn(1.0)  # type: ignore[attr-defined]
    Primitive("f", 3.0, 1.0)  # type: ignore[arg-type]
    Primitive(sin, lambda x: x, 1.0)  # type: ignore[arg-type]
    sin(1.0).backward()  # type: ignore[attr-defined]
    exp(v).numpy()  # type: ignore[attr-defined]


def wrong_transforms(v: Value) -> None:
    grad(1.0)  # type: ignore[call-overload]
    grad(of_floats, "x")  # type: ignore[call-overload]
    grad(of_floats)()  # type: ignore[call-overload]
    grad(of_floats)(1.0).backward()  # type: ignore[attr-defined]
    jvp(of_floats, 1.0, 1.0)  # type: ignore[call-overload]
    hvp(of_floats, (1.0,))  # type: ignore[call-overload]
    jit(3.0)  # type: ignore[call-overload]
    jit(of_floats)("3")  # type: ignore[arg-type]
    jit(of_floats)(1.0, 2.0)  # type: ignore[call-arg]
    jit(of_floats).tapes()  # type: ignore[attr-defined]
    vmap(of_floats, reduce="max")  # type: ignore[call-overload]
    print(vmap(of_floats)([1.0]).shape)  # type: ignore[attr-defined]


def wrong_shown(v: Value) -> None:
    explain(1.0)  # type: ignore[arg-type]
    print(explain(v).txt)  # type: ignore[attr-defined]
    why(v)  # type: ignore[call-arg]
    player(v).save()  # type: ignore[call-arg]
    draw(v).svg(3)  # type: ignore[arg-type]


def wrong_networks(model: MLP) -> None:
    MLP(2, 1)  # type: ignore[arg-type]
    MLP(2, [1], activation=3)  # type: ignore[arg-type]
    model(0.5)  # type: ignore[arg-type]
    model("ab")  # type: ignore[arg-type]
    model([0.5, 1.0]).backwards()  # type: ignore[attr-defined]
    SGD(model, lr=0.1)  # type: ignore[arg-type]
    SGD(model.parameters())  # type: ignore[call-arg]
    fit(model, [[1.0]], [1.0], loss="mse")  # type: ignore[arg-type]
    fit(model, [[1.0]], [1.0], optimizer="adam")  # type: ignore[arg-type]
    fit(model, [[1.0]], [1.0], epoch=3)  # type: ignore[call-arg]
