"""Long straight lines as few loops: like operations on one level, run side by side."""

from .code import compile as compile
