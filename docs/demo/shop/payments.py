"""Paying an order that was placed on account."""

from shop.effects import CardTerminal
from shop.models import Order

#: Stands in the receipt while the card is being charged.
CLAIMED = "being paid"


def pay_order(order: Order, card_token: str) -> bool:
    """Charge the card for an order that nobody has paid yet.

    Who turns the empty receipt pays, and the database lets one do that, however many try at once. Looking first
    (`if not order.receipt`) and charging then would charge everybody who looked in time: see `test_paying_at_once.py`.

    Args:
        order: what is to be paid.
        card_token: the card, as the processor knows it.

    Returns:
        whether this call has paid it; `False` when it was paid already, or is being paid.

    Raises:
        CardDeclined: the bank refused; the order can be paid again.
    """
    if not Order.objects.unpaid().filter(pk=order.pk).update(receipt=CLAIMED):
        return False
    receipt = ""
    try:
        receipt = CardTerminal().charge(order.total_cents, card_token)["id"]
    finally:
        Order.objects.filter(pk=order.pk).update(receipt=receipt)
    return True
