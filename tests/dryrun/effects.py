"""What the effects of these tests leave when they really execute."""

executed: list[str] = []
