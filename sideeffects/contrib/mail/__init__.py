"""Django's mail as one effect: each message that a backend is given is a call."""

__all__: list[str] = []
