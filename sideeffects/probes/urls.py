"""`path("smoketest/", include("sideeffects.probes.urls"))`."""

from django.urls import path

from sideeffects.probes.views import IndexView

app_name = "smoketest"
urlpatterns = [path("", IndexView.as_view(), name="smoketest")]
