"""`manage.py cancel_unpaid`: who has not paid gets no order, and a text that says so."""

import functools
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from shop.effects import send_sms
from shop.models import Order


class Command(BaseCommand):
    """The texts are sent once the orders are gone for good."""

    help = "Cancel all unpaid orders, and tell their customers by text message."

    @transaction.atomic(durable=True)
    def handle(self, **_options: Any) -> None:
        """Cancel them all, or none."""
        for order in Order.objects.unpaid():
            transaction.on_commit(functools.partial(tell, order.phone, order.pk))
            order.delete()
        self.stdout.write("Unpaid orders are cancelled.")


def tell(phone: str, number: int) -> None:
    """Text a customer."""
    send_sms(phone, body=f"Order {number} is cancelled.")
