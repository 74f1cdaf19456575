"""The shop's two doors."""

from asgiref.sync import sync_to_async
from django import forms
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from shop.checkout import place_order
from shop.effects import CardDeclined, announce_to_warehouse
from shop.models import Order
from shop.payments import pay_order


class OrderForm(forms.ModelForm):
    """What a customer sends in."""

    card_token = forms.CharField(required=False)

    class Meta:
        model = Order
        fields = ("email", "phone", "total_cents")


@require_POST
async def orders(request: HttpRequest) -> JsonResponse:
    """Place an order: 201 with its number, 400 when the form is wrong, 402 when the card is declined."""
    form = OrderForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    try:
        order = await sync_to_async(place_order)(**form.cleaned_data)
    except CardDeclined as error:
        return JsonResponse({"errors": {"card_token": [str(error)]}}, status=402)
    await announce_to_warehouse(order.pk, order.total_cents)
    return JsonResponse({"order": order.pk, "paid": bool(order.receipt)}, status=201)


@require_POST
def pay(request: HttpRequest, number: int) -> JsonResponse:
    """Pay an order: 200 when this request has paid it, 409 when another one has, 402 when the card is declined."""
    order = get_object_or_404(Order, pk=number)
    try:
        is_paid = pay_order(order, request.POST.get("card_token", ""))
    except CardDeclined as error:
        return JsonResponse({"errors": {"card_token": [str(error)]}}, status=402)
    return JsonResponse({"paid": is_paid}, status=200 if is_paid else 409)
