"""Which of the well-known calls plainly only read, and which functions do nothing else: `reads=True` is proposed.

In doubt a function does more than read, since a dry run executes what only reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from sideeffects.listing.audit.known_apis import FUNCTIONS, OBJECTS, PACKAGES
from sideeffects.listing.audit.source import Body


class OutsideCall(NamedTuple):
    """A call of an outside API.

    Attributes:
        api: what is called, as a dotted path; `()` stands for what a call gave, `*` for a name that is computed.
        line: the line.
        last: the line on which the call ends.
        reads: whether it plainly only reads.
    """

    api: str
    line: int
    last: int
    reads: bool


# -- calls

#: Functions and methods that only read, whatever they are given.
_READS: Final = frozenset(
    f"{holder}.{name}"
    for holder, names in {
        "dns.asyncresolver": "resolve",
        "dns.asyncresolver.Resolver()": "query resolve",
        "dns.resolver": "query resolve",
        "dns.resolver.Resolver()": "query resolve",
        "feedparser": "parse",
        "firebase_admin.auth": "get_user get_user_by_email verify_id_token",
        "geopy.geocoders.Nominatim()": "geocode reverse",
        "google.oauth2.id_token": "verify_firebase_token verify_oauth2_token verify_token",
        "http.client.HTTPConnection()": "connect",
        "http.client.HTTPSConnection()": "connect",
        "socket": "getaddrinfo gethostbyaddr gethostbyname gethostbyname_ex",
        "ssl": "get_server_certificate",
        "urllib.robotparser.RobotFileParser()": "read",
        "whois": "whois",
    }.items()
    for name in names.split()
)
#: What has a function for each method of HTTP.
_HTTP: Final = frozenset(
    (
        *(module for module, names in FUNCTIONS.items() if "patch" in names.split()),
        *(f"{kind}()" for kind, names in OBJECTS.items() if "patch" in names.split()),
    )
)
_SAFE: Final = frozenset(("get", "head", "options"))
_URLOPEN: Final = frozenset(
    ("urllib.request.urlopen", "urllib.request.OpenerDirector().open", "urllib.request.build_opener().open")
)
#: As methods of clients begin that only read, but for a few that write a file, take something away or make it.
_BEGINNINGS: Final = ("batch_get_", "describe_", "get_", "head_", "list_")
_WRITING_GETTERS: Final = frozenset(("get_object_to_file", "get_updates"))
_BOTO: Final = ("boto3.client()", "boto3.resource()", "botocore.session.get_session().create_client()")
_OF_BOTO: Final = frozenset(("paginate", "query", "scan", "wait"))
_OF_PAYMENTS: Final = frozenset(
    ("auto_paging_iter", "auto_paging_iter_async", "list", "next_page", "retrieve", "search")
)
_IMAP: Final = ("imaplib.IMAP4", "imaplib.IMAP4_SSL")
_OF_IMAP: Final = frozenset(
    """
    authenticate capability list login login_cram_md5 logout lsub namespace noop open search select sort starttls status
    thread
    """.split()
)
#: Parts of a message whose fetching marks it as read.
_MARKING: Final = re.compile(r"BODY\[|RFC822(?!\.(HEADER|SIZE))", re.IGNORECASE)
#: Words of an address behind which a GET does something.
_DOING: Final = frozenset(
    """
    activate approve cancel confirm create delete hook hooks logout notify pay ping publish refund remove reset revoke
    send sms subscribe trigger unsubscribe update webhook
    """.split()
)


def call_reads(api: str, node: ast.Call, body: Body, *, is_handed: bool) -> bool:
    """Whether a call of an outside API plainly only reads.

    Args:
        api: what is called.
        node: the call; of what is handed on, the call that it is handed to.
        body: the function that it stands in.
        is_handed: whether it is handed on, and so with which arguments it is called is not known.
    """
    holder, _, name = api.rpartition(".")
    if _text_words(node) & _DOING:
        return False
    if api in _READS or api in _IMAP or (holder in _HTTP and name in _SAFE):
        return True
    if holder.removesuffix("()") in _IMAP:
        return name in _OF_IMAP or (not is_handed and _imap_reads(name, node))
    if api in _URLOPEN:
        return not is_handed and _opens_only(node, body)
    if name in ("request", "stream", "urlopen"):
        return not is_handed and not api.startswith("httplib2.") and _method_of(node) in _SAFE
    if api.startswith(_BOTO) and name in _OF_BOTO:
        return True
    if api.partition(".")[0] in PACKAGES:
        return name in _OF_PAYMENTS
    is_of_client = OBJECTS.get(api.partition("().")[0]) == ""
    return is_of_client and name.startswith(_BEGINNINGS) and name not in _WRITING_GETTERS


def _text_words(node: ast.AST) -> set[str]:
    """The words of all texts in a call: an address, its parameters."""
    texts = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))
    return {word for text in texts for word in re.findall("[a-z]+", text.lower())}


def _argument(node: ast.Call, position: int, name: str) -> ast.expr | None:
    """What is given for a parameter; `None` where nothing is, or it cannot be told."""
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    return node.args[position] if len(node.args) > position else None


def _said(node: ast.expr | None) -> str:
    """What a text that stands there says; empty for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _method_of(node: ast.Call) -> str:
    return _said(_argument(node, 0, "method")).lower()


def _imap_reads(name: str, node: ast.Call) -> bool:
    """By what it asks for: `fetch` marks messages as read, unless it only peeks."""
    place = 1
    if name == "uid":
        name, place = _said(_argument(node, 0, "command")).lower(), 2
    if name == "fetch":
        parts = _said(_argument(node, place, "message_parts"))
        return bool(parts) and not _MARKING.search(parts)
    return name in _OF_IMAP


def _opens_only(node: ast.Call, body: Body) -> bool:
    """Whether an address is opened without sending it anything."""
    opened = _argument(node, 0, "url") or _argument(node, 0, "fullurl")
    made = [one for one, _ in body.nodes if isinstance(one, ast.Call) and _last_name(one.func) == "Request"]
    if opened is None or _sends(node) or any(map(_sends, made)):
        return False
    # What was handed in as a request may have data.
    return bool(made) or not (isinstance(opened, ast.Name | ast.Attribute) and "req" in _last_name(opened).lower())


def _sends(node: ast.Call) -> bool:
    """Whether `urlopen` or `Request` is given data, or another method."""
    data, method = _argument(node, 1, "data"), _argument(node, 5, "method")
    is_plain = method is None or _said(method).lower() in _SAFE
    unclear = any(keyword.arg is None for keyword in node.keywords)
    return unclear or not is_plain or not (data is None or (isinstance(data, ast.Constant) and data.value is None))


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# -- functions

#: Methods of whatever object that write rows, files, caches or messages.
_WRITING: Final = frozenset(
    """
    apply_async bulk_create bulk_update create decr delay delete enqueue execute executemany get_or_create incr makedirs
    mkdir publish rename rmtree save send send_task set set_many unlink update_or_create write write_bytes write_text
    writelines
    """.split()
)
_MODE: Final = re.compile("[rwaxbt+]+")
#: As names of functions begin that do something.
_VERBS: Final = frozenset(
    """
    activate add approve buy cancel charge confirm create delete disable enable mark notify order pay ping post publish
    push put refund register remove reset revoke save send set start stop submit subscribe sync trigger unsubscribe
    update upload write
    """.split()
)


class Reading:
    """Asks whether functions only read, by what they and the functions of the project that they use call.

    Args:
        calls: what each function calls of the outside.
        used_by: the project's functions that one speaks of.
        is_declared: whether a function is an effect, of which it is not asked whether it reads.
    """

    def __init__(
        self,
        calls: Mapping[Body, Iterable[OutsideCall]],
        used_by: Callable[[Body], Iterable[Body]],
        is_declared: Callable[[Body], bool],
    ) -> None:
        self._calls = calls
        self._used_by = used_by
        self._is_declared = is_declared

    def only_reads(self, body: Body) -> bool:
        """Whether a function that calls the outside plainly does nothing but read there."""
        waiting, seen = [body], {body}
        while waiting:
            one = waiting.pop()
            if not self._reads_itself(one) or (one is not body and self._is_declared(one)):
                return False
            used = set(self._used_by(one)) - seen
            seen |= used
            waiting += used
        return bool(body.name)

    def _reads_itself(self, body: Body) -> bool:
        name = body.name.rpartition(".")[2].strip("_").partition("_")[0].lower()
        does_more = any(isinstance(node, ast.Call) and _writes(node) for node, _ in body.nodes)
        return name not in _VERBS and not does_more and all(call.reads for call in self._calls[body])


def _writes(node: ast.Call) -> bool:
    """Whether a call writes, as far as its name says."""
    name = _last_name(node.func)
    if isinstance(node.func, ast.Name):
        mode = _argument(node, 1, "mode")
        return name == "open" and mode is not None and not _is_for_reading(mode)
    if name == "open":  # of a path; of anything else it has no mode
        mode = _argument(node, 0, "mode")
        return bool(_MODE.fullmatch(_said(mode))) and not _is_for_reading(mode)
    # `rows.update(name="x")`, and not `headers.update(more)`.
    return name in _WRITING or (name == "update" and bool(node.keywords) and not node.args)


def _is_for_reading(mode: ast.expr | None) -> bool:
    return bool(_said(mode)) and not set(_said(mode)) & set("wax+")
