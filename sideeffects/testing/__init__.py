"""For tests: the unittest mixin and the isolated registry."""

from sideeffects._registry import isolated_registry
from sideeffects.testing._unittest import SideEffectsMixin

__all__ = ["SideEffectsMixin", "isolated_registry"]
