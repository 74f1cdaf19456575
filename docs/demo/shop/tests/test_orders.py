"""Placing orders, tested with pytest. The fixture `side_effects` has the test's calls, and none of them executes."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from shop.effects import CardDeclined, CardTerminal, announce_to_warehouse, confirm_by_mail, send_sms
from shop.models import Order
from shop.tests.orders import ORDER
from sideeffects import Calls, capture, stub

pytestmark = pytest.mark.django_db


def test_an_order_has_these_effects_in_this_order(client: Client, side_effects: Calls) -> None:
    """The card is charged first, and the warehouse is the last to know."""
    response = client.post("/orders/", ORDER)

    assert response.status_code == 201
    side_effects.assert_order("card.charge", "mail.confirm_order", "sms.send", "warehouse.announce")
    assert len(side_effects) == 4


def test_the_card_is_charged_once_with_the_price(client: Client, side_effects: Calls) -> None:
    """Assertions compare the true token; whatever shows the call reads `[redacted]`."""
    client.post("/orders/", ORDER)

    side_effects.assert_called(CardTerminal.charge, cents=4200, token="tok_visa", times=1)
    assert side_effects.one(CardTerminal.charge).arguments == {"cents": 4200, "token": "[redacted]"}
    assert Order.objects.get().receipt == "ch_recorded"


def test_the_customer_and_the_warehouse_hear_of_it(client: Client, side_effects: Calls) -> None:
    """An effect is given as itself or by name; arguments that are not given are not compared."""
    order_id = client.post("/orders/", ORDER).json()["order"]

    side_effects.assert_called("sms.send", to="+44 20 7946 0000", body=f"Thank you for order {order_id}!")
    side_effects.assert_called(confirm_by_mail, to="ada@example.com", order_id=order_id)
    side_effects.assert_called(announce_to_warehouse, where=lambda call: call.arguments["total_cents"] > 0)


def test_a_declined_card_leaves_no_order(client: Client, side_effects: Calls) -> None:
    """`stub` makes an effect fail for the length of a block: nobody hears of an order that does not exist."""
    with stub("card.charge", raises=CardDeclined("insufficient funds")):
        response = client.post("/orders/", ORDER)

    assert response.status_code == 402
    assert response.json() == {"errors": {"card_token": ["insufficient funds"]}}
    assert not Order.objects.exists()
    side_effects.assert_only("card.charge")


@pytest.mark.side_effects(stub={"sms.send": OSError("gateway down")})
def test_an_order_survives_a_dead_gateway(client: Client, side_effects: Calls) -> None:
    """The marker stubs for the whole test."""
    assert client.post("/orders/", ORDER).status_code == 201
    side_effects.assert_called("warehouse.announce", times=1)


@pytest.mark.side_effects(forbid=["card.*"])
def test_an_order_on_account_touches_no_card(client: Client) -> None:
    """A forbidden effect raises when it is called, and fails the test even if the code swallows that."""
    response = client.post("/orders/", {**ORDER, "card_token": ""})

    assert response.json()["paid"] is False


@pytest.mark.parametrize("wrong", [{"total_cents": "-1"}, {"email": "ada"}, {"phone": ""}])
def test_a_wrong_order_has_no_effects(client: Client, side_effects: Calls, wrong: dict[str, str]) -> None:
    """Without names, `assert_only` means: none at all."""
    assert client.post("/orders/", {**ORDER, **wrong}).status_code == 400
    side_effects.assert_only()


def test_an_order_on_account_is_followed_up(side_effects: Calls) -> None:
    """The tasks of a run list are calls like all others; `run_id` tells them, and `is_async` who waits for nobody."""
    order = Order.objects.create(email="bob@example.com", phone="+44 20 7946 0001", total_cents=990)

    assert [(call.name, call.is_async) for call in side_effects] == [("mail.confirm_order", False), ("sms.send", True)]
    assert {call.run_id for call in side_effects} == {"order-placed"}
    side_effects.assert_called(send_sms, body=f"Please pay 9.90 EUR for order {order.pk}.")


def test_who_has_not_paid_is_reminded(capsys: pytest.CaptureFixture[str]) -> None:
    """Enqueued calls are recorded like all others, and their handles have the stub's result at once.

    `capture` has the calls of its block: the texts that the orders themselves had sent are not among them.
    """
    unpaid: dict[str, Any] = {"email": "bob@example.com", "total_cents": 990}
    Order.objects.create(**unpaid, phone="+44 20 7946 0001")
    Order.objects.create(**unpaid, phone="+44 20 7946 0002", receipt="ch_1")

    with capture() as calls:
        call_command("remind_unpaid")

    text = calls.one(send_sms)
    assert text.is_async
    assert text.arguments["to"] == "+44 20 7946 0001"
    assert capsys.readouterr().out == "1 reminded.\n"
