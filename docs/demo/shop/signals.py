"""What follows when something is saved."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from shop.effects import confirm_by_mail
from shop.models import Order


@receiver(post_save, sender=Order)
def confirm_new_order(instance: Order, *, created: bool, **_kwargs: Any) -> None:
    """Every new order is confirmed by mail, whichever way it came in."""
    if created:
        confirm_by_mail(instance.email, order_id=instance.pk, total_cents=instance.total_cents)
