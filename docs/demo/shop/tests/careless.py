"""A payment as one writes it first, with a door of its own. It passes every test in which nothing else happens."""

from django.http import HttpRequest, JsonResponse
from django.urls import path

from shop.effects import CardTerminal
from shop.models import Order


def pay(request: HttpRequest, number: int) -> JsonResponse:
    """Look whether it is paid; if not, charge the card."""
    order = Order.objects.get(pk=number)
    if order.receipt:
        return JsonResponse({"paid": False}, status=409)
    order.receipt = CardTerminal().charge(order.total_cents, request.POST["card_token"])["id"]
    order.save()
    return JsonResponse({"paid": True})


urlpatterns = [path("orders/<int:number>/pay/", pay)]
