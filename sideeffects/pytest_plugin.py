"""The pytest plugin."""

from __future__ import annotations

from sideeffects._state import state

state.latch("pytest runs (the sideeffects plugin is imported)")
