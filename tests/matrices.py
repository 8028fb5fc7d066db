"""What tests ask of sparse matrices: where entries are, and if dense ones agree."""

from __future__ import annotations

from typing import Any

import numpy as np

Entries = set[tuple[int, int]]


def entries(matrix: Any) -> Entries:
    """Where a matrix has entries, be they zero or not."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return set(zip(rows.tolist(), matrix.indices.tolist()))


def lower(matrix: Any) -> Entries:
    found = entries(matrix)
    assert found == {(j, i) for i, j in found}
    return {(i, j) for i, j in found if i >= j}


def require_equal(matrix: Any, dense: Any, most: float = 1e-12) -> None:
    """Where both are finite they agree, and where there is no entry there is nothing.

    A NaN may be 0·inf of an operand that an entry does not depend on.
    """
    found = matrix.toarray()
    dense = np.asarray(dense, float).reshape(found.shape)
    there = np.isfinite(dense)
    scale = 1.0 + np.max(np.abs(dense[there]), initial=0.0)
    assert np.all(np.isfinite(found[there]))
    assert np.all(np.abs(dense[there] - found[there]) <= most * scale)


def same_bits(one: Any, other: Any) -> bool:
    parts = ("indptr", "indices", "data")
    return all(
        getattr(one, part).tobytes() == getattr(other, part).tobytes() for part in parts
    )


def rosenbrock(x: Any) -> Any:
    total = 0.0
    for a, b in zip(x, x[1:]):
        total = total + 100.0 * (b - a**2) ** 2 + (1.0 - a) ** 2
    return total
