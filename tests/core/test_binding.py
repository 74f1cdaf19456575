"""Wrong arguments raise the `TypeError` that the real function would, and right ones are kept by name."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from sideeffects import capture, side_effect
from sideeffects._core.state.state import state
from sideeffects._core.values.binding import compile_binder, signature_of
from sideeffects.testing import isolated_registry

NAMES = ["a", "b", "c", "d", "e", "args", "kwargs"]


@st.composite
def parameters(draw: st.DrawFn) -> str:
    """The parameters of a function, as Python writes them."""
    names = iter(["a", "b", "c", "d", "e", "f"])
    pieces: list[str] = []
    positional_only, ordinary, keyword_only = (draw(st.integers(0, 2)) for _ in range(3))
    has_default = False
    for index in range(positional_only + ordinary):
        has_default = has_default or draw(st.booleans())
        pieces.append(f"{next(names)}={index}" if has_default else next(names))
        if index == positional_only - 1:
            pieces.append("/")
    if draw(st.booleans()):
        pieces.append("*args")
    elif keyword_only:
        pieces.append("*")
    pieces += [f"{next(names)}='k'" if draw(st.booleans()) else next(names) for _ in range(keyword_only)]
    if draw(st.booleans()):
        pieces.append("**kwargs")
    return ", ".join(pieces)


ARGUMENTS = st.tuples(
    st.lists(st.integers(), max_size=6).map(tuple),
    st.dictionaries(st.sampled_from([*NAMES, "f", "nonsense"]), st.integers(), max_size=4),
)
KINDS = {
    "function": "def send({parameters}):\n    return dict(locals())\n",
    "method": "class Gateway:\n    def send({parameters}):\n        return dict(locals())\n",
    "class method": "class Gateway:\n    @classmethod\n    def send({parameters}):\n        return dict(locals())\n",
    "static method": "class Gateway:\n    @staticmethod\n    def send({parameters}):\n        return dict(locals())\n",
}


def made(kind: str, parameters: str) -> Any:
    """The function, undeclared and declared: two of the same source."""
    if kind in ("method", "class method"):
        parameters = ", ".join(filter(None, ["self", parameters]))
    source = KINDS[kind].format(parameters=parameters)
    namespaces: list[dict[str, Any]] = [{"__name__": "made"}, {"__name__": "made"}]
    for namespace in namespaces:
        exec(source, namespace)
    real, declared = namespaces
    if kind == "function":
        return real["send"], side_effect(name="send")(declared["send"])
    gateway = declared["Gateway"]
    gateway.send = side_effect(name="send")(vars(gateway)["send"])
    gateway.send.__set_name__(gateway, "send")
    return real["Gateway"]().send, gateway().send


def tried(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
@given(parameters=parameters(), arguments=ARGUMENTS)
def test_recording_binds_as_the_real_function_does(
    kind: str, parameters: str, arguments: tuple[tuple[int, ...], dict[str, int]]
) -> None:
    """Either both bind, with the same values by name, or both raise `TypeError` in the same words.

    At once, when nobody has looked at the signature before; later on; and when who reads the call binds it.
    """
    args, kwargs = arguments
    with isolated_registry():
        real, declared = made(kind, parameters)
        expected = tried(real, args, kwargs)
        start = state.ledger.end
        with capture() as calls:
            got = [tried(declared, args, kwargs), tried(declared, args, kwargs)]
        got.append(tried(declared, args, kwargs))
        written = state.ledger.read(start)[0]
        if isinstance(expected, str):
            assert got == [expected] * 3
            assert (len(calls), written) == (0, [])
            return
        expected.pop("self", None)
        assert list(calls) == written[:2]
        assert len(written) == 3
        for call in written:
            assert dict(call.arguments) == expected
            assert list(call.arguments) == [name for name in expected_order(declared) if name in expected]
            assert (call.args, dict(call.kwargs)) == (args, kwargs)


def expected_order(declared: Any) -> Iterator[str]:
    """The order of the parameters in the signature."""
    return iter(inspect.signature(declared).parameters)


MISTAKES = [
    ("a, b", (), {}, "send() missing 2 required positional arguments: 'a' and 'b'"),
    ("a", (1, 2), {}, "send() takes 1 positional argument but 2 were given"),
    ("a", (1,), {"a": 2}, "send() got multiple values for argument 'a'"),
    ("a, /", (), {"a": 2}, "send() got some positional-only arguments passed as keyword arguments: 'a'"),
    ("*, a", (), {}, "send() missing 1 required keyword-only argument: 'a'"),
    ("a", (1,), {"z": 2}, "send() got an unexpected keyword argument 'z'"),
]


@pytest.mark.parametrize(("parameters", "args", "kwargs", "message"), MISTAKES, ids=[row[3] for row in MISTAKES])
def test_mistakes_are_told_in_pythons_words(
    parameters: str, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    """Literally, for the mistakes that everybody makes."""
    with isolated_registry():
        _, declared = made("function", parameters)
        with pytest.raises(TypeError) as raised:
            declared(*args, **kwargs)
    assert str(raised.value) == message


def test_a_default_that_changes_is_kept_as_it_was() -> None:
    """The arguments of a call are those of its moment, whoever changes the function's default afterwards."""
    with isolated_registry():

        @side_effect(name="send")
        def send(to: str, tags: list[str] = []) -> None:  # noqa: B006 - what this is about
            """Fill its own default, when it runs."""

        start = state.ledger.end
        for _ in range(2):
            send("a")
        assert send.__defaults__ is not None
        send.__defaults__[0].append("later")
        assert [call.arguments["tags"] for call in state.ledger.read(start)[0]] == [[], []]


def test_a_method_is_named_with_its_class() -> None:
    """`Gateway.send() missing ...`, as Python says it, and `self` counts as Python counts it."""
    with isolated_registry():

        class Gateway:
            @side_effect(name="send")
            def send(self, to: str) -> None: ...

        qualname = Gateway.send.__qualname__
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'to'") as missing:
            Gateway().send()  # type: ignore[call-arg]
        with pytest.raises(TypeError) as too_many:
            Gateway().send(1, 2)  # type: ignore[call-arg, arg-type]
    assert str(missing.value).startswith(f"{qualname}() ")
    assert str(too_many.value) == f"{qualname}() takes 2 positional arguments but 3 were given"


def test_callable_objects_are_named_by_their_class() -> None:
    """What has no name of its own is told by `__call__` of its class."""
    with isolated_registry():

        class Gateway:
            def __call__(self, to: str) -> None: ...

        with pytest.raises(TypeError, match=r"Gateway\.__call__\(\) missing 1 required positional argument: 'to'"):
            side_effect(name="send")(Gateway())()  # type: ignore[call-arg]


def test_defaults_are_the_objects_of_the_signature() -> None:
    """A default that has no literal is applied all the same."""
    nothing = object()

    def send(to: object = nothing, *, body: object = nothing) -> None: ...

    assert compile_binder(signature_of(send), "send", "send")() == {"to": nothing, "body": nothing}


def test_a_method_without_self_in_its_signature_binds() -> None:
    """`def send(*args)` is a method too: its instance is no argument."""

    def send(*args: Any) -> None: ...

    bind = compile_binder(signature_of(send), "send", "send", without_first=True)
    assert bind("self", 1, 2) == {"args": (1, 2)}


def test_what_python_cannot_tell_accepts_anything() -> None:
    """Some functions in C have no signature: their arguments are kept as `args` and `kwargs`."""
    assert signature_of(max) is None
    assert signature_of(3) is None  # type: ignore[arg-type]
    assert compile_binder(None, "max", "max")(1, key=2) == {"args": (1,), "kwargs": {"key": 2}}
