"""A test that fails, to show what it then says: `pytest shop/tests/failing.py`. Its name keeps it out of the suite."""

import pytest
from django.test import Client

from shop.tests.orders import ORDER
from sideeffects import Calls


@pytest.mark.django_db
def test_the_card_is_charged(client: Client, side_effects: Calls) -> None:
    """The price is another one."""
    client.post("/orders/", ORDER)

    side_effects.assert_called("card.charge", cents=2400, times=1)
