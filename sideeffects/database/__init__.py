"""Django's connections: statements, transactions, commits."""
