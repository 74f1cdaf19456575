"""What `SIDE_EFFECTS` may say; each key is checked in one place."""

__all__: list[str] = []
