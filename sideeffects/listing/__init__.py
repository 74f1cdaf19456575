"""What there is: listings of the declared effects, and the audit, which looks for what is not declared yet."""

__all__: list[str] = []
