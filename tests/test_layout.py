"""The arrows of DESIGN.md's layout, read off the source: who may import whom, and when.

primitives ← rules, watch ← value ← trees, graph ← transforms ← check → differences;
primitives ← absent ← trees;  copies → value;  vector, recorder → transforms, value;
traced → absent, graph, recorder;
transforms, compiled → signatures → value;  show, compiled, science → engine;
nn → public names

What only type checkers import is no arrow.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import autograd
from autograd import Primitive, Value, primitives

ROOT = Path(__file__).resolve().parent.parent
ENGINE = (
    "primitives", "absent", "rules", "watch", "value", "copies", "trees", "signatures",
    "graph", "transforms", "vector", "recorder", "traced", "differences", "check",
)  # fmt: skip
HEAVY = {
    "ast", "asyncio", "dataclasses", "decimal", "fractions", "graphviz", "hypothesis",
    "inspect", "json", "llvmlite", "logging", "matplotlib", "mpmath", "numpy",
    "pathlib", "pickle", "pygraphviz", "random", "scipy", "sklearn", "statistics",
    "subprocess", "tempfile", "torch", "tqdm", "unittest", "urllib",
}  # fmt: skip


class Import(NamedTuple):
    """One imported name: where from, and whether only when a function is called."""

    module: str
    name: str
    function: str


def imports_of(path: Path) -> Iterator[Import]:
    """Every import in a file, relative ones spelt out."""
    package = list(path.relative_to(ROOT).parent.parts)
    yield from _imports(ast.parse(path.read_text(encoding="utf-8")), package, "")


def _imports(node: ast.AST, package: list[str], function: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, "", function)
        elif isinstance(child, ast.ImportFrom):
            base = package[: len(package) - child.level + 1] if child.level else []
            module = ".".join([*base, *([child.module] if child.module else [])])
            for alias in child.names:
                yield Import(module, alias.name, function)
        inside = function
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = child.name
        yield from _imports(child, package, inside)


def project_imports(path: Path) -> list[tuple[str, str]]:
    """(module of this project, the function that imports it or "") for each import."""
    found = []
    for module, name, function in imports_of(path):
        inner = f"{module}.{name}"
        if module in ("autograd", "autograd.show", "autograd.compiled", "nn"):
            parts = inner.split(".")
            is_module = ROOT.joinpath(*parts).with_suffix(".py").exists()
            module = inner if is_module or ROOT.joinpath(*parts).is_dir() else module
        if module.split(".")[0] in ("autograd", "nn"):
            found.append((module, function))
    return found


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    "module, allowed",
    [
        ("accelerator", set()),
        ("special", set()),
        ("primitives", {"accelerator", "special"}),
        ("formulas", {"primitives"}),
        ("_rows", {"primitives", "formulas"}),
        ("absent", {"accelerator", "primitives"}),
        ("rules", {"primitives"}),
        ("watch", {"accelerator", "primitives"}),
        ("value", {"accelerator", "primitives", "rules", "watch"}),
        ("copies", {"primitives", "value"}),
        ("trees", {"absent", "primitives", "value"}),
        ("signatures", {"primitives", "value"}),
        ("graph", {"accelerator", "primitives", "value"}),
        (
            "transforms",
            {
                "accelerator",
                "graph",
                "primitives",
                "watch",
                "value",
                "trees",
                "signatures",
            },
        ),  # fmt: skip
        ("vector", {"absent", "primitives", "value", "transforms"}),
        ("recorder", {"accelerator", "primitives", "transforms", "value"}),
        (
            "traced",
            {"absent", "accelerator", "graph", "primitives", "recorder", "value"},
        ),
        ("differences", set()),
        ("check", {"differences", "primitives", "value", "trees", "transforms"}),
    ],
)
def test_engine_imports_go_one_way(module: str, allowed: set[str]) -> None:
    at_import = {
        name
        for name, function in project_imports(ROOT / "autograd" / f"{module}.py")
        if not function
    }
    assert at_import <= {f"autograd.{name}" for name in allowed}


def test_engine_imports_others_only_to_show_a_value_or_a_row_and_for_scipy() -> None:
    lazy = {
        (path.stem, function, name)
        for path in (ROOT / "autograd" / f"{module}.py" for module in ENGINE)
        for name, function in project_imports(path)
        if function and name.removeprefix("autograd.") not in ENGINE
    }
    shown = {("value", "_repr_svg_"), ("value", "_repr_mimebundle_")}
    sparse = ("transforms", "_in_science", "autograd.science")
    assert {item[:2] for item in lazy - {sparse}} <= {*shown, ("primitives", "__get__")}
    assert all(name.startswith("autograd.show") for *_, name in lazy - {sparse})


def test_engine_imports_no_third_party_module_at_import() -> None:
    for module in (*ENGINE, "__init__"):
        for name, _, function in imports_of(ROOT / "autograd" / f"{module}.py"):
            top = name.split(".")[0]
            known = top in sys.stdlib_module_names or top in ("autograd", "__future__")
            assert function or known, f"{module} imports {name}"


def test_package_imports_show_and_compiled_lazily() -> None:
    for name, function in project_imports(ROOT / "autograd" / "__init__.py"):
        if name.startswith(
            ("autograd.show", "autograd.compiled", "autograd.science", "nn")
        ):
            assert function


@pytest.mark.parametrize(
    "folder, forbidden",
    [
        ("autograd/show", ("nn", "autograd.compiled")),
        ("autograd/compiled", ("nn", "autograd.show")),
        ("autograd/science", ("nn", "autograd.show", "autograd.compiled")),
    ],
)
def test_show_and_compiled_import_the_engine_alone(
    folder: str, forbidden: tuple[str, ...]
) -> None:
    for path in files(folder):
        for name, _ in project_imports(path):
            assert not any(
                name == other or name.startswith(other + ".") for other in forbidden
            ), f"{path.name} imports {name}"


def test_nothing_in_autograd_imports_nn() -> None:
    for path in files("autograd"):
        for name, _ in project_imports(path):
            assert name.split(".")[0] != "nn", f"{path.name} imports {name}"


def test_nn_imports_only_public_names() -> None:
    for path in files("nn"):
        used = {
            name or module
            for module, name, _ in imports_of(path)
            if module.split(".")[0] == "autograd"
        } | attributes_of(path, "autograd")
        assert used <= {"autograd", *autograd.__all__}, path.name


def attributes_of(path: Path, name: str) -> set[str]:
    """The attributes that a file takes from a variable of that name."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    }


def test_layout_reads_relative_and_lazy_imports() -> None:
    tree = ast.parse(
        "from . import primitives as p\n"
        "from .value import Value\n"
        "def f():\n    from ..nn import MLP\n    import numpy.linalg\n"
        "if TYPE_CHECKING:\n    from .compiled.jit import Compiled\n"
    )
    assert list(_imports(tree, ["autograd", "show"], "")) == [
        Import("autograd.show", "primitives", ""),
        Import("autograd.show.value", "Value", ""),
        Import("autograd.nn", "MLP", "f"),
        Import("numpy.linalg", "", "f"),
    ]


# ---- what is loaded, and what is offered ---------------------------------------------


def modules_loaded_by(statement: str, root: Path = ROOT) -> set[str]:
    """The modules that a statement adds to those of a fresh interpreter."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_loads_no_heavy_module() -> None:
    loaded = modules_loaded_by("import autograd")
    assert "autograd.transforms" in loaded
    assert not {name.split(".")[0] for name in loaded} & HEAVY
    assert not [
        name
        for name in loaded
        if name.startswith(
            ("autograd.show", "autograd.compiled", "autograd.science", "nn")
        )
    ]


def test_using_the_engine_loads_no_heavy_module() -> None:
    loaded = modules_loaded_by(
        "import autograd as ag\n"
        "x = ag.Value(1.5); (x.sin() * x).backward()\n"
        "ag.hessian(lambda p: ag.exp(p['a']) * p['b'])({'a': 1.0, 'b': 2.0})\n"
        "ag.hvp(ag.tanh, (1.0,), (1.0,))"
    )
    assert not {name.split(".")[0] for name in loaded} & HEAVY


def test_nn_loads_no_plotting_data_or_array_module() -> None:
    loaded = {name.split(".")[0] for name in modules_loaded_by("import nn")}
    assert not loaded & {"graphviz", "matplotlib", "numpy", "pygraphviz", "sklearn"}


def test_engine_stands_without_show_compiled_and_nn(tmp_path: Path) -> None:
    (tmp_path / "autograd").mkdir()
    for path in (ROOT / "autograd").glob("*.py"):
        shutil.copy(path, tmp_path / "autograd")
    loaded = modules_loaded_by(
        "import autograd as ag\n"
        f"assert ag.__file__.startswith({str(tmp_path)!r})\n"
        "ag.check_grads(lambda x: ag.exp(ag.sin(x * x)), (1.5,))\n"
        "assert ag.grad(ag.grad(lambda x: x**3))(2.0) == 12.0",
        root=tmp_path,
    )
    assert "autograd.check" in loaded


ROWS = {
    name: row
    for name, row in vars(primitives).items()
    if isinstance(row, Primitive) and not name.startswith("_")
}


def test_rows_bear_the_name_they_are_bound_to() -> None:
    assert len(ROWS) > 60
    assert {name: row.name for name, row in ROWS.items()} == {n: n for n in ROWS}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_row_is_importable_from_the_package(name: str) -> None:
    assert getattr(autograd, name) is ROWS[name]
    assert name in autograd.__all__


@pytest.mark.parametrize("name", sorted(n for n, row in ROWS.items() if row.arity == 1))
def test_unary_row_is_a_method_of_value(name: str) -> None:
    y = getattr(Value(1.25), name)()
    assert type(y) is Value and y.op == name
    assert getattr(Value, name).__name__ == name
    assert repr(y.data) == repr(ROWS[name](Value(1.25)).data)


@pytest.mark.parametrize(
    "alias, name",
    [
        ("arcsin", "asin"),
        ("arccos", "acos"),
        ("arctan", "atan"),
        ("arcsinh", "asinh"),
        ("arccosh", "acosh"),
        ("arctanh", "atanh"),
        ("rad2deg", "degrees"),
        ("deg2rad", "radians"),
        ("absolute", "abs"),
    ],
)
def test_numpy_spelling_is_the_same_method(alias: str, name: str) -> None:
    assert getattr(Value, alias) is getattr(Value, name)


def test_all_lists_each_public_name_once_and_no_other() -> None:
    lazy = autograd._LAZY
    public = {
        name
        for name, item in vars(autograd).items()
        if not name.startswith("_") and type(item) is not type(autograd)
    }
    assert len(autograd.__all__) == len(set(autograd.__all__))
    assert set(autograd.__all__) == public | set(lazy)


@pytest.mark.parametrize("name", autograd.__all__)
def test_every_name_in_all_can_be_imported(name: str) -> None:
    assert getattr(autograd, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="autograd.*no attribute 'tensor'"):
        autograd.tensor  # noqa: B018


def test_every_transform_of_the_design_is_public() -> None:
    calls = "grad value_and_grad vjp jvp jacobian hessian hvp check_grads ravel"
    assert set(calls.split()) <= set(autograd.__all__)


def test_every_row_of_the_design_is_public() -> None:
    rows = """add sub mul div neg pow mod exp exp2 expm1 log log2 log10 log1p sqrt cbrt
        sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc gamma
        lgamma polygamma hypot abs sign floor ceil copysign degrees radians maximum
        minimum where clip sigmoid softplus relu leaky_relu silu gelu logsumexp dot prod
        fma less less_equal greater greater_equal equal not_equal stop_gradient"""
    assert set(rows.split()) <= set(ROWS)
