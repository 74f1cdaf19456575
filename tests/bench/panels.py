"""What our panel of the debug toolbar adds to a request with 20 calls: it prints milliseconds of processor time.

It is compared with a panel that does nothing, since the toolbar takes its time for any. `panels.py PANEL` is one
process of the comparison.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

REQUESTS = 300
CALLS = 20
TURNS = 3
OURS = "sideeffects.contrib.debug_toolbar.SideEffectsPanel"
NOTHING = "bench_panel.NothingPanel"


def one(panel):
    """The median of the processor time that a request takes, in milliseconds."""
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import include, path

    settings.configure(
        DEBUG=True,
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django.contrib.staticfiles", "debug_toolbar"],
        STATIC_URL="/static/",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware"],
        DEBUG_TOOLBAR_PANELS=[panel],
        DEBUG_TOOLBAR_CONFIG={"SHOW_TOOLBAR_CALLBACK": lambda request: True},
    )
    django.setup()
    import debug_toolbar
    from django.test import Client

    from sideeffects import side_effect

    @side_effect(name="sms.send")
    def send(to, body):
        """Do nothing."""

    def page(request):
        for number in range(CALLS):
            send(f"+44 {number}", body="hello")
        return HttpResponse("<html><body>page</body></html>")

    globals()["urlpatterns"] = [path("", page), path("__debug__/", include(debug_toolbar.urls))]
    client, taken = Client(), []
    for _ in range(REQUESTS):
        started = time.process_time()
        client.get("/")
        taken.append(time.process_time() - started)
    return statistics.median(taken) * 1000


def compare():
    """What the panel adds, on the median of a few processes that take turns."""
    found = {OURS: [], NOTHING: []}
    for _ in range(TURNS):
        for panel, taken in found.items():
            ran = subprocess.run([sys.executable, __file__, panel], stdout=subprocess.PIPE, text=True, check=True)
            taken.append(float(ran.stdout))
    return statistics.median(found[OURS]) - statistics.median(found[NOTHING])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    if len(sys.argv) > 1:
        print(one(sys.argv[1]))
    else:
        json.dump(compare(), sys.stdout)
