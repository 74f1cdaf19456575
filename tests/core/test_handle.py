"""Handles: what `.enqueue(...)` gives back."""

import threading

import pytest

from sideeffects._core.calls.handle import Handle


def test_a_finished_handle_has_its_result() -> None:
    """A call that was answered instead of run is done at once."""
    handle = Handle.finished("1", "send", {"id": 7})
    assert handle.done()
    assert handle.result() == {"id": 7}
    assert repr(handle) == "<Handle of send: done>"


def test_a_failed_handle_raises_its_error() -> None:
    """So is one that was answered with an exception."""
    error = ConnectionError("no network")
    handle = Handle.failed("1", "send", error)
    assert handle.done()
    with pytest.raises(ConnectionError) as raised:
        handle.result()
    assert raised.value is error


def test_a_waiting_handle_waits() -> None:
    """`result` waits, for no longer than it is told to."""
    handle = Handle.waiting("1", "send")
    assert not handle.done()
    assert repr(handle) == "<Handle of send: waiting>"
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    thread = threading.Thread(target=handle.future.set_result, args=(3,))
    thread.start()
    assert handle.result(60) == 3
    thread.join()
