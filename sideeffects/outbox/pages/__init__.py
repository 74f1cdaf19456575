"""The pages of Django's admin: effects, pauses, held calls, and the calls of the shared ledger."""

__all__: list[str] = []
