"""One run explained: every adjoint once, from those that were computed before it.

A chain of operations is shown as its chain rule, a product read backwards. Anything
else is shown as the sweep goes: forward, every variable; backward, every adjoint as the
sum of what its users hand on, so that each is computed once and used again below. Where
the graph is a layered network, it is told in vectors first, layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...primitives import brief
from ...value import Value, require_current, topological
from ..inside import opened
from ..latex import LATEX, PLAIN, Style, Told, made_by, require_switch
from ..names import input_values, variable_names
from .adjoints import Sweep
from .chain import chain_pairs, products
from .equations import SHORT, SHORT_LATEX, Equation, Section, columns
from .layers import Network, find_network
from .paths import (
    Cost,
    Sensitivity,
    cost,
    edges,
    largest_paths,
    path_counts,
)
from .recursion import loss_nodes, network_sections, telling_point, too_deep
from .summary import first_rows, summary
from .tables import Part, aligned_latex, html_of, markdown_of, text_of

MOST_ROWS: Final = 60  # of a chain; beyond these a summary is given
MOST_NODES: Final = 40  # of anything else
MOST_BESIDE: Final = 30  # rows that stand below what is told of a network
MOST_LEAVES: Final = 20
MOST_PASSED: Final = 24  # of what paths pass, with lines of their own
MOST_USERS: Final = 8  # of an adjoint that is opened, and twice as many of theirs
MOST_WRITTEN: Final = 3  # terms of a row that has one line

ADJOINTS: Final = ("adjoint", "value", "from its users")


def explain(
    y: Value, node: Value | None = None, *, inside: bool = False, paths: bool = False
) -> Explanation:
    """Take one computed Value apart: variables, local derivatives, adjoints.

    >>> x = Value(1.5, label="x")
    >>> print(explain((x**2).sin()))
    Forward: every variable, and its local derivatives
      u = x²      = 2.25         du/dx = 2·x    = 3
      y = sin(u)  = 0.7780732    dy/du = cos(u) = -0.62817362
    <BLANKLINE>
    Backward: the chain rule
      dy/dx = dy/du · du/dx
            = cos(u) · 2·x
            = (-0.62817362) · 3
            = -1.8845209

    Where there are several ways back, each adjoint is computed once, as the sum of
    adjoint · local derivative over all that use the variable:

    >>> print(explain(x * x.sin()))
    Forward: every variable
      u = sin(x) = 0.997495
      y = x·u    = 1.49624
    <BLANKLINE>
    Backward: each adjoint once, from those above it
      ∂y/∂v, the adjoint of v: the sum of adjoint · local derivative over its users.
      ∂y/∂y = 1
      ∂y/∂u = ∂y/∂y · x = 1 · 1.5 = 1.5
    <BLANKLINE>
    The inputs, in the same way
      ∂y/∂x = ∂y/∂y · u + ∂y/∂u · cos(x) = 1 · 0.997495 + 1.5 · 0.0707372 = 1.1036

    node    opens one adjoint: what it came about from, its users and theirs
    inside  shows the operations inside a call of a compiled function, which is one
            variable else
    paths   shows the products along every path, as the contrast

    Raises TypeError unless y is a Value, ValueError if a leaf was assigned since, or if
    y was not computed from the node.
    """
    if not isinstance(y, Value):
        raise TypeError(
            f"explain: y must be a Value, but is {brief(y)} ({type(y).__name__}); "
            "compute it from Values, as in x = Value(1.5); explain(x.sin())"
        )
    if node is not None and not isinstance(node, Value):
        raise TypeError(
            f"explain: node must be a Value that y was computed from, but is "
            f"{brief(node)}; switches are given by name, as in inside=True"
        )
    require_switch("explain", inside)
    require_switch("explain", paths, "paths")
    if inside:
        found = opened([y], "explain")
        y, node = found.roots[0], None if node is None else found.copy(node)
    return Explanation(y, node, paths)


class Explanation(Told):
    """What `explain` gives: print it, or read `.text`, `.markdown`, `.latex`, `.html`.

    A graph of more than 40 operations that is no network, or a chain of more than 60,
    is summarised: its operations are counted, and its largest adjoints shown.
    """

    def __init__(self, y: Value, node: Value | None = None, paths: bool = False):
        self.y, self.node, self.with_paths = y, node, paths
        whole = topological(y, whole=True)
        self.order = topological(y)
        for operation in self.order:
            require_current(operation, "explain")
        self.leaves = input_values(y, whole)
        self._require_node(whole)
        self.adjoints = adjoints(y, self.order)
        self.is_chain = len(self.leaves) == 1 and all(
            len(edges(operation)) < 2 for operation in self.order
        )
        self.network = None if self.is_chain else find_network(whole, self.adjoints)
        self.names = self._names(whole)
        most = MOST_ROWS if self.is_chain else MOST_NODES
        self.summarised = len(self.order) > most
        self.sensitivities = self._sensitivities()
        in_rows = self.network if node is None or self._has_row(node) else None
        letters = self.network.letters(y, self.leaves) if self.network else {}
        deltas = self.network.deltas(letters["δ"]) if self.network else {}
        self.sweep = Sweep(
            y, self.order, self.leaves, self.names, self.adjoints, in_rows, deltas
        )

    def _require_node(self, whole: list[Value]) -> None:
        node = self.node
        if node is None or any(node is x for x in (self.y, *whole, *self.leaves)):
            return
        raise ValueError(
            f"explain: node must be a Value that y was computed from, but "
            f"{brief(node)} is not; pass one of its inputs or results on the way"
        )

    def _has_row(self, node: Value) -> bool:
        return self.network is None or node not in self.network.inner

    def _names(self, whole: list[Value]) -> dict[Value, str]:
        """All names, those of a network first, what has no row of its own last."""
        if self.network is None:
            order = whole if self.node is not None else self.order
            return variable_names(self.y, order, self.leaves)
        given = self.network.names(self.y, self.leaves)
        rows = [node for node in whole if self._has_row(node)]
        given = variable_names(self.y, rows, self.leaves, given)
        return variable_names(self.y, whole, self.leaves, given)

    def _sensitivities(self) -> list[Sensitivity]:
        found = self.with_paths or not self.summarised
        paths = largest_paths(self.y, self.order) if found else {}
        counts = path_counts(self.y, self.order) if found else {}
        return [
            Sensitivity(
                leaf,
                self.adjoints.get(leaf, 0.0),
                paths.get(leaf, ()),
                counts.get(leaf, 0),
            )
            for leaf in self.leaves
        ]

    # ---- what it gives ---------------------------------------------------------------

    @property
    def text(self) -> str:
        """The explanation for a terminal, as wide as that or as COLUMNS says."""
        if not self.order:
            return f"{self.names[self.y]} is an input: nothing to take apart"
        return text_of(self._parts(self._style(False)), columns())

    @property
    def markdown(self) -> str:
        """The explanation for a notebook: tables, with formulas in LaTeX."""
        if not self.order:
            return f"${self.latex}$ is an input: nothing to take apart"
        return markdown_of(self._parts(self._style(True)))

    @property
    def html(self) -> str:
        """The explanation as a piece of HTML that needs nothing else: no script."""
        if not self.order:
            return html_of([Section(self.text)])
        return html_of(self._parts(self._style(False)))

    @property
    def latex(self) -> str:
        """The chain rule or, where there are several ways, all adjoints, in LaTeX."""
        style = self._style(True)
        if not self.order:
            return style.name(self.names[self.y])
        parts = [p for p in self._parts(style) if isinstance(p, Section)]
        return aligned_latex(e for p in parts if p.is_backward for e in p.equations)

    def _style(self, latex: bool) -> Style:
        if self.is_chain and self.node is None and not self.summarised:
            return LATEX if latex else PLAIN
        return SHORT_LATEX if latex else SHORT

    # ---- its parts -------------------------------------------------------------------

    def _parts(self, style: Style) -> Iterator[Part]:
        if self.node is not None:
            yield from self._opened(self.node, style)
            return
        if self.is_chain and not self.summarised:
            yield chain_pairs(self.sweep, style)
            yield self._products("Backward: the chain rule", style)
            return
        beside = self.network is not None and self._is_small(self.network)
        if self.network is not None:
            yield from network_sections(self.sweep, style)
        if self.network is None and self.summarised:
            first = self._backward(first_rows(self.sweep), style)
            yield from summary(self.sweep, self.sensitivities, first, style)
        elif self.network is None or beside:
            yield from self._rows(style)
        yield from self._contrast(style)

    def _is_small(self, network: Network) -> bool:
        """Whether its rows can stand below what is told of it in vectors."""
        rows = len(self.sweep.rows) + len(self.leaves)
        return len(network.points) == 1 and rows <= MOST_BESIDE

    def _rows(self, style: Style) -> Iterator[Section]:
        """The table of nodes: forward, backward, and the inputs."""
        rows, leaves = self._shown, [s.leaf for s in self.sensitivities]
        told = [self.sweep.computed(node, style) for node in rows]
        title = "Forward: every " + ("neuron" if self.network else "variable")
        yield Section(title, told)
        yield self._backward(rows[::-1], style)
        hidden = len(leaves) - MOST_LEAVES
        notes = [f"… and {hidden} more inputs"] if hidden > 0 else []
        shown = self._adjoint_rows(leaves[:MOST_LEAVES], style)
        title = "Parameters and inputs" if self.network else "The inputs"
        title += ", in the same way"
        yield Section(title, shown, notes, head=ADJOINTS, is_backward=True)

    @property
    def _shown(self) -> list[Value]:
        """All that has a row; in a network also neurons that a choice left out.

        What makes L of a network's output has been told before.
        """
        if self.network is None:
            return self.sweep.rows
        told = set(loss_nodes(self.sweep, self.network, 0))
        whole = topological(self.y, whole=True)
        return [node for node in whole if self._has_row(node) and node not in told]

    def _backward(self, nodes: list[Value], style: Style) -> Section:
        intro = [] if self.network else [self._legend()]
        title = "Backward: each adjoint once, from those above it"
        told = self._adjoint_rows(nodes, style)
        return Section(title, told, intro=intro, head=ADJOINTS, is_backward=True)

    def _adjoint_rows(self, nodes: list[Value], style: Style) -> list[Equation]:
        shares = self.sweep.shares(style, nodes)
        return [self.sweep.row(node, shares.get(node, []), style) for node in nodes]

    def _legend(self) -> str:
        y = self.names[self.y]
        v = next(name for name in "vut" if name != y)
        return (
            f"∂{y}/∂{v}, the adjoint of {v}: the sum of adjoint · local derivative "
            "over its users."
        )

    def _contrast(self, style: Style) -> Iterator[Section]:
        """What the products of all paths would take, and with paths=True themselves."""
        found: Cost = cost(self.y, self.order)
        if self.with_paths:
            yield from self._on_the_way(style)
            yield self._products(f"Each path on its own: {found.words}.", style)
        elif found.multiplications > found.by_adjoints:
            yield Section(f"Each path on its own (paths=True): {found.words}.")

    def _on_the_way(self, style: Style) -> Iterator[Section]:
        """What the paths that are shown pass and no line above has told of."""
        passed = {
            step[0]
            for found in self.sensitivities[:MOST_LEAVES]
            for path in found.paths
            for step in path.steps
        }
        passed -= self._told
        named = {*passed, *self._told, *self.leaves}
        named |= too_deep(self.order, named)
        names = {x: self.names[x] for x in named if x in self.names}
        nodes = [node for node in self.order if node in passed]
        told = [self.sweep.computed(x, style, names) for x in nodes[:MOST_PASSED]]
        more = len(nodes) - len(told)
        if told:
            notes = [f"… and {more} more"] if more else []
            yield Section("On the paths, besides what stands above", told, notes)

    @property
    def _told(self) -> set[Value]:
        """What has a line of its own, or a place in a vector that has one."""
        if self.network is None:
            return set() if self.summarised else set(self.order)
        neurons = [n for layers in self.network.points for x in layers for n in x.z]
        given = [a for layers in self.network.points for x in layers for a in x.a]
        loss = loss_nodes(
            self.sweep, self.network, telling_point(self.sweep, self.network)
        )
        return {self.y, *neurons, *given, *loss}

    def _products(self, title: str, style: Style) -> Section:
        hidden = len(self.sensitivities) - MOST_LEAVES
        notes = [f"… and {hidden} more inputs"] if hidden > 0 else []
        return products(title, self.sweep, self.sensitivities, notes, style)

    # ---- one adjoint, opened ---------------------------------------------------------

    def _opened(self, node: Value, style: Style) -> Iterator[Section]:
        """How one adjoint came about: its users, and theirs, one line each."""
        name = self.sweep.adjoint(node, SHORT)
        users = self.sweep.users_of([node])
        notes = [] if users or node is self.y else [self._no_user(node)]
        title = f"{name}, the adjoint of {self.names[node]}, opened"
        rows = self._adjoint_rows([node], style)
        yield Section(title, rows, notes, head=ADJOINTS, is_backward=True)
        shown = users[:MOST_USERS]
        if shown:
            yield self._uses(shown, len(users) - len(shown), style)
        told = set(shown)
        above = [user for user in self.sweep.users_of(shown) if user not in told]
        if above:
            yield self._above(above, shown, style)

    def _uses(self, users: list[Value], more: int, style: Style) -> Section:
        told = []
        for user in users:
            told.append(self.sweep.computed(user, style))
            told += self._adjoint_rows([user], style)
        notes = [f"… and {more} more"] if more else []
        return Section("What uses it", told, notes, is_backward=True)

    def _above(self, users: list[Value], below: list[Value], style: Style) -> Section:
        shown = users[: 2 * MOST_USERS]
        shares = self.sweep.shares(style, shown)
        told = [
            self.sweep.row(user, shares.get(user, []), style, MOST_WRITTEN)
            for user in shown
        ]
        more = len(users) - len(shown)
        notes = [f"… and {more} more"] if more else []
        if not any(x is self.y for x in (*users, *below)):
            notes.append(f"and so on, up to ∂{(y := self.names[self.y])}/∂{y} = 1")
        title = "What uses that, in turn"
        return Section(title, told, notes, head=ADJOINTS, is_backward=True)

    def _no_user(self, node: Value) -> str:
        whole = topological(self.y, whole=True)
        users = [user for user in whole if any(arg is node for arg in user._args)]
        names = dict.fromkeys(made_by(user) for user in users)
        return f"Nothing hands anything on to it; it went into {', '.join(names)}."


def adjoints(y: Value, order: list[Value]) -> dict[Value, float]:
    """∂y/∂node for every node and leaf below y, without touching any `grad`."""
    bars = {y: 1.0}
    for node in reversed(order):
        for parent, partial in zip(node.parents, node.partials):
            bars[parent] = bars.get(parent, 0.0) + partial * bars[node]
    return bars
