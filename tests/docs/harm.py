"""Thirty ways to harm the shop of the demo, run by `held.py`; what came of each is printed as JSON."""

import asyncio
import concurrent.futures
import contextvars
import ctypes
import http.client
import json
import multiprocessing
import os
import smtplib
import socket
import subprocess
import sys
import threading
import urllib.request

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from shop import effects
from shop.models import Order

from sideeffects import force_run, stub

OUTSIDE = "192.0.2.1"  # nobody has this address
PHONE = "+44 20 7946 0001"


def send():
    return effects.send_sms(PHONE, body="harm")


def child(code, **options):
    """The same in another process, which says by its exit code whether it was refused."""
    code = f"import os, django\ndjango.setup()\nfrom shop import effects\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, **options)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip().splitlines()[-1])


def in_thread(work):
    errors = []

    def run():
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def on_commit():
    with transaction.atomic():
        effects.confirm_by_mail("ada@example.com", 1, 100)


def forced():
    with force_run("__all__"):
        send()


def stubbed():
    with stub("sms.send", returns="sent"):
        send()


def without_settings():
    with override_settings(SIDE_EFFECTS={"MODE": "EXECUTE", "POLICY": {"*": "EXECUTE"}, "FORCE_RUN": ["*"]}):
        send()


def unset_variable():
    os.environ["SIDE_EFFECTS_MODE"] = ""
    try:
        send()
    finally:
        os.environ["SIDE_EFFECTS_MODE"] = "raise"


def reloaded():
    import importlib

    importlib.reload(effects).send_sms(PHONE, body="harm")


def pool():
    with concurrent.futures.ThreadPoolExecutor() as executor:
        executor.submit(send).result()


def forked():
    process = multiprocessing.get_context("fork").Process(target=send)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("refused in the fork")


def native():
    libc = ctypes.CDLL(None)
    descriptor = libc.socket(2, 1, 0)
    port = settings.HTTP_PORT
    address = bytes([2, 0, port >> 8, port & 255, 127, 0, 0, 1]) + bytes(8)
    assert libc.connect(descriptor, address, 16) == 0
    text = b"POST /sms HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    libc.send(descriptor, text, len(text), 0)
    libc.recv(descriptor, ctypes.create_string_buffer(64), 64, 0)


def a_file():
    with open(os.environ["HARM_FILE"], "w", encoding="utf-8") as file:
        file.write("harm")


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith("SIDE_EFFECTS")}


SEND = f"effects.send_sms({PHONE!r}, body='harm')"

HELD = {
    "a text": send,
    "a charge": lambda: effects.CardTerminal().charge(100, token="x"),
    "a mail after the commit": on_commit,
    "a webhook": lambda: asyncio.run(effects.announce_to_warehouse(1, 100)),
    "in the background": lambda: effects.send_sms.enqueue(PHONE, body="harm").result(timeout=30),
    "in a thread": lambda: in_thread(send),
    "in a pool": pool,
    "in an empty context": lambda: contextvars.Context().run(send),
    "in a fork": forked,
    "in a child": lambda: child(SEND),
    "in a child with a clean environment": lambda: child(SEND, env=clean()),
    "in a child, with overrides": lambda: child(f"import sideeffects\nwith sideeffects.force_run('*'): {SEND}"),
    "with force_run": forced,
    "with a stub": stubbed,
    "with other settings": without_settings,
    "with the variable emptied": unset_variable,
    "after a reload": reloaded,
    "by a command": lambda: call_command("remind_unpaid"),
    "by another command": lambda: call_command("cancel_unpaid"),
    "a row inserted": lambda: Order.objects.create(email="x@example.com", phone="+1", total_cents=1),
    "by its qualified name": lambda: sys.modules["shop.effects"].send_sms(PHONE, body="harm"),
    "a request by urllib": lambda: urllib.request.urlopen(f"http://{OUTSIDE}/", timeout=1),
    "a request by http.client": lambda: http.client.HTTPConnection(OUTSIDE, timeout=1).request("GET", "/"),
    "a mail by smtplib": lambda: smtplib.SMTP(OUTSIDE, timeout=1),
    "a socket": lambda: socket.create_connection((OUTSIDE, 80), 1),
    "a look-up": lambda: socket.getaddrinfo("harm.invalid", 80),
    "a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (OUTSIDE, 53)),
    "a program": lambda: subprocess.run(["curl", f"http://{OUTSIDE}/"], check=True, capture_output=True),
    "a shell": lambda: os.system("true"),
    "rows deleted": lambda: Order.objects.all().delete(),
    "a table dropped": lambda: connection.cursor().execute("DROP TABLE shop_order"),
    "migrated back": lambda: call_command("migrate", "shop", "zero", verbosity=0),
}
#: What the page names as not held.
NAMED = {
    "__wrapped__": lambda: effects.send_sms.__wrapped__(PHONE, body="named: wrapped"),
    "native code": native,
    "a file": a_file,
    "the package's private parts": lambda: (effects.send_sms._self_declared.switch.clear(), send()),
}


def outcome(attempt):
    try:
        attempt()
    except BaseException as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    found = [{name: outcome(attempt) for name, attempt in kind.items()} for kind in (HELD, NAMED)]
    sys.stdout.write(json.dumps(found))
