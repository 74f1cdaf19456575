"""What the shop remembers."""

from django.db import models


class OrderQuerySet(models.QuerySet["Order"]):
    """Orders, by what is to be done about them."""

    def unpaid(self) -> "OrderQuerySet":
        """The orders that nobody has paid yet, oldest first."""
        return self.filter(receipt="").order_by("pk")


class Order(models.Model):
    """An order of one customer."""

    email = models.EmailField()
    phone = models.CharField(max_length=30)
    total_cents = models.PositiveIntegerField()
    receipt = models.CharField(max_length=50, blank=True, help_text="The card processor's id; empty until it is paid.")

    objects = OrderQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Order {self.pk} of {self.email}"
