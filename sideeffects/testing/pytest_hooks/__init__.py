"""The pytest plugin's parts."""

__all__: list[str] = []
