"""One module per foreign package, each an optional extra."""
