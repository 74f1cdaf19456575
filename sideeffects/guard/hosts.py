"""Which hosts may be reached: this machine, those of databases and caches, and what the settings name."""

from __future__ import annotations

import _socket
import contextlib
import fnmatch
import ipaddress
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Ports = frozenset[int] | None
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The port of each database and cache where the settings name none.
DATABASE_PORTS: Final = {"postgresql": 5432, "postgis": 5432, "mysql": 3306, "oracle": 1521}
_SCHEME_PORTS: Final = {"redis": 6379, "rediss": 6379, "valkey": 6379, "valkeys": 6379}
_MEMCACHED: Final = 11211

#: Names that mean this machine, whatever a resolver says.
_LOOPBACK_NAMES: Final = frozenset(("", "localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"))


def address_of(host: str) -> Address | None:
    """The address that a text spells; `None` when it is a name."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def normal(host: object) -> str:
    """A host as it is compared: text, in lower case, without the final dot."""
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("ascii", "replace")
    return str(host or "").lower().rstrip(".")


def is_own(host: str, address: Address | None) -> bool:
    """Whether a host is this machine."""
    if address is None:
        own = _socket.gethostname().lower()
        return (
            host in _LOOPBACK_NAMES
            or host.endswith(".localhost")
            or host in (own, own.partition(".")[0])
            or (host.endswith((".local", ".localdomain")) and host.partition(".")[0] == own.partition(".")[0])
        )
    return address.is_loopback or address.is_unspecified or _is_interface(address)


def _is_interface(address: Address) -> bool:
    """Whether an address is one of this machine's own: the kernel then speaks from it. Nothing is sent."""
    family = _socket.AF_INET if address.version == 4 else _socket.AF_INET6  # noqa: PLR2004 - IP version 4
    with contextlib.suppress(OSError):
        probe = _socket.socket(family, _socket.SOCK_DGRAM)
        try:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0]) == address
        finally:
            probe.close()
    return False


class Allowed:
    """The hosts that a list of texts allows.

    Args:
        texts: names, globs of names, addresses and networks, each perhaps with a port: `name:443`, `[2001:db8::1]:25`.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._names: dict[str, Ports] = {}
        self._globs: list[tuple[str, Ports]] = []
        self._networks: list[tuple[Any, Ports]] = []
        #: Addresses of allowed names: code that has looked up a name connects to one of its addresses.
        self._remembered: dict[str, Ports] = {}
        #: Hosts and ports that were found to be allowed.
        self.known: set[tuple[str, int | None]] = set()
        for text in texts:
            self._add(text.strip().lower())

    def _add(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            self._networks.append((ipaddress.ip_network(text, strict=False), None))
            return
        host, colon, port = text.rpartition(":")
        ports: Ports = None
        if colon and port.isdigit() and host:
            text, ports = host.removeprefix("[").removesuffix("]"), frozenset((int(port),))
            with contextlib.suppress(ValueError):
                self._networks.append((ipaddress.ip_network(text, strict=False), ports))
                return
        name = normal(text)
        if any(letter in name for letter in "*?["):
            self._globs.append((name, ports))
        else:
            self._names[name] = _both(self._names.get(name, frozenset()), ports)

    def ports_of(self, host: str, address: Address | None) -> Ports:
        """The ports of a host that are allowed: all for `None`, none for the empty set."""
        if address is not None:
            ports = self._remembered.get(str(address), frozenset())
            for network, more in self._networks:
                if address.version == network.version and address in network:
                    ports = _both(ports, more)
            return ports
        ports = self._names.get(host, frozenset())
        for pattern, more in self._globs:
            if fnmatch.fnmatchcase(host, pattern):
                ports = _both(ports, more)
        return ports

    def remember(self, host: str, ports: Ports) -> None:
        """Allow the addresses of a name that is allowed. It is looked up, as its user is about to do."""
        with contextlib.suppress(OSError, UnicodeError):
            for _, _, _, _, where in _socket.getaddrinfo(host, None):
                address = address_of(str(where[0]))
                if address is not None:
                    self._remembered[str(address)] = _both(self._remembered.get(str(address), frozenset()), ports)


def _both(one: Ports, other: Ports) -> Ports:
    return None if one is None or other is None else one | other


# -- what Django's settings name

_listed: list[tuple[object, object, object, tuple[str, ...]]] = []


def hosts_of_django() -> tuple[str, ...]:
    """The hosts of `DATABASES` and `CACHES`, each with its port; none without settings."""
    conf: Any = sys.modules.get("django.conf")
    if conf is None or not conf.settings.configured:
        return ()
    with contextlib.suppress(Exception):  # settings of another shape name no host
        databases, caches = getattr(conf.settings, "DATABASES", None), getattr(conf.settings, "CACHES", None)
        # The settings hold the same two dicts for as long as nobody replaces them.
        if not _listed or _listed[0][0] is not databases or _listed[0][1] is not caches:
            texts = (*_hosts_of_databases(databases or {}), *_hosts_of_caches(caches or {}))
            _listed[:] = [(databases, caches, None, texts)]
        return _listed[0][3]
    return ()


def _hosts_of_databases(databases: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for database in databases.values():
        engine = str(database.get("ENGINE", "")).rpartition(".")[2]
        options: Mapping[str, Any] = database.get("OPTIONS") or {}
        port = database.get("PORT") or options.get("port") or DATABASE_PORTS.get(engine)
        # Several hosts for one database: libpq takes a list.
        for host in str(database.get("HOST") or options.get("host") or "").split(","):
            if host and not host.startswith("/"):
                yield _with_port(host, port)


def _hosts_of_caches(caches: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    from urllib.parse import urlsplit

    for cache in caches.values():
        backend = str(cache.get("BACKEND", ""))
        given = cache.get("LOCATION") or ()
        for location in given.replace(";", ",").split(",") if isinstance(given, str) else given:
            text = str(location).strip()
            if "://" in text:
                parts = urlsplit(text)
                if parts.hostname:
                    yield _with_port(parts.hostname, parts.port or _SCHEME_PORTS.get(parts.scheme))
            elif "memcached" in backend.lower() and text and not text.startswith(("unix:", "/")):
                host, colon, port = text.rpartition(":")
                yield _with_port(host, port) if colon and port.isdigit() else _with_port(text, _MEMCACHED)


def _with_port(host: str, port: object) -> str:
    host = host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" if port and str(port).isdigit() else host
