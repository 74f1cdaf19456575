"""Each effect of an order fails, before it is done and after: what has to hold then?"""

import pytest
from django.test import Client

from shop.effects import CardDeclined
from shop.models import Order
from shop.tests.careless import place_order_in_one_go
from shop.tests.orders import ORDER
from sideeffects import Calls
from sideeffects.testing import fault_sweep

pytestmark = pytest.mark.django_db


def who_is_charged_has_an_order(calls: Calls) -> None:
    """A call that has failed before anything was done has an error in its outcome."""
    charged = [call for call in calls.named("card.charge") if call.outcome and not call.outcome.error]
    orders = Order.objects.exclude(receipt="").count()
    assert orders == len(charged), f"charges: {len(charged)}, orders: {orders}"


def test_in_one_transaction_a_lost_text_loses_a_paid_order() -> None:
    """The second effect fails, the transaction takes back the order, and the trace of the first one stays."""

    def an_order() -> None:
        place_order_in_one_go(**{**ORDER, "total_cents": 4200})

    report = fault_sweep(
        an_order, effects=["card.*", "sms.*"], points="before", invariants=who_is_charged_has_an_order, check=False
    )

    assert [result.name for result in report.failed] == ["sms.send#1:OSError:before"]
    print(report)


@fault_sweep(invariants=who_is_charged_has_an_order, effects=["mail.*", "sms.*", "warehouse.*"])
def test_whatever_fails_after_the_charge_the_order_stands(
    client: Client, django_capture_on_commit_callbacks: pytest.FixtureRequest
) -> None:
    """The shop's own way: what has been paid is saved before anybody is told."""
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/orders/", ORDER)


@fault_sweep(invariants=who_is_charged_has_an_order, effects="card.*", raises=[CardDeclined, OSError], points="before")
def test_who_is_not_charged_has_no_order(client: Client) -> None:
    """Neither when the bank refuses nor when it cannot be reached."""
    client.post("/orders/", ORDER)
