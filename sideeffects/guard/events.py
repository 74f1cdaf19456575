"""What Python's audit events reach: the whole of its table that leads out of the process.

Source: the audit events table of Python's documentation, 3.11 to 3.14. What a higher layer reports before it opens a
socket (`http.client.connect`, `smtplib.connect`, `urllib.Request` and their like) is left out: the socket is reported
as well, and a library that fakes the layer below never opens one. What it sends is in: of a connection that is kept
open nothing else is reported. Not outside: files, SQLite, signals to own children, the system's log.
"""

from __future__ import annotations

import _socket
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sideeffects.guard import hosts, programs

NETWORK: Final = "network"
PROCESS: Final = "process"


class Reach(NamedTuple):
    """What an event reaches.

    Attributes:
        kind: `NETWORK` or `PROCESS`.
        what: the host, in its normal form; the program.
        port: the port, where there is one.
        is_lookup: whether it is only a look for a host's address.
        detail: more about it, for people.
    """

    kind: str
    what: str
    port: int | None = None
    is_lookup: bool = False
    detail: str = ""


#: Families of sockets that end in this machine's kernel.
_LOCAL: Final = frozenset(
    getattr(_socket, name) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG", "AF_QIPCRTR") if hasattr(_socket, name)
)
_INTERNET: Final = (_socket.AF_INET, _socket.AF_INET6)


def _address(sock: Any, address: Any) -> Reach | None:
    """A socket, and where it connects or sends to."""
    family = sock.family
    if address is None or family in _LOCAL:
        return None
    if family in _INTERNET and isinstance(address, tuple) and len(address) > 1:
        port = address[1]
        return Reach(NETWORK, hosts.normal(address[0]), port if isinstance(port, int) else None)
    return Reach(NETWORK, repr(address))


def _connect(args: tuple[Any, ...]) -> Reach | None:
    return _address(args[0], args[1])


#: What is sent to a proxy names the whole address, to a server its path alone.
_ABSOLUTE: Final = re.compile(
    rb"[A-Z]+ http://(?:[^/@ ]*@)?(?:\[(?P<v6>[^]/ ]+)]|(?P<host>[^/:@? ]+))(?::(?P<port>\d{1,5}))?[/? ]", re.IGNORECASE
)


def _peer(args: tuple[Any, ...]) -> Reach | None:
    """A client that sends over the connection that it has."""
    client = args[0]
    sock = getattr(client, "sock", None)
    if not isinstance(sock, _socket.socket):
        return None
    # A proxy, on loopback often, is not where it goes.
    tunnel = getattr(client, "_tunnel_host", None)
    if tunnel:
        return Reach(NETWORK, hosts.normal(tunnel), getattr(client, "_tunnel_port", None))
    proxied = _ABSOLUTE.match(args[1]) if len(args) > 1 and isinstance(args[1], bytes | bytearray) else None
    if proxied is not None:
        port = proxied["port"]
        return Reach(NETWORK, hosts.normal(proxied["v6"] or proxied["host"]), int(port) if port else 80)
    try:
        return _address(sock, sock.getpeername())
    except OSError:  # it is not connected, and will be
        return None


def _lookup(args: tuple[Any, ...]) -> Reach | None:
    host = hosts.normal(args[0])
    # What is an address already is not looked up anywhere.
    if not host or hosts.address_of(host) is not None:
        return None
    port = args[1] if len(args) > 1 else None
    return Reach(NETWORK, host, port if isinstance(port, int) else None, is_lookup=True)


def _reverse(args: tuple[Any, ...]) -> Reach | None:
    host = args[0][0] if isinstance(args[0], tuple) else args[0]
    return Reach(NETWORK, hosts.normal(host), is_lookup=True) if host else None


def _registry(args: tuple[Any, ...]) -> Reach | None:
    return Reach(NETWORK, hosts.normal(str(args[0]).strip("\\"))) if args[0] else None


def _popen(args: tuple[Any, ...]) -> Reach | None:
    given = args[1]
    words = given if isinstance(given, list | tuple) else [given]
    return Reach(PROCESS, programs.started_by(args[0], given), detail=" ".join(map(programs.as_text, words)))


def _system(args: tuple[Any, ...]) -> Reach | None:
    return Reach(PROCESS, programs.of_shell(args[0]), detail=programs.as_text(args[0]))


def _exec(args: tuple[Any, ...]) -> Reach | None:
    words = args[1] if isinstance(args[1], list | tuple) else []
    return Reach(PROCESS, programs.as_text(args[0]), detail=" ".join(map(programs.as_text, words)))


def _spawn(args: tuple[Any, ...]) -> Reach | None:
    return _exec(args[1:])


def _pty(args: tuple[Any, ...]) -> Reach | None:
    return _popen((None, args[0]))


def _start_file(args: tuple[Any, ...]) -> Reach | None:
    return Reach(PROCESS, programs.as_text(args[0]))


def _other_process(args: tuple[Any, ...]) -> Reach | None:
    """Code that is put into another Python."""
    return Reach(PROCESS, f"process {args[0]}", detail=programs.as_text(args[1]))


def _browser(args: tuple[Any, ...]) -> Reach | None:
    return Reach(PROCESS, "webbrowser", detail=programs.as_text(args[0]))


EventReader = Callable[[tuple[Any, ...]], Reach | None]

READERS: Final[dict[str, EventReader]] = {
    "socket.connect": _connect,
    "socket.sendto": _connect,
    "socket.sendmsg": _connect,
    "socket.getaddrinfo": _lookup,
    "socket.gethostbyname": _lookup,
    "socket.gethostbyaddr": _reverse,
    "socket.getnameinfo": _reverse,
    "http.client.send": _peer,
    "smtplib.send": _peer,
    "ftplib.sendcmd": _peer,
    "imaplib.send": _peer,
    "poplib.putline": _peer,
    "nntplib.putline": _peer,
    "telnetlib.Telnet.write": _peer,
    "winreg.ConnectRegistry": _registry,
    "subprocess.Popen": _popen,
    "os.system": _system,
    "os.exec": _exec,
    "os.posix_spawn": _exec,
    "os.spawn": _spawn,
    "os.startfile": _start_file,
    "os.startfile/2": _start_file,
    "pty.spawn": _pty,
    "_winapi.CreateProcess": _popen,
    "sys.remote_exec": _other_process,
    "webbrowser.open": _browser,
}

#: Events before which a process starts.
STARTS: Final = frozenset(
    ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "_winapi.CreateProcess")
)
#: What `subprocess` itself calls: it has been judged as `subprocess.Popen`.
BELOW_SUBPROCESS: Final = frozenset(("os.posix_spawn", "_winapi.CreateProcess"))
