"""The guard and the libraries by which projects reach outside; and what an audit hook cannot see.

All names are under `.invalid` and refused before they are looked up.
"""

import asyncio
import contextlib
import ftplib
import http.client
import imaplib
import smtplib
import socket
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import pytest
from django.core import mail
from django.test import override_settings

from sideeffects import force_run, side_effect
from sideeffects._core.state.work_origin import NONE, lineage
from sideeffects.contrib.mail import backends
from sideeffects.errors import UndeclaredSideEffect
from sideeffects.guard import hook, levels
from sideeffects.guard.findings import Book, books
from sideeffects.testing import guard, isolated_registry
from tests.support.projects import ROOT, clean_environment

NAME = "nowhere.invalid"
URL = f"http://{NAME}/"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the guard that this suite has around it, its book, and mail that another test has declared."""
    own = lineage.get()
    monkeypatch.setattr(backends, "_effects", [])
    lineage.set(NONE)
    monkeypatch.setattr(levels.in_force, "entries", ())
    monkeypatch.setattr(hook.listeners, "tell", bool)
    monkeypatch.setattr(books, "open", [Book()])
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with isolated_registry():
        yield
    lineage.set(own)


def mail_settings(backend: str, **options: str) -> dict[str, Any]:
    """Django 6.1 has other settings for mail than those before it."""
    path = f"django.core.mail.backends.{backend}.EmailBackend"
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": path, "OPTIONS": options}}}
    return {"EMAIL_BACKEND": path, **{f"EMAIL_{name.upper()}": value for name, value in options.items()}}


def by_requests() -> None:
    import requests

    requests.get(URL, timeout=1)


def by_urllib3() -> None:
    import urllib3

    urllib3.PoolManager(retries=False).request("GET", URL)


def by_httpx() -> None:
    import httpx

    httpx.get(URL, trust_env=False)


def by_httpx_asynchronously() -> None:
    import httpx

    async def get() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(URL)

    asyncio.run(get())


def by_aiohttp() -> None:
    import aiohttp

    async def get() -> None:
        async with aiohttp.ClientSession() as session, session.get(URL):
            pass

    asyncio.run(get())


def by_boto3() -> None:
    import boto3

    client = boto3.client(
        "sqs", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x", endpoint_url=URL
    )
    client.send_message(QueueUrl=f"{URL}queue", MessageBody="never")


def by_urllib() -> None:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(URL)


def by_smtplib() -> None:
    smtplib.SMTP(NAME)


def by_django_mail() -> None:
    with override_settings(**mail_settings("smtp", host=NAME)):
        mail.send_mail("subject", "text", "a@example.com", ["b@example.com"])


def by_ftplib() -> None:
    ftplib.FTP(NAME)


def by_imaplib() -> None:
    imaplib.IMAP4(NAME)


def by_redis() -> None:
    import redis

    redis.Redis(host=NAME, retry=None).ping()


def by_celery() -> None:
    from kombu import Connection

    with Connection(f"redis://{NAME}/0") as connection:
        connection.connect()


LIBRARIES = {name.removeprefix("by_"): value for name, value in globals().items() if name.startswith("by_")}


@pytest.mark.parametrize("reach", LIBRARIES.values(), ids=LIBRARIES)
def test_a_call_of_a_library_is_refused_at_its_call_site(reach: Callable[[], None]) -> None:
    """The finding names the function here that calls the library, and the host; the error arrives."""
    with guard("raise") as found, pytest.raises(Exception, match="undeclared outside call"):
        reach()  # boto3 puts it into an error of its own
    assert {(finding.what, finding.function.partition(".")[0]) for finding in found} == {(NAME, reach.__name__)}


async def test_a_task_of_a_library_is_found_where_it_was_made() -> None:
    """The client aiohttp looks hosts up in a task of its own, and the runner has made the loop: this is on no stack."""
    import aiohttp

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            with contextlib.suppress(UndeclaredSideEffect):
                await session.get(URL)

    with guard("raise") as found:
        await ask()
    assert [(finding.what, finding.function.rpartition(".")[2], finding.called) for finding in found] == [
        (NAME, "ask", "aiohttp.client.ClientSession._request")
    ]


def test_a_task_is_found_where_it_was_made_rather_than_where_the_loop_runs() -> None:
    """Two tasks of one loop are two call sites."""

    async def first() -> None:
        await asyncio.wait_for(asyncio.get_running_loop().create_connection(asyncio.Protocol, NAME, 80), 30)

    async def second() -> None:
        await asyncio.wait_for(asyncio.get_running_loop().create_connection(asyncio.Protocol, NAME, 80), 30)

    async def both() -> list[Any]:
        return await asyncio.gather(first(), second(), return_exceptions=True)

    with guard("raise") as found:
        errors = asyncio.run(both())
    assert [type(error) for error in errors] == [UndeclaredSideEffect] * 2
    assert [finding.function.rpartition(".")[2] for finding in found] == ["first", "second"]


def test_what_a_factory_of_tasks_makes_need_not_be_a_task() -> None:
    """Nor anything that can be referred to weakly: it is awaited all the same."""

    class Made:
        __slots__ = ("inner",)

        def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Any) -> None:
            self.inner = asyncio.Task(coroutine, loop=loop)

        def set_name(self, _: object) -> None: ...  # from Python 3.13 on it has to be there

        def __await__(self) -> Any:
            return self.inner.__await__()

    async def work() -> str:
        return "done"

    async def outer() -> str:
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(lambda own, coroutine, **_: Made(own, coroutine))
        return str(await loop.create_task(work()))

    with guard("warn"), asyncio.Runner() as runner:
        try:
            assert runner.run(outer()) == "done"
        finally:
            runner.get_loop().set_task_factory(None)


@pytest.mark.parametrize("reach", LIBRARIES.values(), ids=LIBRARIES)
def test_the_same_call_beneath_an_effect_is_none(reach: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever threads and tasks the library uses for it. The resolver says no, as it would."""
    import _socket

    def refuse(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(_socket, "getaddrinfo", refuse)

    @side_effect(name="net.call")
    def effect() -> None:
        reach()

    with guard("raise") as found, force_run("net.call"), pytest.raises(Exception) as raised:  # noqa: PT011 - each its own
        effect()
    assert not isinstance(raised.value, UndeclaredSideEffect)
    assert found == []


def through_requests(proxy: str, scheme: str) -> None:
    import requests

    requests.get(f"{scheme}://{NAME}/", proxies={scheme: proxy}, timeout=5)


def through_urllib(proxy: str, scheme: str) -> None:
    urllib.request.build_opener(urllib.request.ProxyHandler({scheme: proxy})).open(f"{scheme}://{NAME}/", timeout=5)


def through_urllib3(proxy: str, scheme: str) -> None:
    import urllib3

    urllib3.ProxyManager(proxy, retries=False).request("POST", f"{scheme}://{NAME}:8443/", body=b"x", timeout=5)


PROXIES = {name.removeprefix("through_"): value for name, value in globals().items() if name.startswith("through_")}


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("reach", PROXIES.values(), ids=PROXIES)
def test_a_proxy_on_loopback_is_not_where_a_request_goes(reach: Callable[[str, str], None], scheme: str) -> None:
    """What is sent to it names the host."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        with guard("raise") as found, pytest.raises(UndeclaredSideEffect):
            reach(url, scheme)
        assert {(finding.what, finding.function) for finding in found} == {(NAME, reach.__name__)}
        with guard("raise", allow_hosts=[f"{NAME}:1"]), pytest.raises(UndeclaredSideEffect):
            reach(url, scheme)


def test_a_proxy_of_what_is_inside_is_inside() -> None:
    """Such as a recording one in front of a live server."""
    with socket.create_server(("127.0.0.1", 0)) as proxy, guard("raise") as found:
        connection = http.client.HTTPConnection(*proxy.getsockname())
        connection.request("GET", "http://[::1]:8000/orders?next=http://elsewhere.invalid/")
        connection.close()
    assert found == []


def test_mail_in_memory_is_inside() -> None:
    """It looks up the own host, as Django's test runner has it."""
    with guard("raise") as found, override_settings(**mail_settings("locmem")):
        mail.send_mail("subject", "text", "a@example.com", ["b@example.com"])
    assert found == []


def test_a_connection_that_is_kept_open_is_seen_where_the_standard_library_sends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `http.client` and its like send is reported, by whatever connection; loopback is inside all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = http.client.HTTPConnection(*server.getsockname())
        connection.connect()
        with guard("raise") as found, monkeypatch.context() as elsewhere:
            connection.request("GET", "/")
            assert found == []
            elsewhere.setattr("sideeffects.guard.hosts.is_own", lambda host, address: False)
            with guard("raise", allow_hosts=["other.invalid"]), pytest.raises(UndeclaredSideEffect):
                connection.send(b"more")
        connection.close()


# -- what it cannot see

EVENTS = """
    import sys
    seen = []
    sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(("socket.", "subprocess")) else None)
"""


def events_of(source: str) -> set[str]:
    """The audit events of sockets and processes that a program sees."""
    program = textwrap.dedent(EVENTS) + textwrap.dedent(source) + "\nprint(*seen)\n"
    ran = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(ran.stdout.split())


@pytest.fixture
def program_allowed() -> Iterator[None]:
    with guard("off"):
        yield


@pytest.mark.processes
def test_a_c_library_with_its_own_sockets_is_not_seen(program_allowed: None) -> None:
    """Libpq connects, here to a closed port on loopback, and Python reports nothing."""
    seen = events_of("""
        import psycopg
        try:
            psycopg.connect("host=127.0.0.1 port=1 connect_timeout=5")
        except psycopg.OperationalError as error:
            assert "refused" in str(error)
    """)
    assert not {"socket.connect", "socket.getaddrinfo"} & seen


@pytest.mark.processes
def test_sending_on_a_connected_socket_is_not_seen(program_allowed: None) -> None:
    """Only where it was connected: a connection that a declared effect has opened and kept is silent afterwards."""
    seen = events_of("""
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        seen.clear()
        client.sendall(b"unseen")
    """)
    assert seen == set()


@pytest.mark.processes
def test_a_child_by_spawn_is_not_seen_and_guarded_only_if_it_imports_the_library(program_allowed: None) -> None:
    """Multiprocessing starts it without a word, which is why it is allowed."""
    seen = events_of("""
        import multiprocessing, os
        child = multiprocessing.get_context("spawn").Process(target=os.getpid)
        child.start()
        child.join()
        assert child.exitcode == 0
    """)
    assert "subprocess.Popen" not in seen


@pytest.mark.processes
def test_connecting_by_name_looks_it_up_before_python_reports_it(program_allowed: None) -> None:
    """`sock.connect((name, port))` resolves in C. Libraries look names up themselves, which is seen."""
    seen = events_of(f"""
        import socket
        try:
            socket.socket().connect(("{NAME}", 9))
        except socket.gaierror:
            pass
    """)
    assert not {"socket.connect", "socket.getaddrinfo"} & seen


# -- the hook


@pytest.mark.processes
def test_the_hook_survives_the_end_of_the_interpreter(program_allowed: None) -> None:
    """Events still come when modules are gone; nothing is printed, and nothing prevented."""
    program = """
        import os, sys, socket, threading
        os.environ["SIDE_EFFECTS_TEST_RUN"] = "1"
        import sideeffects
        from sideeffects.guard import hook
        assert hook.is_installed()

        class Last:
            def __del__(self, audit=sys.audit, socket=socket.socket):
                audit("socket.getaddrinfo", "late.invalid", 80, 0, 0, 0)

        keep = Last()
        sys.modules["kept"] = keep
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_threads_note_findings_together() -> None:
    """Without a lock, and without losing one."""

    def work(number: int) -> None:
        for _ in range(50):
            with contextlib.suppress(TypeError):
                sys.audit("socket.getaddrinfo", f"{number % 5}.invalid", 80, 0, 0, 0)

    with guard("warn"), ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sum(noted.count for noted in books.open[-1].findings()) == 400
