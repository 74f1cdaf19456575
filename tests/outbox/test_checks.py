"""`manage.py check` says what cannot be held, before it is refused."""

import sys
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import side_effect
from sideeffects.outbox.checks import check_outbox


def found() -> dict[str, str]:
    return {str(message.id).removeprefix("sideeffects."): str(message.msg) for message in check_outbox()}


@pytest.mark.usefixtures("own_registry")
def test_hold_without_the_outbox_is_an_error() -> None:
    """In `MODE`, and in `POLICY`."""
    side_effect(name="sms.send")(lambda: None)
    with override_settings(SIDE_EFFECTS={"MODE": "HOLD"}):
        assert found()["E027"].startswith("SIDE_EFFECTS['MODE'] is HOLD, and 'sideeffects.outbox' is not in")
    with override_settings(SIDE_EFFECTS={"POLICY": {"sms.*": "hold"}}):
        assert found()["E027"].startswith("SIDE_EFFECTS['POLICY']['sms.*'] is HOLD")
    with override_settings(SIDE_EFFECTS={"POLICY": {"sms.*": "RECORD"}}):
        assert found() == {}


def test_with_the_outbox_its_databases_are_looked_at(outbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And effects whose held calls would not roll back with their rows."""
    side_effect(name="sms.send", on_commit="outbox")(lambda: None)
    with override_settings(SIDE_EFFECTS={"MODE": "HOLD", "OUTBOX": {"DATABASE": "outbox"}}):
        assert found() == {}
    with override_settings(SIDE_EFFECTS={"OUTBOX": {"CACHE": "gone"}}):
        messages = found()
    assert "CACHE is 'gone', which CACHES does not have (default)" in messages["E028"]
    assert messages["W006"].startswith("sms.send waits for commits on 'outbox', and its held calls are written on")
    side_effect(name="fax.send", on_commit=True)(lambda: None)
    with override_settings(SIDE_EFFECTS={"OUTBOX": {"DATABASE": "outbox"}}):
        assert found()["W006"].startswith("fax.send waits for commits on 'default', and its held calls are written on")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with override_settings(SIDE_EFFECTS={"OUTBOX": {"DATABASE": "outbox"}}):
        assert "W007" in found()
