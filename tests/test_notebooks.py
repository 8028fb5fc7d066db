"""The notebooks as they are committed: complete, portable, and what the code prints.

After a change to a notebook, or to what it shows, `python tests/test_notebooks.py` runs
all of them in place. Pictures are not compared: their bytes depend on the versions of
Graphviz and matplotlib, where the text depends on this project alone. Exercises have
answers folded in Markdown, whose code is run where it stands.
"""

from __future__ import annotations

import os
import re
from copy import deepcopy
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LESSONS = NOTEBOOKS[:3]  # those with exercises
MOST_BYTES = 600_000
KERNEL = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}

_number = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|\bnan\b")
_image = re.compile(r'"image/png": "[^"]*"')
_folded = re.compile(r"<details>\n<summary>[^<]+</summary>\n\n(.*?)\n</details>", re.S)
_block = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.S)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def run(notebook: Any) -> None:
    nbclient.NotebookClient(
        notebook,
        timeout=300,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(ROOT)}},
    ).execute(env={k: v for k, v in os.environ.items() if k != "MPLBACKEND"})


def execute(path: Path) -> Any:
    """The notebook run afresh, without what would change from run to run."""
    notebook = read(path)
    run(notebook)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in code_cells(notebook):
        if "live" in cell.metadata.get("tags", []):  # a widget: nothing without Python
            cell.outputs = []
    return notebook


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: Any) -> dict[str, str]:
    """What each cell shows as text, by the cell's id."""
    shown = {}
    for cell in code_cells(notebook):
        pieces = [
            output.get("text") or output["data"].get("text/plain", "")
            for output in cell.outputs
        ]
        shown[cell.id] = "\n".join(pieces)
    return shown


class Answer(NamedTuple):
    """A block of code in a folded answer, and what the answer says that it prints."""

    code: str
    printed: str


def answers(cell: Any) -> list[Answer]:
    folded = _folded.findall(cell.source) if cell.cell_type == "markdown" else []
    return [Answer(*block) for text in folded for block in _block.findall(text)]


def with_answers(notebook: Any) -> tuple[Any, dict[str, Answer]]:
    """The notebook with every answer as a cell behind its exercise, and these by id."""
    inserted: dict[str, Answer] = {}
    filled = deepcopy(notebook)
    filled.cells = []
    for cell in notebook.cells:
        filled.cells.append(deepcopy(cell))
        for answer in answers(cell):
            name = f"answer-{len(inserted)}"
            inserted[name] = answer
            filled.cells.append(nbformat.v4.new_code_cell(answer.code, id=name))
    return filled, inserted


def alike(a: str, b: str) -> bool:
    """Whether two texts differ only in digits that another libm would round away."""
    pairs = zip(_number.findall(a), _number.findall(b))
    return _number.sub("#", a) == _number.sub("#", b) and all(
        x == y or isclose(float(x), float(y), rel_tol=1e-3, abs_tol=1e-8)
        for x, y in pairs
    )


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def test_alike_tells_a_changed_number_from_rounding() -> None:
    assert alike("error 2e-16, slope -4.103116", "error 0e+00, slope -4.103117")
    assert not alike("slope -4.103116", "slope -4.203116")
    assert not alike("slope 1", "slopes 1")


@every_notebook
def test_notebook_was_run_from_top_to_bottom(path: Path) -> None:
    cells = code_cells(read(path))
    counts = [cell.execution_count for cell in cells]
    assert counts == [*range(1, len(cells) + 1)]


@every_notebook
def test_notebook_shows_no_error_and_no_widget(path: Path) -> None:
    notebook = read(path)
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert not [kind for kind in kinds if "widget" in kind]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@every_notebook
def test_notebook_is_small_and_names_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    written = _image.sub("", text)
    folders = [str(ROOT), str(Path.home()), "/home/", "/tmp/", "/Users/", ":\\\\"]
    assert not [name for name in folders if len(name) > 2 and name in written]


@every_notebook
def test_notebook_is_valid_with_cell_ids_that_last(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert not [name for name in ids if not re.fullmatch(r"[a-z][a-z-]*", name)]


@pytest.mark.slow
@every_notebook
def test_notebook_shows_what_the_code_prints(path: Path) -> None:
    committed, fresh = texts(read(path)), texts(execute(path))
    stale = [name for name in fresh if not alike(committed[name], fresh[name])]
    assert not stale, "run python tests/test_notebooks.py and look at what changed"


@every_notebook
def test_notebook_folds_every_answer_and_says_what_it_prints(path: Path) -> None:
    cells = [cell for cell in read(path).cells if cell.cell_type == "markdown"]
    opened = sum(cell.source.count("<details") for cell in cells)
    assert opened == sum(len(_folded.findall(cell.source)) for cell in cells)
    found = [answer for cell in cells for answer in answers(cell)]
    assert sum(cell.source.count("```python") for cell in cells) == len(found)
    assert not [answer.code for answer in found if not answer.printed]


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_notebook_answers_print_what_they_say(path: Path) -> None:
    notebook, inserted = with_answers(read(path))
    assert inserted
    run(notebook)
    printed = texts(notebook)
    wrong = {
        name: printed[name]
        for name, answer in inserted.items()
        if not alike(printed[name].strip(), answer.printed.strip())
    }
    assert not wrong


if __name__ == "__main__":
    for notebook_path in NOTEBOOKS:
        nbformat.write(execute(notebook_path), notebook_path)
