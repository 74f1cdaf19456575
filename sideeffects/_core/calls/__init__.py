"""What travels: effects, decisions, calls, outcomes."""
