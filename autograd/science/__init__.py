"""Derivatives for scientists: of any order, sparse, and of implicit functions."""
