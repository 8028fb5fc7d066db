"""What `import autograd` adds to a bare Python: `python tests/benchmarks/imports.py`.

Fresh isolated interpreters in turn, one that imports and one that does not; a sample is
the difference of two neighbours, from start to exit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from time import perf_counter

from figures import ROOT, Figure, print_figures

BARE = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
IMPORT = BARE + "; import autograd"


def milliseconds(program: str) -> float:
    """How long a fresh interpreter takes to run the program."""
    start = perf_counter()
    subprocess.run([sys.executable, "-I", "-c", program], check=True)
    return (perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--samples", type=int, default=60, help="pairs of runs")
    samples = parser.parse_args().samples
    milliseconds(IMPORT)  # compiles the byte code, as an installation does
    added = [milliseconds(IMPORT) - milliseconds(BARE) for _ in range(samples)]
    print_figures([Figure("import autograd, over bare", added, " ms", "at most", 25.0)])


if __name__ == "__main__":
    main()
