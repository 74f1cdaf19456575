"""The same shop, tested with Django's `TestCase`: `python manage.py test`, or pytest."""

from django.core import mail
from django.test import TestCase

from shop.effects import CardDeclined, CardTerminal, confirm_by_mail
from shop.models import Order
from shop.tests.orders import ORDER
from sideeffects import force_run
from sideeffects.testing import SideEffectsMixin


class PlacingAnOrder(SideEffectsMixin, TestCase):
    """`self.side_effects` has the calls of the test; none of them executes."""

    def test_it_is_charged_and_announced(self) -> None:
        """One order, one charge, one announcement."""
        response = self.client.post("/orders/", ORDER)

        self.assertEqual(response.status_code, 201)
        self.side_effects.assert_called(CardTerminal.charge, cents=4200, times=1)
        self.side_effects.assert_called("warehouse.announce", order_id=response.json()["order"], times=1)

    def test_the_confirmation_names_the_price(self) -> None:
        """To test an effect itself, name it. Django keeps its mail in `mail.outbox`; a `TestCase` never commits."""
        with force_run(confirm_by_mail), self.captureOnCommitCallbacks(execute=True):
            self.client.post("/orders/", ORDER)

        [message] = mail.outbox
        self.assertEqual(message.to, ["ada@example.com"])
        self.assertIn("42.00 EUR", message.body)


class WithADeclinedCard(SideEffectsMixin, TestCase):
    """What holds for all tests of a class is said once, above them."""

    stub = {"card.charge": CardDeclined("insufficient funds")}

    def test_there_is_no_order(self) -> None:
        """The customer is told, and nobody else."""
        response = self.client.post("/orders/", ORDER)

        self.assertEqual(response.status_code, 402)
        self.assertFalse(Order.objects.exists())
        self.side_effects.assert_only("card.charge")
