"""Placing an order."""

import logging

from django.db import transaction

from shop.effects import CardTerminal, send_sms
from shop.models import Order

logger = logging.getLogger(__name__)


def place_order(*, email: str, phone: str, total_cents: int, card_token: str = "") -> Order:
    """Charge the card, if there is one, save the order and tell the customer.

    Args:
        email: where the confirmation goes.
        phone: where the text goes.
        total_cents: the price, in cents.
        card_token: the card, as the processor knows it; without one the customer pays later.

    Returns:
        the order, saved.

    Raises:
        CardDeclined: the bank refused; there is no order.
    """
    receipt = CardTerminal().charge(total_cents, card_token)["id"] if card_token else ""
    with transaction.atomic():
        order = Order.objects.create(email=email, phone=phone, total_cents=total_cents, receipt=receipt)
    try:
        send_sms(phone, body=f"Thank you for order {order.pk}!")
    except OSError:
        logger.warning("The SMS gateway could not be reached; order %s stands all the same.", order.pk)
    return order
