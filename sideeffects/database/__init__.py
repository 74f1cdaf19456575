"""Django's connections: statements, transactions, commits."""

__all__: list[str] = []
