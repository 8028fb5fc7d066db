"""The chain rule of one run, in words and numbers: adjoints, layers, paths."""
