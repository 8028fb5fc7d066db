"""The command line: what it prints, and how it refuses."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from autograd import accelerated, accelerator
from autograd.__main__ import InputError, compute, main, parse

ENGINE = "C engine" if accelerated else f"pure Python engine: {accelerator.reason}"


def run(capsys, *argv):
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def refusal(capsys, *argv):
    """What is printed on stderr for bad input, having checked what is always true."""
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    lines = err.rstrip("\n").split("\n")
    assert 1 <= len(lines) <= 3
    assert all(len(line) <= 230 for line in lines)
    assert lines[0].startswith("autograd: ")
    return err


def test_main_takes_the_walkthrough_apart(capsys):
    code, out, _ = run(capsys, "exp(sin(x**2))", "x=1.5")
    assert code == 0
    for piece in [
        "exp(sin(x**2)) = 2.177273044783055  at x = 1.5",
        "v = x²", "u = sin(v)", "y = e^u",
        "dv/dx = 2·x", "du/dv = cos(v)", "dy/du = e^u",
        "dy/dx = dy/du · du/dv · dv/dx",
        "= 2.177273 · (-0.62817362) · 3",
        "dy/dx = -4.1031164885938205   (-4.103116489)",
    ]:  # fmt: skip
        assert piece in out


def test_main_without_arguments_shows_the_walkthrough(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    assert "dy/dx = -4.1031164885938205" in out
    assert "--help" in out


def test_main_gives_the_whole_gradient(capsys):
    _, out, _ = run(capsys, "x*y + sin(x)", "x=2", "y=3")
    assert "∂z/∂x = 2.5838531634528574" in out
    assert "∂z/∂y = 2.0" in out


def test_main_differentiates_with_respect_to_the_names_asked_for(capsys):
    _, out, _ = run(capsys, "x*y + sin(x)", "x=2", "y=3", "--wrt", "y")
    assert "∂z/∂y = 2.0" in out
    assert "∂z/∂x =" not in out


def test_main_goes_to_higher_orders(capsys):
    _, out, _ = run(capsys, "x**4", "x=2", "--order", "5")
    for line in "dy/dx = 32.0", "d²y/dx² = 48.0", "d³y/dx³ = 48.0", "d⁴y/dx⁴ = 24.0":
        assert line in out
    assert "d⁵y/dx⁵ = 0.0" in out


def test_main_prints_latex(capsys):
    _, out, _ = run(capsys, "exp(sin(x**2))", "x=1.5", "--latex")
    assert out.startswith(r"\begin{aligned}")
    assert r"\frac{dy}{du} \cdot \frac{du}{dv} \cdot \frac{dv}{dx}" in out


def test_main_knows_constants_and_lets_values_be_constant_expressions(capsys):
    _, out, _ = run(capsys, "sin(pi*x) + e - tau", "x=pi/2")
    assert "dy/dx" in out
    _, out, _ = run(capsys, "x", "x=-2e-3")
    assert "x = -0.002" in out


def test_main_takes_expressions_that_start_with_a_minus(capsys):
    code, out, _ = run(capsys, "-x**2", "x=3")
    assert code == 0
    assert "dy/dx = -6.0" in out


def test_main_differentiates_once_by_a_name_given_twice(capsys):
    _, out, _ = run(capsys, "x*y", "x=1", "y=2", "--wrt", "x,x")
    assert out.count("∂z/∂x = 2.0   (2)") == 1


def test_main_reads_several_lines_as_one(capsys):
    _, out, _ = run(capsys, "x\r\n+ 1\t", "x=2")
    assert out.startswith("x  + 1 = 3.0")


def test_main_reads_names_as_python_does(capsys):
    code, out, _ = run(capsys, "ﬁ + 1", "ﬁ=2")
    assert code == 0
    assert "dy/dfi = 1.0" in out


def test_main_survives_terminals_and_pipes_that_do_not_take_its_output():
    root = Path(__file__).parent.parent
    program = f"{sys.executable} -m autograd 'x**2' x=3"
    for line in f"PYTHONIOENCODING=ascii {program}", f"{program} | true":
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_main_of_a_constant_says_that_it_depends_on_nothing(capsys):
    code, out, _ = run(capsys, "sin(1) + 2")
    assert code == 0
    assert "depends on no variable" in out


def test_main_writes_the_drawing(capsys, tmp_path):
    path = tmp_path / "graph.svg"
    code, out, _ = run(capsys, "exp(sin(x**2))", "x=1.5", "--svg", str(path))
    assert code == 0
    assert str(path) in out
    text = path.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "-4.10312" in text


@pytest.mark.parametrize(
    ("argv", "pieces"),
    [
        (["sine(x)", "x=1"], ["no function is called 'sine'", "did you mean 'sin'"]),
        (["x + zz", "x=1"], ["'zz' has no value", "add zz=number", "      ^"]),
        (["x", "x=1", "y=2"], ["'y' has a value but is not used", "leave out y="]),
        (["x", "x=abc"], ["must be a finite number", "x=abc", "    ^"]),
        (["x", "x="], ["must be a finite number"]),
        (["x", "x=1e999"], ["must be a finite number"]),
        (["x", "x=1/0"], ["must be a finite number"]),
        (["x", "5"], ["must look like x=1.5"]),
        (["x", "x=1", "x=2"], ["two values"]),
        (["e*x", "x=1", "e=2"], ["'e' is taken"]),
        (["x +* 2", "x=1"], ["cannot be read", "     ^"]),
        (["2x", "x=1"], ["cannot be read"]),
        (["", "x=1"], ["cannot be read"]),
        (["x.real", "x=1"], ["attribute is not arithmetic"]),
        (["x[0]", "x=1"], ["subscript is not arithmetic"]),
        (["(lambda: x)()", "x=1"], ["not arithmetic"]),
        (["[x for x in y]", "y=1"], ["not arithmetic"]),
        (["'text'"], ["not arithmetic", "write a real number"]),
        (["__import__('os')"], ["not arithmetic"]),
        (["__import__(x)", "x=1"], ["no function is called '__import__'"]),
        (["x^2", "x=1"], ["a power is written **"]),
        (["x // 2", "x=1"], ["write floor(a / b)"]),
        (["x if x > 0 else 1", "x=1"], ["write where(condition, a, b)"]),
        (["1j*x", "x=1"], ["complex 1j is not arithmetic"]),
        (["True*x", "x=1"], ["no numbers"]),
        (["1e999*x", "x=1"], ["too large"]),
        (["sin", "x=1"], ["'sin' is a function; call it"]),
        (["x+alhpa", "x=1", "alpha=2"], ["'alhpa' has no value"]),
        (["x # twice", "x=1"], ["a comment cannot stand here", "    ^"]),
        (["9" * 5000 + "*x", "x=1"], ["too many digits"]),
        (["2+3", "--svg", "graph.svg"], ["--svg needs a graph"]),
        (["x*x", "x=1", "--svg", ""], ["--svg must be a path"]),
        (["x*x", "x=1", "--order", "2", "--latex"], ["leave out --order"]),
        (["sin + x", "x=1"], ["'sin' is a function; call it"]),
        (["sin(x, 2)", "x=1"], ["must be called with 1 argument(s), but has 2"]),
        (["sin(x=x)", "x=1"], ["not arithmetic"]),
        (["f\0(x)", "x=1"], ["null byte"]),
        (["x", "x=1", "--order", "0"], ["--order", "1 to 10"]),
        (["x", "x=1", "--order", "two"], ["--order"]),
        (["x", "x=1", "--wrt", "z"], ["--wrt must name variables (x)"]),
        (["x", "x=1", "--frobnicate"], ["unknown option '--frobnicate'"]),
        (["(" * 10_000 + "x" + ")" * 10_000, "x=1"], ["nested too deeply"]),
        (["-" * 10_000 + "x", "x=1"], ["nested too deeply"]),
        (["sin(" * 10_000 + "x" + ")" * 10_000, "x=1"], ["nested too deeply"]),
        (["x**" * 10_000 + "x", "x=1"], ["nested too deeply"]),
    ],
)
def test_main_refuses_bad_input_in_three_lines(capsys, argv, pieces):
    err = refusal(capsys, *argv)
    for piece in pieces:
        assert piece in err


def test_main_clips_the_source_around_the_caret(capsys):
    source = "x+" * 200 + "oops" + "+x" * 200
    err = refusal(capsys, source, "x=1")
    _, piece, caret = err.rstrip("\n").split("\n")
    assert len(piece) <= 80
    assert piece[caret.index("^") :].startswith("oops")


def test_main_points_at_the_right_place_behind_unicode(capsys):
    err = refusal(capsys, "  é + β*oops", "é=1", "β=2")
    _, piece, caret = err.rstrip("\n").split("\n")
    assert piece[caret.index("^") :].startswith("oops")


def test_main_with_an_unwritable_path_writes_nothing(capsys, tmp_path):
    path = tmp_path / "missing" / "graph.svg"
    err = refusal(capsys, "x*x", "x=1", "--svg", str(path))
    assert "--svg" in err
    assert list(tmp_path.iterdir()) == []


def test_compute_never_evaluates_python():
    evil = "().__class__.__bases__[0].__subclasses__()"
    with pytest.raises(InputError):
        compute(evil, parse(evil), {})


def test_python_m_autograd_runs_as_a_program():
    root = Path(__file__).parent.parent
    for argv, code in [(["--version"], 0), (["--help"], 0), (["x@x", "x=1"], 2)]:
        done = subprocess.run(
            [sys.executable, "-m", "autograd", *argv],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        if argv == ["--version"]:
            assert f"({ENGINE})" in done.stdout
        if argv == ["--help"]:
            assert "examples:" in done.stdout


@pytest.mark.parametrize("name", ["numpy", "llvmlite"])
@pytest.mark.parametrize(
    "error", ["OSError", "AttributeError", "RuntimeError", "ImportError"]
)
def test_broken_numpy_or_llvmlite_is_as_good_as_none(name, error, tmp_path):
    (tmp_path / f"{name}.py").write_text(f"raise {error}('broken')\n")
    program = (
        "from autograd import jit, vmap, Value, grad\n"
        "f = jit(lambda x: x * x if x > 0 else -x)\n"
        "print([f(3.0) for _ in range(200)][-1], f(-1.0), f(Value(2.0)).data)\n"
        "print(vmap(lambda x: x * x)([1.0, 2.0]))\n"
        "print(vmap(grad(lambda w, x: w * x), (None, 0), 'sum')(1.0, [1.0, 2.0]))\n"
        "from nn import MLP, fit\n"
        "fit(MLP(1, [1]), [[0.0]] * 32, [0.0] * 32, epochs=700, progress=False)\n"
        "from autograd.__main__ import main\n"
        "main(['--version'])\n"
    )
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), root])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    *numbers, version = done.stdout.splitlines()
    assert numbers == ["9.0 1.0 4.0", "[1.0, 4.0]", "3.0"]
    assert f"({ENGINE}), no machine code: " in version
    assert f"{error}: broken" in version
