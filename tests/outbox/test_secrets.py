"""What goes wrong while a call is held or released takes no secret along: into frames, rows, logs or the admin."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import QuerySet

from sideeffects import hold, side_effect

SECRET = "tok-5f3759df"


@pytest.fixture
def send(outbox: Any) -> Any:
    @side_effect(name="sms.send", sensitive=["pin"])
    def send(to: str, pin: str) -> None:
        raise ConnectionError(f"the gateway did not take {pin}")

    return send


def held_by_frames(error: BaseException | None) -> Iterator[str]:
    """What the frames of an error and of its causes show of their variables, those of this file left out."""
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename != __file__:
                for name, value in list(traceback.tb_frame.f_locals.items()):
                    if isinstance(value, QuerySet):
                        continue  # which would be read
                    yield f"{traceback.tb_frame.f_code.co_qualname}: {name} = {value!r}"
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__


def test_a_row_that_cannot_be_written_shows_none(outbox: Any, send: Any) -> None:
    """Neither at once nor at the commit."""
    with connections["outbox"].cursor() as cursor:
        cursor.execute("ALTER TABLE sideeffects_outbox_heldcall RENAME TO gone")
    errors = []
    for around in (hold, lambda: transaction.atomic("outbox")):
        with pytest.raises(Exception, match="no such table") as caught, hold(), around():
            send("ann", SECRET)
        errors.append(caught.value)
    with connections["outbox"].cursor() as cursor:
        cursor.execute("ALTER TABLE gone RENAME TO sideeffects_outbox_heldcall")
    for error in errors:
        assert [line for line in held_by_frames(error) if SECRET in line] == []


def test_what_cannot_be_held_shows_none(send: Any) -> None:
    """The refusal names the argument."""
    with hold(), pytest.raises(Exception, match="the argument pin is a set") as caught:
        send("ann", {SECRET})
    assert [line for line in held_by_frames(caught.value) if SECRET in line] == []


def test_what_fails_when_it_is_released_shows_none(outbox: Any, send: Any, caplog: Any) -> None:
    """In its row and in the log."""
    from sideeffects.outbox import actions

    with hold():
        send("ann", SECRET)
    with caplog.at_level(logging.DEBUG):
        assert actions.release([outbox.get().pk], by="eve").failed == 1
    assert SECRET not in caplog.text
    assert not [value for value in vars(outbox.get()).values() if SECRET in str(value)]
