"""Neural networks made of Values: models, losses, optimizers and a training loop.

It uses nothing of `autograd` but its public names: whatever is here could be written by
anyone who has read `help(autograd)`.
"""

from .laboratory import lab
from .layers import MLP, Layer, Neuron
from .losses import accuracy, binary_cross_entropy, cross_entropy, hinge, mse
from .module import Module
from .optim import SGD, Adam
from .textbook import backprop_table
from .training import History, fit, predict

__all__ = [
    "MLP", "SGD", "Adam", "History", "Layer", "Module", "Neuron", "accuracy",
    "backprop_table", "binary_cross_entropy", "cross_entropy", "fit", "hinge", "lab",
    "mse", "predict",
]  # fmt: skip


def __dir__() -> list[str]:
    return __all__
