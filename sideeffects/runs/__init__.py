"""Run lists."""

__all__: list[str] = []
