"""For tests: the unittest mixin and the isolated registry."""

from sideeffects._registry import isolated_registry

__all__ = ["isolated_registry"]
