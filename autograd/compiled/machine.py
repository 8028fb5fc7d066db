"""Whether machine code can be had here, or why not.

NumPy and llvmlite are not required: lists and generated Python give the same results.
One that is broken may raise anything when it is imported (OSError for a library that
is not there, AttributeError for a version that does not fit), and is as good as none.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType


@cache
def native() -> tuple[ModuleType | None, str]:
    """The module that compiles by LLVM and its reason "", or None and why not."""
    try:
        from . import native as found
    except ModuleNotFoundError as error:
        return None, f"{error.name} is not installed"
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return None, f"NumPy or llvmlite cannot be imported ({text[:200]})"
    return found, ""
