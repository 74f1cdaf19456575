"""What a request leaves open in a generator that it drops does not live on into the next request."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from sideeffects import capture, forbid, record, side_effect
from sideeffects._core.state.scope import EMPTY, scope
from sideeffects._core.state.state import state
from sideeffects.testing import isolated_registry

# Requests look at the connections that earlier tests have opened.
pytestmark = pytest.mark.django_db

#: What requests dropped without finishing; somebody holds it, as a cache or a traceback would.
held: list[Any] = []


@pytest.fixture
def send(production: None) -> Iterator[Callable[[], str]]:
    """An effect that says what became of it, with the views below installed."""
    with isolated_registry(), override_settings(ROOT_URLCONF=__name__):

        @side_effect(name="sms.send", returns="recorded")
        def send() -> str:
            return "executed"

        send()  # reads the settings, and listens to requests from then on
        yield send
        held.clear()


def dawdle(manager: Any) -> Iterator[Any]:
    with manager as entered:
        yield entered


def abandon(request: HttpRequest) -> HttpResponse:
    """Leave an override and a capture open, in generators that are never finished."""
    for manager in (forbid("sms.send"), capture()):
        generator = dawdle(manager)
        held.append((generator, next(generator)))
    return call(request)


def call(request: HttpRequest) -> HttpResponse:
    """Call the effect and answer what became of it."""
    from sideeffects import SideEffectBlocked
    from sideeffects._core.calls.registry import function_of

    try:
        return HttpResponse(function_of("sms.send")())
    except SideEffectBlocked:
        return HttpResponse("refused")


async def abandon_async(request: HttpRequest) -> HttpResponse:
    return abandon(request)


async def call_async(request: HttpRequest) -> HttpResponse:
    return call(request)


urlpatterns = [
    path("abandon", abandon),
    path("call", call),
    path("async/abandon", abandon_async),
    path("async/call", call_async),
]


def ask_wsgi(handler: WSGIHandler, where: str) -> str:
    """One request on this thread, as a WSGI server's worker makes them."""
    import io

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": where,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    response = handler(environ, lambda status, headers: None)
    try:
        return b"".join(response).decode()
    finally:
        response.close()


def test_under_wsgi_the_next_request_is_free_of_it(send: Callable[[], str]) -> None:
    """The next request on the same thread executes normally, and no capture of the one before sees it."""
    handler = WSGIHandler()
    assert ask_wsgi(handler, "/abandon") == "refused"
    assert ask_wsgi(handler, "/call") == "executed"
    assert scope.get() is EMPTY
    assert [len(calls) for _, calls in held if not isinstance(calls, type(forbid()))] == [1]
    assert state.overrides.entries == ()


@pytest.mark.parametrize("prefix", ["/", "/async/"])
def test_under_asgi_the_next_request_is_free_of_it(send: Callable[[], str], prefix: str) -> None:
    """The same under ASGI, for synchronous and asynchronous views, with all requests in one task."""
    from asgiref.sync import async_to_sync

    async def ask(where: str) -> str:
        sent: list[Any] = []
        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if asked:
                return asked.pop()
            import asyncio

            return await asyncio.Event().wait()

        async def answer(message: Any) -> None:
            sent.append(message)

        request = {"type": "http", "method": "GET", "path": where, "headers": [(b"host", b"testserver")]}
        await ASGIHandler()({**request, "query_string": b"", "server": ("testserver", 80)}, receive, answer)
        return b"".join(message.get("body", b"") for message in sent).decode()

    async def serve() -> list[str]:
        return [await ask(f"{prefix}{where}") for where in ("abandon", "call", "abandon", "call")]

    assert async_to_sync(serve)() == ["refused", "executed", "refused", "executed"]
    assert send() == "executed"


def test_an_override_around_a_test_clients_request_survives_it(send: Callable[[], str]) -> None:
    """What was open before the request is still in force after it, and is seen in it."""
    with record("sms.send"), capture() as calls:
        assert Client().get("/call").content == b"recorded"
        assert send() == "recorded"
        Client().get("/abandon")
        assert send() == "recorded"
    assert len(calls) == 4
    assert send() == "executed"


async def test_an_override_around_an_async_clients_request_survives_it(send: Callable[[], str]) -> None:
    """The same with the asynchronous client."""
    with record("sms.send"):
        assert (await AsyncClient().get("/async/call")).content == b"recorded"
        assert send() == "recorded"
    assert send() == "executed"


def test_a_request_that_finishes_twice_takes_nothing(send: Callable[[], str]) -> None:
    """The end of a request that nobody began takes no override away."""
    from django.core.signals import request_finished

    with record("sms.send"):
        request_finished.send(sender=None)
        assert send() == "recorded"


SERVER = """
import json, sys, threading, urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], SECRET_KEY="x")
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from sideeffects import record, side_effect

held, ran = [], []

@side_effect(name="sms.send")
def send(to):
    ran.append(to)

def dawdle():
    with record():
        yield

def view(request, to, leave):
    if leave:
        held.append(dawdle())
        next(held[-1])
    send(to)
    return HttpResponse(str(threading.get_ident()))

urlpatterns = [path("abandon/<to>", view, {"leave": True}), path("call/<to>", view, {"leave": False})]

class Silent(WSGIRequestHandler):
    def log_message(self, *args):
        pass

server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Silent)
threading.Thread(target=server.serve_forever, daemon=True).start()
ask = lambda where: urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{where}", timeout=30).read()
threads = {ask(where) for where in ("call/Ada", "abandon/Bob", "call/Cy", "abandon/Dan", "call/Eve", "call/Fay")}
server.shutdown()
print(json.dumps({"ran": ran, "threads": len(threads)}))
"""


def test_on_a_real_server_the_next_request_is_free_of_it(production: None, tmp_path: Path) -> None:
    """A server on loopback, in a process of its own outside any test run, that answers all from one thread."""
    script = tmp_path / "server.py"
    script.write_text(SERVER, encoding="utf-8")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"ran": ["Ada", "Cy", "Eve", "Fay"], "threads": 1}
