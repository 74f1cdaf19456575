"""`manage.py remind_unpaid`: a text to everybody who has not paid yet."""

from typing import Any

from django.core.management.base import BaseCommand

from shop.effects import send_sms
from shop.models import Order


class Command(BaseCommand):
    """Texts are sent in the background, some at a time, since the gateway takes a second for each."""

    help = "Remind the customers of all unpaid orders by text message."

    def handle(self, **_options: Any) -> None:
        """Send them all, then wait until they are out."""
        texts = [
            send_sms.enqueue(order.phone, body=f"Order {order.pk} waits for {order.total_cents / 100:.2f} EUR.")
            for order in Order.objects.unpaid()
        ]
        for text in texts:
            text.result(timeout=30)
        self.stdout.write(f"{len(texts)} reminded.")
