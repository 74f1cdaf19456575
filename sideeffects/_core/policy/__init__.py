"""From rules to a decision: pure functions."""
