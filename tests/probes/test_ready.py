"""Ready-made probes, each against the real thing: up, down, and hanging."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sideeffects.probes import ready
from sideeffects.probes.ready import choice
from sideeffects.settings.probes import READY, check_probes
from tests.support.probe_project import ProbeProject
from tests.support.projects import clean_environment
from tests.support.redis_server import for_celery, redis_server

pytestmark = pytest.mark.processes
CLOSED = 1
ALL = json.dumps({"READY": READY, "PARALLEL": 4})


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@contextlib.contextmanager
def mail_server() -> Iterator[int]:
    """The port of an SMTP server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, connection.makefile("rwb") as file:
                        file.write(b"220 ready\r\n")
                        file.flush()
                        for line in file:
                            file.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")
                            file.flush()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> ProbeProject:
    """A project with a Celery application and effects that name their hosts."""
    made = ProbeProject(tmp_path_factory.mktemp("ready"))
    made.write(
        "shop/apps.py",
        """
        import os

        from celery import Celery
        from django.apps import AppConfig

        from sideeffects import side_effect


        class ShopConfig(AppConfig):
            name = "shop"

            def ready(self):
                Celery("shop", broker=os.environ.get("BROKER", "memory://"), set_as_current=True)


        @side_effect(name="shop.reach", tags=["host:localhost", "host:nowhere.invalid"])
        def reach(): ...
        """,
    )
    return made


def settings(**caches: str) -> dict[str, Any]:
    redis = "django.core.cache.backends.redis.RedisCache"
    made: dict[str, Any] = {alias: {"BACKEND": redis, "LOCATION": url} for alias, url in caches.items()}
    made["default"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    made["nothing"] = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}
    return {"CACHES": made}


def mail(port: int) -> dict[str, Any]:
    backend = "django.core.mail.backends.smtp.EmailBackend"
    return {"EMAIL_BACKEND": backend, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": port}


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {name: probe["outcome"] for name, probe in report["by_name"].items()}


def test_what_is_up_passes(project: ProbeProject) -> None:
    """With a Redis, an SMTP server, and a database that has its migrations; no worker runs, and one name is wrong."""
    project.manage("migrate")
    (project.root / "files").mkdir(exist_ok=True)
    with redis_server() as redis, mail_server() as smtp:
        more = settings(up=redis) | mail(smtp) | {"MEDIA_ROOT": str(project.root / "files")}
        report = project.probe(code=1, PROBES=ALL, MORE_SETTINGS=json.dumps(more), BROKER=for_celery(redis))
    assert outcomes(report) == {
        "Database.test_default": "passed",
        "Migrations.test_default": "passed",
        "Cache.test_default": "passed",
        "Cache.test_up": "passed",
        "Cache.test_nothing": "skipped",
        "Storage.test_default": "passed",
        "Broker.test_connection": "passed",
        "Workers.test_ping": "failed",
        "Mail.test_connection": "passed",
        "Disk.test_room": "passed",
        "Memory.test_room": "passed",
        "Hosts.test_localhost": "passed",
        "Hosts.test_nowhere_invalid": "failed",
    }
    assert "is one running?" in report["by_name"]["Workers.test_ping"]["message"]
    assert "Needed by shop.reach" in report["by_name"]["Hosts.test_nowhere_invalid"]["message"]
    assert not list((project.root / "files").iterdir()), "a probe left its file"


def test_a_worker_that_runs_answers(project: ProbeProject) -> None:
    """A real one, asked through the broker."""
    project.write("tasks.py", "import os\nfrom celery import Celery\napp = Celery(broker=os.environ['BROKER'])")
    with redis_server() as url:
        broker = for_celery(url)
        command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "INFO"]
        environment = clean_environment() | {"BROKER": broker}
        with subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as worker:
            assert worker.stdout is not None
            assert any("ready." in line for line in worker.stdout), "the worker ended"
            report = project.probe("sideeffects.Workers", PROBES=ALL, BROKER=broker)
            worker.terminate()
            worker.stdout.read()
    assert outcomes(report) == {"Workers.test_ping": "passed"}


def test_what_is_down_fails_and_says_what(project: ProbeProject) -> None:
    """Without migrations, with nobody at the ports, and with a storage that is a file; each has its own sentence."""
    (project.root / "db.sqlite3").unlink(missing_ok=True)
    shutil.rmtree(project.root / "files", ignore_errors=True)
    (project.root / "files").write_text("no folder")
    nobody = f"redis://127.0.0.1:{CLOSED}/0"
    more = settings(down=nobody) | mail(CLOSED) | {"MEDIA_ROOT": str(project.root / "files")}
    report = project.probe(code=1, PROBES=ALL, MORE_SETTINGS=json.dumps(more), BROKER=nobody)
    said = {name: probe["message"] for name, probe in report["by_name"].items() if probe["outcome"] != "passed"}
    for name, words in {
        "Migrations.test_default": "lacks ",
        "Cache.test_down": "refused",
        "Storage.test_default": "files",
        "Broker.test_connection": "takes no connection",
        "Workers.test_ping": "refused",
        "Mail.test_connection": f"the mail server 127.0.0.1:{CLOSED} takes no connection",
    }.items():
        assert words in said[name], said[name]
    assert "manage.py migrate --database default" in said["Migrations.test_default"]
    (project.root / "files").unlink()


def test_what_hangs_ends(project: ProbeProject) -> None:
    """Servers that take a connection and say nothing hold nobody up."""
    with silent_server() as port:
        silent = f"redis://127.0.0.1:{port}/0"
        more = settings(silent=silent) | mail(port)
        report = project.probe(
            "sideeffects.Cache", "sideeffects.Broker", "sideeffects.Mail", "sideeffects.Workers", "--timeout", "3",
            code=1, PROBES=ALL, MORE_SETTINGS=json.dumps(more), BROKER=silent,
        )  # fmt: skip
    found = outcomes(report)
    assert found["Cache.test_default"] == "passed"
    for name in ("Cache.test_silent", "Broker.test_connection", "Mail.test_connection", "Workers.test_ping"):
        assert found[name] in ("failed", "errored"), found
        assert "took longer than its timeout of 3 s" in report["by_name"][name]["message"], report["by_name"][name]


def test_caches_that_fail_are_named(project: ProbeProject) -> None:
    """Whatever a cache raises; and aliases that differ in a dash alone are two."""
    project.write(
        "shop/caches.py",
        """
        from django.core.cache.backends.base import BaseCache


        class Raises(BaseCache):
            def __init__(self, *args): super().__init__({})
            def set(self, *args, **options): raise RuntimeError("no set")


        class Forgets(Raises):
            def set(self, *args, **options): ...
            def get(self, *args, **options): return None
            def delete(self, *args, **options): raise RuntimeError("no delete")


        class Keeps(Forgets):
            def set(self, key, *args, **options): self.kept = key
            def get(self, key, *args, **options): return self.kept
            def delete(self, *args, **options): ...
        """,
    )
    kinds = {"default": "Raises", "a-b": "Forgets", "a_b": "Keeps", "gone": "NoSuch"}
    more = {"CACHES": {alias: {"BACKEND": f"shop.caches.{kind}"} for alias, kind in kinds.items()}}
    report = project.probe("sideeffects.Cache", code=1, PROBES=ALL, MORE_SETTINGS=json.dumps(more))
    said = {name.removeprefix("Cache."): probe["message"] for name, probe in report["by_name"].items()}
    assert set(outcomes(report).values()) == {"failed"}
    assert said["test_default"] == "the cache 'default' does not work: RuntimeError: no set"
    assert "the cache 'a-b' does not give back what was written" in said["test_a_b"]
    assert "the cache 'a_b' still has what was deleted" in said["test_a_b_"]
    assert "the cache 'gone' does not work: InvalidCacheBackendError" in said["test_gone"]


def test_limits_can_be_changed_in_a_class_of_ones_own(project: ProbeProject) -> None:
    """A probe derived from a ready-made one is found, and the one that it imports is not."""
    project.write(
        "shop/smoke.py",
        """
        from sideeffects.probes.ready import Disk, Memory


        class FullDisk(Disk):
            at_most = 0


        class FullMemory(Memory):
            at_most = 0
        """,
    )
    report = project.probe(code=1)
    (project.root / "shop/smoke.py").unlink()
    assert outcomes(report) == {"FullDisk.test_room": "failed", "FullMemory.test_room": "failed"}
    assert "0 % are allowed" in report["by_name"]["FullDisk.test_room"]["message"]
    assert "are available" in report["by_name"]["FullMemory.test_room"]["message"]


def test_the_settings_name_those_that_there_are() -> None:
    """Each name has a probe; a misspelt one is a problem that names the nearest."""
    assert set(choice._READY) == set(READY)
    assert check_probes({"READY": list(READY)}) == []
    assert check_probes({"READY": ["databse"]}) == [
        "READY has 'databse', which is no ready-made probe; did you mean 'database'?"
    ]
    assert "must be a list of" in check_probes({"READY": "database"})[0]
    assert ready.__all__ == sorted(ready.__all__)
