"""The shop's one door."""

from asgiref.sync import sync_to_async
from django import forms
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_POST

from shop.checkout import place_order
from shop.effects import CardDeclined, announce_to_warehouse
from shop.models import Order


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
