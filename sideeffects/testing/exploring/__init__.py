"""Exploring: running a few functions in every order of their steps. `testing/races/explored.py` is the door."""

__all__: list[str] = []
