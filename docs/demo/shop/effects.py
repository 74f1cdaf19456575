"""Everything by which the shop reaches the outside world, and nothing else."""

import asyncio
import json
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.mail import send_mail

from sideeffects import side_effect


@side_effect(name="sms.send", returns="sms-recorded", raises=(OSError,), async_ok=True, owner="support")
def send_sms(to: str, body: str) -> str:
    """Send a text message and return the gateway's id for it."""
    return _post(settings.SMS_GATEWAY, {"to": to, "body": body})["id"]


@side_effect(name="mail.confirm_order", on_commit=True, owner="sales")
def confirm_by_mail(to: str, order_id: int, total_cents: int) -> None:
    """Mail the customer a confirmation, once the order is committed."""
    send_mail(
        subject=f"Your order {order_id}",
        message=f"Thank you for order {order_id} over {total_cents / 100:.2f} EUR.",
        from_email=None,
        recipient_list=[to],
    )


class CardDeclined(Exception):
    """The customer's bank refused the charge."""


class CardTerminal:
    """The shop's account with a card processor."""

    def __init__(self, merchant: str = "shop-1") -> None:
        self.merchant = merchant

    @side_effect(
        name="card.charge",
        returns={"id": "ch_recorded"},
        raises=(CardDeclined,),
        sensitive=["token"],
        tags=["money"],
        owner="sales",
    )
    def charge(self, cents: int, token: str) -> dict[str, Any]:
        """Charge a card and return the processor's receipt.

        Raises:
            CardDeclined: the bank refused; nothing was charged.
        """
        try:
            return _post(settings.CARD_GATEWAY, {"merchant": self.merchant, "cents": cents, "token": token})
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.PAYMENT_REQUIRED:
                raise CardDeclined(error.reason) from error
            raise


@side_effect(name="warehouse.announce", raises=(OSError,), owner="logistics")
async def announce_to_warehouse(order_id: int, total_cents: int) -> None:
    """Tell the warehouse's webhook about a new order."""
    await asyncio.to_thread(_post, settings.WAREHOUSE_WEBHOOK, {"order": order_id, "total_cents": total_cents})


def _post(url: str, data: dict[str, Any]) -> dict[str, Any]:
    """POST JSON and return the JSON that comes back."""
    request = urllib.request.Request(url, json.dumps(data).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)
