"""Smoke tests of the live shop: `python manage.py probe`. Nobody is charged, mailed or texted, and no order stays."""

from shop.checkout import place_order
from shop.models import Order
from sideeffects.probes import SmokeTest


class Checkout(SmokeTest):
    """What must work after each deployment."""

    tags = ["checkout"]
    timeout = 10

    def test_an_order_with_a_card(self) -> None:
        """An order is placed as customers do. In the probe's transaction it exists, and its card counts as charged."""
        before = Order.objects.count()
        order = place_order(email="probe@shop.example", phone="+44", total_cents=100, card_token="tok_probe")
        self.assertEqual(Order.objects.count(), before + 1)
        self.assertEqual(order.receipt, "ch_recorded")


class Orders(SmokeTest):
    """What may run at any time: it only reads, and the database is told so."""

    read_only = True

    def test_all_that_is_paid_has_a_receipt(self) -> None:
        """Nothing is left in the middle of being paid."""
        self.assertFalse(Order.objects.filter(receipt="being paid").exists())
