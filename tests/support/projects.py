"""Throw-away projects, run in processes of their own, whose effects leave a trace when they really execute.

`attempt("a place")` in a project notes that the place was reached and calls the effect `shop.send`, which notes that
it executed. What happened is thus seen from outside, and a place that was never reached does not pass for a safe one.
"""

import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

EFFECTS = '''
    import asyncio
    import os

    from sideeffects import side_effect

    HERE = os.path.dirname(os.path.abspath(__file__))


    def note(name, place, os=os, write=os.write, opened=os.open):  # while the interpreter ends there is no open()
        file = opened(f"{HERE}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        write(file, f"{place}\\n".encode())
        os.close(file)


    @side_effect(name="shop.send", async_ok=True)
    def send(place):
        """Send."""
        note("executed", place)


    @side_effect(name="shop.confirm", on_commit=True)
    def confirm(place):
        """Send once the order is committed."""
        note("executed", place)


    @side_effect(name="shop.ring", async_ok=True)
    async def ring(place):
        """Send, asynchronously."""
        note("executed", place)


    def attempt(place):
        note("attempted", place)
        send(place)


    def attempt_all_shapes(place):
        attempt(place)
        note("attempted", f"{place}: on commit")
        confirm(f"{place}: on commit")
        note("attempted", f"{place}: coroutine")
        asyncio.run(ring(f"{place}: coroutine"))
        note("attempted", f"{place}: background")
        send.enqueue(f"{place}: background").result(timeout=30)
'''


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that says that it is a test run, or which Django it is."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "SIDE_EFFECTS", "DJANGO", "CELERY"))
    } | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": ""}


class Project:
    """A folder with `effects.py` (see above) and whatever a test writes into it.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("effects.py", EFFECTS)

    def write(self, path: str, source: str) -> None:
        """Write a file; the source may be indented."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source).lstrip("\n"), encoding="utf-8")

    def run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, code: int | None = 0
    ) -> "subprocess.CompletedProcess[str]":
        """Run `python ARGUMENTS` in the project, with a cleaned environment and these variables, and forget before it.

        Returns:
            the finished process.

        Raises:
            AssertionError: it did not exit with `code`; `None` allows any.
        """
        self.forget()
        finished = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=clean_environment() | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code in (None, finished.returncode), (
            f"python {' '.join(arguments)} exited with {finished.returncode}:\n{finished.stdout}\n{finished.stderr}"
        )
        return finished

    def pytest(
        self,
        *options: str,
        plugins: tuple[str, ...] = ("sideeffects",),
        environment: Mapping[str, str] | None = None,
        code: int | None = 0,
    ) -> "subprocess.CompletedProcess[str]":
        """Run pytest in the project, with these plugins: loading all that are installed takes three times as long."""
        loaded = [option for plugin in plugins for option in ("-p", plugin)]
        environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(environment or {})}
        return self.run(
            "-m", "pytest", "-q", "-p", "no:cacheprovider", *loaded, *options, environment=environment, code=code
        )

    def program(self, source: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Write `program.py` and run it.

        Returns:
            what it printed.
        """
        self.write("program.py", source)
        return self.run("program.py", *arguments, environment=environment).stdout

    def forget(self) -> None:
        """Forget the traces of earlier runs."""
        for trace in ("attempted", "executed"):
            (self.root / trace).unlink(missing_ok=True)

    @property
    def attempted(self) -> Counter[str]:
        """The places that were reached in the last run, with how often."""
        return self._trace("attempted")

    @property
    def executed(self) -> Counter[str]:
        """The places from which the effect really executed in the last run, with how often."""
        return self._trace("executed")

    def _trace(self, name: str) -> Counter[str]:
        file = self.root / name
        return Counter(file.read_text(encoding="utf-8").splitlines()) if file.exists() else Counter()


def django_project(root: Path) -> Project:
    """A Django project whose INSTALLED_APPS lack `sideeffects`, with `manage.py` and the same renamed to `run.py`.

    Its app `shop` calls effects in `ready()`; its settings call one as well and swallow the refusal.
    """
    project = Project(root)
    project.write(
        "config/settings.py",
        """
        import os

        import effects
        from sideeffects import SideEffectError

        try:
            effects.attempt("settings")
        except SideEffectError as error:
            assert "settings module" in str(error), error

        SECRET_KEY = "no secret"
        DEBUG = False
        ALLOWED_HOSTS = ["*"]
        USE_TZ = True
        INSTALLED_APPS = ["shop.apps.Shop", *os.environ.get("MORE_APPS", "").split()]
        MIDDLEWARE = []
        ROOT_URLCONF = "config.urls"
        STATIC_URL = "static/"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        if "IN_SETTINGS" in os.environ:
            SIDE_EFFECTS = {"TEST_RUN": os.environ["IN_SETTINGS"] == "True"}
        """,
    )
    project.write(
        "config/urls.py",
        """
        import effects
        from django.http import HttpResponse
        from django.urls import path


        def send(request, place):
            effects.attempt_all_shapes(place)
            return HttpResponse("sent")


        urlpatterns = [path("send/<place>/", send)]
        """,
    )
    project.write(
        "shop/apps.py",
        """
        import effects
        from django.apps import AppConfig


        class Shop(AppConfig):
            name = "shop"

            def ready(self):
                effects.attempt("ready()")
        """,
    )
    project.write("shop/__init__.py", "")
    project.write("config/__init__.py", "")
    project.write("shop/management/__init__.py", "")
    project.write("shop/management/commands/__init__.py", "")
    project.write(
        "shop/management/commands/bill.py",
        """
        import effects
        from django.core.management.base import BaseCommand


        class Command(BaseCommand):
            def handle(self, **options):
                effects.attempt_all_shapes("a command")
        """,
    )
    for name in ("manage.py", "run.py"):
        project.write(
            name,
            """
            import multiprocessing
            import os
            import sys

            if __name__ == "__main__":
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
                if "START_METHOD" in os.environ:
                    multiprocessing.set_start_method(os.environ["START_METHOD"])
                from django.core.management import execute_from_command_line

                execute_from_command_line(sys.argv)
            """,
        )
    return project
