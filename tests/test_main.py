"""The command line: what it prints, and how it refuses."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from autograd import accelerated, accelerator
from autograd.__main__ import InputError, compute, main, parse
from autograd.expressions import ELSEWHERE, FUNCTIONS

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


def program(line, **variables):
    """What a line of the shell gives, run for real."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    )


MODULE = f"{sys.executable} -m autograd"


@pytest.mark.parametrize("argv", ["'x**2' x=3", "--version", "--help"])
def test_main_survives_pipes_that_close(argv):
    done = program(f"{MODULE} {argv} | true")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("argv", ["'x**2' x=3", "--version", "--help"])
def test_main_says_that_a_full_disk_takes_nothing(argv):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    done = program(f"{MODULE} {argv} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith(b"autograd: the output cannot be written: ")
    assert done.stderr.count(b"\n") == 1


def test_other_names_are_of_no_function_there_is():
    assert not set(ELSEWHERE) & set(FUNCTIONS)
    words = {word for other in ELSEWHERE.values() for word in re.findall(r"\w+", other)}
    assert words <= {*FUNCTIONS, *"abxy", "condition", "0", "1", "2", "3", "5"}


def test_main_writes_in_the_characters_that_a_terminal_has():
    done = program(f"{MODULE} 'x**12*y' x=3 y=0 --order 2", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    for line in "u = x^12", "dz/du = dz/dz * y", "d^2z/dx^2 = 0.0", "12*x^11":
        assert line.encode() in done.stdout
    assert b"\\" not in done.stdout
    done = program(f"{MODULE} 'é*β*oops' é=1 β=2", PYTHONIOENCODING="ascii")
    _, piece, caret = done.stderr.decode("ascii").rstrip("\n").split("\n")
    assert piece[caret.index("^") :] == "oops"
    done = program(f"{MODULE} 'x**2*y' x=3 y=1", PYTHONIOENCODING="latin-1")
    assert "u = x²".encode("latin-1") in done.stdout
    assert b"dz/dy = 9.0" in done.stdout


NOWHERE = "no difference can be had"


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["log(x)", "x=-1"], [f"dy/dx = nan   ({NOWHERE})", "1. domain: y = log(x"]),
        (["exp(x)", "x=1000"], [f"dy/dx = inf   ({NOWHERE})", "1. overflow: y = exp"]),
        (["x**2", "x=1e200"], [f"dy/dx = 2e+200   ({NOWHERE})", "1. overflow: y = "]),
        (["acosh(x)", "x=0.1"], [f"dy/dx = nan   ({NOWHERE})", "1. domain: y = acosh"]),
        (["1/x", "x=0"], [f"dy/dx = -inf   ({NOWHERE})", "1. pole: y = div"]),
        (["sqrt(x)", "x=0"], [f"dy/dx = inf   ({NOWHERE})", "1. infinite slope: "]),
        (["cbrt(x)", "x=0"], [f"dy/dx = inf   ({NOWHERE})", "1. infinite slope: "]),
        (["sin(x)", "x=nan"], [f"dy/dx = nan   ({NOWHERE})", "1. input: the input x"]),
        (["atan(x)", "x=inf"], [f"dy/dx = 0.0   ({NOWHERE})"]),
        (["lgamma(x)", "x=-1"], [f"dy/dx = nan   ({NOWHERE})", "1. pole: y = lgamma"]),
        (
            ["abs(x)", "x=0"],
            ["dy/dx = 0.0   (a kink: the slope is -1 to the left and 1 to the right)",
             "1. kink: y = abs(x = 0) = 0 is exactly at its kink"],
        ),
        (
            ["maximum(x, 2e-19)", "x=2e-19"],
            ["dy/dx = 0.5   (a kink: the slope is 0 to the left and 1 to the right)"],
        ),
        (
            ["floor(x)", "x=2"],
            ["dy/dx = 0.0   (a kink: there is a jump of 1)", "1. step: y = floor("],
        ),
        (["log(x)", "x=1e-300", "--order", "2"], [f"d²y/dx² = -inf   ({NOWHERE})"]),
        (["abs(x)", "x=0", "--order", "2"], ["d²y/dx² = 0.0   (a kink: there is a "]),
        (["cos(x)", "x=pi"], ["dy/dx = -1.2246467991473532e-16   (0 ± "]),
        (["x**1.5", "x=0"], ["dy/dx = 0.0   (0 ± "]),
        (["sin(x)", "x=1e15"], ["dy/dx = -0.5131937377869703   (-0.51319"]),
        (["exp(-x/8.6e-5)", "x=1e-3"], ["dy/dx = -0.1"]),
        (["9e16+0.5*m*v**2", "m=1", "v=1"],
         ["∂y/∂m = 0.5   (0.5", "∂y/∂v = 1.0   (1)"]),
        (["300+k*T", "k=1.38e-23", "T=300"], ["∂y/∂T = 1.38e-23   (1.38e-23)"]),
        (["log(1+x)", "x=1e-17"], ["dy/dx = 1.0   (1)"]),
        (["tanh(x)", "x=30"], ["dy/dx = 3.502604305078608e-26   (0 ± "]),
        (["erf(x)", "x=7"], ["dy/dx = 5.9159629580030695e-22   (0 ± "]),
        (["cos(x)", "x=1e-20"], ["dy/dx = -1e-20   (0 ± "]),
        (["x*x", "x=1e-170"], ["dy/dx = 2e-170   (0 ± "]),
        (["floor(x)", "x=2.5"], ["dy/dx = 0.0   (0)"]),
        (["sin(x)", "x=1e300"], ["(floats are too far apart here to show it)"]),
        (["abs(sin(x))", "x=pi"], ["(a kink: the slope is -1 to the left and 1 to"]),
        (["x==1", "x=1"], ["dy/dx = 0.0   (a kink: there is a jump of 1)"]),
        (["(exp(x)-1)/x", "x=1e-10"],
         ["dy/dx = -826.4037094116211   (0.5; rounding moves the derivative)"]),
    ],
)  # fmt: skip
def test_main_says_what_differences_can_tell(capsys, argv, lines):
    code, out, err = run(capsys, *argv)
    assert (code, err) == (0, "")
    for line in lines:
        assert line in out
    assert out.count("Derivatives (central differences)") == 1


def test_main_says_once_why_several_derivatives_are_what_they_are(capsys):
    _, out, _ = run(capsys, "x/y", "x=1", "y=0")
    verdicts = "∂z/∂x = inf: infinite\n∂z/∂y = -inf: infinite\n1. pole: z = div(x = 1,"
    assert verdicts in out
    assert out.count("remedy") == 1
    _, out, _ = run(capsys, "exp(sin(x**2))", "x=1.5")
    assert "remedy" not in out


def test_main_takes_options_between_arguments(capsys):
    _, first, _ = run(capsys, "x*y", "x=1", "y=2", "--wrt", "y", "--order", "2")
    for argv in [
        ["--wrt", "y", "x*y", "x=1", "--order", "2", "y=2"],
        ["x*y", "--order=2", "x=1", "--wrt=y", "y=2"],
        ["--order", "2", "--wrt", "y", "x*y", "x=1", "y=2"],
    ]:
        assert run(capsys, *argv) == (0, first, "")


def test_main_adds_up_long_sums(capsys):
    code, out, _ = run(capsys, "+".join("x" * 2000), "x=1.5")
    assert code == 0
    assert "dy/dx = 2000.0" in out


def test_main_folds_lines_for_a_narrow_terminal(capsys, monkeypatch):
    argv = ["exp(sin(x**2))*log(x)/y", "x=1.5", "y=0", "--order", "2"]
    wide = run(capsys, *argv)[1]
    for columns in 80, 60, 40, 25:
        monkeypatch.setenv("COLUMNS", str(columns))
        narrow = run(capsys, *argv)[1]
        assert max(map(len, narrow.splitlines())) <= columns
        assert narrow.split() == wide.split()
        lines = refusal(capsys, "x + " * 30 + "oops", "x=1").splitlines()
        assert max(map(len, lines[1:])) <= columns
        assert lines[1][lines[2].index("^") :].startswith("oops")


def test_main_folds_no_latex(capsys, monkeypatch):
    argv = ["exp(sin(x**2))*log(x)", "x=1.5", "--latex"]
    wide = run(capsys, *argv)
    monkeypatch.setenv("COLUMNS", "30")
    assert run(capsys, *argv) == wide


def test_main_without_a_renderer_gives_the_report_all_the_same(
    capsys, monkeypatch, tmp_path
):
    def missing(*args):
        raise RuntimeError("draw: a renderer must be installed, but there is none")

    monkeypatch.setattr("autograd.show.draw.draw.render", missing)
    path = tmp_path / "graph.svg"
    code, out, err = run(capsys, "x*x", "x=3", "--svg", str(path))
    assert code == 2
    assert "dy/dx = 6.0   (6)" in out
    assert "drawn in" not in out
    assert err == (
        "autograd: --svg: draw: a renderer must be installed, but there is none\n"
    )
    assert not path.exists()


def test_main_says_what_it_wrote_beside_latex(capsys, tmp_path):
    path = tmp_path / "graph.svg"
    code, out, _ = run(capsys, "x*x", "x=3", "--latex", "--svg", str(path))
    assert code == 0
    assert path.exists()
    assert out.endswith(f"\\end{{aligned}}\n\n% The graph is drawn in {path}\n")


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


REFUSED = [
    (["sine(x)", "x=1"], ["no function is called 'sine'", "did you mean 'sin'"]),
    (["x + zz", "x=1"], ["'zz' has no value", "add zz=number", "      ^"]),
    (["x", "x=1", "y=2"], ["'y' has a value but is not used", "leave out y="]),
    (["x", "x=abc"], ["must be a finite number", "x=abc", "    ^"]),
    (["x", "x="], ["must be a finite number"]),
    (["x", "x=1e999"], ["must be a finite number"]),
    (["x", "x=1/0"], ["must be a finite number", "but is inf", "write x=inf"]),
    (["x", "x=-1e999"], ["below 1.8e308", "write x=-inf if that is meant"]),
    (["x", "x=0/0"], ["write x=nan if that is meant"]),
    (["x", "x=1,5"], ["must be a finite number such as 1.5"]),
    (["x", "x=1 2"], ["must be a finite number", "    ^"]),
    (["x", "x=y", "y=1"], ["must be a finite number"]),
    (["x", "x=nan()"], ["must be a finite number"]),
    (["x", "x=="], ["must be a finite number"]),
    (["x", "5"], ["must look like x=1.5"]),
    (["x", "x", "=", "1"], ["must look like x=1.5, without spaces"]),
    (["x", "x:1"], ["must look like x=1.5"]),
    (["x", "=1"], ["must look like x=1.5"]),
    (["x", "1=x"], ["must look like x=1.5"]),
    (["x=1", "sin(x)"], ["the expression comes first", '"sin(x)" x=1']),
    (["x=1", "y=2", "x*y"], ["the expression comes first", '"x*y" x=1 y=2']),
    (["x=1"], ["the expression comes first"]),
    (["--latex"], ["the expression is missing"]),
    (["x", "sin=3"], ["'sin' is taken"]),
    (["x", "x=1", "x=2"], ["two values"]),
    (["e*x", "x=1", "e=2"], ["'e' is taken"]),
    (["x +* 2", "x=1"], ["cannot be read", "     ^"]),
    (["2x", "x=1"], ["cannot be read (write 2*x)"]),
    (["3sin(x)", "x=1"], ["write 3*sin"]),
    (["x y", "x=1", "y=2"], ["write x*y"]),
    (["x 2", "x=1"], ["write x*2"]),
    (["sin x", "x=1"], ["write sin(x)"]),
    (["(x)x", "x=1"], ["a product is written )*"]),
    (["x²", "x=1"], ["a power is written **2", "   ^"]),
    (["x⁻¹", "x=1"], ["a power is written **-1"]),
    (["sin²(x)", "x=1"], ["a power is written **2"]),
    (["x×2", "x=1"], ["a product is written *"]),
    (["x÷2", "x=1"], ["a quotient is written /"]),
    (["x−2", "x=1"], ["minus is written -"]),
    (["√x", "x=1"], ["a root is written sqrt(x)"]),
    (["x≤2", "x=1"], ["write <="]),
    (["|x|", "x=1"], ["write abs(x) for |x|"]),
    (["x!", "x=1"], ["a factorial is written gamma(x + 1)"]),
    (["y = x**2", "x=1"], ["leave out what is left of ="]),
    (["f(x)=x", "x=1"], ["leave out what is left of ="]),
    (["x;x", "x=1"], ["leave out ;"]),
    (["x$", "x=1"], ["leave out $"]),
    (["'x", "x=1"], ["leave out '"]),
    (["(x", "x=1"], ["'(' was never closed"]),
    (["x)", "x=1"], ["unmatched ')'", "   ^"]),
    (["x +", "x=1"], ["cannot be read", "     ^"]),
    (["1.2.3", "x=1"], ["cannot be read"]),
    (["yield", "x=1"], ["cannot be read"]),
    ([" ", "x=1"], ["it is empty"]),
    (["\ud800", "x=1"], ["half a character cannot stand here"]),
    (["x+x\u202e", "x=1"], ["cannot be read", "x+x?"]),
    (["ln(x)", "x=1"], ["did you mean 'log'?"]),
    (["tg(x)", "x=1"], ["did you mean 'tan'?"]),
    (["SIN(x)", "x=1"], ["did you mean 'sin'?"]),
    (["Exp(x)", "x=1"], ["did you mean 'exp'?"]),
    (["max(x, 1)", "x=1"], ["did you mean 'maximum'?"]),
    (["min(x, 1)", "x=1"], ["did you mean 'minimum'?"]),
    (["arcsin(x)", "x=1"], ["did you mean 'asin'?"]),
    (["cot(x)", "x=1"], ["did you mean '1/tan(x)'?"]),
    (["round(x)", "x=1"], ["did you mean 'floor(x + 0.5)'?"]),
    (["np.sin(x)", "x=1"], ["call sin by its name alone, sin(x)"]),
    (["math.pi*x", "x=1"], ["attribute is not arithmetic"]),
    (["PI*x", "x=1"], ["did you mean 'pi'?"]),
    (["π*x", "x=1"], ["did you mean 'pi'?"]),
    (["X", "x=1"], ["did you mean 'x'?"]),
    (["xy", "x=1", "y=2"], ["did you mean 'x*y'?"]),
    (["sinx", "x=1"], ["did you mean 'sin(x)'?"]),
    (["x(x+1)", "x=1"], ["'x' is no function; a product is written x*"]),
    (["2(x+1)", "x=1"], ["a product is written *, as in 2*(x + 1)"]),
    (["x and 1", "x=1"], ["and is not arithmetic", "a * b"]),
    (["not x", "x=1"], ["not is not arithmetic"]),
    (["x|1", "x=1"], ["| is not arithmetic"]),
    (["x@x", "x=1"], ["@ is not arithmetic", "dot(a, b)"]),
    (["~x", "x=1"], ["~ is not arithmetic"]),
    (["0<x<2", "x=1"], ["write (a < b) * (b < c) for a < b < c"]),
    (["1,5*x", "x=1"], ["a comma is not arithmetic", "as in 1.5"]),
    (["f'{x}'", "x=1"], ["text is not arithmetic"]),
    (["lambda x: x", "x=1"], ["lambda is not arithmetic"]),
    (["None", "x=1"], ["NoneType None is not arithmetic"]),
    (["...", "x=1"], ["not arithmetic"]),
    (["await x", "x=1"], ["not arithmetic"]),
    (["x==1 in x", "x=1"], ["not arithmetic"]),
    (["", "x=1"], ["cannot be read", "it is empty"]),
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
    (["dot(x, x, x)", "x=1"], ["dot: operands must come in two halves"]),
    (["where(x, 1)", "x=1"], ["must be called with 3 argument(s), but has 2"]),
    (["x*x", "x=1", "--svg", "graph.png"], ["SVG", "write --svg graph.svg"]),
    (["x*x", "x=1", "--svg", "GRAPH.PDF"], ["SVG", "write --svg GRAPH.svg"]),
    (["x*x", "x=1", "--svg", os.sep], ["--svg", "folder"]),
    (["x", "x=1", "--order"], ["--order: expected one argument"]),
    (["x", "x=1", "--order", "1.5"], ["1 to 10"]),
    (["x", "x=1", "--order", "-1"], ["1 to 10"]),
    (["x", "x=1", "--order", "9" * 5000], ["1 to 10"]),
    (["x", "--order", "2", "x=1", "--order", "3"], ["--order must be given once"]),
    (["x*y", "--wrt", "x", "x=1", "--wrt", "y", "y=2"], ["write --wrt x,y"]),
    (["x", "x=1", "--wrt", ""], ["--wrt must name variables (x), but names ''"]),
    (["x", "x=1", "--wrt", "X"], ["did you mean 'x'?"]),
    (["x", "x=1", "--lates"], ["unknown option '--lates' (did you mean '--latex'?)"]),
    (["x", "x=1", "--Order", "2"], ["did you mean '--order'?"]),
    (["x", "x=1", "-o"], ["unknown option '-o'"]),
    (["x", "x=1", "--order", "0"], ["--order", "1 to 10"]),
    (["x", "x=1", "--order", "two"], ["--order"]),
    (["x", "x=1", "--wrt", "z"], ["--wrt must name variables (x)"]),
    (["x", "x=1", "--frobnicate"], ["unknown option '--frobnicate'"]),
    (["x", "+", "1", "x=2"], ['must be in quotes: "x + 1" x=2']),
    (["x", "-", "1", "x=2"], ['must be in quotes: "x - 1" x=2']),
    (["x", "-1", "x=2"], ['must be in quotes: "x -1" x=2']),
    (["sin(", "x", ")", "x=1"], ['must be in quotes: "sin( x )" x=1']),
    (["x·y", "x=1", "y=2"], ["a product is written *"]),
    (["x·sin(x)", "x=1"], ["a product is written *"]),
    (["lambda*x", "x=1"], ["'lambda' is a word of Python; take another name"]),
    (["is*x", "x=1"], ["'is' is a word of Python", "  ^"]),
    (["if+x", "x=1"], ["'if' is a word of Python"]),
    (["x*in", "x=1"], ["'in' is a word of Python", "    ^"]),
    (["x*def", "x=1"], ["'def' is a word of Python", "    ^"]),
    (["x + class", "class=1"], ["'class' is a word of Python"]),
    (["x", "class=1"], ["'class' is a word of Python; give the variable another"]),
    (["x", "x=2^3"], ["such as 1.5, -2e-3 or pi/2 (a power is written **):", "   ^"]),
    (["x", "x=2π"], ["(write 2*pi)"]),
    (["x", "x=π"], ["(did you mean 'pi'?)"]),
    (["x", "x=−1"], ["(minus is written -)"]),
    (["x", "x=½"], ["(a fraction is written a/b, as in 1/2)"]),
    (["x", "x=5m"], ["(leave out m)"]),
    (["x", "x=-1.5e3 kg"], ["(leave out kg)"]),
    (["x", "x=50%"], ["(write 50/100)"]),
    (["0x1F + y +", "y=1"], ["(something is missing at its end)", " " * 12 + "^"]),
    (["1_000*x +", "x=1"], ["(something is missing at its end)"]),
    (["1j*x +", "x=1"], ["(something is missing at its end)"]),
    (["x and y +", "x=1", "y=1"], ["(something is missing at its end)"]),
    (["0x1Fy", "y=1"], ["invalid hexadecimal literal"]),
    ([".5x", "x=1"], ["(write .5*x)"]),
    (["1e5x", "x=1"], ["(write 1e5*x)"]),
    (["1e5 x", "x=1"], ["(write 1e5*x)"]),
    (["1_000x", "x=1"], ["(write 1_000*x)"]),
    (["12²*x", "x=1"], ["a power is written **2"]),
    (["softmax(x, y)", "x=1", "y=2"], ["did you mean 'exp(x - logsumexp(x, y))'?"]),
    (["psi(x)", "x=1"], ["did you mean 'digamma'?"]),
    (["(" * 10_000 + "x" + ")" * 10_000, "x=1"], ["nested too deeply"]),
    (["-" * 10_000 + "x", "x=1"], ["nested too deeply"]),
    (["sin(" * 10_000 + "x" + ")" * 10_000, "x=1"], ["nested too deeply"]),
    (["x**" * 10_000 + "x", "x=1"], ["nested too deeply"]),
    (["+".join("x" * 20_000), "x=1"], ["has too many terms"]),
    (["x"] * 3, ["must look like x=1.5"]),
]  # fmt: skip


def test_main_refuses_bad_input_in_three_lines(capsys):
    assert len(REFUSED) > 100
    for argv, pieces in REFUSED:
        err = refusal(capsys, *argv)
        assert all(piece in err for piece in pieces), (argv, err)


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
