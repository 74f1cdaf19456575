"""Finding the effects of a project."""

__all__: list[str] = []
