"""`manage.py winter_sale`: a text to every customer, and by mistake to the suppliers as well."""

from typing import Any

from django.core.management.base import BaseCommand

from shop.effects import send_sms

CUSTOMERS = [f"+44 20 7946 010{number}" for number in range(5)]
SUPPLIERS = [f"+1 202 555 010{number}" for number in range(3)]


class Command(BaseCommand):
    """What goes wrong in the demo's incident: a loop over the wrong list."""

    help = "Tell all customers of the winter sale."

    def handle(self, **_options: Any) -> None:
        """Send a text to each."""
        for phone in [*CUSTOMERS, *SUPPLIERS]:
            send_sms(phone, body="Winter sale: 20 % off.")
        self.stdout.write("All are told.")
