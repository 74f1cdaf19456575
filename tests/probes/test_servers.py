"""Probes on the web, on a real WSGI server and a real ASGI server, outside any test run."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.probe_project import ProbeProject
from tests.support.web_servers import Server, served

pytestmark = pytest.mark.processes

PROBES = """
    import os
    import time

    import effects
    from django.db import connection
    from shop.models import Row
    from sideeffects.probes import SmokeTest


    class Checkout(SmokeTest):
        tags = ["money"]

        def test_order(self):
            effects.note("attempted", "a run")
            Row.objects.create(name="x")
            effects.attempt("an order")
            time.sleep(0.3)
            deadline = time.monotonic() + 20
            while os.path.exists("hold") and time.monotonic() < deadline:
                time.sleep(0.01)

        async def test_async_order(self):
            await Row.objects.acreate(name="x")
            await effects.ring("an order")


    class Stock(SmokeTest):
        def test_fails(self):
            self.assertEqual(1, 2, "the shelf is empty")
"""
URLS = """
    from everything import urlpatterns
    from django.urls import path
    from sideeffects.probes.views import IndexView

    urlpatterns += [path("money/", IndexView.as_view(tags=["money"]))]
"""
TOKEN = "t0ken-of-the-tests"
RULES = {"TOKEN": ["another-one", TOKEN], "CACHE_SECONDS": 0}
#: It knows users who are not active any more, too.
BACKEND = "django.contrib.auth.backends.AllowAllUsersModelBackend"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Site(NamedTuple):
    """The project, and the server that it is on."""

    project: ProbeProject
    kind: str
    server: Server

    def runs(self) -> int:
        return self.project.attempted["a run"]

    def rows(self) -> int:
        return int(self.server.ask("rows/").text)


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project with three probes, one of which fails, on a server that opens a transaction around each request."""
    project = ProbeProject(tmp_path_factory.mktemp("site"))
    project.write("shop/probes.py", PROBES)
    (project.root / "urls.py").rename(project.root / "everything.py")
    project.write("urls.py", URLS)
    project.manage("migrate", "--verbosity=0")
    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(project.root / "db.sqlite3"),
        "ATOMIC_REQUESTS": True,
    }
    more = {"DATABASES": {"default": database}, "MIDDLEWARE": MIDDLEWARE, "AUTHENTICATION_BACKENDS": [BACKEND]}
    with served(project, request.param, PROBES=json.dumps(RULES), MORE_SETTINGS=json.dumps(more)) as server:
        yield Site(project, request.param, server)


def test_a_burst_of_requests_causes_one_run(site: Site) -> None:
    """A hundred at once get the results of one run, in the format that each asks for."""
    site.project.forget()
    with (
        served(site.project, site.kind, PROBES=json.dumps({"TOKEN": TOKEN})) as server,
        ThreadPoolExecutor(100) as pool,
    ):
        formats = ["json", "text", "html", "junit"] * 25
        answers = list(pool.map(lambda name: server.ask(f"probe/?format={name}", **BEARER), formats))
    assert {answer.status for answer in answers} == {500}
    assert len({json.loads(answer.text)["started"] for answer in answers[::4]}) == 1
    assert site.runs() == 1


def test_without_a_cache_a_later_request_causes_a_run(site: Site) -> None:
    """Of its own; what `CACHE_SECONDS` says counts."""
    site.project.forget()
    for number in (1, 2):
        assert (site.server.ask("probe/?tag=money", **BEARER).status, site.runs()) == (200, number)


def test_effects_are_held_back_in_probes_and_nowhere_else(site: Site) -> None:
    """What probes would have sent is reported; another request that runs meanwhile really sends."""
    site.project.forget()
    hold = site.project.root / "hold"
    hold.touch()
    with ThreadPoolExecutor(1) as pool:
        try:
            probes = pool.submit(site.server.ask, "probe/?format=json", **BEARER)
            while not site.runs():
                assert not probes.done()
                time.sleep(0.01)
            assert site.server.ask("send/", **BEARER).text == "sent"
            assert not probes.done()
        finally:
            hold.unlink()
        report = json.loads(probes.result().text)
    assert dict(site.project.executed) == {"a request": 1}
    held = {
        probe["id"].rpartition(".")[2]: [one["arguments"] for one in probe["held_back"]] for probe in report["probes"]
    }
    assert held == {
        "test_order": [{"place": "an order"}],
        "test_async_order": [{"place": "an order"}],
        "test_fails": [],
    }


def test_what_probes_write_is_rolled_back(site: Site) -> None:
    """Also where Django opens a transaction around each request."""
    assert site.server.ask("probe/?tag=money", **BEARER).status == 200
    assert site.rows() == 0


def test_statuses_and_headers(site: Site) -> None:
    """500 when a probe went wrong, but for a scraper; HEAD is answered like GET; nobody keeps an answer."""
    for path, status, kind in (
        ("probe/?label=shop.Stock", 500, "text/plain"),
        ("probe/?label=shop.Checkout.test_async_order", 200, "text/plain"),
        ("probe/?label=shop.Stock&format=html", 500, "text/html"),
        ("probe/?label=shop.Stock&format=openmetrics", 200, "application/openmetrics-text"),
    ):
        for method in ("GET", "HEAD"):
            answer = site.server.ask(path, method, **BEARER)
            assert (answer.status, answer.headers.get_content_type()) == (status, kind)
            assert answer.headers["Cache-Control"] == "private, no-store, max-age=0"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert bool(answer.text) is (method == "GET")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_run_nothing(site: Site, method: str) -> None:
    """They are refused, and those who may not come in do not even learn that."""
    site.project.forget()
    assert site.server.ask("probe/", method, **BEARER).status == 405
    assert site.server.ask("probe/", method).status == 403
    assert site.runs() == 0


def test_nobody_comes_in_unnoticed(site: Site) -> None:
    """Before any probe is run: no token, a wrong one, one in the query string, an address that a header claims."""
    site.project.forget()
    for path, headers in (
        ("probe/", {}),
        ("probe/", {"Authorization": "Bearer t0ken"}),
        ("probe/", {"Authorization": f"Basic {TOKEN}"}),
        ("probe/", {"Authorization": "Bearer"}),
        (f"probe/?token={TOKEN}&access_token={TOKEN}", {}),
        ("probe/", {"X_Forwarded_For": "127.0.0.1", "Cookie": "sessionid=made-up"}),
    ):
        answer = site.server.ask(path, **headers)
        assert (answer.status, answer.headers["Cache-Control"]) == (403, "private, no-store, max-age=0")
        assert "shop" not in answer.text
    assert site.runs() == 0


def test_staff_users_come_in(site: Site) -> None:
    """By their session; other users do not, and neither does a member of staff who is not active any more."""
    keys = json.loads(
        site.project.program(
            """
            import json
            import os

            os.environ["DJANGO_SETTINGS_MODULE"] = "config"
            import django

            django.setup()
            from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
            from django.contrib.auth.models import User
            from django.contrib.sessions.backends.db import SessionStore

            keys = {}
            User.objects.all().delete()
            for name, more in (("staff", {"is_staff": True}), ("user", {}), ("gone", {"is_staff": True})):
                user = User.objects.create_user(name, **more)
                keys[name] = store = SessionStore()
                store[SESSION_KEY] = str(user.pk)
                store[BACKEND_SESSION_KEY] = os.environ["BACKEND"]
                store[HASH_SESSION_KEY] = user.get_session_auth_hash()
                store.save()
            User.objects.filter(username="gone").update(is_active=False)
            print(json.dumps({name: store.session_key for name, store in keys.items()}))
            """,
            environment={"BACKEND": BACKEND, "MORE_SETTINGS": json.dumps({"AUTHENTICATION_BACKENDS": [BACKEND]})},
        )
    )
    statuses = {
        name: site.server.ask("probe/?tag=money", Cookie=f"sessionid={key}").status for name, key in keys.items()
    }
    assert statuses == {"staff": 200, "user": 403, "gone": 403}


def test_what_a_request_selects(site: Site) -> None:
    """Labels and tags; what means nothing is a failure that says what would."""

    def names(query: str) -> list[str]:
        return names_in(site, f"probe/?format=json&{query}")

    assert names("label=shop.Stock&label=shop.Checkout.test_order") == ["Checkout.test_order", "Stock.test_fails"]
    assert names("tag=money") == ["Checkout.test_async_order", "Checkout.test_order"]
    assert names("exclude_tag=money") == ["Stock.test_fails"]
    unknown = site.server.ask("probe/?label=shop.Stok", **BEARER)
    assert (unknown.status, "did you mean 'shop.Stock'" in unknown.text) == (500, True)
    nothing = site.server.ask("probe/?label=shop.Stock&tag=money", **BEARER)
    assert (nothing.status, "no probe of this page is selected" in nothing.text) == (500, True)
    assert site.server.ask("probe/?format=yaml", **BEARER).status == 400


def names_in(site: Site, path: str) -> list[str]:
    """The probes of a report."""
    report = json.loads(site.server.ask(path, **BEARER).text)
    return [probe["id"].removeprefix("shop.probes.") for probe in report["probes"]]


def test_a_view_runs_no_probes_but_its_own(site: Site) -> None:
    """Whatever a request asks; it may choose among them."""
    assert names_in(site, "money/?format=json") == ["Checkout.test_async_order", "Checkout.test_order"]
    assert names_in(site, "money/?format=json&label=shop.Checkout.test_order") == ["Checkout.test_order"]
    for other in ("label=shop.Stock", "exclude_tag=money"):
        answer = site.server.ask(f"money/?{other}", **BEARER)
        assert (answer.status, "no probe of this page is selected" in answer.text) == (500, True)


def test_failfast_ends_with_the_first_failure(site: Site) -> None:
    """And the report says that not all was run; without it all is."""
    site.project.write(
        "shop/smoke.py",
        """
        from sideeffects.probes import SmokeTest


        class Early(SmokeTest):
            def test_fails(self):
                self.fail("early")
        """,
    )
    asked = "probe/?format=json&label=shop.smoke&label=shop.Stock"
    assert json.loads(site.server.ask(asked, **BEARER).text)["is_whole"] is True
    assert json.loads(site.server.ask(f"{asked}&failfast", **BEARER).text)["is_whole"] is False
    assert json.loads(site.server.ask(f"{asked}&failfast=0", **BEARER).text)["is_whole"] is True


def test_the_public_cannot_have_many_runs_at_once(site: Site) -> None:
    """By selecting this and that; those who are known are not kept waiting."""
    site.project.forget()
    hold = site.project.root / "hold"
    rules = json.dumps({"TOKEN": TOKEN, "PUBLIC": True, "CACHE_SECONDS": 0})
    with served(site.project, site.kind, PROBES=rules) as server, ThreadPoolExecutor(2) as pool:
        hold.touch()
        try:
            first = pool.submit(server.ask, "probe/?label=shop.Checkout.test_order")
            while not site.runs():
                assert not first.done()
                time.sleep(0.01)
            second = pool.submit(server.ask, "probe/?tag=money")
            time.sleep(0.3)
            assert server.ask("probe/?label=shop.Stock", **BEARER).status == 500
            assert (site.runs(), first.done(), second.done()) == (1, False, False)
        finally:
            hold.unlink()
        assert (first.result().status, second.result().status, site.runs()) == (200, 200, 2)


def test_settings_hold_on_the_web(tmp_path: Path) -> None:
    """Probes may not write where `READ_ONLY` says so, and are given up after `TIMEOUT`; then the server answers on."""
    project = ProbeProject(tmp_path)
    project.write("shop/probes.py", PROBES)
    project.manage("migrate", "--verbosity=0")
    project.write("hold", "")
    project.write(
        "shop/smoke.py",
        """
        import time
        from sideeffects.probes import SmokeTest


        class Slow(SmokeTest):
            def test_slow(self):
                time.sleep(60)
        """,
    )
    rules = {"TOKEN": TOKEN, "READ_ONLY": True, "TIMEOUT": 0.5, "PARALLEL": 4}
    with served(project, "wsgi", PROBES=json.dumps(rules)) as server:
        report = json.loads(server.ask("probe/?format=json", **BEARER).text)
        assert server.ask("rows/").text == "0"
    messages = {probe["id"].rpartition(".")[2]: probe["message"] for probe in report["probes"]}
    assert messages["test_slow"] == "it took longer than its timeout of 0.5 s"
    assert "this probe is read-only" in messages["test_order"]
    assert "this probe is read-only" in messages["test_async_order"]


def test_a_database_that_is_down_is_reported(tmp_path: Path) -> None:
    """And does not keep the view from answering, as a transaction around the request would."""
    project = ProbeProject(tmp_path)
    project.write("shop/probes.py", PROBES)
    down = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "nowhere" / "db"), "ATOMIC_REQUESTS": True}
    more = json.dumps({"DATABASES": {"default": down}})
    with served(project, "wsgi", PROBES=json.dumps(RULES), MORE_SETTINGS=more) as server:
        report = json.loads(server.ask("probe/?format=json", **BEARER).text)
        assert server.ask("rows/").status == 500
    outcomes = {probe["id"].rpartition(".")[2]: (probe["outcome"], probe["message"]) for probe in report["probes"]}
    assert outcomes == {
        "test_order": ("errored", "unable to open database file"),
        "test_async_order": ("errored", "unable to open database file"),
        "test_fails": ("failed", "the shelf is empty"),
    }
