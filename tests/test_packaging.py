"""What is built and shipped, and which engine runs where it is installed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from in_python import needs_c

import autograd

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
EXTENSIONS = {extension["name"]: extension for extension in SETUPTOOLS["ext-modules"]}
for_each_extension = pytest.mark.parametrize("name", EXTENSIONS)


def run(*argv: str, root: Path = ROOT, **environment: str) -> str:
    """What Python prints, given these arguments and the packages in root."""
    inherited = {k: v for k, v in os.environ.items() if k != "AUTOGRAD_PURE"}
    done = subprocess.run(
        [sys.executable, "-B", *argv],
        env={**inherited, "PYTHONPATH": str(root), **environment},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def unbuilt(tmp_path: Path) -> Path:
    """A folder with the package as it is where no compiler was found."""
    built = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(ROOT / "autograd", tmp_path / "autograd", ignore=built)
    return tmp_path


# ---- what is declared ----------------------------------------------------------------


def test_extensions_are_the_engine_the_calls_and_rolled_code() -> None:
    assert set(EXTENSIONS) == {
        "autograd._value",
        "autograd.compiled._call",
        "autograd.compiled.rolled._rolled",
    }


@for_each_extension
def test_extension_is_optional_so_that_no_compiler_is_needed(name: str) -> None:
    assert EXTENSIONS[name]["optional"] is True
    for source in EXTENSIONS[name]["sources"]:
        assert (ROOT / source).is_file()


@for_each_extension
def test_extension_keeps_to_the_api_of_the_oldest_python(name: str) -> None:
    oldest = re.fullmatch(r">=3\.(\d+)", PYPROJECT["project"]["requires-python"])
    assert oldest is not None
    minor = int(oldest[1])
    assert EXTENSIONS[name]["py-limited-api"] is True
    macros = EXTENSIONS[name]["define-macros"]
    assert ["Py_LIMITED_API", f"0x03{minor:02X}0000"] in macros
    wheel = PYPROJECT["tool"]["distutils"]["bdist_wheel"]
    assert wheel["py-limited-api"] == f"cp3{minor}"


@for_each_extension
def test_extension_never_fuses_a_product_with_a_sum(name: str) -> None:
    assert "-ffp-contract=off" in EXTENSIONS[name]["extra-compile-args"]


def test_every_package_and_data_file_is_shipped() -> None:
    packages = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("autograd", "nn")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert set(SETUPTOOLS["packages"]) == packages
    for name in packages:
        folder = ROOT.joinpath(*name.split("."))
        patterns = ["*.py", *SETUPTOOLS["package-data"].get(name, [])]
        shipped = {path for pattern in patterns for path in folder.glob(pattern)}
        built = {".so", ".pyd", ".c", ".h"}
        files = {path for path in folder.iterdir() if path.is_file()}
        assert {path for path in files if path.suffix not in built} == shipped


@for_each_extension
def test_stub_names_what_the_extension_has(name: str) -> None:
    stub = ROOT.joinpath(*name.split(".")).with_suffix(".pyi")
    tree = ast.parse(stub.read_text())
    defined = ast.FunctionDef, ast.ClassDef
    stated = {node.name for node in tree.body if isinstance(node, defined)}
    constants = [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    stated |= {target.id for target in constants if isinstance(target, ast.Name)}
    stated |= {
        alias.asname
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert stated
    if autograd.accelerated:
        extension = vars(import_module(name))
        assert stated == {name for name in extension if not name.startswith("__")}


# ---- which engine runs ---------------------------------------------------------------


def test_version_says_that_python_was_chosen() -> None:
    said = run("-m", "autograd", "--version", AUTOGRAD_PURE="1")
    assert said.endswith("(pure Python engine: AUTOGRAD_PURE is set)\n")


@needs_c
def test_version_says_that_c_runs() -> None:
    assert run("-m", "autograd", "--version").endswith("(C engine)\n")


COMPUTE = (
    "import autograd as a; x = a.Value(2.0); (x * x).backward(); "
    "print(x.grad, a.accelerated, a.accelerator.reason)"
)


def test_without_the_extension_python_runs_and_says_so(unbuilt: Path) -> None:
    assert run("-S", "-c", COMPUTE, root=unbuilt) == (  # -S: an editable install
        "4.0 False autograd._value was not built (no C compiler at install time?)\n"
    )


def test_extension_that_cannot_be_loaded_leaves_python_and_the_reason(
    unbuilt: Path,
) -> None:
    from importlib.machinery import EXTENSION_SUFFIXES

    broken = unbuilt / "autograd" / f"_value{EXTENSION_SUFFIXES[0]}"
    broken.write_bytes(b"no shared library")
    grad, accelerated, *reason = run("-S", "-c", COMPUTE, root=unbuilt).split()
    assert (grad, accelerated) == ("4.0", "False")
    assert any(broken.name in word for word in reason)


SUBINTERPRETER = """
import autograd, {module} as interpreters
inner = interpreters.create()
interpreters.run_string(inner, '''
import sys
sys.path[:] = {path!r}
{compute}
sys.stdout.flush()
''')
interpreters.destroy(inner)
x = autograd.Value(3.0); (x * x).backward()
print(x.grad, autograd.accelerated)
"""


@needs_c
def test_subinterpreter_runs_python_and_leaves_the_first_one_in_c() -> None:
    names = [n for n in ("_interpreters", "_xxsubinterpreters") if find_spec(n)]
    if not names:
        pytest.skip("this Python has no module for subinterpreters")
    program = SUBINTERPRETER.format(module=names[0], path=sys.path, compute=COMPUTE)
    inner, outer = run("-c", program).splitlines()
    assert inner.startswith("4.0 False ") and "interpreter" in inner
    assert outer == "6.0 True"
