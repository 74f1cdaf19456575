"""`State.is_quiet`: one look that tells whether anybody has to hear of a recorded call at once."""

from pathlib import Path
from typing import Any

import pytest

from sideeffects import observe
from sideeffects._core.state.live import Live
from sideeffects._core.state.state import state


def test_it_follows_each_of_those_who_hear_of_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Observers, gates, fault sweeps and the lines of decisions; it is quiet again once the last has gone."""
    assert state.is_quiet
    stop_observing = observe(print)
    assert not state.is_quiet
    close = state.add_gate(lambda _: None)
    stop_observing()
    assert not state.is_quiet
    close()
    assert state.is_quiet
    faults: Any = object()
    for name, one in (("faults", faults), ("live", Live(str(tmp_path / "live")))):
        with monkeypatch.context() as patch:
            patch.setattr(state, name, one)
            assert not state.is_quiet
        assert state.is_quiet
    put_back = state.set_aside()
    stop_observing = observe(print)
    assert put_back()
    assert state.is_quiet
    stop_observing()
    assert state.is_quiet
