"""Scalar reverse-mode automatic differentiation that explains every number it gives.

Read `primitives.py` (every function with its derivative), `value.py` (the graph and the
sweep), `transforms.py` (grad, jvp, hessian …), in that order: they are the engine.
"""

import os as _os
import sys as _sys
import typing
from typing import Any as _Any

if _os.path.isdir(_os.path.join(_os.path.dirname(__file__), "numpy")):
    raise ImportError(
        "autograd: two distributions share this folder, scalar-autograd and the one "
        "named autograd (HIPS), and have overwritten each other; run "
        "'pip uninstall autograd scalar-autograd' and install one of them, in a venv "
        "of its own"
    )

from . import copies as _copies  # noqa: F401 (it gives Value its ways to be copied)
from .accelerator import reason as _reason
from .check import check_grads
from .primitives import (
    Primitive,
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    beta,
    cbrt,
    ceil,
    clip,
    copysign,
    cos,
    cosh,
    degrees,
    digamma,
    div,
    dot,
    equal,
    erf,
    erfc,
    erfcx,
    erfinv,
    exp,
    exp2,
    expm1,
    floor,
    fma,
    fmod,
    gamma,
    gelu,
    greater,
    greater_equal,
    hypot,
    identity,
    isfinite,
    isnan,
    lbeta,
    leaky_relu,
    less,
    less_equal,
    lgamma,
    log,
    log1mexp,
    log1p,
    log2,
    log10,
    log_ndtr,
    log_sigmoid,
    log_softmax,
    logaddexp,
    logsumexp,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    not_equal,
    polygamma,
    pow,
    prod,
    radians,
    relu,
    remainder,
    sigmoid,
    sign,
    silu,
    sin,
    sinc,
    sinh,
    softmax,
    softplus,
    sqrt,
    stop_gradient,
    sub,
    tan,
    tanh,
    trunc,
    where,
    xlogy,
)
from .transforms import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    ravel,
    value_and_grad,
    vjp,
)
from .trees import register_tree
from .value import Value
from .vector import VectorPrimitive
from .watch import detect_anomaly, record_lines

__version__ = "0.1.0"
accelerated = not _reason  # whether Value and Primitive are the types in C

_LAZY = {  # for people who look, for speed, and for what stands beside the engine
    "bracket": ".science.implicit.implicit",
    "brief": ".primitives",
    "derivatives": ".science.taylor",
    "draw": ".show.draw.draw",
    "draw_network": ".show.draw.network",
    "explain": ".show.explain.explain",
    "fixed_point": ".science.implicit.implicit",
    "jit": ".compiled.jit",
    "player": ".show.player.player",
    "root": ".science.implicit.implicit",
    "rounding_error": ".show.rounding",
    "sparsity": ".science.sparse",
    "taylor": ".science.taylor",
    "vmap": ".compiled.batch",
    "why": ".show.why",
    "write_file": ".files",
}

__all__ = [
    "Primitive", "Value", "VectorPrimitive", "accelerated", "bracket", "brief",
    "check_grads", "derivatives", "detect_anomaly", "draw", "draw_network", "explain",
    "fixed_point", "grad", "hessian", "hvp", "jacfwd", "jacobian", "jacrev", "jit",
    "jvp", "player", "ravel", "record_lines", "register_tree", "root",
    "rounding_error", "sparsity", "taylor", "value_and_grad", "vjp", "vmap", "why",
    "write_file",
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "beta",
    "cbrt", "ceil", "clip", "copysign", "cos", "cosh", "degrees", "digamma", "div",
    "dot", "equal", "erf", "erfc", "erfcx", "erfinv", "exp", "exp2", "expm1", "floor",
    "fma", "fmod", "gamma", "gelu", "greater", "greater_equal", "hypot", "identity",
    "isfinite", "isnan", "lbeta", "leaky_relu", "less", "less_equal", "lgamma", "log",
    "log10", "log1mexp", "log1p", "log2", "log_ndtr", "log_sigmoid", "log_softmax",
    "logaddexp", "logsumexp", "maximum", "minimum", "mod", "mul", "neg", "not_equal",
    "polygamma", "pow", "prod", "radians", "relu", "remainder", "sigmoid", "sign",
    "silu", "sin", "sinc", "sinh", "softmax", "softplus", "sqrt", "stop_gradient",
    "sub", "tan", "tanh", "trunc", "where", "xlogy",
]  # fmt: skip


if (
    typing.TYPE_CHECKING
):  # who looks at types sees what these are, and which names are none
    from .compiled.batch import vmap
    from .compiled.jit import jit
    from .files import write_file
    from .primitives import brief
    from .science.implicit.implicit import bracket, fixed_point, root
    from .science.sparse import sparsity
    from .science.taylor import derivatives, taylor
    from .show.draw.draw import draw
    from .show.draw.network import draw_network
    from .show.explain.explain import explain
    from .show.player.player import player
    from .show.rounding import rounding_error
    from .show.why import why
else:

    def __getattr__(name: str) -> _Any:
        if name in _LAZY:
            from importlib import import_module

            return getattr(import_module(_LAZY[name], __name__), name)
        raise AttributeError(  # which Python adds a near name to, given these
            f"module {__name__!r} has no attribute {name!r}",
            name=name,
            obj=_sys.modules[__name__],
        )


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
