"""Whether the hosts have addresses that effects name by a tag `host:NAME`."""

from __future__ import annotations

import socket

from sideeffects._core.calls.registry import registry
from sideeffects.probes.case import SmokeTest
from sideeffects.probes.ready.base import for_each

_TAG = "host:"


def has_address(probe: SmokeTest, host: str) -> None:
    """Resolve a name."""
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        effects = ", ".join(effect.name for effect in registry.values() if _TAG + host in effect.tags)
        probe.fail(f"{host} has no address: {error}. Needed by {effects}")


def dns() -> type[SmokeTest]:
    """A probe for each host."""
    hosts = {tag.removeprefix(_TAG) for effect in registry.values() for tag in effect.tags if tag.startswith(_TAG)}
    return for_each("Hosts", "Whether the hosts that effects name have addresses.", sorted(hosts), has_address)
