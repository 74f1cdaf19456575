"""A test that really calls the outside: `pytest -m live`, against the gateway that the settings name."""

import pytest
from django.test import Client

from shop.tests.orders import ORDER
from sideeffects import Calls, Mode

pytestmark = [pytest.mark.live, pytest.mark.django_db]


@pytest.mark.side_effects(force_run=["sms.send"])
def test_the_gateway_takes_our_texts(client: Client, side_effects: Calls) -> None:
    """What is named executes; all else is recorded, as in any other test."""
    client.post("/orders/", ORDER)

    text = side_effects.one("sms.send")
    assert text.outcome is not None
    assert text.outcome.result.startswith("sms-")
    assert [call.name for call in side_effects if call.mode is Mode.EXECUTE] == ["sms.send"]
