"""Trainings to play with: each recorded by the engine, all on one page.

`lab` trains every combination of the choices, and `page.js` plays them in `page.html`.
The page prints numbers that were recorded, in four digits; it computes nothing but the
forward formula, for its maps of the plane.
"""

from .choices import dataset
from .page import Lab, lab
from .record import Training

__all__ = ["Lab", "Training", "dataset", "lab"]
