"""Whether a dotted path reaches the outside world, or leads to what does, by `known_apis.py`."""

from __future__ import annotations

from typing import Final

from sideeffects.listing.audit.known_apis import (
    CALLED_BY_SERVERS,
    CONNECTING,
    FAMILIES,
    FUNCTIONS,
    IDLE,
    IDLE_PARTS,
    OBJECTS,
    OF_RESULTS,
    PACKAGES,
    PARTS,
    SAID_BY_NAME,
)

_REACHING: Final = frozenset(f"{module}.{name}" for module, names in FUNCTIONS.items() for name in names.split())
_MAKING: Final = {path: frozenset(names.split()) for path, names in OBJECTS.items()}
#: The same as methods of what another object gives: `boto3.Session().client(...)`.
_MAKING_ANYWAY: Final = {
    f"boto3.{session}().{made}": f"boto3.{made}"
    for session in ("Session", "session.Session")
    for made in ("client", "resource")
}
_FACTORIES: Final = frozenset(
    (
        "boto3.Session",
        "boto3.session.Session",
        "botocore.session.get_session",
        "kombu.Connection",
        "libcloud.compute.providers.get_driver",
        "libcloud.dns.providers.get_driver",
        "libcloud.storage.providers.get_driver",
    )
)
_ROOTS: Final = frozenset(
    path.partition(".")[0] for path in (*FUNCTIONS, *OBJECTS, *PACKAGES, *_FACTORIES, *dict(FAMILIES))
)
#: What is imported for hardly anything but to reach outside.
_NETWORK: Final = _ROOTS - frozenset(
    """
    asyncio celery channels delegator django django_redis ffmpeg fsspec git gnupg imgkit invoke jwt openid os pdfkit pty
    pypandoc redis sarge ssl subprocess webbrowser
    """.split()
)
#: Packages that are mostly imported for something else.
_COMMON: Final = frozenset("asyncio celery channels django google http os urllib xmlrpc".split())
_LEADING_PACKAGES: Final = _ROOTS - _COMMON
_LEADING: Final = _LEADING_PACKAGES | {
    path.rsplit(".", cut)[0]
    for path in (*OBJECTS, *(f"{module}.{name}" for module, names in FUNCTIONS.items() for name in names.split()))
    for cut in range(path.count("."))
}
_FAMILIES: Final = tuple(package for package, _ in FAMILIES)
_NETWORK_MODULES: Final = {
    "urllib": ("urllib.request", "urllib.robotparser"),
    "http": ("http.client",),
    "xmlrpc": ("xmlrpc.client",),
    "google": ("google.auth.transport", "google.cloud", "google.oauth2"),
}


def is_known_package(path: str) -> bool:
    """Whether something of the package that the path is in reaches outside; of common packages, below the path."""
    root = path.partition(".")[0]
    is_common = root in _COMMON and path != root and path not in _LEADING and not path.startswith(_FAMILIES)
    return root in _ROOTS and not is_common


def may_lead_outside(imported: str) -> bool:
    """Whether an import may be of what makes objects that reach outside."""
    is_of_one = imported.startswith(_FAMILIES) or any(
        imported.startswith(f"{package}.") for package in _LEADING_PACKAGES
    )
    return imported in _LEADING or is_of_one


def network_library(imported: str) -> str:
    """The name by which an import speaks of a library for the network; empty for any other import."""
    root = imported.partition(".")[0]
    if root not in _NETWORK:
        return ""
    modules = _NETWORK_MODULES.get(root)
    if modules is None:
        return root
    return next((module for module in modules if f"{imported}.".startswith(f"{module}.")), "")


def sends_mail(path: str) -> bool:
    """Whether it is an API of Django's mail, which can be declared as a whole."""
    return path.startswith("django.core.mail.") or path == SAID_BY_NAME["email_user"]


def said_by_name(method: str) -> str:
    """The API that a method of an unknown object is, by its name alone; empty for others."""
    return SAID_BY_NAME.get(method, "")


def made_by(path: str) -> str | None:
    """The kind of object that calling this gives, if its methods may reach outside.

    Args:
        path: the dotted path of what is called; `()` stands for what a call gave.
    """
    known = _MAKING_ANYWAY.get(path, path)
    if _methods_of(known) is not None or known in _FACTORIES:
        return known
    kind, _ = _kind_of(known)
    last = known.rpartition(".")[2]
    if known.partition(".")[0] in PACKAGES and "()" not in known and reaches_outside(known):
        return known
    # Parts of a client reach outside as it does; what its calls give is data.
    return known if kind and not _methods_of(kind) and (last in PARTS or last[:1].isupper()) else None


def connects(path: str) -> bool:
    """Whether making the object, with arguments, reaches outside by itself."""
    return path in CONNECTING


def reaches_outside(path: str) -> bool:
    """Whether calling this reaches the outside world."""
    if path in _REACHING:
        return True
    last = path.rpartition(".")[2]
    if last == "*":  # a name that is known only when it runs
        holder = path.removesuffix(".*")
        if not holder.endswith("()"):
            return holder in _ALL_OF_THEM
        wanted = _methods_of(holder.removesuffix("()"))
        return wanted is not None and (not wanted or "post" in wanted)
    kind, method = _kind_of(path)
    if kind:
        wanted = _methods_of(kind)
        return method in wanted if wanted else _is_request(kind, method)
    package, _, rest = path.partition(".")
    if package not in PACKAGES or not rest:
        return False
    if "()" in path:
        return last in OF_RESULTS and path.count("()") == 1
    name = rest.rpartition(".")[2]
    return name.islower() and not name.startswith("_") and rest != name and name not in IDLE


def is_named_by_what_it_does(path: str) -> bool:
    """Whether it is one of the few methods of its object that reach outside, and no mere attribute."""
    kind, method = _kind_of(path)
    return bool(kind) and method in (_methods_of(kind) or ())


def _methods_of(made: str) -> frozenset[str] | None:
    """The methods that reach outside, of what calling this makes; empty for all of them, `None` for another object."""
    known = _MAKING.get(made)
    if known is None and made.startswith(_FAMILIES) and "()" not in made:
        last = made.rpartition(".")[2]
        is_one = any(made.startswith(package) and last.endswith(end) for package, end in FAMILIES)
        return frozenset() if is_one and last[:1].isupper() else None
    return known


def _is_request(kind: str, method: str) -> bool:
    """Whether a method of an object that does nothing but reach outside does so."""
    *parts, last = method.split(".")
    if last.startswith("_") or last in IDLE or not IDLE_PARTS.isdisjoint(parts):
        return False
    return not last[:1].isupper() or kind.startswith(CALLED_BY_SERVERS)


#: Modules whose functions all reach outside, whichever of them code asks for by a computed name.
_ALL_OF_THEM: Final = frozenset(("httpx", "requests", "requests.api", "subprocess", "treq"))


def _kind_of(path: str) -> tuple[str, str]:
    """The known object that a path is of, and what is asked of that; empty for none."""
    made, is_method, method = path.rpartition("().")
    asked = method
    while is_method:
        if _methods_of(made) is not None:
            return made, asked
        made, is_method, method = made.rpartition("().")
        asked = f"{method}().{asked}"
    return "", ""
