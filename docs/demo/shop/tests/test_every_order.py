"""Two requests pay one order at once, in every order of their steps."""

import logging

import pytest
from django.test import Client, override_settings

from shop.models import Order
from sideeffects.testing import Race, RaceResult

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Each order has a request that comes too late, and Django would warn of each."""
    caplog.set_level(logging.ERROR, logger="django.request")


def order() -> dict[str, int]:
    """Before each run: an order on account, whose number all racers get."""
    return {"number": Order.objects.create(email="bob@example.com", phone="+44 20 7946 0001", total_cents=990).pk}


def pay(number: int) -> int:
    """What each racer does: one request."""
    return Client().post(f"/orders/{number}/pay/", {"card_token": "tok_visa"}).status_code


def charged_once(result: RaceResult) -> bool:
    """What must hold, whichever way it went."""
    return result.calls.count("card.charge") == 1


@override_settings(ROOT_URLCONF="shop.tests.careless")
def test_looking_first_fails_in_some_orders() -> None:
    """Look, charge, write: the second looks before the first has written."""
    result = Race(explore=True, setup=order, check=charged_once).call_concurrently(2, pay)

    print(result.summary())
    assert result.failures


def test_the_cure_holds_in_all() -> None:
    """Who turns the empty receipt pays."""
    result = Race(explore=True, setup=order, check=charged_once).call_concurrently(2, pay)

    print(result.summary())
    assert result.complete
    assert not result.failures
