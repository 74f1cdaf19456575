"""One module per foreign package, each an optional extra."""

__all__: list[str] = []
