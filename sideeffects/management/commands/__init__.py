"""The commands, one a module."""

__all__: list[str] = []
