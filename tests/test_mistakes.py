"""What newcomers do wrong, and what they are told: a wrong type, order, name or count.

Each message says the operation, the argument, what it must be, what it is, and after
the last semicolon what to do. The table has parts of it, with … in between.
"""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

import autograd as ag
import nn
from autograd import Primitive, Value, grad, hessian, hvp, jacobian, jit, jvp, vjp, vmap
from nn import MLP, SGD, Adam, Layer, Neuron, fit, predict

MISTAKES = {
    # ---- Values
    "Value('3')": "data must be a real number, but is '3'…; convert it with float()",
    "Value(None)": "but is None…; pass a number",
    "Value([1.0])": "; call it once for each element",
    "Value(1.0, 2.0)": "label must be a str or None, but is 2.0; write str(",
    "Value(math.sin)": "; call it first, with numbers",
    "v + '3'": "add: operand must be a real number, but is '3'",
    "v * None": "mul:…but is None",
    "v.clip(0.0)": "clip: must be called with 3 argument(s), but has 2; see help",
    "float(v)": "; write autograd.sin(v), or use v.data",
    "math.sin(v)": "; write autograd.sin(v)",
    "round(v)": "; format it with",
    # ---- rows
    "ag.sin()": "sin: must be called with 1 argument(s), but has 0; see help",
    "ag.sin(1.0, 2.0)": "but has 2; see help",
    "ag.sin('1')": "sin: operand must be a real number, but is '1'",
    "ag.sin([1.0])": "; call it once for each element",
    "ag.sin(x for x in [1.0])": "; call it once for each element",
    "ag.sin(ag.cos)": "but is <primitive cos>…; call it first, with numbers",
    "ag.sin(x=1.0)": "sin: operands must be given by position,…'x'; leave out",
    "ag.sin(1j)": "; differentiate its real and imaginary parts",
    "ag.dot([1.0], [1.0, 2.0])": "must have the length of the first, 1, but one has 2",
    "ag.dot([1.0])": "dot: operands must come in two halves,…; write dot(xs, ys)",
    "ag.where(True, 1.0)": "where: must be called with 3",
    "ag.where(v > 0, 'a', 'b')": "where: operand must be a real number, but is 'a'",
    "ag.maximum([1.0], 2.0)": "maximum: operand must be a real number, but is [1.0]",
    # ---- rows of one's own
    "Primitive('f', 3.0, 1.0)": "f: value must be a function…, but is 3.0; pass",
    "Primitive(one, one)": "Primitive: name must be a str",
    "Primitive('f', one)": "partials must be one rule for each…; pass rules such as",
    "Primitive('f', one, 'a')": "a partial must be a real number, but is 'a'",
    "Primitive('f', two, lambda z, x, y: y)": "each of the 2…, but are 1; pass 0.0",
    "Primitive('f', one, 1.0, 1.0)": "each of the 1…, but are 2; ",
    "Primitive('f', math.atan2, lambda z, x: 1.0)": "each of the 2…, but are 1; ",
    "Primitive('f', one, lambda x: 2 * x)": "(z, x), but takes 1; write lambda",
    "Primitive('f', two, 1.0, lambda x, y: x)": "partial 1…(z, x, y), but",
    "Primitive('f', one, 1.0, latex=3)": "latex must be a template",
    "Primitive('f', one, 1.0, native='no')": "native must be a function of libm",
    "Primitive('f', one, 1.0, domain=3)": "domain must be a pair…but is 3",
    "Primitive('f', one, 1.0, domain=(1.0, 0.0))": "domain must be a pair",
    "Primitive('f', one, 1.0, sample='all')": "sample must be a pair",
    "Primitive('f', two, 1.0, 1.0, sample=((0.0, 1.0),) * 3)": "sample must be a pair",
    "Primitive('f', one, 1.0, edges=3)": "edges must be a list…; write [edge]",
    "Primitive('f', one, 1.0, edges=[1.0])": "an edge must be (args, value, partials)",
    "Primitive('f', one, 1.0, edges=[((0.0,) * 2, 0.0, (0.0,))])": "an edge must be",
    "Primitive('f', one, 1.0, ulp='a')": "ulp must be a number, but is 'a'",
    "Primitive('f', one, 1.0, ieee=3)": "ieee must be a function, but is 3",
    "Primitive('f', lambda x: 'a', 1.0)(1.0)": "the value must be a real number",
    "Primitive('f', one, lambda z, x: None)(v)": "a partial must be a real number",
    # ---- transforms
    "grad(1.0)": "grad: f must be a function, but is float; write grad(f) first",
    "hessian(v)": "hessian: f must be a function, but is Value; write hessian(f)",
    "vjp(1.0, 2.0)": "vjp: f must be a function,…; write vjp(f, x)",
    "jvp((1.0,), (1.0,), one)": "jvp: f must be…; write jvp(f, (x,)",
    "hvp((1.0,), (1.0,), one)": "hvp: f must be a function, but is tuple; write hvp",
    "grad(one, 'x')": "argnums must name arguments by position, but is 'x'; write a",
    "jacobian(one, 1.5)": "argnums must name arguments by position, but is 1.5",
    "grad(one, 1)(1.0)": "argnums must name arguments by position, 0 to 0",
    "grad(one, (0, 0))(1.0)": "argnums must be distinct",
    "grad(one)(x=2.0)": "grad:…'x' is given by name; write grad(f)",
    "ag.value_and_grad(one)(x=2.0)": "by position, but 'x' is given by name; write",
    "jacobian(one)(x=2.0)": "jacobian:…'x' is given by name; write jacobian(f)",
    "hessian(one)(x=2.0)": "hessian:…'x' is given by name; write hessian(f)",
    "jit(grad(one))(x=2.0)": "'x' is given by name; write grad",
    "grad(one)()": "by position, but there is none; write grad",
    "grad(one)('a')": "grad: an argument must be a real number, but is 'a'",
    "grad(lambda x: None)(1.0)": "NoneType; a function without return gives None",
    "grad(lambda x: [x])(1.0)": "f must return one number,…; use jacobian",
    "grad(one, has_aux=True)(1.0)": "f must return (y, aux) when has_aux is set",
    "jvp(one, 1.0, 1.0)": "jvp: primals must be a tuple,…; write (x,)",
    "jvp(one, (1.0,), (1.0, 2.0))": "jvp: tangents must have the structure",
    "hvp(one, (1.0,), (1.0, 2.0))": "hvp: tangents must have the structure",
    "hvp(one, 1.0, 1.0)": "hvp: primals must be a tuple",
    "ag.check_grads(1.0, (1.0,))": "f must be a function, but is 1.0; write",
    "ag.check_grads(one, 1.0)": "args must be a tuple…; write (x,)",
    "ag.check_grads(one, (1.0,), order=0)": "order must be a whole number above 0",
    "ag.ravel('a')": "ravel: the tree must be a real number, but is 'a'",
    "ag.ravel([1.0])[1](1.0)": "numbers must have length 1, but has none; give one",
    "ag.register_tree(list, one, one)": "kind must be a class of your own",
    # ---- compiled
    "jit(1.0)": "jit: f must be a function, but is float; write jit(f) first",
    "jit(one, static_argnums=5)": "by position, of the 1 that f has, but has 5; count",
    "jit(lambda x, n: x, static_argnums=(0, -3))": "of the 2 that f has, but has -3",
    "ag.draw(v).svg('a.png')": "draw: path…kind .svg, but is 'a.png'; write 'a.svg'",
    "ag.draw(v).png('a.svg')": "draw: path…kind .png, but is 'a.svg'; write 'a.png'",
    "ag.player(v.sin()).save('a.SVG')": "player: path…kind .html…; write 'a.html'",
    "ag.player(v.sin()).animated_svg('a.html')": "kind .svg…; write 'a.svg'",
    "model.draw().svg('a.png')": "draw_network: path…kind .svg…; write 'a.svg'",
    "Layer(2, 1, 'swish')": "activation must be…but is 'swish'; did you mean 'silu'",
    "MLP(2, [1], 'Logistic')": "but is 'Logistic'; did you mean 'sigmoid'",
    "jit(one, 'x')": "static_argnums must name arguments by position",
    "jit(one).tape()": "must have been called,…; pass arguments",
    "jit(one)(object())": "an argument must be a number…; name its position",
    "vmap(1.0)": "vmap: f must be a function, but is float; write vmap(f) first",
    "vmap(one, 'x')": "in_axes must be a whole number or None…; 0 is the first axis",
    "vmap(one, reduce='max')": "reduce must be 'sum', 'mean' or None, but is 'max'",
    "vmap(one, executor=4)": "executor must be a concurrent.futures.Executor",
    "vmap(one)(1.0)": "a batch must be a list or an array, but is 1.0; share it",
    "vmap(one)(x=1.0)": "at least one argument must be a batch",
    "vmap(two)([1.0], [1.0, 2.0])": "every batch must have the length of the first",
    # ---- shown
    "ag.draw(1.0)": "draw: y must be a Value, but is 1.0",
    "ag.draw(v, 'a.svg')": "draw: inside must be True or False, but is 'a.svg'; a file",
    "ag.draw(v).svg(3)": "path must be a str or a Path, but is 3",
    "ag.explain(one)": "explain: y must be a Value,…; compute it from Values",
    "ag.explain(v, 'x')": "explain: node must be a Value that y was computed from, but",
    "ag.explain(v, v * 2)": "explain: node must be a Value that y was computed from,…",
    "ag.explain(v, inside='x')": "explain: inside must be True or False, but is 'x'",
    "ag.explain(v, paths=1)": "explain: paths must be True or False, but is 1",
    "ag.why(1.0, v)": "why: y must be a Value, but is 1.0",
    "ag.player(1.0)": "player: y must be a Value, but is 1.0",
    "ag.rounding_error(v, 'a')": "inputs must be 0 or more…, but is 'a'",
    "ag.draw_network(3, 3, title='x')": "columns must be a list, but is 3",
    "ag.write_file('x', 'text')": "content must be bytes, but is str; write text",
    # ---- models
    "MLP(2, 1)": "nouts must be a list…, but is 1; for one…write [1]",
    "MLP('2', [1])": "nin must be a whole number of at least 1, but is '2'",
    "MLP(2, [1.5])": "every width in nouts must be a whole number",
    "MLP(2, [1], 'tahn')": "activation must be a name…; did you mean…'tanh'",
    "Layer(2, 2, 'Relu')": "activation must be a name…; did you mean 'relu'",
    "Neuron(2, math.tanh)": "activation must be a name or a Prim…; write 'relu'",
    "MLP(2, [1], None)": "activation must be…but is None; write 'relu'",
    "MLP(2, [1], ['relu'])": "activation must be a name or a Primitive",
    "MLP(2, [1], ag.hypot)": "activation must be a row of one argument, but is",
    "MLP(2, [1], init='xavier')": "init must be a name…; known are he, glorot",
    "model(1.0)": "x must be a list of 2 feature(s), but is float; a",
    "model([1.0])": "x must have 2 feature(s), but has 1; give one",
    "model([1.0, 'a'])": "but x[1] is str; call the model once for each point",
    "Neuron(2)(1.0)": "x must be a list of 2 feature(s), but is float",
    "model.draw([1.0, 2.0], 1.0, by='x')": "by must be 'weight' or 'grad', but is 'x'",
    "model.draw([1.0, 2.0], 1.0, 'mse')": "loss must be…; write loss=nn",
    "model.save(3)": "path must be a str or a Path, but is 3",
    "model.load(3)": "MLP.load: path must be a str or a Path",
    # ---- losses, optimizers
    "nn.mse([1.0], [1.0, 2.0])": "must be equally many,…; pair them first",
    "nn.mse('a', 'b')": "must be numbers or Values, but one is 'a'",
    "nn.hinge([1.0], [0.5])": "every target must be -1 or 1,…; write 2",
    "nn.cross_entropy([1.0, 2.0], 5)": "every class must be a whole number from 0 to 1",
    "SGD(model, 0.1)": "params must be leaf Values,…; pass model.parameters()",
    "SGD(0.1, model.parameters())": "params must be…0.1; pass model.parameters()",
    "SGD(model.parameters, lr=0.1)": "; pass model.parameters",
    "SGD([], lr=0.1)": "params must hold at least one parameter, but is empty; pass",
    "SGD(model.parameters(), '0.1')": "lr must be above 0…but is '0.1'; usual",
    "SGD(model.parameters(), 0.1, momentum=2)": "momentum must be at least 0",
    "Adam(model.parameters(), betas=0.9)": "betas must be a pair…; usual are",
    "Adam(model.parameters(), betas=(0.9,))": "betas must be a pair of numbers",
    # ---- training
    "fit(model, X, Y, 'mse')": "loss must be…'mse'; write loss=nn.mse, without",
    "fit(model, X, Y, loss='l2')": "loss must be…, but is 'l2'; pass one of nn's",
    "fit(model, X, Y, loss=None)": "fit: loss must be a function",
    "fit(model, X, Y, adam)": "loss must be a function…, but is Adam(",
    "fit(model, X, Y, 100)": "loss must be a function…, but is 100",
    "fit(model, X, Y, optimizer='adam')": "optimizer must…'adam'; write…Adam(",
    "fit(model, X, Y, optimizer=Adam)": "optimizer must be one that has its parameters",
    "fit(model, X, Y, optimizer=0.1)": "optimizer must be…, but is 0.1; write",
    "fit(X, Y, model)": "model must be a Module…; write fit(model, xs, ys)",
    "fit(MLP, X, Y)": "model must be a Module that can be called",
    "fit(one, X, Y)": "model must be a Module that can be called",
    "fit(model, X, Y, epochs=1.5)": "epochs must be a whole number of at least 1",
    "fit(model, X, [1.0])": "ys must have one target for each of the 2",
    "fit(model, [1.0, 2.0], Y)": "xs[0] must be a row…; write [[x]",
    "fit(model, X, ['a', 'b'])": "ys[0] must hold plain numbers, but has 'a'",
    "fit(model, X, Y, validation=0.2)": "validation must be a pair (xs, ys)",
    "fit(model, X, Y, patience=3)": "validation must be given where patience is",
    "predict('m', X)": "model must be a Module…; write predict(model",
    "predict(X, model)": "predict: model must be a Module or a function",
    "predict(model, 1.0)": "predict: xs must be a list…, but is 1.0",
    "nn.backprop_table(model, [1.0, 2.0], 1.0, 'mse')": "loss must be…; write",
    "nn.backprop_table(1.0, [1.0], 1.0)": "model must be an MLP…is float",
}
MODEL = MLP(2, [3, 1], seed=0)
NAMES: dict[str, Any] = {
    "ag": ag, "nn": nn, "math": math, "Primitive": Primitive, "Value": Value,
    "grad": grad, "hessian": hessian, "hvp": hvp, "jacobian": jacobian, "jit": jit,
    "jvp": jvp, "vjp": vjp, "vmap": vmap, "MLP": MLP, "SGD": SGD, "Adam": Adam,
    "Layer": Layer, "Neuron": Neuron, "fit": fit, "predict": predict,
    "v": Value(0.5), "model": MODEL, "adam": Adam(MODEL.parameters()),
    "X": [[0.0, 1.0], [1.0, 0.0]], "Y": [1.0, 0.0],
    "one": lambda x: x, "two": lambda x, y: x * y,
}  # fmt: skip


@pytest.mark.parametrize("call", MISTAKES)
def test_mistake_is_told_with_its_remedy(call: str) -> None:
    before = [p.data for p in MODEL.parameters()]
    with pytest.raises((TypeError, ValueError)) as error:
        eval(call, dict(NAMES))
    said, at = str(error.value), 0
    for part in MISTAKES[call].split("…"):
        assert part in said[at:], said
        at = said.index(part, at) + len(part)
    assert re.fullmatch(r"[^:]+:.* (must|would) .+; .+", said), said
    assert [p.data for p in MODEL.parameters()] == before


def test_names_of_keywords_that_are_none_are_told_by_python() -> None:
    for call, told in {
        "grad(one, argnum=0)": r"grad\(\) .*'argnum'",
        "Value(1.0, name='x')": "'name'",
        "v.clip(lo=0.0, hi=1.0)": r"Value.clip\(\) .*'lo'",
        "fit(model, X, Y, lr=1)": r"fit\(\) .*'lr'",
    }.items():
        with pytest.raises(TypeError, match=told):
            eval(call, dict(NAMES))


def square(x: Any) -> Any:
    return x * x


@pytest.mark.parametrize(
    "call", [grad(square), jit(square), hessian(square), lambda *xs: vjp(square, *xs)]
)
def test_function_that_cannot_be_called_so_is_told_by_its_line(call: Any) -> None:
    line = square.__code__.co_firstlineno
    with pytest.raises(TypeError, match="takes 1 positional argument but 2") as error:
        call(1.0, 2.0)
    (note, *_) = error.value.__notes__
    assert f"f is square at {__file__}:{line}; call" in note


def test_error_inside_a_function_has_no_note_on_where_that_is() -> None:
    with pytest.raises(TypeError, match="must be a real number") as error:
        grad(lambda x: x + "a")(1.0)
    assert not hasattr(error.value, "__notes__")
