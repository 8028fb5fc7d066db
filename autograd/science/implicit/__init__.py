"""Functions defined by an equation, with derivatives of every order."""
