"""Values: copied as they are at the call, redacted wherever they show, described without evaluating anything."""

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import pathlib
import re
import time
import types
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import pytest
from django.core.paginator import Page, Paginator
from django.db import models
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe
from hypothesis import given, strategies as st

from sideeffects import Call, Calls, capture, side_effect
from sideeffects._copying import snapshot
from sideeffects._kinds import CIRCULAR, MAX_DEPTH, MAX_TEXT, REDACTED, TOO_DEEP
from sideeffects._redaction import is_sensitive, normalise, redact, scrub, secrets_in, texts_in
from sideeffects._showing import describe, jsonable, text_of
from sideeffects.testing import isolated_registry

NONE: frozenset[str] = frozenset()


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """Effects of one test are unknown to the next."""
    with isolated_registry():
        yield


class Point(NamedTuple):
    x: Any
    password: Any


@dataclasses.dataclass
class Account:
    name: Any
    token: Any = None
    hidden: Any = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    items: Any
    api_key: Any = None


class Evaluated(Exception):
    """Something lazy was looked at."""


def explode(*args: object, **kwargs: object) -> Any:
    raise Evaluated


class Broken:
    """Raises at whatever looks at it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __copy__(self) -> Any:
        raise RuntimeError("no copy")

    def __deepcopy__(self, memo: object) -> Any:
        raise RuntimeError("no copy")

    def __reduce__(self) -> Any:
        raise RuntimeError("no pickle")


class BrokenMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no item")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "BrokenMapping()"


class Headers(Mapping[str, str]):
    """A mapping of somebody else's making, which is no `dict`."""

    def __init__(self, **held: str) -> None:
        self._held = held

    def __getitem__(self, key: str) -> str:
        return self._held[key.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"Headers({self._held})"


def copied(value: Any) -> tuple[Any, list[str]]:
    marks: list[str] = []
    return snapshot(value, "it", {}, marks), marks


# -- copying


def changed(value: Any) -> None:
    """Change a container in place, all the way down."""
    if isinstance(value, dict):
        for child in value.values():
            changed(child)
        value["added later"] = 1
    elif isinstance(value, (list, collections.deque)):
        for child in value:
            changed(child)
        value.append("added later")
    elif isinstance(value, set):
        value.add("added later")
    elif isinstance(value, bytearray):
        value.extend(b"added later")
    elif isinstance(value, tuple):
        for child in value:
            changed(child)
    elif isinstance(value, Account):
        changed(value.name)
        value.token = "added later"
    elif isinstance(value, Frozen):
        changed(value.items)


MUTABLE = [
    {"a": [1, {"b": {2}}]},
    [[1], [2]],
    ([1], {"a": 1}),
    {1, 2},
    collections.deque([[1]], maxlen=5),
    collections.OrderedDict(b=[1], a=[2]),
    collections.defaultdict(list, a=[1]),
    collections.Counter("abc"),
    bytearray(b"abc"),
    Point([1], {"a": 1}),
    Account(["ann"]),
    Frozen([1]),
    type("Names", (list,), {})([["ann"]]),
    type("Tags", (set,), {})(["a"]),
    type("Pair", (tuple,), {})([["ann"]]),
    QueryDict("a=1&a=2", mutable=True),
]


@pytest.mark.parametrize("value", MUTABLE, ids=lambda value: type(value).__name__)
def test_a_copy_does_not_see_what_happens_to_the_original(value: Any) -> None:
    """Containers of all kinds are kept with type and content as they are now, all the way down."""
    before = repr(value)
    twin, marks = copied(value)
    changed(value)
    assert repr(value) != before
    assert repr(twin) == before
    assert type(twin) is type(value)
    assert marks == []


def test_what_never_changes_is_not_copied() -> None:
    """Scalars, functions, classes and enumerations are kept as they are, unmarked."""
    colour = enum.Enum("Colour", "RED")
    values = [None, 1, 1.5, "a", b"a", decimal.Decimal(1), len, explode, Account, colour.RED, re, re.compile("a")]
    for value in [*values, frozenset({1}), pathlib.PurePosixPath("a"), fractions.Fraction(1, 2), ...]:
        twin, marks = copied(value)
        assert twin is value or twin == value
        assert marks == []


def test_what_cannot_be_copied_is_kept_by_reference_and_marked() -> None:
    """Each mark is the path that leads to the value."""
    socket, broken = object(), Broken()

    class Refusing(dict[str, Any]):
        __copy__ = explode

    refusing = Refusing(a=1)
    twin, marks = copied({"a": [socket, {"b c": broken}], 3: Account(socket), "r": refusing})
    assert twin["a"][0] is socket
    assert twin["r"] is refusing
    assert marks == ["it['a'][0]", "it['a'][1]['b c']", "it[3].name", "it['r']"]


def test_shared_and_circular_structures_keep_their_shape() -> None:
    """What was one object is one object in the copy, and a circle stays one."""
    shared = [1]
    circle: list[Any] = [shared, shared]
    circle.append(circle)
    twin, marks = copied(circle)
    assert twin[0] is twin[1] is not shared
    assert twin[2] is twin
    assert marks == []
    account = Account([])
    account.name.append(account)
    again = copied(account)[0]
    assert again.name[0] is again


def test_what_is_nested_without_end_is_cut() -> None:
    """Past a depth that no data has, the rest is kept by reference."""
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    twin, marks = copied(deep)
    assert len(marks) == 1
    assert twin is not deep


def test_a_dataclass_with_a_field_that_is_not_set_is_copied() -> None:
    """Fields may be missing from an instance."""
    account = Account("ann")
    del account.__dict__["name"]
    assert not hasattr(copied(account)[0], "name")
    assert describe(redact(account, NONE)) == f"Account(name=None, token={REDACTED})"


# -- sensitive names


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


# -- redacting

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
    shared = [1]
    assert redact([shared, shared], NONE) == [[1], [1]]


def test_a_wide_circle_costs_little() -> None:
    """Each way around a circle is not walked again and again."""
    children: list[Any] = []
    children.extend([children] * 200)
    started = time.perf_counter()
    assert len(describe(redact(children, NONE))) <= MAX_TEXT
    assert len(describe(children)) <= MAX_TEXT
    assert time.perf_counter() - started < 5


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


# -- secrets in what others have written


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
    }
    assert set(secrets_in(value, NONE)) == {"hunter22", "424242", "abcdef", "key-1234", "Bearer 1", "tok-tok"}
    assert set(texts_in({"a": "everything", "b": ["counts"]})) == {"everything", "counts"}
    deep: Any = "hunter22"
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    assert list(texts_in(deep)) == []


def test_scrubbing_takes_the_longest_first() -> None:
    """A secret that contains another leaves no rest."""
    assert scrub("Bearer hunter22 and hunter", ["hunter", "hunter22"]) == f"Bearer {REDACTED} and {REDACTED}"


def test_scrubbing_finds_secrets_in_a_repr() -> None:
    """Messages of exceptions often hold what they complain about as its `repr`."""
    secret = "top\nsecret"
    assert scrub(f"not sent: {secret!r}", [secret]) == f"not sent: '{REDACTED}'"


# -- describing

LAZY = {
    "translation": lazy(explode, str)("hello"),
    "lazy object": SimpleLazyObject(explode),
}


@pytest.mark.parametrize("kind", LAZY)
def test_lazy_objects_are_never_evaluated(kind: str) -> None:
    """Copied, redacted, described and made JSON-safe by their type alone, also inside containers of all kinds."""
    value = LAZY[kind]
    name = type(value).__name__
    holders: list[Any] = [
        value,
        [value],
        (value,),
        {"a": value},
        collections.OrderedDict(a=value),
        collections.deque([value]),
        Point(value, 1),
        Account(value),
        types.SimpleNamespace(a=value),
        types.MappingProxyType({"a": value}),
        ValueError(value),
        {"a": value}.values(),
        type("L", (list,), {})([value]),
    ]
    for holder in holders:
        twin, _ = copied(holder)
        clean = redact(twin, NONE)
        assert f"<{name}, not evaluated>" in describe(clean)
        assert f"<{name}, not evaluated>" in json.dumps(jsonable(clean))


@pytest.fixture(scope="module")
def order() -> Any:
    """A model whose `__str__` must not be called."""

    class Order(models.Model):  # noqa: DJ008 - it has one
        class Meta:
            app_label = "test_values"

        __str__ = explode
        __repr__ = explode

    return Order


def test_querysets_managers_and_pages_are_never_evaluated(order: Any) -> None:
    """No database is asked: pytest-django would refuse that."""
    queryset = order.objects.order_by("pk")
    for lazy_value in (queryset, order.objects, order.objects.raw("select 1")):
        kept, marks = copied({"a": [lazy_value]})
        assert kept["a"][0] is lazy_value
        assert marks == ["it['a'][0]"]
        for shown in (describe(redact(kept, NONE)), json.dumps(jsonable(kept))):
            assert "of Order, not evaluated>" in shown
    assert queryset._result_cache is None
    page = Page(queryset, 1, Paginator(queryset, 10))
    assert describe([page]) == "[<Page, not evaluated>]"


def test_models_are_described_by_class_and_key(order: Any) -> None:
    """A `__str__` of a model may ask the database."""
    assert describe(order(pk=7)) == "<Order pk=7>"
    assert jsonable([order()]) == ["<Order pk=None>"]


DESCRIBED: list[tuple[Any, str]] = [
    ({}, "{}"),
    ({"a": 1}, "{'a': 1}"),
    ([], "[]"),
    ([1, "a"], "[1, 'a']"),
    ((), "()"),
    ((1,), "(1,)"),
    ((1, 2), "(1, 2)"),
    (set(), "set()"),
    ({2, 1}, "{1, 2}"),
    (frozenset(), "frozenset()"),
    (frozenset({1}), "frozenset({1})"),
    (collections.OrderedDict(a=1), "OrderedDict({'a': 1})"),
    (collections.deque([1]), "deque([1])"),
    ({"a": 1}.items(), "dict_items([('a', 1)])"),
    ({"a": 1}.values(), "dict_values([1])"),
    (types.SimpleNamespace(a=1), "namespace(a=1)"),
    (types.MappingProxyType({"a": 1}), "mappingproxy({'a': 1})"),
    (Point(1, 2), "Point(x=1, password=2)"),
    (ValueError("a", 1), "ValueError('a', 1)"),
    (Broken(), "<Broken object, its repr raised RuntimeError>"),
    (BrokenMapping(), "<BrokenMapping object, its repr raised RuntimeError>"),
    (REDACTED, REDACTED),
    ("it's", '"it\'s"'),
]


@pytest.mark.parametrize(("value", "text"), DESCRIBED, ids=[text for _, text in DESCRIBED])
def test_values_are_described_as_repr_would(value: Any, text: str) -> None:
    """Without evaluating anything, and without raising."""
    assert describe(value) == text


def test_a_repr_that_its_author_wrote_is_used() -> None:
    """It may hide what its fields would show; one that the author did not want is not made up."""

    @dataclasses.dataclass
    class Careful:
        number: str

        def __repr__(self) -> str:
            return "Careful(****)"

    @dataclasses.dataclass(repr=False)
    class Silent:
        number: str

    assert describe(Careful("4242")) == "Careful(****)"
    assert "4242" not in describe(Silent("4242"))


def test_huge_values_cost_no_more_than_long_ones() -> None:
    """What nobody is shown is not worked out."""
    started = time.perf_counter()
    for huge in (list(range(3_000_000)), {number: [number] for number in range(300_000)}, "a" * 10_000_000):
        text = describe(huge)
        assert len(text) == MAX_TEXT
        assert text.endswith("…")
    assert time.perf_counter() - started < 5
    assert describe("a" * 100, 10) == "'aaaaaaaa…"
    assert describe([[[[[[[[[[1]]]]]]]]]]) == f"{'[' * 9}{TOO_DEEP}{']' * 9}"


def test_the_text_of_an_error_never_raises() -> None:
    """Whatever its `__str__` does."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(ValueError("plain")) == "plain"
    assert text_of(Odd()) == "<its __str__ raised RuntimeError>"


# -- JSON

JSON: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (1.5, 1.5),
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (decimal.Decimal("1.50"), "1.50"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (datetime.date(2024, 1, 2), "2024-01-02"),
    (datetime.datetime(2024, 1, 2, 3, 4, tzinfo=datetime.UTC), "2024-01-02T03:04:00+00:00"),
    (datetime.time(3, 4), "03:04:00"),
    (datetime.timedelta(minutes=1), 60.0),
    (b"a\xff", "a\\xff"),
    (pathlib.PurePosixPath("/a"), "/a"),
    (enum.Enum("Colour", {"RED": "red"})["RED"], "red"),
    (enum.IntEnum("Level", {"LOW": 1})["LOW"], 1),
    (mark_safe("safe"), "safe"),
    ({1: "a", "b": 2, mark_safe("c"): 3, None: 4}, {"1": "a", "b": 2, "c": 3, "None": 4}),
    ((1, [2], collections.deque([3])), [1, [2], [3]]),
    ({"b", "a"}, ["a", "b"]),
    (frozenset({2, 1}), [1, 2]),
    (types.SimpleNamespace(a=[1]), {"a": [1]}),
    ({"a": 1}.items(), [["a", 1]]),
    (Headers(accept="*"), {"accept": "*"}),
    (Account("ann"), {"name": "ann", "token": None}),
    (10**3000, hex(10**3000)),
    (-7, -7),
    (BrokenMapping(), "<BrokenMapping object, its repr raised RuntimeError>"),
    (complex(1, 2), "(1+2j)"),
]


@pytest.mark.parametrize(("value", "data"), JSON, ids=[str(number) for number in range(len(JSON))])
def test_values_become_what_json_can_carry(value: Any, data: Any) -> None:
    """`json.dumps` takes it, and it is the same in each process."""
    assert jsonable(value) == data
    assert json.loads(json.dumps(jsonable(value))) == data


def test_addresses_are_left_out_of_json() -> None:
    """They differ from run to run."""
    assert jsonable(object()) == "<object object>"
    assert "0x" not in json.dumps(jsonable({explode: explode}))
    assert jsonable([[[[[[[[[[1]]]]]]]]]]) == [[[[[[[[[TOO_DEEP]]]]]]]]]


# -- no secret in any rendering, whatever the data

SECRET = "s3cr3t-value"
KEYS = st.sampled_from(["user", "a", "cache_key", "max_tokens", "items"])
SENSITIVE = st.sampled_from(["password", "X-Api-Key", "apiKey", "Authorization", "token", "client-secret", "tax_id"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


def wrapped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A container of any kind around what `inner` gives, beside other things."""
    return st.one_of(
        st.builds(lambda key, child, other: {"z": other, key: child}, KEYS, inner, LEAVES),
        st.builds(lambda key, child: collections.OrderedDict([(key, child)]), KEYS, inner),
        st.builds(lambda key, child: types.MappingProxyType({key: child}), KEYS, inner),
        st.builds(lambda child, other: [other, child], inner, LEAVES),
        st.builds(lambda child, other: (child, other), inner, LEAVES),
        st.builds(lambda child: collections.deque([child]), inner),
        st.builds(Account, inner),
        st.builds(Frozen, inner),
        st.builds(lambda child: Point(child, None), inner),
        st.builds(lambda child: types.SimpleNamespace(user=child), inner),
        st.builds(lambda child: {"a": child}.values(), inner),
    )


PLANTED = st.recursive(
    st.one_of(
        st.builds(lambda name: {name: SECRET}, SENSITIVE),
        st.builds(lambda name: {name: [{"x": SECRET}]}, SENSITIVE),
        st.builds(lambda name: (name, SECRET), SENSITIVE),
        st.builds(lambda name: [[name, SECRET]], SENSITIVE),
        st.builds(lambda name: {(name, SECRET)}, SENSITIVE),
        st.just(Account("ann", SECRET)),
        st.just(Point(1, SECRET)),
        st.just(Frozen(1, SECRET)),
        st.just(types.SimpleNamespace(password=SECRET)),
    ),
    wrapped,
    max_leaves=6,
)


def renderings(call: Call, calls: Calls) -> Iterator[str]:
    """Everything by which a call can be seen."""
    import pickle

    yield repr(call)
    yield repr(calls)
    for value in (call.arguments, call.args, call.kwargs, call.outcome, call.by_reference, call.reason):
        yield repr(value)
    yield json.dumps(call.as_data())
    yield json.dumps(calls.as_data())
    yield json.dumps(call.to_record())
    pickled = pickle.dumps(call)
    yield repr(pickled)
    yield repr(pickle.loads(pickled).arguments)
    for assertion in (
        lambda: calls.assert_called("leak", value={"nothing": "like it"}),
        lambda: calls.assert_called("leak", times=5),
        lambda: calls.assert_not_called("leak"),
        calls.assert_only,
        lambda: calls.assert_order("leak", "leak"),
        lambda: calls.one("leak") and calls.assert_called("leak", value=call.true_argument("value"), times=3),
    ):
        with pytest.raises(AssertionError) as failed:
            assertion()
        yield str(failed.value)


@given(PLANTED)
def test_a_secret_shows_in_no_rendering(value: Any) -> None:
    """Wherever in the data it is planted, under whatever sensitive name: only the comparison knows it."""
    from django.test import override_settings

    with isolated_registry(), override_settings(SIDE_EFFECTS={"SENSITIVE": ["tax-id"]}):

        @side_effect(name="leak", returns=lambda *args, **kwargs: value)
        def leak(value: Any, *rest: Any, **more: Any) -> Any: ...

        with capture() as calls:
            leak(value, more=value)
        for rendering in renderings(calls[0], calls):
            assert SECRET not in rendering
        calls.assert_called("leak", value=value)
