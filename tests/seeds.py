"""Seeds of random programs: the first is tried wherever tests run, the others are slow.

CI leaves out slow tests on the engine in Python and under sanitizers.
"""

from __future__ import annotations

from typing import Any

import pytest


def seeds(count: int) -> list[Any]:
    return [0, *[pytest.param(k, marks=pytest.mark.slow) for k in range(1, count)]]
