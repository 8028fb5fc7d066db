"""Vector kernels, run as machine code, against 50 digits and against their rows.

Each kernel is compiled into a loop over arrays, with and without what newer processors
have: vectors of 512 and of 256 bits, and the multiplication that adds in one step.
"""

from __future__ import annotations

import ctypes
import inspect
import itertools
import math
import random
from collections.abc import Callable, Iterator
from functools import cache
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from test_primitives import ORACLE, mp, samples, ulps, wide

from autograd import Primitive, primitives

pytest.importorskip("llvmlite")

from llvmlite import binding, ir  # type: ignore[import-untyped]  # noqa: E402

from autograd.compiled.kernels import KERNELS, vector_function  # noqa: E402

Run = Callable[..., np.ndarray]

OLD = "-avx512f,-avx2,-avx,-fma,-sse4.1"
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 5e-324, -1e308, inf, -inf, nan)
ONE_ROUNDING = {"mod", "copysign"}  # whose value is exact

every_kernel = pytest.mark.parametrize("name", KERNELS)
machines = pytest.mark.parametrize("features", ["", OLD], ids=["here", "old"])


# ---- kernels as functions of arrays --------------------------------------------------


@cache
def compiled(width: int = 8, features: str = "") -> dict[str, Run]:
    """Every kernel as a function of arrays; features are taken from this machine's."""
    if features and not binding.get_default_triple().startswith("x86_64"):
        pytest.skip("features of x86 processors")
    module = ir.Module()
    for name in KERNELS:
        has_fma = False if features else None
        add_loop(module, vector_function(module, name, width, fma=has_fma), name)
    engine = machine_code(str(module), features)
    return {name: array_function(engine, name, width) for name in KERNELS}


def machine_code(source: str, features: str) -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    host = binding.get_host_cpu_features().flatten()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu="x86-64" if features else binding.get_host_cpu_name(),
        features=features or host,
        opt=1,
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(source), machine)
    engine.finalize_object()
    return engine


def add_loop(module: ir.Module, kernel: ir.Function, name: str) -> None:
    """A function loop_name(x, …, out, n) that calls the kernel on n vectors."""
    vector, whole = kernel.args[0].type, ir.IntType(64)
    arrays = [vector.as_pointer()] * (len(kernel.args) + 1)
    signature = ir.FunctionType(ir.VoidType(), [*arrays, whole])
    function = ir.Function(module, signature, f"loop_{name}")
    *xs, out, n = function.args
    start, body, end = (function.append_basic_block() for _ in range(3))
    ir.IRBuilder(start).branch(body)
    code = ir.IRBuilder(body)
    i = code.phi(whole)
    at = [code.gep(x, [i], source_etype=vector) for x in (*xs, out)]
    loaded = [code.load(place, align=8, typ=vector) for place in at[:-1]]
    code.store(code.call(kernel, loaded), at[-1], align=8)
    following = code.add(i, whole(1))
    i.add_incoming(whole(0), start)
    i.add_incoming(following, body)
    code.cbranch(code.icmp_unsigned("<", following, n), body, end)
    ir.IRBuilder(end).ret_void()


def array_function(engine: Any, name: str, width: int) -> Run:
    arity = arity_of(name)
    kinds = [ctypes.c_void_p] * (arity + 1)
    address = engine.get_function_address(f"loop_{name}")
    function = ctypes.CFUNCTYPE(None, *kinds, ctypes.c_int64)(address)

    def run(*columns: Any, engine: Any = engine) -> np.ndarray:
        count = len(columns[0])
        filled = -(-count // width) * width
        padded = [np.resize(np.array(c, dtype=float), filled) for c in columns]
        out = np.empty(filled)
        function(*[c.ctypes.data for c in (*padded, out)], filled // width)
        return out[:count]

    return run


def arity_of(name: str) -> int:
    return len(inspect.signature(KERNELS[name]).parameters)


def row_of(name: str) -> Primitive:
    row: Primitive = getattr(primitives, name)
    return row


def same_bits(x: Any, y: Any) -> bool:
    """Equal numbers with equal signs of zero, or both NaN."""
    x, y = np.asarray(x), np.asarray(y)
    equal = (x == y) & (np.signbit(x) == np.signbit(y))
    return bool(np.all(equal | (np.isnan(x) & np.isnan(y))))


# ---- accuracy ------------------------------------------------------------------------

SCALES: tuple[Callable[[random.Random], float], ...] = (
    lambda rng: math.ldexp(rng.uniform(0.5, 1.0), rng.randint(-1074, 1024)),
    lambda rng: 2.0 ** rng.uniform(-40.0, 64.0),
    lambda rng: 1.0 + rng.choice((-1, 1)) * 2.0 ** rng.uniform(-52.0, -1.0),
    lambda rng: rng.uniform(0.0, 3.0),
    lambda rng: rng.uniform(0.0, 40.0),
    lambda rng: rng.uniform(0.0, 1100.0),
    lambda rng: rng.randint(1, 2 ** rng.randint(1, 19)) * math.pi / 2,
)


def domain_points(name: str, count: int) -> Iterator[tuple[float, ...]]:
    """Operands of both signs and of every size, and where kernels change formula."""
    rng = random.Random(name)
    for scale in SCALES:
        for _ in range(count):
            chosen = [scale, *(rng.choice((scale, *SCALES)) for _ in range(2))]
            yield tuple(
                rng.choice((-1, 1)) * draw(rng) for draw in chosen[: arity_of(name)]
            )
    for _ in range(count if name == "pow" else 0):  # a result that is finite
        x = abs(SCALES[0](rng))
        yield x, rng.uniform(-745.0, 710.0) / math.log(x)
    if name != "hypot":
        yield from samples(row_of(name), count)
        yield from wide(row_of(name))


def exact_value(name: str, point: tuple[float, ...]) -> Any:
    digits = 380 if name in ("sin", "cos", "tan") and abs(point[0]) > 1e15 else 50
    with mp.workdps(digits):
        return ORACLE[name][0](*map(mp.mpf, point))


def largest_error(name: str, run: Run, count: int) -> tuple[float, Any]:
    """In units in the last place, and where; not at poles, which are special values."""
    points = list(domain_points(name, count))
    found: list[tuple[float, Any]] = [(0.0, None)]
    for point, z in zip(points, run(*zip(*points))):
        try:
            exact = exact_value(name, point)
        except (ZeroDivisionError, ValueError):
            continue
        found.append((ulps(float(z), exact, mp.mpf(0)), point))
    return max(found, key=lambda pair: pair[0])


@machines
@every_kernel
def test_kernels_are_within_4_ulp_of_50_digits(name: str, features: str) -> None:
    error, point = largest_error(name, compiled(8, features)[name], 60)
    assert error <= 4.0, (name, point, error)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_sines_keep_their_digits_next_to_huge_multiples_of_pi(name: str) -> None:
    rng = random.Random(1)
    # the double nearest to a multiple of π/2 (W. Kahan)
    points = [6381956970095103.0 * 2.0**797]
    for _ in range(300):
        with mp.workdps(380):
            k = mp.mpf(rng.getrandbits(60)) * mp.mpf(2) ** rng.randint(-40, 900)
            points.append(float(mp.floor(k) * mp.pi / 2))
    for x, z in zip(points, compiled()[name](points)):
        assert ulps(float(z), exact_value(name, (x,)), mp.mpf(0)) <= 4.0, x


# ---- special values, lanes, widths ---------------------------------------------------


@machines
@every_kernel
def test_kernels_give_what_rows_give_at_special_values(
    name: str, features: str
) -> None:
    row = row_of(name)
    points = list(itertools.product(SPECIAL, repeat=arity_of(name)))
    if name != "hypot":
        points += [args for args, _, _ in row.edges]
    for args, z in zip(points, compiled(8, features)[name](*zip(*points))):
        want = row.value(*args)
        exact = math.isinf(want) or want in (0.0, 1.0, -1.0) or want != want
        if exact or name in ONE_ROUNDING:
            assert same_bits(z, want), (name, args, float(z), want)
        else:
            assert abs(z - want) <= 4 * math.ulp(want), (name, args, float(z), want)


@machines
@pytest.mark.parametrize("name", sorted(ONE_ROUNDING))
def test_kernels_of_one_rounding_give_the_bits_of_their_rows(
    name: str, features: str
) -> None:
    points = list(domain_points(name, 40))
    got = compiled(8, features)[name](*zip(*points))
    assert same_bits(got, [row_of(name).value(*point) for point in points])


@every_kernel
def test_a_lane_does_not_depend_on_its_neighbours(name: str) -> None:
    run = compiled()[name]
    points = list(domain_points(name, 8))
    together = run(*zip(*points))
    for lane, point in enumerate(points):
        alone = run(*[[x] for x in point])
        assert same_bits(together[lane : lane + 1], alone), (name, point)


@pytest.mark.parametrize("width", [1, 2, 4])
@every_kernel
def test_every_width_gives_the_same_bits(name: str, width: int) -> None:
    points = list(zip(*domain_points(name, 20)))
    assert same_bits(compiled(width)[name](*points), compiled()[name](*points))


def test_sine_and_cosine_stay_within_1() -> None:
    points = np.random.default_rng(0).uniform(-1e5, 1e5, 100_000)
    points[:50_000] = np.round(points[:50_000]) * (math.pi / 2)
    assert np.abs(compiled()["sin"](points)).max() <= 1.0
    assert np.abs(compiled()["cos"](points)).max() <= 1.0


# ---- the face ------------------------------------------------------------------------


def test_vector_function_is_defined_once_and_kept_inside_its_module() -> None:
    module = ir.Module()
    first = vector_function(module, "log", 4)
    assert vector_function(module, "log", 4) is first
    assert first.linkage == "internal"
    assert [str(kind) for kind in first.ftype.args] == ["<4 x double>"]


@pytest.mark.parametrize("name", ["gamma", "lgamma", "polygamma", "dot", "unknown"])
def test_rows_without_a_kernel_have_no_vector_function(name: str) -> None:
    assert vector_function(ir.Module(), name, 8) is None


def test_kernels_take_the_operands_of_their_rows() -> None:
    arities = {name: row_of(name).arity for name in KERNELS if name != "hypot"}
    assert arities == {name: arity_of(name) for name in arities}
