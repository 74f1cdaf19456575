"""Whatever stands under a sensitive name is hidden, and taken out of texts that others have written."""

import collections
import dataclasses
import enum
import json
import time
import types
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import pytest
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe

from sideeffects._core.values.describe import describe, jsonable
from sideeffects._core.values.kinds import CIRCULAR, MAX_DEPTH, MAX_TEXT, REDACTED, TOO_DEEP
from sideeffects._core.values.redaction import redact
from sideeffects._core.values.scrubbing import scrub, secrets_in, texts_in
from sideeffects._core.values.sensitive_names import is_sensitive, normalise
from tests.support.strange_values import (
    NONE,
    Account,
    BrokenMapping,
    Frozen,
    Headers,
    Point,
    copied,
    explode,
)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "Password",
        "apiKey",
        "api_key",
        "API-Key",
        "X-Api-Key",
        "x api key",
        "Authorization",
        "access_token",
        "accessToken",
        "__token__",
        b"password",
        b"X-Api-Key",
        mark_safe("password"),
        type("Insensitive", (str,), {})("Authorization"),
        enum.Enum("Header", {"AUTH": "Authorization"}, type=str)["AUTH"],
    ],
    ids=lambda name: f"{type(name).__name__} {name!r}",
)
def test_whole_names_are_sensitive_however_they_are_written(name: Any) -> None:
    """Case, hyphens, underscores, camel case, bytes and kinds of texts make no difference."""
    assert is_sensitive(name, NONE)
    assert redact({name: "s3cret"}, NONE)[name] == REDACTED


@pytest.mark.parametrize("name", ["cache_key", "max_tokens", "passwords_changed", "tokenizer", "", "key", 3, None, ()])
def test_parts_of_names_are_not_sensitive(name: Any) -> None:
    """Only whole names count."""
    assert not is_sensitive(name, NONE)
    assert redact({name: "shown"}, NONE)[name] == "shown"


def test_further_names_are_normalised_names() -> None:
    """`SIDE_EFFECTS["SENSITIVE"]` adds names, compared the same way."""
    assert is_sensitive("Tax-Id", frozenset({normalise("taxId")}))


SECRETS = {
    "dict": {"password": "s3cret"},
    "nested": {"a": [{"b": ({"password": "s3cret"},)}]},
    "container under the name": {"password": ["s3cret"]},
    "ordered dict": collections.OrderedDict(password="s3cret"),
    "default dict": collections.defaultdict(str, password="s3cret"),
    "mapping proxy": types.MappingProxyType({"password": "s3cret"}),
    "foreign mapping": Headers(authorization="s3cret"),
    "query dict": QueryDict("password=s3cret"),
    "named tuple": Point(1, "s3cret"),
    "dataclass": Account("ann", "s3cret"),
    "frozen dataclass": Frozen(1, "s3cret"),
    "field kept out of the repr": Account("ann", hidden="s3cret"),
    "dataclass in a list": [Account("ann", "s3cret")],
    "namespace": types.SimpleNamespace(password="s3cret"),
    "pair": ("Authorization", "s3cret"),
    "list pair": ["Authorization", "s3cret"],
    "pair of bytes": (b"authorization", b"s3cret"),
    "pairs": [("Accept", "*"), ("Authorization", "s3cret")],
    "set of pairs": {("Authorization", "s3cret")},
    "frozen set of pairs": frozenset({("Authorization", "s3cret")}),
    "queue of pairs": collections.deque([("Authorization", "s3cret")]),
    "items": {"password": "s3cret"}.items(),
    "values": {"a": {"password": "s3cret"}}.values(),
    "list subclass": type("L", (list,), {})([{"password": "s3cret"}]),
    "tuple subclass": type("T", (tuple,), {})([{"password": "s3cret"}]),
    "exception": ValueError({"password": "s3cret"}),
    "dict that refuses to be copied": type("D", (dict,), {"__copy__": explode})(password="s3cret"),
    "mapping that raises": {"a": BrokenMapping(), "password": "s3cret"},
}


@pytest.mark.parametrize("kind", sorted(set(SECRETS) - {"field kept out of the repr", "exception"}))
def test_values_under_sensitive_names_are_redacted_in_containers_of_all_kinds(kind: str) -> None:
    """Neither the redacted value nor anything made of it has the secret, and the original is untouched."""
    value = SECRETS[kind]
    clean = redact(value, NONE)
    for rendered in (repr(clean), describe(clean), json.dumps(jsonable(clean)), describe(value) and ""):
        assert "s3cret" not in rendered
    assert "s3cret" in repr(value) or kind == "mapping that raises"


def test_fields_that_their_class_keeps_out_of_the_repr_are_not_shown() -> None:
    """`field(repr=False)` holds for what we describe as well."""
    clean = redact(Account("ann", hidden="s3cret"), NONE)
    assert describe(clean) == f"Account(name='ann', token={REDACTED})"
    assert jsonable(clean) == {"name": "ann", "token": REDACTED}


def test_mappings_of_others_are_given_as_they_are_when_they_hide_nothing() -> None:
    """Code that reads `arguments["headers"]["Accept"]` works with the real, case-insensitive mapping."""
    headers = Headers(accept="*")
    assert redact(headers, NONE) is headers
    assert redact([headers], NONE)[0] is headers


def test_what_is_too_deep_or_circular_is_not_trusted() -> None:
    """A secret may stand below, so a marker is shown."""
    deep: Any = {"password": "s3cret"}
    for _ in range(MAX_DEPTH + 1):
        deep = {"a": deep}
    assert TOO_DEEP in describe(redact(deep, NONE))
    assert "s3cret" not in describe(redact(deep, NONE))
    circle: dict[str, Any] = {"password": "s3cret"}
    circle["self"] = circle
    assert describe(redact(circle, NONE)) == f"{{'password': {REDACTED}, 'self': {CIRCULAR}}}"
    assert jsonable(redact(circle, NONE)) == {"password": REDACTED, "self": CIRCULAR}
    shared = [1]
    assert redact([shared, shared], NONE) == [[1], [1]]


class Foreign(Mapping[str, Any]):
    """Counts how often it is looked through."""

    def __init__(self, **held: Any) -> None:
        self.held, self.looks = held, 0

    def __getitem__(self, key: str) -> Any:
        return self.held[key]

    def __iter__(self) -> Iterator[str]:
        self.looks += 1
        return iter(self.held)

    def __len__(self) -> int:
        return len(self.held)


def test_mappings_of_others_are_looked_through_once_and_hide_what_is_far_below() -> None:
    """Those above a secret, and only those, become plain ones; a circle of them is told as one."""
    plain = Foreign(kept=({"name": [1]},))
    secret = Foreign(box=(Foreign(deep=[{"password": "s3cret"}]),))
    secret.held["again"] = secret.held["box"][0]
    circle = Foreign(secret=secret, plain=plain)
    plain.held["plain"] = secret.held["box"][0].held["up"] = circle
    clean = redact([secret, circle, secret], NONE)
    assert [one.looks for one in (plain, secret, circle)] == [1, 1, 1]
    assert clean[0] is clean[2]
    assert type(clean[0]) is type(clean[1]) is dict
    assert clean[0]["again"] is clean[0]["box"][0]
    assert CIRCULAR in describe(clean)
    assert "s3cret" not in describe(clean)
    harmless = Foreign(kept=({"name": [1]},))
    harmless.held["self"] = harmless
    assert redact((harmless,), NONE)[0] is harmless


@dataclasses.dataclass(init=False)
class Strict:
    """Its field cannot be set."""

    items: Any

    @property  # type: ignore[no-redef]
    def items(self) -> Any:
        return self.held

    held: ClassVar[Any] = [1]


class Making(Foreign):
    """What it holds is another object each time."""

    def __getitem__(self, key: str) -> Any:
        self.made = [*getattr(self, "made", ()), Strict()]
        return self.made[-1]


def test_a_dataclass_that_refuses_other_values_is_redacted_as_a_whole() -> None:
    """Also where its twin stands elsewhere already; where it is another one each time, nothing is shown."""
    strict = Strict()
    assert redact([strict, {"a": strict}], NONE) == [REDACTED, {"a": REDACTED}]
    assert redact([Making(a=1)], NONE) == REDACTED
    Strict.held = ([1],)
    assert redact([strict], NONE) == [REDACTED]


class Hashable(Foreign):
    """A mapping that may stand in a set."""

    __hash__ = object.__hash__


def test_a_set_that_cannot_be_made_anew_is_redacted_as_a_whole() -> None:
    """What becomes a plain dictionary cannot be hashed."""
    assert redact([{Hashable(password="s3cret")}], NONE) == [REDACTED]


def test_a_wide_circle_costs_little() -> None:
    """Each way around a circle is not walked again and again."""
    children: list[Any] = []
    children.extend([children] * 200)
    started = time.perf_counter()
    assert len(describe(redact(children, NONE))) <= MAX_TEXT
    assert len(describe(children)) <= MAX_TEXT
    assert time.perf_counter() - started < 30


def test_what_cannot_be_looked_through_is_redacted_as_a_whole() -> None:
    """A container that raises shows nothing."""

    class Refusing(Account):
        def __copy__(self) -> Any:
            raise RuntimeError

    assert redact(Refusing("ann", "s3cret"), NONE) == REDACTED
    assert redact(BrokenMapping(), NONE) == REDACTED


def test_tuples_that_cannot_be_made_anew_become_plain_ones() -> None:
    """`time.struct_time` and its like."""
    moment = time.gmtime(0)
    assert redact(moment, NONE) == tuple(moment)
    assert describe(moment).startswith("struct_time((1970, 1, 1")


class Attributes:
    """As attrs makes classes: fields described in a class attribute."""

    __attrs_attrs__ = (
        types.SimpleNamespace(name="user", repr=True),
        types.SimpleNamespace(name="password", repr=True),
        types.SimpleNamespace(name="notes", repr=False),
    )

    def __init__(self) -> None:
        self.user, self.password, self.notes = ["ann"], "s3cret", "s3cret"


class Model:
    """As pydantic makes classes."""

    __pydantic_fields__: ClassVar = {
        "user": types.SimpleNamespace(repr=True),
        "password": types.SimpleNamespace(repr=True),
        "notes": types.SimpleNamespace(repr=False),
    }
    __init__ = Attributes.__init__  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Attributes, Model])
def test_classes_with_described_fields_are_treated_as_dataclasses(kind: Any) -> None:
    """Classes of attrs and pydantic are copied and redacted by field."""
    value = kind()
    twin, marks = copied(value)
    value.user.append("ben")
    assert twin.user == ["ann"]
    assert marks == []
    assert describe(redact(twin, NONE)) == f"{kind.__name__}(user=['ann'], password={REDACTED})"
    assert jsonable(redact(twin, NONE)) == {"user": ["ann"], "password": REDACTED}


class Login(NamedTuple):
    """A tuple whose places have names."""

    user: str
    password: str


def test_secrets_are_found_wherever_a_sensitive_name_leads() -> None:
    """Texts, numbers and bytes under a sensitive name, all the way down; short ones occur by chance."""
    value = {
        "password": ["hunter22", {"x": 424242}],
        "token": b"abcdef",
        "pin": 12,
        "secret": True,
        "user": {"apiKey": ("key-1234",)},
        "shown": "shown-text",
        "pairs": [("Authorization", "Bearer 1")],
        "account": Account("shown-name", "tok-tok"),
        "lazy": {"password": SimpleLazyObject(explode)},
        "other": object(),
        "broken": BrokenMapping(),
        "foreign": types.MappingProxyType({"secret": "proxied"}),
        "space": types.SimpleNamespace(api_key="spaced"),
        "queue": collections.deque([{"token": "queued"}]),
        "tuple": Login("ann", "by-field"),
    }
    value["circular"] = {"password": value["user"], "up": value}
    assert set(secrets_in(value, NONE)) == {
        *("hunter22", "424242", "abcdef", "key-1234", "Bearer 1", "tok-tok", "proxied", "spaced", "queued", "by-field"),
    }
    assert set(texts_in({"a": "everything", "b": ["counts"]})) == {"everything", "counts"}
    deep: Any = "hunter22"
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    assert list(texts_in(deep)) == ["hunter22"]


def test_scrubbing_takes_the_longest_first() -> None:
    """A secret that contains another leaves no rest."""
    assert scrub("Bearer hunter22 and hunter", ["hunter", "hunter22"]) == f"Bearer {REDACTED} and {REDACTED}"


def test_scrubbing_finds_secrets_in_a_repr() -> None:
    """Messages of exceptions often hold what they complain about as its `repr`."""
    secret = "top\nsecret"
    assert scrub(f"not sent: {secret!r}", [secret]) == f"not sent: '{REDACTED}'"
