"""No secret shows in any rendering of a call, whatever the data."""

import collections
import json
import types
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from sideeffects import Call, Calls, capture, side_effect
from sideeffects.testing import isolated_registry
from tests.support.strange_values import (
    Account,
    Frozen,
    Point,
)

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
