"""Sentry's events say what is paused while they happen; with the real SDK, in a process of its own."""

import json
from pathlib import Path

from tests.support.projects import Project

PROGRAM = """
    import json

    from sideeffects.contrib.sentry.pauses import tell_sentry

    tell_sentry({"sms.*": "no SDK is there yet"})
    import sentry_sdk

    events = []
    keep = lambda event, hint: events.append(event)
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", before_send=keep, default_integrations=False)
    tell_sentry({"sms.*": "HOLD: paused by ann at 02:11: the loop [pause 1 of 'sms.*']"})
    sentry_sdk.capture_message("paused")
    tell_sentry({})
    sentry_sdk.capture_message("resumed")
    print(json.dumps([event["contexts"].get("side_effect_pauses") for event in events]))
    """


def test_events_have_the_pauses_that_are_in_force(tmp_path: Path) -> None:
    """With who, when and why by the pattern; nothing of it once they are over, nor without the SDK."""
    assert json.loads(Project(tmp_path).program(PROGRAM)) == [
        {"sms.*": "HOLD: paused by ann at 02:11: the loop [pause 1 of 'sms.*']"},
        None,
    ]
