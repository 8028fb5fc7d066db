"""For every test: plans that it compiles are checked, and its memory is not clean."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from plans import watched

ENGINES = ("autograd", "autograd_in_python")


@pytest.fixture(autouse=True, scope="session")
def _watched() -> Iterator[None]:
    with watched(*[name for name in ENGINES if name in sys.modules]):
        yield
