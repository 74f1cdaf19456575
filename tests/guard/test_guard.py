"""The guard: calls to the outside that no executing effect covers are noted or refused, where they are made.

Nothing leaves this machine: names are under `.invalid`, addresses in the networks for documentation, and wherever an
address could be reached the level is `raise`.
"""

import asyncio
import contextlib
import contextvars
import ctypes.util
import dataclasses
import functools
import inspect
import os
import pickle
import platform
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from sideeffects import capture, force_run, record, side_effect
from sideeffects._core.state.work_origin import NONE, Watching, lineage
from sideeffects.errors import UndeclaredSideEffect
from sideeffects.guard import call_sites, hook, levels
from sideeffects.guard.findings import Book, Finding, books
from sideeffects.testing import guard, isolated_registry

ADDRESS = ("192.0.2.1", 9)
NAME = "nowhere.invalid"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the guard that this suite has around it, and without its book."""
    own = lineage.get()
    lineage.set(NONE)
    monkeypatch.setattr(levels.in_force, "entries", ())
    monkeypatch.setattr(hook.listeners, "tell", bool)  # what is found here on purpose is not this run's
    monkeypatch.setattr(books, "open", [Book()])
    with isolated_registry():
        yield
    lineage.set(own)


def look_up(name: str = NAME) -> None:
    with contextlib.suppress(OSError):
        socket.getaddrinfo(name, 80)


def connect(address: Any = ADDRESS, family: int = socket.AF_INET) -> None:
    with socket.socket(family) as sock, contextlib.suppress(OSError):
        sock.connect(address)


def send(address: Any = ADDRESS) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(b"never", address)


def send_message() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendmsg([b"never"], [], 0, ADDRESS)


OUTSIDE = {
    "connecting": connect,
    "connecting by IPv6": lambda: connect(("2001:db8::1", 9), socket.AF_INET6),
    "sending a datagram": send,
    "sending a message": send_message,
    "looking up a name": look_up,
    "looking up a name in bytes": lambda: socket.getaddrinfo(NAME.encode(), 80),
    "gethostbyname": lambda: socket.gethostbyname(NAME),
    "gethostbyaddr": lambda: socket.gethostbyaddr("192.0.2.1"),
    "getnameinfo": lambda: socket.getnameinfo(ADDRESS, 0),
    "subprocess": lambda: subprocess.run(["true"], check=True),
    "a shell": lambda: subprocess.run("true", shell=True, check=True),
    "os.system": lambda: os.system("true"),
    "os.popen": lambda: os.popen("true").close(),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "_winapi.CreateProcess": lambda: sys.audit("_winapi.CreateProcess", "cmd.exe", "cmd.exe /c dir", None),
    "sys.remote_exec": lambda: sys.audit("sys.remote_exec", 1, "/nowhere/script.py"),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "a browser": lambda: webbrowser.GenericBrowser("true").open(f"http://{NAME}/"),
}


@pytest.mark.parametrize("reach", OUTSIDE.values(), ids=OUTSIDE)
def test_what_reaches_outside_is_refused_before_it_does(reach: Callable[[], object]) -> None:
    """The error arrives where the call was made, and names this file."""
    with guard("raise") as found, pytest.raises(UndeclaredSideEffect) as refused:
        reach()
    assert len(found) == 1
    assert refused.value.caller.startswith("tests/guard/test_guard.py:")
    assert found[0].is_refused


INSIDE = {
    "loopback": lambda: connect(("127.0.0.1", 1)),
    "all of loopback": lambda: connect(("127.8.9.10", 1)),
    "loopback by IPv6": lambda: connect(("::1", 1), socket.AF_INET6),
    "loopback in a dress of IPv6": lambda: connect(("::ffff:127.0.0.1", 1), socket.AF_INET6),
    "localhost": lambda: look_up("localhost"),
    "a name below localhost": lambda: look_up("shop.localhost"),
    "no address": lambda: socket.getaddrinfo(None, 0),
    "a Unix socket": lambda: connect("/nowhere/socket", socket.AF_UNIX),
    "the own host": lambda: (look_up(socket.gethostname()), socket.getfqdn()),
    "an address, which nobody looks up": lambda: socket.getaddrinfo("192.0.2.1", 80),
    "platform": lambda: platform.processor() or platform._Processor.from_subprocess(),
    "find_library": lambda: ctypes.util.find_library("c"),
}


@pytest.mark.parametrize("reach", INSIDE.values(), ids=INSIDE)
def test_what_stays_on_this_machine_is_no_finding(reach: Callable[[], object]) -> None:
    """Nor does the standard library need leave to find something out for itself."""
    with guard("raise", allow_processes=[]) as found:
        reach()
    assert found == []


def test_an_own_address_of_this_machine_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel speaks from an address itself, what is sent there does not leave."""
    with guard("off"), socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", 9))
        own = probe.getsockname()[0]
    with guard("raise") as found:
        connect((own, 1))
    assert found == []


def test_a_name_that_looks_like_loopback_is_outside() -> None:
    """`127.` at the beginning makes no address, and `localhost` no domain."""
    for name in ("127.evil.invalid", "localhost.evil.invalid"):
        with guard("raise"), pytest.raises(UndeclaredSideEffect):
            look_up(name)


# -- levels


def test_a_warning_lets_the_call_through_and_notes_it() -> None:
    """The list is live, and has each call site once."""
    with guard("warn") as found:
        for _ in range(3):
            look_up()
    assert [(finding.what, finding.kind, finding.is_refused) for finding in found] == [(NAME, "network", False)]


def test_off_is_off() -> None:
    """Also inside a block that refuses."""
    with guard("raise") as found, guard("off"):
        look_up()
    assert found == []


def test_the_innermost_block_decides_and_leaving_it_gives_the_outer_one_back() -> None:
    """After an exception, too."""
    with guard("raise"):
        with contextlib.suppress(KeyError), guard("off"):
            look_up()
            raise KeyError
        with pytest.raises(UndeclaredSideEffect):
            look_up()


def test_a_block_can_be_used_again_and_inside_itself() -> None:
    """Each entering is left by itself."""
    block = guard("off")
    with guard("raise"):
        with block:
            with block:
                look_up()
            look_up()
        with block:
            look_up()
        with pytest.raises(UndeclaredSideEffect):
            look_up()


def test_it_decorates_functions() -> None:
    """Coroutine functions as well; what is no function is refused with a way out."""

    @guard("raise")
    def synchronous() -> None:
        look_up()

    @guard("raise")
    async def asynchronous() -> None:
        look_up()

    with pytest.raises(UndeclaredSideEffect):
        synchronous()
    with pytest.raises(UndeclaredSideEffect):
        asyncio.run(asynchronous())
    with pytest.raises(TypeError, match="enterClassContext"):
        guard("off")(type("Tests", (), {}))
    with pytest.raises(TypeError, match="use a with block inside it"):
        guard("off")(lambda: (yield))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: guard("of"), ValueError),
        (lambda: guard("off", allow_hosts="db"), TypeError),
        (lambda: guard("off", allow_processes="git"), TypeError),
        (lambda: guard("off", allow_hosts=[10]), TypeError),  # type: ignore[list-item]
        (lambda: guard("off", allow_hosts=["10.0.0.0/99"]), ValueError),
        (lambda: guard("off", allow_hosts=["http://db/"]), ValueError),
    ],
    ids=["level", "hosts", "processes", "no text", "no network", "a URL"],
)
def test_a_wrong_guard_is_refused_when_it_is_made(call: Callable[[], object], error: type[Exception]) -> None:
    """Not when something reaches outside."""
    with pytest.raises(error):
        call()


def test_in_a_test_run_a_block_holds_for_all_threads() -> None:
    """Also for those that were there before it."""
    ready, done, raised = threading.Event(), threading.Event(), []

    def work() -> None:
        ready.wait(30)
        try:
            look_up()
        except UndeclaredSideEffect as error:
            raised.append(error)
        done.set()

    with guard("off"):
        thread = threading.Thread(target=work)
        thread.start()
    with guard("raise"):
        ready.set()
        assert done.wait(30)
    thread.join()
    assert len(raised) == 1


def test_for_this_context_alone_others_are_not_touched() -> None:
    """What a dry run asks for: its own threads are guarded, and nobody else's."""
    go, done, raised = threading.Event(), threading.Event(), []

    def work() -> None:
        go.wait(30)
        with contextlib.suppress(OSError):
            socket.gethostbyname(NAME)
        done.set()

    def child() -> None:
        try:
            look_up()
        except UndeclaredSideEffect as error:
            raised.append(error)

    with guard("off"):
        thread = threading.Thread(target=work)
        thread.start()
        with guard("raise", context_only=True) as found:
            go.set()
            assert done.wait(30)
            assert found == []
            inner = threading.Thread(target=child)
            inner.start()
            inner.join(30)
        thread.join(30)
    assert len(raised) == 1


def test_outside_a_test_run_there_is_no_guard_until_somebody_asks(production: None) -> None:
    """Then for the own context, its tasks and threads, and with effects that had bypassed the runtime before."""

    @side_effect(name="net.look_up")
    def effect() -> None:
        look_up()

    effect(), effect()
    look_up()
    with guard("raise") as found:
        effect()
        with pytest.raises(UndeclaredSideEffect):
            look_up()
        with ThreadPoolExecutor() as pool, pytest.raises(UndeclaredSideEffect):
            pool.submit(look_up).result(30)
    look_up()
    assert len(found) == 1


# -- beneath an effect


def beneath_function() -> None:
    @side_effect(name="net.call")
    def effect() -> None:
        look_up()

    effect()


def beneath_thread() -> None:
    @side_effect(name="net.call")
    def effect() -> None:
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join(30)

    effect()


def beneath_old_pool() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result(30)

        @side_effect(name="net.call")
        def effect() -> None:
            pool.submit(look_up).result(30)

        effect()


def beneath_coroutine() -> None:
    @side_effect(name="net.call")
    async def effect() -> None:
        with contextlib.suppress(OSError):
            await asyncio.gather(asyncio.open_connection(NAME, 80), asyncio.open_connection(NAME, 80))

    asyncio.run(effect())


def beneath_generator() -> None:
    @side_effect(name="net.call")
    def effect() -> Iterator[int]:
        look_up()
        yield 1
        look_up()
        yield 2

    assert list(effect()) == [1, 2]


def beneath_async_generator() -> None:
    @side_effect(name="net.call")
    async def effect() -> AsyncIterator[int]:
        look_up()
        yield 1
        look_up()

    async def use() -> list[int]:
        return [item async for item in effect()]

    assert asyncio.run(use()) == [1]


def beneath_context_manager() -> None:
    @side_effect(name="net.call")
    @contextlib.contextmanager
    def effect() -> Iterator[None]:
        look_up()
        yield
        look_up()

    with effect():
        pass


def beneath_async_context_manager() -> None:
    @side_effect(name="net.call")
    @contextlib.asynccontextmanager
    async def effect() -> AsyncIterator[None]:
        look_up()
        yield
        look_up()

    async def use() -> None:
        async with effect():
            pass

    asyncio.run(use())


def beneath_enqueued() -> None:
    @side_effect(name="net.call", async_ok=True)
    def effect() -> None:
        look_up()

    effect.enqueue().result(30)


BENEATH = {name.removeprefix("beneath_"): value for name, value in globals().items() if name.startswith("beneath_")}


@pytest.mark.parametrize("run", BENEATH.values(), ids=BENEATH)
def test_what_an_executing_effect_does_is_no_finding(run: Callable[[], None]) -> None:
    """Nor what it hands on to threads, pools and tasks."""
    with guard("raise") as found, override_settings(SIDE_EFFECTS={"FORCE_RUN": "__all__"}):
        run()
    assert found == []


def test_between_two_steps_of_a_generator_nothing_is_covered() -> None:
    """The same for the body of a context manager: only entering and leaving are the effect's."""

    @side_effect(name="net.steps")
    def steps() -> Iterator[int]:
        try:
            got = yield 1
            assert got == "sent"
            yield 2
        except KeyError:
            yield 3
        finally:
            look_up()

    @side_effect(name="net.managed")
    @contextlib.contextmanager
    def managed() -> Iterator[None]:
        yield

    with force_run("net.*"), guard("raise") as found:
        generator = steps()
        next(generator)
        with pytest.raises(UndeclaredSideEffect):
            look_up()
        assert generator.send("sent") == 2  # type: ignore[attr-defined]
        assert generator.throw(KeyError) == 3  # type: ignore[attr-defined]
        generator.close()  # type: ignore[attr-defined]
        with managed(), pytest.raises(UndeclaredSideEffect):
            look_up()
    assert len(found) == 1  # one call site


def test_what_a_recorded_effect_asks_of_its_stub_is_a_finding() -> None:
    """Nothing executes, so nothing is covered."""

    @side_effect(name="net.call", returns=look_up)
    def effect() -> None:
        raise AssertionError

    with guard("raise"), pytest.raises(UndeclaredSideEffect), record("net.call"):
        effect()


def test_after_the_effect_the_next_call_is_a_finding() -> None:
    """Also when the effect has raised, and in a thread that it has left behind idle."""

    @side_effect(name="net.call")
    def effect() -> None:
        raise KeyError

    with force_run("net.call"), guard("raise"):
        with contextlib.suppress(KeyError):
            effect()
        with pytest.raises(UndeclaredSideEffect):
            look_up()


def test_a_pool_that_an_effect_has_made_covers_nothing_later() -> None:
    """Its threads outlive the effect, and must not keep it."""
    with ThreadPoolExecutor(1) as pool:

        @side_effect(name="net.call")
        def effect() -> None:
            pool.submit(look_up).result(30)

        with force_run("net.call"), guard("raise"):
            effect()
            with pytest.raises(UndeclaredSideEffect):
                pool.submit(look_up).result(30)


def test_without_a_guard_nobody_keeps_where_tasks_are_made() -> None:
    """A process in which no guard was ever on pays nothing for one."""
    watching = Watching()
    assert not watching.is_on
    assert watching.of_task() is None


# -- what may be reached


def test_hosts_can_be_allowed_for_a_block() -> None:
    """By name, by glob, by address and by network, each perhaps with a port."""
    for allowed in (NAME, "*.invalid", "NoWhere.Invalid.", f"{NAME}:80"):
        with guard("raise", allow_hosts=[allowed]) as found:
            look_up()
        assert found == [], allowed
    for allowed in ("192.0.2.1", "192.0.2.0/24", "192.0.2.1:9"):
        with guard("raise", allow_hosts=[allowed]) as found, socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect(ADDRESS)  # a datagram socket sends nothing by this
        assert found == [], allowed
    for allowed in ("192.0.2.1:25", "192.0.2.2", "other.invalid", "2001:db8::/32"):
        with guard("raise", allow_hosts=[allowed]), pytest.raises(UndeclaredSideEffect):
            connect()


def test_the_addresses_of_allowed_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks up a name connects to an address; only on the ports that the name has."""
    import _socket

    def resolve(host: object, port: object, *rest: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", port or 0))]

    with socket.socket(type=socket.SOCK_DGRAM) as sock, guard("raise", allow_hosts=["db.remembered.invalid:5432"]):
        with pytest.raises(UndeclaredSideEffect):
            sock.connect(("192.0.2.7", 5432))
        with monkeypatch.context() as resolver:
            resolver.setattr(_socket, "getaddrinfo", resolve)
            sys.audit("socket.getaddrinfo", "db.remembered.invalid", 5432, 0, 0, 0)
        sock.connect(("192.0.2.7", 5432))
        with pytest.raises(UndeclaredSideEffect):
            sock.connect(("192.0.2.7", 80))


def test_the_hosts_of_databases_and_caches_are_allowed_and_brokers_are_not() -> None:
    """On their ports: a broker may live on the same host."""
    databases = {
        "default": {"ENGINE": "django.db.backends.postgresql", "HOST": "192.0.2.10,192.0.2.11", "PORT": ""},
        "socket": {"ENGINE": "django.db.backends.postgresql", "HOST": "/var/run/postgresql"},
        "options": {"ENGINE": "django.db.backends.mysql", "OPTIONS": {"host": "192.0.2.12", "port": 3307}},
    }
    caches = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://u:p@192.0.2.13/1"},
        "more": {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": ["192.0.2.14:11212", "192.0.2.15", "unix:/tmp/memcached.sock"],
        },
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "192.0.2.16"},
    }
    allowed = [
        ("192.0.2.10", 5432),
        ("192.0.2.11", 5432),
        ("192.0.2.12", 3307),
        ("192.0.2.13", 6379),
        ("192.0.2.14", 11212),
        ("192.0.2.15", 11211),
    ]
    refused = [("192.0.2.10", 80), ("192.0.2.13", 5672), ("192.0.2.16", 11211), ("192.0.2.12", 3306)]
    with override_databases(databases, caches), socket.socket(type=socket.SOCK_DGRAM) as sock, guard("raise") as found:
        for address in allowed:
            sock.connect(address)
        assert found == []
        for address in refused:
            with pytest.raises(UndeclaredSideEffect):
                sock.connect(address)


@contextlib.contextmanager
def override_databases(databases: dict[str, Any], caches: dict[str, Any]) -> Iterator[None]:
    from django.conf import settings

    before = settings.DATABASES, settings.CACHES
    settings.DATABASES, settings.CACHES = databases, caches
    try:
        yield
    finally:
        settings.DATABASES, settings.CACHES = before


def test_processes_can_be_allowed() -> None:
    """By the program's name, by its path, by globs; a shell by the one program that it is asked to run."""
    for allowed in ("true", "tr*", "/bin/true", "*/true"):
        with guard("raise", allow_processes=[allowed]) as found:
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
        assert found == [], allowed
    with guard("raise", allow_processes=["true"]):
        subprocess.run("A=1 true", shell=True, check=True)
        with pytest.raises(UndeclaredSideEffect):
            subprocess.run("true; true", shell=True, check=True)
        with pytest.raises(UndeclaredSideEffect):
            subprocess.run(["false"], check=False)


def test_settings_allow_ignore_and_set_the_level() -> None:
    """They follow `override_settings`; a block in a test comes before the level, and adds to the lists."""
    with guard("raise") as found:
        with override_settings(SIDE_EFFECTS={"GUARD": {"ALLOW_HOSTS": [NAME], "ALLOW_PROCESSES": ["true"]}}):
            look_up()
            subprocess.run(["true"], check=True)
        for site in ("tests/guard/test_guard.py", "*test_guard.py", "*test_guard.look_up", "*.test_guard"):
            with override_settings(SIDE_EFFECTS={"GUARD": {"IGNORE": [site]}}):
                look_up()
        assert found == []
        other = override_settings(SIDE_EFFECTS={"GUARD": {"IGNORE": ["tests/other.py"]}})
        with other, pytest.raises(UndeclaredSideEffect):
            look_up()


# -- findings


def test_a_program_that_is_searched_for_in_the_path_is_counted_once(tmp_path: Path) -> None:
    """In a folder where there is no such file nothing is started."""
    tmp_path.joinpath("tool").write_text("not to be executed")
    path = os.pathsep.join(("/nowhere", "/nowhere/else", str(tmp_path)))
    with guard("warn"), pytest.raises(PermissionError):
        os.execvpe("tool", ["tool"], {"PATH": path})

    assert [(noted.finding.what, noted.count) for noted in books.open[-1].findings()] == [("tool", 1)]


def test_a_finding_says_where_what_and_what_to_write() -> None:
    """The call site in the user's code, what was called there, the host, the test, and the lines that declare it."""
    import urllib.request

    with guard("raise") as found, pytest.raises(UndeclaredSideEffect) as refused:
        urllib.request.urlopen(f"http://{NAME}/")
    finding = found[0]
    assert finding.function == "test_a_finding_says_where_what_and_what_to_write"
    assert finding.called == "urllib.request.urlopen"
    assert finding.what == NAME
    assert finding.test.endswith("test_guard.py::test_a_finding_says_where_what_and_what_to_write")
    assert finding.advice() == 'declare("urllib.request:urlopen", name="urllib.request.urlopen")  for all who call it'
    assert 'SIDE_EFFECTS["GUARD"] = {"ALLOW_HOSTS": ["nowhere.invalid"]}' in str(refused.value)


def test_a_finding_knows_the_line_of_the_def() -> None:
    """Below other decorators, which is where the line is to be written."""

    @functools.cache
    @contextlib.contextmanager
    def reach() -> Iterator[None]:
        look_up()
        yield

    assert call_sites.line_of_def(inspect.unwrap(reach).__code__) == inspect.unwrap(reach).__code__.co_firstlineno + 2
    assert call_sites.line_of_def(compile("lambda: 1", "nowhere", "eval")) == 1


def test_the_line_to_write_stands_above_the_users_own_function() -> None:
    """And is named after it; a test declares nothing."""
    finding = Finding(kind="network", file="shop/sms.py", line=7, function="Gateway.send", module="shop.sms", what=NAME)
    assert finding.advice() == '@side_effect(name="shop.sms.Gateway.send")  above Gateway.send (shop/sms.py:7)'
    assert finding.key == ("network", "shop/sms.py::Gateway.send", NAME)
    assert "a function of its own" in dataclasses.replace(finding, function="<module>").advice()
    assert "a function of its own" in dataclasses.replace(finding, file="shop/tests/test_sms.py").advice()


def test_a_pool_does_not_hide_the_call_site() -> None:
    """What was handed to an executor is found where it was handed over."""
    with guard("raise") as found, ThreadPoolExecutor() as pool, pytest.raises(UndeclaredSideEffect):
        pool.submit(socket.getaddrinfo, NAME, 80).result(30)
    assert found[0].function == "test_a_pool_does_not_hide_the_call_site"


def test_where_a_job_was_handed_over_ends_with_the_job() -> None:
    """Asgiref gives the contexts of its jobs back: what comes later would be found at a line that is over."""

    async def nothing() -> None: ...

    def wait() -> object:
        async_to_sync(nothing)()
        return lineage.get().place

    with guard("raise"):
        assert contextvars.Context().run(wait) is None


def test_a_lookup_and_what_is_connected_to_after_it_are_one_finding() -> None:
    """The host's name says more than its address."""
    with guard("warn") as found, socket.socket() as sock:
        sys.audit("socket.getaddrinfo", NAME, 80, 0, 0, 0)
        sys.audit("socket.connect", sock, ("192.0.2.9", 80))
    assert [finding.what for finding in found] == [NAME]


def test_the_error_survives_pickling() -> None:
    """pytest-xdist and pools send it to other processes."""
    error = UndeclaredSideEffect("host", "file:1", "lib.call", "advice")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert (again.what, again.caller, again.called, again.advice) == ("host", "file:1", "lib.call", "advice")
    assert str(UndeclaredSideEffect("host")) == "undeclared outside call: host was refused. Nothing was done."


def test_what_the_guard_cannot_judge_it_logs(caplog: pytest.LogCaptureFixture) -> None:
    """It refuses it where calls are refused: doubt never executes. Elsewhere an error of its own prevents nothing."""
    with guard("warn"):
        sys.audit("socket.connect", None, None)
    assert "the guard could not judge socket.connect" in caplog.text
    with guard("raise"), pytest.raises(UndeclaredSideEffect, match=r"something by socket.connect at .*test_guard.py"):
        sys.audit("socket.connect", None, None)
    hook.refusals.clear()  # nobody gets to see it as a finding


@pytest.mark.processes  # coverage cannot trace a file of a folder that is gone
def test_a_folder_that_is_gone_does_not_keep_it_from_judging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are then shown as they were compiled."""
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    code = compile("import sys; sys.audit('socket.getaddrinfo', 'nowhere.invalid', 80, 0, 0, 0)", "relative.py", "exec")
    with guard("raise") as found, pytest.raises(UndeclaredSideEffect, match=NAME):
        exec(code, {})
    assert found[0].caller == "relative.py:1"


def test_effects_are_captured_as_ever_beneath_a_guard() -> None:
    """The laws hold with it: in a test run nothing executes that is not named."""

    @side_effect(name="net.call")
    def effect() -> None:
        raise AssertionError

    with guard("raise") as found, capture() as calls:
        effect()
    assert found == []
    calls.assert_called("net.call", times=1)
