"""What sets code going: requests, commands, tests and shells say so of the calls that are made in them."""

import asyncio
import sys
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from django.views import View

from sideeffects import Calls, capture, side_effect
from sideeffects._core.calls.origins import origin
from sideeffects.testing import isolated_registry
from tests.support.projects import Project


@pytest.fixture(autouse=True)
def send() -> Iterator[Any]:
    with isolated_registry():

        @side_effect(name="mail.send")
        def send(to: str) -> None:
            raise AssertionError("a test run executes nothing")

        yield send


@pytest.fixture(autouse=True)
def shop(send: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project of one module with views, middleware and a command, as its URL configuration."""

    def order(request: HttpRequest, pk: int, token: str = "") -> HttpResponse:
        send("view")
        return HttpResponse()

    async def later(request: HttpRequest) -> HttpResponse:
        await asyncio.to_thread(send, "thread of a view")
        return HttpResponse()

    class Board(View):
        def post(self, request: HttpRequest) -> HttpResponse:
            send("class")
            call_command(Command())
            thread = threading.Thread(target=send, args=("thread",))
            thread.start()
            thread.join()
            send("class again")
            return HttpResponse()

    def middleware(get_response: Any) -> Any:
        def answer(request: HttpRequest) -> HttpResponse:
            send("middleware")
            return get_response(request)

        return answer

    class Command(BaseCommand):
        def handle(self, *args: Any, **options: Any) -> None:
            send("command")

    for thing in (order, later, Board):
        thing.__module__ = "shop.views"
    Command.__module__ = "shop.management.commands.remind_unpaid"
    module: Any = ModuleType("shop_urls")
    module.urlpatterns = [
        path("orders/<int:pk>/<str:token>/", order),
        path("later/", later),
        path("board/", Board.as_view()),
    ]
    module.middleware = middleware
    monkeypatch.setitem(sys.modules, "shop_urls", module)
    with override_settings(ROOT_URLCONF="shop_urls", MIDDLEWARE=["shop_urls.middleware"]):
        yield


def told(calls: Calls) -> dict[str, str]:
    return {call.arguments["to"]: call.origin for call in calls}


def test_a_request_is_its_method_route_and_view() -> None:
    """Middleware says the same, and what the path holds is said nowhere."""
    with capture() as calls:
        Client().get("/orders/17/secret-token/")
        Client().get("/nowhere/secret-token/")
    where = "GET /orders/<int:pk>/<str:token>/ (shop.views.order)"
    assert [call.origin for call in calls] == [where, where, "GET (no route)"]


def test_what_a_request_calls_has_its_own_origin_and_what_it_starts_inherits_it() -> None:
    """A command says its own name, threads say the request; then the request is the origin again, then the test."""
    before = origin()
    with capture() as calls:
        Client().post("/board/")
    where = "POST /board/ (shop.views.shop.<locals>.Board)"
    where = next(call.origin for call in calls)
    assert where.startswith("POST /board/ (shop.views.")
    assert told(calls) == {
        "middleware": where,
        "class": where,
        "command": "command remind_unpaid",
        "thread": where,
        "class again": where,
    }
    assert origin() == before


async def test_asynchronous_requests_say_the_same() -> None:
    """In threads that a view hands work to, too."""
    with capture() as calls:
        await AsyncClient().get("/later/")
    assert set(told(calls).values()) == {"GET /later/ (shop.views.later)"}


def test_a_kept_call_keeps_no_request(send: Any) -> None:
    """Once the request is over its origin is a text."""
    with capture() as calls:
        Client().get("/orders/17/x/")
    assert getattr(calls[0]._origin, "_request", None) is None


def test_a_test_is_its_id(send: Any, request: pytest.FixtureRequest) -> None:
    """As pytest names it; in threads, too."""
    with capture() as calls:
        send("test")
        thread = threading.Thread(target=send, args=("thread",))
        thread.start()
        thread.join()
    assert set(told(calls).values()) == {f"test {request.node.nodeid}"}


async def test_an_asynchronous_test_is_its_id(send: Any, request: pytest.FixtureRequest) -> None:
    """Whichever test its loop was made in."""
    with capture() as calls:
        send("test")
    assert calls[0].origin == f"test {request.node.nodeid}"


PROGRAM = """
    import unittest
    from sideeffects import capture, side_effect

    @side_effect(name="mail.send")
    def send(to):
        raise AssertionError

    class OrderTests(unittest.TestCase):
        def test_pays(self):
            with capture() as calls:
                send("ann")
            print(calls[0].origin)

    with capture() as calls:
        send("before")
    print(calls[0].origin or "nothing")
    unittest.main(argv=["x"], exit=False, verbosity=0)
    """


def test_unittest_and_shells(tmp_path: Path) -> None:
    """A test of unittest is its id; somebody who types is the shell; else nothing is."""
    project = Project(tmp_path)
    assert project.program(PROGRAM, environment={"SIDE_EFFECTS_TEST_RUN": "1"}).split("\n")[:2] == [
        "nothing",
        "test __main__.OrderTests.test_pays",
    ]
    typed = "import sys; sys.ps1 = '>>> '\n" + PROGRAM.replace("\n    ", "\n")
    assert project.program(typed, environment={"SIDE_EFFECTS_TEST_RUN": "1"}).split("\n")[0] == "shell"


class UnittestTests(unittest.TestCase):
    def test_under_pytest(self) -> None:
        """Pytest's name holds for tests of unittest as well."""
        with capture() as calls:
            side_effect(name="mail.other")(print)("ann")
        assert calls[0].origin.endswith("test_origins.py::UnittestTests::test_under_pytest")
