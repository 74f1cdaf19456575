"""A small shop whose effects on the outside world are real, to show `sideeffects` at work."""
