"""A chain of operations as its chain rule, and paths of any graph as products.

dy/dx = dy/du · du/dv · dv/dx = e^u · cos(v) · 2·x = 2.18 · (-0.628) · 3 ≈ -4.10
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from ...value import Value
from ..latex import MOST_OPERANDS, PLAIN, Style, factor_text, partial_terms, total
from .adjoints import Sweep
from .equations import Equation, Section, Side, factor, sign_of
from .paths import Path, Sensitivity, edges
from .tables import Pairs

MOST_FACTORS: Final = 9  # of one path
MOST_LEAVES: Final = 20
WIDTH: Final = 64  # of a sum of products on one line

Factors = tuple[list[str], list[str], list[str]]  # names, symbols and numbers


def chain_pairs(sweep: Sweep, style: Style) -> Pairs:
    """Every variable of a chain, with its local derivative."""
    rows = []
    for node in sweep.order:
        slopes = []
        for operand, share in islice(sweep.handed_on(node, style), MOST_OPERANDS):
            symbols, slope = share.symbols[0], style.number(share.partial)
            sides = [Side([text]) for text in dict.fromkeys([symbols, slope])]
            slopes.append(Equation(_ratio(sweep, node, operand, style), sides))
        rows.append((sweep.computed(node, style), slopes))
    return Pairs("Forward: every variable, and its local derivatives", rows)


def products(
    title: str,
    sweep: Sweep,
    sensitivities: Sequence[Sensitivity],
    notes: Sequence[str],
    style: Style,
) -> Section:
    """dy/dx as products of local derivatives, in symbols, numbers, and the result."""
    told = [_told(sweep, found, style) for found in sensitivities[:MOST_LEAVES]]
    return Section(title, told, notes, stacked=True, is_backward=True)


def _told(sweep: Sweep, found: Sensitivity, style: Style) -> Equation:
    names, several = sweep.names, len(sweep.leaves) > 1
    left = style.ratio(names[sweep.y], names[found.leaf], partial=several)
    result = style.number(found.derivative)
    paths = found.paths
    if not paths or not paths[0].steps:
        return Equation(left, [Side([result])])
    if found.count == 1 and len(paths[0].steps) == 1:
        symbols, _ = _symbol(sweep, *paths[0].steps[0][:2], style)
        return Equation(left, [Side([x]) for x in dict.fromkeys([symbols, result])])
    written = [_factors(sweep, path, style) for path in paths]
    ratios, symbols_of, numbers = (_sum(list(x), style) for x in zip(*written))
    short = sum(map(len, ratios)) < WIDTH and found.count == len(paths)
    if not short and found.count > 1:
        return Equation(left, [*_listed(found, written, style), Side([result])])
    sides = [Side(ratios)]
    sides += [Side(symbols_of)] if found.count == 1 else []
    sign = _sign(paths, found.derivative, style)
    return Equation(left, [*sides, Side(numbers), Side([result], sign)])


def _listed(found: Sensitivity, written: list[Factors], style: Style) -> Iterator[Side]:
    """A line for each path."""
    for k, (path, (ratios, _, numbers)) in enumerate(zip(found.paths, written)):
        sign = _sign([path], path.product, style)
        sign = r"\approx" if style.latex and sign == "≈" else sign
        pieces = [*_product(ratios, style), *_product(numbers, style, " = ")]
        pieces.append(f" {sign} {style.number(path.product)}")
        yield Side(pieces, "+" if k else "=")
    hidden = found.count - len(found.paths)
    if hidden:
        rest = PLAIN.number(found.rest)
        yield Side([style.words(f"({hidden} more paths, together {rest})")], "+")


def _factors(sweep: Sweep, path: Path, style: Style) -> Factors:
    ratios = [_ratio(sweep, z, x, style) for z, x, _ in path.steps]
    symbols = [
        factor_text(_symbol(sweep, z, x, style), style) for z, x, _ in path.steps
    ]
    numbers = [factor(partial, style) for _, _, partial in path.steps]
    return _elided(ratios, style), _elided(symbols, style), _elided(numbers, style)


def _ratio(sweep: Sweep, z: Value, x: Value, style: Style) -> str:
    several = len(edges(z)) > 1
    return style.ratio(sweep.names[z], sweep.names[x], partial=several)


def _symbol(sweep: Sweep, z: Value, x: Value, style: Style) -> tuple[str, int]:
    terms = zip(z._args, partial_terms(z, sweep.names, style))
    return total([term for arg, term in terms if arg is x and term], style)


def _elided(factors: list[str], style: Style) -> list[str]:
    """The middle of a long product is counted, not shown."""
    if len(factors) <= MOST_FACTORS:
        return factors
    hidden = len(factors) - MOST_FACTORS + 1
    half = MOST_FACTORS // 2
    gap = style.words(f"({hidden} factors)")
    return [*factors[:half], gap, *factors[half + hidden :]]


def _product(factors: list[str], style: Style, before: str = "") -> list[str]:
    dot = r" \cdot " if style.latex else " · "
    return [before + factors[0], *(dot + factor for factor in factors[1:])]


def _sum(products: list[list[str]], style: Style) -> list[str]:
    """A sum of products in pieces."""
    return [
        piece
        for k, factors in enumerate(products)
        for piece in _product(factors, style, " + " if k else "")
    ]


def _sign(paths: Iterable[Path], result: float, style: Style) -> str:
    found = [[partial for _, _, partial in path.steps] for path in paths]
    return sign_of(found, result, style.digits)
