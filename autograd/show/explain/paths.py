"""The ways from a result back to its inputs, and what multiplying along each costs.

Each path is a product of local derivatives, and the products of all paths to an input
add up to its derivative. That is what back-propagation avoids: paths multiply, where
adjoints are computed once each and handed on. Shown for the contrast.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from ...value import Value

MOST_PATHS: Final = 8  # for one input, the largest first

Step = tuple[Value, Value, float]  # (result, operand, local derivative)


@dataclass(frozen=True)
class Path:
    """One way from the result back to an input: its product of local derivatives."""

    product: float
    steps: tuple[Step, ...]  # backwards, from the result


@dataclass(frozen=True)
class Sensitivity:
    """An input, its derivative, and the paths that add up to it, the largest first."""

    leaf: Value
    derivative: float
    paths: tuple[Path, ...]
    count: int

    @property
    def rest(self) -> float:
        """What the paths that are not shown add up to."""
        return self.derivative - sum(path.product for path in self.paths)


@dataclass(frozen=True)
class Cost:
    """How many products there are, of how many factors, and both ways' work."""

    products: int
    longest: int
    multiplications: int
    by_adjoints: int

    @property
    def words(self) -> str:
        """The contrast in a sentence.

        >>> Cost(13, 9, 61, 24).words
        '13 products of up to 9 factors, 61 multiplications; by adjoints 24'
        """
        products = _count(self.products, "product")
        work = _count(self.multiplications, "multiplication")
        return (
            f"{products} of up to {_count(self.longest, 'factor')}, {work}; by "
            f"adjoints {self.by_adjoints}"
        )


def edges(node: Value) -> list[tuple[Value, float]]:
    """Each operand once, with its local derivative: the sum where it is used twice."""
    sums: dict[Value, float] = {}
    for parent, partial in zip(node.parents, node.partials):
        sums[parent] = sums[parent] + partial if parent in sums else partial
    return list(sums.items())


def cost(y: Value, order: list[Value]) -> Cost:
    """What all products from y to its leaves take, and what a sweep takes instead.

    A product of k factors takes k - 1 multiplications. A sweep takes one for each
    operand of each operation but y, whose adjoint is 1.

    >>> x = Value(2.0); u = x.sin(); y = u * u + u
    >>> cost(y, [u, y.parents[0], y])
    Cost(products=2, longest=3, multiplications=3, by_adjoints=2)
    """
    paths = {y: (1, 0, 0)}  # to each: how many, their lengths together, the longest
    products = multiplications = longest = by_adjoints = 0
    for node in reversed(order):
        n, length, most = paths.pop(node)
        found = edges(node)
        by_adjoints += 0 if node is y else len(found)
        for parent, _ in found:
            before = paths.get(parent, (0, 0, 0))
            paths[parent] = (
                before[0] + n,
                before[1] + length + n,
                max(before[2], most + 1),
            )
    for n, length, most in paths.values():
        products += n
        multiplications += length - n
        longest = max(longest, most)
    return Cost(products, longest, multiplications, by_adjoints)


def path_counts(y: Value, order: list[Value]) -> dict[Value, int]:
    """How many paths lead from y to each Value."""
    counts = {y: 1}
    for node in reversed(order):
        for parent, _ in edges(node):
            counts[parent] = counts.get(parent, 0) + counts[node]
    return counts


def largest_paths(y: Value, order: list[Value]) -> dict[Value, tuple[Path, ...]]:
    """For each leaf the paths with the largest products, without listing them all.

    The k largest at an operand are among the k largest at the results it goes into.
    """
    best: dict[Value, list[_Link]] = {y: [_Link(1.0, 0)]}
    serial = 0
    for node in reversed(order):
        here = heapq.nlargest(MOST_PATHS, best.pop(node), key=_Link.size)
        for parent, partial in edges(node):
            for link in here:
                serial += 1
                step = (node, parent, partial)
                longer = _Link(link.product * partial, serial, step, link)
                best.setdefault(parent, []).append(longer)
    return {
        leaf: tuple(
            Path(link.product, link.steps())
            for link in heapq.nlargest(MOST_PATHS, links, key=_Link.size)
        )
        for leaf, links in best.items()
        if leaf is not y
    }


@dataclass(frozen=True)
class _Link:
    """A path that is being extended: its last step, and the path before that."""

    product: float
    serial: int
    step: Step | None = None
    before: _Link | None = None

    def size(self) -> tuple[float, int]:
        return abs(self.product), -self.serial

    def steps(self) -> tuple[Step, ...]:
        found: list[Step] = []
        link: _Link | None = self
        while link is not None and link.step is not None:
            found.append(link.step)
            link = link.before
        return tuple(reversed(found))


def _count(n: int, what: str) -> str:
    """So many things, by a power of ten where nobody would read the digits."""
    shown = str(n) if n < 10**9 else f"about 10^{_log10(n)}"
    return f"{shown} {what}{'s' * (n != 1)}"


def _log10(n: int) -> int:
    return int((n.bit_length() - 1) * 0.30103)
