"""Where the shop's door is."""

from django.urls import include, path

from shop import views

urlpatterns = [
    path("orders/", views.orders),
    path("orders/<int:number>/pay/", views.pay),
    path("probes/", include("sideeffects.probes.urls")),
]
