"""A site with the outbox: a view, a Celery task and a command that send, and `manage.py`."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.projects import Project, clean_environment

CONFIG = """
    import json, os
    from pathlib import Path

    SECRET_KEY = "shop"
    USE_TZ = True
    DEBUG = False
    ALLOWED_HOSTS = ["*"]
    ROOT_URLCONF = "shop.urls"
    STATIC_URL = "/static/"
    INSTALLED_APPS = [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "sideeffects",
        "sideeffects.outbox",
        "shop",
    ]
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ]
    DATABASES = {"default": json.loads(os.environ["DATABASE"])}
    SIDE_EFFECTS = {"OUTBOX": {"REFRESH": 0.2}, **json.loads(os.environ.get("RULES", "{}"))}
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": Path(__file__).parent / "log"}},
        "loggers": {"sideeffects": {"handlers": ["file"], "level": "INFO"}},
    }
"""

EFFECTS = '''
    import os
    from pathlib import Path

    from sideeffects import side_effect


    def note(text):
        with open(Path(__file__).parents[1] / "executed", "a") as file:
            file.write(f"{text}\\n")


    @side_effect(name="sms.send", returns="not sent", owner="team messages")
    def send(to, token=""):
        """Send a text message."""
        if to.startswith("broken"):
            raise ConnectionError(f"the gateway did not take {to} with {token}")
        note(f"sms {to}")
        return "sent"


    @side_effect(name="mail.send", returns="not sent")
    def mail(to):
        """Send a letter."""
        note(f"mail {to}")
        return "sent"
'''

#: A night on the site: calls that are held, and what became of some; without `mail.send`, which the rules record.
NIGHT = """
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "config"
    import django

    django.setup()
    from django.contrib.auth.models import Permission, User
    from shop.effects import mail, send
    from sideeffects._core.calls.origins import originating
    from django.db.models.functions import Now
    from sideeffects.outbox import actions, pauses
    from sideeffects.outbox.models import HeldCall
    from sideeffects.outbox.workers import this_worker

    User.objects.create_superuser("ann", "ann@example.com", "secret")
    ben = User.objects.create_user("ben", "ben@example.com", "secret", is_staff=True)
    ben.user_permissions.add(*Permission.objects.filter(codename__in=["view_heldcall", "view_effect", "view_pause"]))
    User.objects.create_user("eve", "eve@example.com", "secret", is_staff=True)
    with originating("command remind_unpaid"):
        for number in range(6):
            send(f"+44 20 7946 00{number:02}", token="tok-5f3759df")
        send("broken gateway", token="tok-5f3759df")
        send("<b>bold</b> " * 30)
    with originating("GET /orders/<int:pk>/ (shop.views.order)"):
        mail("ann@example.com")
    keys = list(HeldCall.objects.order_by("id").values_list("pk", flat=True))
    actions.release([keys[0], keys[6]], by="ann")
    actions.reject([keys[1]], by="ann")
    # In this process, which is gone when somebody looks.
    HeldCall.objects.filter(pk=keys[2]).update(state="running", worker=this_worker(), alive_at=Now(), attempts=1)
    pauses.pause("sms.*", why="The loop of ticket 4711 writes to everybody. Ask Ann before you resume.", by="ann")
    """

URLS = """
    import os

    from django.contrib import admin
    from django.http import HttpResponse
    from django.urls import path
    from shop.effects import mail, send


    def sms(request, to):
        return HttpResponse(f"{os.getpid()} {send(to)}")


    def letter(request, to):
        return HttpResponse(f"{os.getpid()} {mail(to)}")


    def remind(request, to):
        import tasks

        pid, came = tasks.remind.delay(to).get(timeout=20)
        return HttpResponse(f"{pid} {came}")


    urlpatterns = [
        path("sms/<str:to>/", sms),
        path("mail/<str:to>/", letter),
        path("remind/<str:to>/", remind),
        path("admin/", admin.site.urls),
    ]
"""

TASKS = """
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
    django.setup()

    from celery import Celery
    from shop.effects import send

    app = Celery("shop", broker=os.environ.get("BROKER"), backend=os.environ.get("BROKER"))
    app.conf.task_default_queue = os.environ.get("QUEUE", "shop")


    @app.task(name="shop.remind")
    def remind(to):
        return [os.getpid(), send(to)]
"""

MANAGE = """
    import os
    import sys

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""

WSGI = """
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config")
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
"""


class PauseProject(Project):
    """The site in a folder.

    Args:
        root: an empty folder.
        database: an entry of `DATABASES`; a file of SQLite in the folder when left out.
    """

    def __init__(self, root: Path, database: dict[str, Any] | None = None) -> None:
        self.root = root
        for name, source in (("config", CONFIG), ("manage", MANAGE), ("wsgi", WSGI), ("tasks", TASKS)):
            self.write(f"{name}.py", source)
        self.write("shop/__init__.py", "")
        self.write("shop/effects.py", EFFECTS)
        self.write("shop/urls.py", URLS)
        given = database or {"ENGINE": "django.db.backends.sqlite3", "NAME": str(root / "db.sqlite3")}
        keys = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")
        self.environment = {"DATABASE": json.dumps({key: given[key] for key in keys if key in given})}

    def manage(self, *arguments: str, code: int | None = 0, **environment: str) -> str:
        """Run `manage.py` outside any test run; returns what it printed, errors after it."""
        finished = self.run("manage.py", *arguments, environment={**self.environment, **environment}, code=code)
        return finished.stdout + finished.stderr

    @contextmanager
    def serving(self, **environment: str) -> Iterator[str]:
        """The site on Django's own server, which serves the admin's files as well: its address, ending in a slash."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (self.root / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}", "--noreload", "--insecure"],
                cwd=self.root,
                env=clean_environment() | self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            for _ in range(1200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                    break
                assert process.poll() is None, (self.root / "output").read_text(encoding="utf-8")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)

    @property
    def log(self) -> str:
        """What all processes have logged."""
        file = self.root / "log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def forget(self) -> None:
        """What was executed stays: processes that run meanwhile go on."""
