"""What `SIDE_EFFECTS["PROBES"]` spells, and what is wrong with it."""

from __future__ import annotations

import ipaddress
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sideeffects._core.values.close_names import did_you_mean

#: The ready-made probes.
READY: Final = ("database", "migrations", "cache", "storage", "broker", "workers", "mail", "disk", "memory", "dns")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ProbeRules:
    """The settings of probes, checked.

    Attributes:
        tokens: the bearer tokens that open the page.
        allowed_ips: the networks that may see it.
        public: whether all others see a page without messages.
        proxies: how many proxies in front append to `X-Forwarded-For`; 0 trusts none.
        cache_seconds: how long a result is good for others who ask for the same.
        read_only: whether no probe may write.
        timeout: seconds for a probe that does not say.
        parallel: how many may wait together; `None` for the runner's own number.
        ready: the ready-made probes to run besides one's own.
    """

    tokens: tuple[str, ...] = ()
    allowed_ips: tuple[Network, ...] = ()
    public: bool = False
    proxies: int = 0
    cache_seconds: float = 5.0
    read_only: bool = False
    timeout: float = 30.0
    parallel: int | None = None
    ready: tuple[str, ...] = ()


def probe_rules(given: Mapping[str, Any] | None) -> ProbeRules:
    """The rules that a mapping without problems spells."""
    found = given or {}
    tokens = found.get("TOKEN") or ()
    proxies = found.get("TRUST_X_FORWARDED_FOR") or 0
    return ProbeRules(
        tokens=(tokens,) if isinstance(tokens, str) else tuple(tokens),
        allowed_ips=tuple(ipaddress.ip_network(ip, strict=False) for ip in found.get("ALLOWED_IPS") or ()),
        public=bool(found.get("PUBLIC")),
        proxies=int(proxies),
        cache_seconds=_given(found, "CACHE_SECONDS", 5.0),
        read_only=bool(found.get("READ_ONLY")),
        timeout=_given(found, "TIMEOUT", 30.0),
        parallel=found.get("PARALLEL"),
        ready=tuple(found.get("READY") or ()),
    )


def _given(found: Mapping[str, Any], key: str, default: float) -> float:
    value = found.get(key)
    return default if value is None else float(value)


def check_probes(value: Any) -> list[str]:
    """What is wrong with the value, a sentence each."""
    if not isinstance(value, Mapping):
        return [f"must be a dict, not {value!r}"]
    found: list[str] = []
    for key, given in value.items():
        if key not in _CHECKS:
            hint = did_you_mean(key, _CHECKS, f"; the keys are {', '.join(_CHECKS)}", most=1)
            found.append(f"has no key {key!r}{hint}")
        elif given is not None:
            problem = _CHECKS[key](given)
            if problem:
                found.append(f"{key} {problem}")
    return found


def _check_token(value: Any) -> str:
    tokens = [value] if isinstance(value, str) else value
    if not isinstance(tokens, list | tuple | set | frozenset) or not all(isinstance(token, str) for token in tokens):
        return "must be a string, or a list of strings"  # what it is stays unsaid: it is meant to be a secret
    if any(not token or not token.isascii() or not token.isprintable() or " " in token for token in tokens):
        return "must consist of printable ASCII characters without spaces, and not be empty: it travels in a header"
    return ""


def _check_ips(value: Any) -> str:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        return f"must be a list of addresses and networks, not {value!r}"
    for ip in value:
        try:
            ipaddress.ip_network(ip, strict=False)
        except ValueError:
            return f"has {ip!r}, which is no address and no network"
    return ""


def _check_flag(value: Any) -> str:
    return "" if isinstance(value, bool) else f"must be True or False, not {value!r}"


def _check_proxies(value: Any) -> str:
    is_number = isinstance(value, int) and value >= 0
    return "" if is_number else f"must be True, False, or how many proxies append to it, not {value!r}"


def _check_seconds(value: Any) -> str:
    is_number = not isinstance(value, bool) and isinstance(value, numbers.Real) and 0 <= float(value) < float("inf")
    return "" if is_number else f"must be a number of seconds, not {value!r}"


def _check_timeout(value: Any) -> str:
    return _check_seconds(value) or ("" if value > 0 else f"must be above 0, not {value!r}")


def _check_parallel(value: Any) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return "" if is_number else f"must be a whole number above 0, not {value!r}"


def _check_ready(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return f"must be a list of {', '.join(READY)}, not {value!r}"
    for name in value:
        if name not in READY:
            hint = did_you_mean(str(name), READY, f"; there are {', '.join(READY)}", most=1)
            return f"has {name!r}, which is no ready-made probe{hint}"
    return ""


_CHECKS: Final[dict[str, Callable[[Any], str]]] = {
    "TOKEN": _check_token,
    "ALLOWED_IPS": _check_ips,
    "PUBLIC": _check_flag,
    "READ_ONLY": _check_flag,
    "CACHE_SECONDS": _check_seconds,
    "TIMEOUT": _check_timeout,
    "PARALLEL": _check_parallel,
    "READY": _check_ready,
    "TRUST_X_FORWARDED_FOR": _check_proxies,
}
