"""What follows when something is saved."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from shop.effects import confirm_by_mail, send_sms
from shop.models import Order
from sideeffects import run_side_effects


@receiver(post_save, sender=Order)
def follow_up_new_order(instance: Order, *, created: bool, **_kwargs: Any) -> None:
    """Every new order is confirmed by mail, whichever way it came in, and who has not paid gets a text as well.

    It is a run list, so that an error in one of them keeps neither the other nor the order from being.
    """
    if not created:
        return
    total = f"{instance.total_cents / 100:.2f} EUR"
    mail = {"to": instance.email, "order_id": instance.pk, "total_cents": instance.total_cents}
    tasks: list[Any] = [(confirm_by_mail, mail)]
    if not instance.receipt:
        text = {"to": instance.phone, "body": f"Please pay {total} for order {instance.pk}."}
        tasks.append((send_sms, text, True))  # in the background, once the order is committed
    run_side_effects("order-placed", tasks, swallow=True)
