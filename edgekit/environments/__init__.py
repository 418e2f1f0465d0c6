"""Isolated environments: venvs of their own for tools whose pins fight edgekit's."""
