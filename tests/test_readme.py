"""What the README prints from the table must be what the table says.

`python tests/test_readme.py` writes the list of edge conventions into the README anew.
"""

import re
import sys
from pathlib import Path

from autograd import Primitive, primitives

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- edges: made from the table -->\n", "<!-- end of edges -->"


def number(x: float) -> str:
    return f"{x:.6g}"


def edges_table() -> str:
    lines = ["| at | value | partials |", "|---|---|---|"]
    for row in vars(primitives).values():
        if isinstance(row, Primitive):
            for args, value, partials in row.edges:
                place = f"{row.name}({', '.join(map(number, args))})"
                slopes = ", ".join(map(number, partials))
                lines.append(f"| {place} | {number(value)} | {slopes} |")
    return "\n".join(lines) + "\n\n"


def test_readme_lists_every_edge_convention_of_the_table():
    text = README.read_text(encoding="utf-8")
    assert text.split(START)[1].split(END)[0].strip() == edges_table().strip()


def test_readme_names_only_files_that_exist():
    text = README.read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


def test_readmes_first_command_brings_what_its_first_screen_imports():
    text = README.read_text(encoding="utf-8")
    first = text.partition("pip install")[2].partition("\n\n")[0]
    screen = text.partition("\n## A short tour")[0]
    imported = set(re.findall(r"^>>> (?:import|from) (\w+)", screen, re.M))
    others = imported - {"autograd", "nn"} - sys.stdlib_module_names
    assert others == {"numpy"} and "numpy" in first.split()


if __name__ == "__main__":
    before, rest = README.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    README.write_text(before + START + edges_table() + END + after, encoding="utf-8")
