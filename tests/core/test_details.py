"""`details=`: what a call says of itself besides its arguments."""

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from sideeffects import Call, capture, side_effect
from sideeffects._core.calls.outcome import RemoteError
from sideeffects._core.records.messages import line_of

pytestmark = pytest.mark.usefixtures("own_registry")


class Interrupting(BaseException):
    """What `except Exception` does not catch."""


def recorded(details: Any, *args: Any, **options: Any) -> Call:
    """The call of a method whose arguments say nothing."""

    class Feed:
        def __init__(self) -> None:
            self.shop = "north"
            self.items = [1]

        @side_effect(name="feed.push", details=details, **options)
        def push(self, *given: Any) -> None:
            raise AssertionError("a test run executes nothing")

    feed = Feed()
    with capture() as calls:
        feed.push(*args)
    feed.items.append(2)
    return calls.one("feed.push")


def test_details_are_asked_with_the_arguments_and_the_instance() -> None:
    """They are kept as they are at the call, shown with it, and travel with its record."""
    call = recorded(lambda self, *given: {"shop": self.shop, "items": self.items, "given": given}, 5)
    assert call.details == {"shop": "north", "items": [1], "given": (5,)}
    assert call.as_data()["details"] == {"shop": "north", "items": [1], "given": [5]}
    assert "; shop='north'; items=[1]; given=(5,))" in repr(call)
    assert "; shop='north'" in line_of(call)
    again = pickle.loads(pickle.dumps(call))
    assert again.details == {"shop": "north", "items": [1], "given": [5]}
    json.dumps(call.to_record())


def test_calls_of_effects_without_details_say_so() -> None:
    """`None`, and no word of it where calls are shown."""
    call = recorded(None)
    assert call.details is None
    assert "details" not in call.as_data()
    assert pickle.loads(pickle.dumps(call)).details is None


def test_details_are_redacted_as_arguments_are() -> None:
    """Sensitive names, those of the declaration and the usual ones, at any depth; also in what others wrote."""
    call = recorded(
        lambda *_: {"token": "abcd1234", "given": "9876", "inner": {"password": "geheim"}}, sensitive=["given"]
    )
    assert call.details == {"token": "[redacted]", "given": "[redacted]", "inner": {"password": "[redacted]"}}
    assert call.scrubbed("abcd1234, 9876, geheim") == "[redacted], [redacted], [redacted]"
    assert "abcd1234" not in json.dumps(call.to_record()) + repr(call)


@pytest.mark.parametrize("kind", [ValueError, Interrupting])
def test_what_details_raise_is_kept_in_their_place(kind: type[BaseException]) -> None:
    """It changes no decision; where it is shown it has no secrets of the call."""

    def failing(*_: Any) -> Iterator[Any]:
        raise kind("no order 12345")

    call = recorded(failing, sensitive=["given"])
    assert isinstance(call.details, kind)
    assert call.mode.name == "RECORD"
    assert f"details raised {kind.__name__}: no order 12345" in repr(call)
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(call))))
    assert isinstance(again.details, RemoteError)
    assert str(again.details) == f"{kind.__name__}: no order 12345"
    assert recorded(failing, "no order 12345", sensitive=["given"]).to_record()["details"][1] == "[redacted]"


def test_details_that_give_no_mapping_are_kept_as_a_type_error() -> None:
    """The message says what they gave."""
    call = recorded(lambda *_: 5)
    assert isinstance(call.details, TypeError)
    assert str(call.details) == "details gave int instead of a mapping"


def test_a_signal_that_comes_while_details_are_asked_is_no_failure_of_theirs() -> None:
    """Ctrl-C is meant for the program."""
    import signal

    with pytest.raises(KeyboardInterrupt):
        recorded(lambda *_: signal.raise_signal(signal.SIGINT))


def test_details_must_be_a_function() -> None:
    """Said where the effect is declared."""
    with pytest.raises(TypeError, match="details is a function of the call's arguments, not 5"):
        side_effect(name="feed.push", details=5)(lambda: None)  # type: ignore[call-overload] # pyright: ignore[reportArgumentType]


def test_functions_are_asked_without_an_instance() -> None:
    """A function has none."""

    @side_effect(name="feed.pull", details=lambda shop: {"of": shop})
    def pull(shop: str) -> None:
        raise AssertionError("a test run executes nothing")

    with capture() as calls:
        pull("north")
    assert calls.one(pull).details == {"of": "north"}
