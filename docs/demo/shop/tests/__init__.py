"""The shop's tests. No gateway needs to be there: in a test run effects are recorded, not executed."""
