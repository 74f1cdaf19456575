"""One process that times mail by Django's backend in memory, recorded and not, and prints what it found as JSON."""

import inspect
import json
import sys

from django.conf import settings
from timing import BARE, Case, measure

settings.configure(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend")

from django.core import mail  # noqa: E402 - after Django has its settings

from sideeffects import declare  # noqa: E402

mail.outbox = []
declare("django.core.mail", name="mail.send")
backend = mail.get_connection()
NAMES = {
    "backend": backend,
    "messages": [mail.EmailMessage("Your order", "It is on its way.", "shop@example.com", ["ada@example.com"])],
    "itself": inspect.unwrap(type(backend).send_messages),
}

if __name__ == "__main__":
    cases = {
        BARE: Case("itself(backend, messages)", NAMES, mail.outbox.clear),
        "recorded": Case("backend.send_messages(messages)", NAMES, mail.outbox.clear),
    }
    json.dump(measure(cases, turns=60), sys.stdout)
