"""Random words to the shell: a report, or a refusal of at most three lines."""

from __future__ import annotations

import random

import pytest
from seeds import seeds

from autograd.__main__ import main

WORDS = [
    "x", "y", "x", "y", "sin", "log", "maximum", "where", "ln", "max", "(", ")", "(",
    ")", "+", "-", "*", "/", "**", "^", "//", ",", "=", "<", "2", "3.5", "1e400", "pi",
    "e", " ", "²", "·", "|", "!", "'", "[", "]", ".", "@", "#", "\\", "é", "\n", "in",
    "if", "else", "lambda", ":", ";", "__import__", "nan", "1j", "√", "\0", "\ud800",
]  # fmt: skip
SENTENCES = [
    "x*y", "sin(x)/y", "x**y", "log(x) + y", "where(x < y, x, y)", "tan(x)*y", "x % y",
    "abs(x - y)", "floor(x)*y", "gamma(x) + y", "atan2(x, y)", "hypot(x, y)", "x - x*y",
    "exp(x)**y", "acosh(x)*lgamma(y)", "clip(x, 0, y)", "cbrt(x)*sqrt(y)",
]  # fmt: skip
REST = [
    "x=1", "y=2", "x=0", "y=0", "x=-1", "x=1e308", "x=1e-308", "x=5e-324", "x=nan",
    "y=inf", "x=-inf", "x=pi/2", "x=", "=", "z=1", "x=1e999", "--wrt", "x", "--order",
    "2", "--latex", "-x", "--", "--wrt=y", "--order=0", "-", "x=-0.0", "x=\0",
]  # fmt: skip


def arguments(source: random.Random) -> list[str]:
    """An expression or nonsense, values for it or nonsense, in any order."""
    if source.random() < 0.6:
        argv = [source.choice(SENTENCES)]
        for name in "x", "y":
            size = 10.0 ** source.choice([0, source.uniform(-300, 300)])
            value = source.choice([0.0, 1.0, -1.0, float("inf"), size, -size])
            argv.append(f"{name}={value!r}")
    else:
        argv = ["".join(source.choices(WORDS, k=source.randint(0, 9)))]
        argv += source.choices(REST, k=source.randint(0, 5))
    if source.random() < 0.2:
        source.shuffle(argv)
    return argv


@pytest.mark.parametrize("seed", seeds(4))
def test_shell_answers_random_words(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(60):
        argv = arguments(random.Random(1000 * seed + k))
        code = main(argv or ["x"])
        out, err = capsys.readouterr()
        if code == 0:
            assert out and not err, argv
        else:
            assert code == 2 and not out, argv
            assert err.startswith("autograd: "), argv
            assert len(err.rstrip("\n").split("\n")) <= 3, argv
