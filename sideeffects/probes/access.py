"""Who may see the results of probes on the web, and how much of them."""

from __future__ import annotations

import enum
import hmac
import ipaddress
import logging
from typing import Final

from django.http import HttpRequest

from sideeffects.settings.probes import ProbeRules

logger: Final = logging.getLogger("sideeffects")


class Access(enum.Enum):
    """What somebody may see."""

    NOTHING = enum.auto()
    #: Whether all is well, and which probes there are.
    OUTCOMES = enum.auto()
    #: Messages, tracebacks and effects too.
    EVERYTHING = enum.auto()


def access_of(request: HttpRequest, rules: ProbeRules) -> Access:
    """What this request may see. Nothing has been run by then."""
    # The user comes last: looking needs the sessions, which may be what is broken.
    if _has_token(request, rules) or _has_address(request, rules) or _is_staff(request):
        return Access.EVERYTHING
    return Access.OUTCOMES if rules.public else Access.NOTHING


def _has_token(request: HttpRequest, rules: ProbeRules) -> bool:
    kind, _, given = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if kind.lower() != "bearer" or not given:
        return False
    offered = given.strip().encode("utf-8", "surrogateescape")
    # All of them are compared, so that the time does not show which one was close.
    matches = [hmac.compare_digest(token.encode(), offered) for token in rules.tokens]
    return any(matches)


def _has_address(request: HttpRequest, rules: ProbeRules) -> bool:
    if not rules.allowed_ips:
        return False
    text = str(request.META.get("REMOTE_ADDR") or "")
    if rules.proxies:
        # Each proxy appends the address that it has seen. What stands further left, anybody can write.
        parts = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
        text = parts[-rules.proxies] if len(parts) >= rules.proxies else ""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any(candidate in network for network in rules.allowed_ips for candidate in (address, mapped) if candidate)


def _is_staff(request: HttpRequest) -> bool:
    try:
        user = getattr(request, "user", None)
        return bool(user is not None and user.is_active and user.is_staff)
    except Exception as error:  # noqa: BLE001 - whoever cannot be recognised is nobody
        logger.warning("could not tell who asks for the probes: %s", error)
        return False
