"""Random programs that have structure: products of matrices, convolutions, attention.

Straight random code hardly ever holds two products of one shape, let alone with signs
around them, one that reads a part of another, or two that take turns. These programs
are made of such parts, in widths around every threshold of the code that finds them
again. They run at one point, lane by lane and summed over lanes, on every back end, and
must give what eager code gives: every bit where no function of libm is in them.

    part    makes one more vector of numbers from the vectors there are
    slip    an irregularity in an otherwise regular part
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from typing import Any

import pytest
from seeds import seeds

import autograd as ag
from autograd import grad, hessian, jacobian, jit, value_and_grad, vmap, where
from autograd.compiled import calls, points, source

np = pytest.importorskip("numpy")

SEEDS = seeds(3)  # of each test: raise it for a long run
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 33)
LANES = (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 127, 128, 129, 200, 1023, 1024, 1025)
NARROW = "-avx512f,-avx512vl,-avx2,-avx,-fma"

Vector = list[Any]
Random = random.Random


class Numbers:
    """The numbers of an argument one after the other, then again from the first."""

    def __init__(self, numbers: Any) -> None:
        self.numbers, self.at = list(numbers), 0

    def take(self, count: int) -> Vector:
        start, self.at = self.at, self.at + count
        size = len(self.numbers)
        return [self.numbers[k % size] for k in range(start, start + count)]

    def matrix(self, rows: int, columns: int) -> list[Vector]:
        return [self.take(columns) for _ in range(rows)]


class Parts:
    """A program under way: vectors that are there, and what makes more of them.

    All choices come from the seed alone, so each run makes the same program.
    """

    def __init__(self, choices: Random, exact: bool, widths: Sequence[int]) -> None:
        self.choices, self.exact, self.widths = choices, exact, widths
        self.vectors: list[Vector] = []
        self.pools: list[Numbers] = []

    def begin(self, arguments: Sequence[Any]) -> None:
        self.pools = list(map(Numbers, arguments))
        self.vectors = [pool.take(self.width()) for pool in self.pools[-2:]]

    # ---- choices -------------------------------------------------------------------

    def width(self) -> int:
        return self.choices.choice(self.widths)

    def chance(self, p: float) -> bool:
        return self.choices.random() < p

    def pool(self) -> Numbers:
        return self.choices.choice(self.pools)

    def vector(self) -> Vector:
        """One of the latest, or any."""
        recent = self.vectors[-3:] if self.chance(0.8) else self.vectors
        return self.choices.choice(recent)

    def matrix(self, rows: int, columns: int) -> list[Vector]:
        """From an argument, at times through a function, at times from a vector."""
        if self.chance(0.1):
            numbers = Numbers(self.vector())
        else:
            numbers = self.pools[0] if self.chance(0.6) else self.pool()
        found = numbers.matrix(rows, columns)
        if self.chance(0.15):
            f = self.function()
            found = [[f(x) for x in row] for row in found]
        return found

    def function(self) -> Callable[[Any], Any]:
        functions: list[Callable[[Any], Any]] = [
            ag.relu, ag.neg, ag.abs, lambda x: 0.5 * x, lambda x: -x,
            lambda x: ag.clip(x, -0.75, 1.0),
            lambda x: where(x > 0.0, x, 0.25 * x),
            lambda x: where(x < 0.1, -x, x * x),
            lambda x: ag.maximum(x, -0.5), ag.leaky_relu, lambda x: 1.0 - x,
        ]  # fmt: skip
        if not self.exact:
            functions += [ag.tanh, ag.sigmoid, ag.sin, lambda x: ag.exp(-ag.abs(x))]
        return self.choices.choice(functions)

    # ---- sums of products ----------------------------------------------------------

    def style(self) -> Callable[[Any, Any, Any], Any]:
        """How one more product is added to a sum."""
        return self.choices.choice([
            lambda z, a, b: z + a * b, lambda z, a, b: a * b + z,
            lambda z, a, b: z - a * b, lambda z, a, b: z + -(a * b),
            lambda z, a, b: z + (-a) * b, lambda z, a, b: z - a * (-b),
            lambda z, a, b: -(a * b) + z, lambda z, a, b: z + b * a,
            lambda z, a, b: -(-z - b * a),
        ])  # fmt: skip

    def init(self) -> Callable[[], Any]:
        """What the sum of each row begins with."""
        numbers = Numbers(self.vector()) if self.chance(0.5) else self.pool()
        constant = self.choices.choice([0.0, -0.0, 1.0, 0.5])
        return (lambda: numbers.take(1)[0]) if self.chance(0.5) else lambda: constant

    def product_of(self, rows: list[Vector], x: Vector) -> Iterator[Any]:
        """The rows times x, in one of many ways to write it."""
        how = self.choices.choice(["loop", "loop", "sum", "sum of minus", "dot"])
        add, init = self.style(), self.init()
        slips = 0.05 if self.chance(0.4) else 0.0
        between = self.function() if self.chance(0.2) else None
        for row in rows:
            ys = [between(y) for y in x] if between else x
            if self.chance(slips):
                ys = list(reversed(ys))
            z: Any
            if how == "sum":
                z = sum([a * b for a, b in zip(row, ys)])
            elif how == "sum of minus":
                z = sum([-(a * b) for a, b in zip(row, ys)])
            elif how == "dot":
                z = ag.dot(row, ys)
            else:
                z = init()
                for a, b in zip(row, ys):
                    z = (self.style() if self.chance(slips) else add)(z, a, b)
            yield self.function()(z) if self.chance(slips) else z

    def product(self) -> Vector:
        x = self.vector()
        return list(self.product_of(self.matrix(self.width(), len(x)), x))

    def layer(self) -> Vector:
        f = self.function()
        return [f(z) for z in self.product()]

    def network(self) -> Vector:
        self.vectors.append(self.layer())
        return self.product()

    def products(self) -> Vector:
        """A product of a product, with signs in both: their first rows may differ."""
        x, size = self.pool().take(self.width()), self.width()
        model = list(self.product_of(self.pool().matrix(size, len(x)), x))
        rows = self.pools[0].matrix(self.choices.choice([2, 3, 8]), size)
        return list(self.product_of(rows, model))

    def recurrence(self) -> Vector:
        """One matrix three times, with a function or none between."""
        h = self.vector()[:8]
        rows, f = self.matrix(len(h), len(h)), self.function()
        for _ in range(3):
            h = [f(z) for z in self.product_of(rows, h)]
        return h

    def turns(self) -> Vector:
        """Two matrices whose rows take turns, each of which reads what came before."""
        x, size = self.vector(), self.width() + 1
        matrices = [self.matrix(size, len(x)) for _ in range(2)]
        h = self.pool().take(2)
        for k in range(size):
            rows = [matrix[k] for matrix in matrices]
            for j, row in enumerate(self.choices.sample(rows, 2)):
                z = h[-1 - j] if self.chance(0.8) else h[0]
                for a, b in zip(row, x):
                    z = z + a * b
                h.append(z)
        return h[2:]

    def part_of_product(self) -> Vector:
        """Some rows of a product in another one."""
        z = self.product()
        x = z[: max(1, len(z) // 2)] if self.chance(0.5) else z[1::2] or z
        self.vectors.append(list(self.product_of(self.matrix(self.width(), len(x)), x)))
        return z

    # ---- other parts ---------------------------------------------------------------

    def residual(self) -> Vector:
        """Data and model, with every sign."""
        model = self.vector() if self.chance(0.5) else self.product()
        data = self.pool().take(len(model))
        how: Callable[[Any, Any], Any] = self.choices.choice([
            lambda y, z: y - z, lambda y, z: z - y, lambda y, z: -(y - z),
            lambda y, z: -z + y, lambda y, z: -y - z, lambda y, z: y - (-z),
        ])  # fmt: skip
        return [how(y, z) for y, z in zip(data, model)]

    def convolution(self) -> Vector:
        size = self.choices.choice([2, 3, 5])
        x = self.vector()
        x = x if len(x) >= size else self.pool().take(size + self.width())
        kernel, add, init = self.pool().take(size), self.style(), self.init()
        out = []
        for i in range(len(x) - size + 1):
            z = init()
            for a, b in zip(kernel, x[i:]):
                z = add(z, a, b)
            out.append(z)
        return out

    def attention(self) -> Vector:
        """Mixtures of values by how well keys go with a query."""
        width, count = self.choices.choice([2, 3, 4, 8]), self.choices.choice([2, 4, 7])
        keys, values = [self.matrix(count, width) for _ in range(2)]
        out: Vector = []
        for _ in range(self.choices.choice([1, 2])):
            query = Numbers(self.vector()).take(width)
            scores = list(self.product_of(keys, query))
            if self.exact:
                shares = [where(s > scores[0], 0.5, 0.25 * s) for s in scores]
            else:
                shares = self.softmax(scores)
            columns = [list(column) for column in zip(*values)]
            out += self.product_of(columns, shares)
        return out

    def softmax(self, scores: Vector) -> Vector:
        if self.chance(0.5):
            total = ag.logsumexp(scores)
            return [ag.exp(s - total) for s in scores]
        top = reduce(ag.maximum, scores)
        powers = [ag.exp(s - top) for s in scores]
        return [power / sum(powers) for power in powers]

    def masked(self) -> Vector:
        x, y = self.vector(), Numbers(self.vector())
        other = self.choices.choice([0.0, -0.0, 1.0])
        if self.chance(0.5):
            return [where(a > b, a, other) for a, b in zip(x, y.take(len(x)))]
        return [ag.relu(a) * b for a, b in zip(x, y.take(len(x)))]

    def rearranged(self) -> Vector:
        x = self.vector()
        return self.choice_of(
            x[::-1], x[: len(x) // 2 + 1], x[::2], [*x, *self.vector()][:40],
            [-a for a in x], [x[0]] * len(x),
        )  # fmt: skip

    def choice_of(self, *vectors: Vector) -> Vector:
        return self.choices.choice(vectors)

    def table(self) -> Vector:
        """An outer product, flat."""
        x, y = self.vector()[:9], self.vector()[:9]
        sign = self.chance(0.3)
        return [-(a * b) if sign else a * b for a in x for b in y][:40]

    def one(self) -> Any:
        """A number of all that is there."""
        x = self.vectors[-1]
        ends: list[Callable[[], Any]] = [
            lambda: sum([a * a for a in x]),
            lambda: sum([-(a * b) for a, b in zip(x, self.pool().take(len(x)))]),
            lambda: 0.5 * sum([ag.relu(1.0 - a) for a in x]),
            lambda: sum([ag.maximum(a, 0.1 * a * a) for a in x]) / len(x),
        ]
        if not self.exact:
            ends += [lambda: ag.logsumexp(x) - x[0]]
        rest = sum([v[0] for v in self.vectors]) if self.chance(0.5) else 0.0
        return self.choices.choice(ends)() + rest

    def grow(self, count: int) -> None:
        parts = [
            self.product, self.products, self.products, self.layer, self.network,
            self.recurrence, self.turns,
            self.part_of_product, self.residual, self.residual, self.convolution,
            self.attention, self.masked, self.rearranged, self.table,
        ]  # fmt: skip
        for part in self.choices.choices(parts, k=count):
            self.vectors.append(part()[:33])


class Program:
    """A random program, its arguments, and which of them all lanes share."""

    def __init__(self, seed: int, exact: bool, small: bool = False) -> None:
        choices = Random(seed)
        self.seed, self.exact = seed, exact
        self.widths = (1, 2, 3, 4) if small else WIDTHS
        self.parts = choices.choice([1, 2]) if small else choices.choice([1, 2, 2, 3])
        sizes = (3, 5) if small else (2, 7, 16, 24, 60, 130)
        self.sizes = [choices.choice(sizes) for _ in range(choices.choice([2, 3, 4]))]
        self.axes = [None if choices.random() < 0.45 else 0 for _ in self.sizes]
        self.axes[choices.randrange(len(self.axes))] = 0
        self.arrays = choices.random() < 0.5

    def _parts(self, arguments: Sequence[Any]) -> Parts:
        parts = Parts(Random(self.seed + 1), self.exact, self.widths)
        parts.begin(arguments)
        parts.grow(self.parts)
        return parts

    def vector(self, *arguments: Any) -> Vector:
        vectors = self._parts(arguments).vectors
        return [*vectors[-1], *[x[-1] for x in vectors]]

    def number(self, *arguments: Any) -> Any:
        return self._parts(arguments).one()

    def lanes(self, n: int) -> list[Any]:
        """Arguments for n lanes: ordinary numbers, at times with zeros among them."""
        rng = np.random.default_rng(self.seed)
        found = []
        for size, axis in zip(self.sizes, self.axes):
            x = rng.normal(size=(n, size) if axis == 0 else size)
            if self.seed % 4 == 0:
                x[rng.random(x.shape) < 0.1] = rng.choice([0.0, -0.0, 1.0, -1.0])
            found.append(x if self.arrays else x.tolist())
        return found

    def lane(self, arguments: Sequence[Any], i: int) -> list[Any]:
        return [x[i] if axis == 0 else x for x, axis in zip(arguments, self.axes)]


def programs(seed: int, count: int, **how: Any) -> Iterator[Program]:
    """Programs of that seed, every other one of them without libm."""
    for k in range(count):
        yield Program(100_000 * seed + 100 * k, exact=k % 2 == 0, **how)


# ---- numbers to compare --------------------------------------------------------------


def flat(tree: Any) -> list[float]:
    if isinstance(tree, (list, tuple)):
        return [y for x in tree for y in flat(x)]
    return [float(x) for x in np.ravel(tree).tolist()]


def bits(xs: Sequence[float]) -> list[str]:
    return ["nan" if x != x else x.hex() for x in xs]


def require_near(found: Any, wanted: Any, about: object) -> None:
    """That nearly all digits of the largest number agree."""
    xs, ys = flat(found), flat(wanted)
    size = max([1.0, *[abs(y) for y in ys if math.isfinite(y)]])
    for x, y in zip(xs, ys, strict=True):
        assert bits([x]) == bits([y]) or abs(x - y) <= 256 * math.ulp(size), about


def lane_of(tree: Any, lane: int) -> Any:
    """One lane of a result."""
    if isinstance(tree, tuple):
        return [lane_of(x, lane) for x in tree]
    return tree[lane]


def some_lanes(choices: Random, n: int) -> list[int]:
    """The first and the last, those where vectors and blocks meet, one more."""
    return sorted({0, n - 1, choices.randrange(n), *({7, 8, 127, 128} & {*range(n)})})


# ---- back ends -----------------------------------------------------------------------


def use(monkeypatch: pytest.MonkeyPatch, back_end: str) -> None:
    """Let that one run what is compiled from now on."""
    compile: Callable[..., Any] = source.compile
    if back_end.startswith("llvm"):
        pytest.importorskip("llvmlite")
        from autograd.compiled import native

        features = NARROW if back_end == "llvm, narrow" else ""
        compile = partial(native.compile, features=features)
    elif back_end == "python":
        monkeypatch.setattr(source.Source, "_blocks", None)
    for name in ("points", "sums", "pieces"):
        monkeypatch.setattr(f"autograd.compiled.{name}.executable", compile)


BACK_ENDS = ("llvm", "llvm, narrow", "numpy", "python")
EACH = {"llvm": 5, "llvm, narrow": 2, "numpy": 5, "python": 3}  # programs of a seed


def first_order(program: Program, choices: Random) -> tuple[str, Callable[..., Any]]:
    """A function of the program's arguments, by name: its value or its derivatives."""
    argnums = tuple(range(len(program.axes)))
    which = choices.choice([argnums, argnums[:1], argnums[-1:]])
    return choices.choice([
        ("vector", program.vector),
        ("gradient", value_and_grad(program.number, argnums=which)),
        ("gradient", value_and_grad(program.number, argnums=which)),
    ])  # fmt: skip


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_lanes_are_those_of_eager_code(
    monkeypatch: pytest.MonkeyPatch, seed: int, back_end: str
) -> None:
    use(monkeypatch, back_end)
    for program in programs(seed, EACH[back_end]):
        choices = Random(program.seed + 2)
        n = choices.choice(LANES[:8] if back_end == "python" else LANES)
        name, eager = first_order(program, choices)
        arguments, batched = program.lanes(n), vmap(eager, in_axes=program.axes)
        found = batched(*arguments)
        assert bits(flat(batched(*arguments))) == bits(flat(found)), program.seed
        for i in some_lanes(choices, n):
            wanted = eager(*program.lane(arguments, i))
            about = program.seed, name, n, i
            if program.exact:
                assert bits(flat(lane_of(found, i))) == bits(flat(wanted)), about
            else:
                require_near(lane_of(found, i), wanted, about)


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_sums_over_lanes_are_those_of_eager_code(
    monkeypatch: pytest.MonkeyPatch, seed: int, back_end: str
) -> None:
    use(monkeypatch, back_end)
    for program in programs(seed + 1000, EACH[back_end]):
        choices = Random(program.seed + 2)
        n, how = choices.choice(LANES[:9]), choices.choice(["sum", "mean"])
        name, eager = first_order(program, choices)
        batched = vmap(eager, in_axes=program.axes, reduce=how)
        arguments = program.lanes(n)
        found = flat(batched(*arguments))
        assert bits(flat(batched(*arguments))) == bits(found), program.seed
        lanes = [flat(eager(*program.lane(arguments, i))) for i in range(n)]
        for k, (x, column) in enumerate(zip(found, zip(*lanes), strict=True)):
            scale = n if how == "mean" else 1
            size = math.fsum(map(abs, column)) + (0.0 if program.exact else 1.0)
            about = program.seed, name, n, k, x, math.fsum(column) / scale
            bound = (n + 256 * (not program.exact)) * math.ulp(size)
            assert abs(x * scale - math.fsum(column)) <= bound, about


def at_one_point(program: Program, choices: Random) -> tuple[Any, Any]:
    """A function, eager and compiled: as a whole, or what its gradient is taken of."""
    if choices.random() < 0.3:
        return value_and_grad(program.number), value_and_grad(jit(program.number))
    _, eager = first_order(program, choices)
    return eager, jit(eager)


@pytest.mark.parametrize("code", ["python", "machine code", "rolled", "rolled, python"])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_point_has_the_bits_of_eager_code(
    monkeypatch: pytest.MonkeyPatch, seed: int, code: str
) -> None:
    if code == "machine code":  # C calls what was called twice
        monkeypatch.setattr(calls, "OFTEN", 1)
        monkeypatch.setattr(points, "LONG", 1)
    elif code.startswith("rolled"):
        roll_all(monkeypatch, in_python=code != "rolled")
    for program in programs(seed + 2000, 6 if code == "python" else 4):
        eager, compiled = at_one_point(program, Random(program.seed + 2))
        arguments = program.lanes(3)
        for i in (0, 1, 2, 0):
            lane = program.lane(arguments, i)
            found, wanted = flat(compiled(*lane)), flat(eager(*lane))
            assert bits(found) == bits(wanted), (program.seed, i)


def roll_all(monkeypatch: pytest.MonkeyPatch, in_python: bool) -> None:
    """Let rolled code run what is called at one point, however short."""
    monkeypatch.setattr(points, "LONG", -1)
    monkeypatch.setattr(points, "BULKY", -1)
    if in_python:
        monkeypatch.setattr("autograd.compiled.rolled.code.extension", None)


ODD = (0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, 1e-310, 1e300)


def odd_ones(choices: Random, numbers: Sequence[float]) -> list[float]:
    """The numbers with others among them: few, many, or in place of all."""
    share = choices.choice([0.05, 0.3, 1.0])
    odd = choices.choice([ODD, ODD[:2], ODD[:4]])
    return [choices.choice(odd) if choices.random() < share else x for x in numbers]


@pytest.mark.parametrize("in_python", [False, True], ids=["in C", "in Python"])
@pytest.mark.parametrize("seed", SEEDS)
def test_rolled_code_has_the_bits_of_eager_code_at_odd_points(
    monkeypatch: pytest.MonkeyPatch, seed: int, in_python: bool
) -> None:
    roll_all(monkeypatch, in_python)
    for program in programs(seed + 4000, 4 if in_python else 12):
        choices = Random(program.seed + 2)
        small = Program(program.seed, program.exact, small=True)
        argnums = choices.choice([0, tuple(range(len(small.axes)))])
        name, eager, sizes = choices.choice([
            (*first_order(program, choices), program.sizes),
            ("jacobian", jacobian(small.vector, argnums=argnums), small.sizes),
        ])  # fmt: skip
        compiled = jit(eager)
        lane = [[choices.gauss(0.0, 1.0) for _ in range(size)] for size in sizes]
        for k in range(5):
            odd = [odd_ones(choices, numbers) for numbers in lane] if k % 4 else lane
            found, wanted = flat(compiled(*odd)), flat(eager(*odd))
            assert bits(found) == bits(wanted), (program.seed, name, odd)
        assert compiled.paths and not any(path.code.simple for path in compiled.paths)


def second_order(program: Program, choices: Random) -> Callable[..., Any]:
    argnum = choices.randrange(len(program.axes))
    return choices.choice([
        hessian(program.number, argnums=argnum),
        jacobian(program.vector, argnums=argnum),
        jacobian(grad(program.number), argnums=argnum),
    ])  # fmt: skip


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_jacobians_and_hessians_are_those_of_eager_code(
    monkeypatch: pytest.MonkeyPatch, seed: int, back_end: str
) -> None:
    """In all but last digits: second derivatives may be summed in another order."""
    use(monkeypatch, back_end)
    for program in programs(seed + 3000, EACH[back_end], small=True):
        choices = Random(program.seed + 2)
        n, eager = choices.choice(LANES[:8]), second_order(program, choices)
        arguments = program.lanes(n)
        found = vmap(eager, in_axes=program.axes)(*arguments)
        for i in some_lanes(choices, n):
            lane = program.lane(arguments, i)
            wanted = eager(*lane)
            require_near(lane_of(found, i), wanted, (program.seed, n, i))
            require_near(jit(eager)(*lane), wanted, program.seed)
