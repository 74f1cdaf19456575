"""Ten requests pay one order at once, each in a process of its own: `pip install 'sideeffects[races]'`."""

import pytest
from django.test import Client, override_settings

from shop.models import Order
from sideeffects import Calls
from sideeffects.testing import Race

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order() -> Order:
    """An order on account."""
    return Order.objects.create(email="bob@example.com", phone="+44 20 7946 0001", total_cents=990)


def pay(number: int) -> int:
    """What each racer does: one request."""
    return Client().post(f"/orders/{number}/pay/", {"card_token": "tok_visa"}).status_code


@override_settings(ROOT_URLCONF="shop.tests.careless")
def test_looking_first_charges_everybody(order: Order) -> None:
    """All ten have looked before the first one charges: `meet_at` holds them there. Nobody got an error."""
    result = Race(meet_at="card.charge").call_concurrently(10, pay, number=order.pk)

    assert result == [200] * 10
    result.calls.assert_called("card.charge", cents=990, times=10)


def test_the_card_is_charged_once(order: Order, side_effects: Calls) -> None:
    """The fix, under the same race; what racers call is among the test's own calls."""
    result = Race(meet_at="card.charge").call_concurrently(10, pay, number=order.pk)

    assert sorted(result) == [200, *[409] * 9]
    side_effects.assert_called("card.charge", times=1)
    assert Order.objects.get().receipt == "ch_recorded"
