"""Errors keep their fields, survive pickling, and say what to do."""

import copy
import pickle

import pytest

from sideeffects.errors import (
    AsyncNotAllowed,
    DeclarationError,
    DuplicateSideEffect,
    SideEffectBlocked,
    SideEffectError,
    SideEffectFault,
    UnknownSideEffect,
)

BLOCKED = SideEffectBlocked("sms.send", "forbidden by forbid()", "shop.py:7", "tests.py:3")
UNKNOWN = UnknownSideEffect("smss.send", ["sms.send", "sms.sent"])
DUPLICATE = DuplicateSideEffect("sms.send", "a.py:1", "b.py:2")
NOT_ALLOWED = AsyncNotAllowed("sms.send")
FAULT = SideEffectFault("sms.send", "after")
ALL = [BLOCKED, UNKNOWN, DUPLICATE, NOT_ALLOWED, DeclarationError("no such target"), FAULT]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling_and_copying(error: SideEffectError) -> None:
    """An error that crosses processes (xdist, pools) keeps its type, its fields and its words."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert vars(twin) == vars(error)
        assert str(twin) == str(error)


def test_a_refusal_says_what_where_why_and_how_to_allow_it() -> None:
    """The whole message, literally."""
    assert str(BLOCKED) == (
        "side effect 'sms.send' was refused (called at shop.py:7): forbidden by forbid() [tests.py:3]. "
        "Nothing was executed.\n"
        'To let it run here: with force_run("sms.send"): ... '
        'or, in a test, @pytest.mark.side_effects(force_run=["sms.send"]).\n'
        'To write the call down instead: with record("sms.send"): ...'
    )
    assert (BLOCKED.name, BLOCKED.reason, BLOCKED.caller, BLOCKED.origin) == (
        "sms.send",
        "forbidden by forbid()",
        "shop.py:7",
        "tests.py:3",
    )


def test_a_refusal_leaves_out_what_is_not_known() -> None:
    """Neither an empty caller nor an origin that the reason names already is shown."""
    assert str(SideEffectBlocked("x", "why")).startswith("side effect 'x' was refused: why. Nothing")
    assert "[a.py:1]" not in str(SideEffectBlocked("x", "forbidden at a.py:1", "", "a.py:1"))


def test_an_unknown_name_has_close_matches() -> None:
    """A `KeyError` with a readable `str`, for names and for globs."""
    assert isinstance(UNKNOWN, KeyError)
    assert str(UNKNOWN) == "no side effect is named 'smss.send'. Did you mean 'sms.send' or 'sms.sent'?"
    assert str(UnknownSideEffect("smss.*", ["sms.send"])) == (
        "no declared side effect matches 'smss.*'. Did you mean 'sms.send'?"
    )
    assert str(UnknownSideEffect("x")) == (
        "no side effect is named 'x'. `python manage.py side_effects` lists the declared ones; is its module imported?"
    )


def test_a_duplicate_names_both_places() -> None:
    """The whole message, literally."""
    assert str(DUPLICATE) == (
        "two functions are declared as side effect 'sms.send': a.py:1 and b.py:2. Give one of them another name."
    )


def test_a_refused_background_call_names_the_option() -> None:
    """The whole message, literally."""
    assert str(NOT_ALLOWED) == (
        "side effect 'sms.send' may not run in the background. "
        "Declare it with @side_effect(..., async_ok=True) if it may, or call it directly."
    )


def test_a_fault_says_at_which_point_and_what_to_declare() -> None:
    """Nothing was done, or it was and the answer is lost."""
    assert str(FAULT) == (
        "a fault sweep lets side effect 'sms.send' fail after it was done, so that its answer is lost. "
        "Declare what it really raises: @side_effect(..., raises=(...,))"
    )
    assert "before anything was done" in str(SideEffectFault("sms.send", "before"))
