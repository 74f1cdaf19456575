"""A payment and an order as one writes them first. They pass every test in which nothing else happens."""

import json
import urllib.request

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from shop.effects import CardTerminal, send_sms
from shop.models import Order


def pay(request: HttpRequest, number: int) -> JsonResponse:
    """Look whether it is paid; if not, charge the card."""
    order = Order.objects.get(pk=number)
    if order.receipt:
        return JsonResponse({"paid": False}, status=409)
    order.receipt = CardTerminal().charge(order.total_cents, request.POST["card_token"])["id"]
    order.save()
    return JsonResponse({"paid": True})


def place_order_in_one_go(*, email: str, phone: str, total_cents: int, card_token: str) -> None:
    """All or nothing, one would think. But no database takes back a charge."""
    with transaction.atomic():
        receipt = CardTerminal().charge(total_cents, card_token)["id"]
        order = Order.objects.create(email=email, phone=phone, total_cents=total_cents, receipt=receipt)
        send_sms(phone, body=f"Thank you for order {order.pk}!")


def in_euros(cents: int, currency: str) -> int:
    """Somebody has added this last week, and declared nothing."""
    with urllib.request.urlopen(f"https://rates.shop.invalid/{currency}", timeout=5) as response:
        return round(cents * json.load(response)["rate"])


urlpatterns = [path("orders/<int:number>/pay/", pay)]
