"""Run lists."""
