"""A call as a saved plan has it, and what of it is held against a call that comes for real.

Two calls are the same if they have the same effect and the same arguments, as JSON has them. Of arguments that are
redacted the plan keeps digests, with a key that is made of `SECRET_KEY` and the plan's own number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.call import Call
from sideeffects._core.calls.registry import matches
from sideeffects._core.values.describe import describe, jsonable
from sideeffects.dryrun.comparable import is_comparable

#: Makes the digest of a text.
Digest = Callable[[str], str]

#: What a method is called on, among the arguments; only objects that a database knows by a key are compared.
SELF: Final = "self"
_SHOWN: Final = 200


class Ignored(NamedTuple):
    """An argument that is not compared.

    Attributes:
        effect: a name or glob.
        argument: the argument's name.
    """

    effect: str
    argument: str

    def __str__(self) -> str:
        return f"{self.effect}.{self.argument}"


class PlannedCall(NamedTuple):
    """What is compared of a call.

    Attributes:
        name: the effect.
        is_async: whether it was handed to the background.
        arguments: those that are compared, as JSON has them, redacted.
        digests: of those that are redacted.
        caller: where it was made.
        untold: the arguments that look the same whatever is in them.
    """

    name: str
    is_async: bool
    arguments: Mapping[str, Any]
    digests: Mapping[str, str]
    caller: str
    untold: Sequence[str] = ()

    @property
    def key(self) -> str:
        """The same text for two calls that are the same."""
        return _text([self.name, self.is_async, self.arguments, self.digests])

    def difference(self, other: PlannedCall) -> str:
        """The first argument that differs; empty if none does."""
        names = [*self.arguments, *(name for name in other.arguments if name not in self.arguments)]
        return next((name for name in names if self._pair(name) != other._pair(name)), "")

    def differences(self, other: PlannedCall) -> int:
        """How many arguments differ."""
        names = {*self.arguments, *other.arguments}
        return sum(self._pair(name) != other._pair(name) for name in names)

    def shown(self, name: str) -> str:
        """An argument's value for people."""
        if name not in self.arguments:
            return "(none)"
        value = self.arguments[name]
        return f"{value} ({self.digests[name][:8]})" if name in self.digests else describe(value, _SHOWN)

    def why_untold(self) -> str:
        """Why it can be held against no plan; empty if it can."""
        return "".join(
            f"its argument {name!r} is {self.shown(name)}, which looks the same whatever is in it, so it cannot be "
            f"compared: --ignore {self.name}.{name} leaves it out"
            for name in self.untold[:1]
        )

    def _pair(self, name: str) -> tuple[str, str | None]:
        return (_text(self.arguments[name]) if name in self.arguments else "", self.digests.get(name))


def planned(call: Call, ignored: Iterable[Ignored], digest: Digest) -> PlannedCall:
    """What is compared of a call that was made here."""
    leave_out = {one.argument for one in ignored if matches(one.effect, call.name)}
    arguments: dict[str, Any] = {}
    digests: dict[str, str] = {}
    untold: list[str] = []
    given = call.asked
    for name, value in (call.arguments if given is None else given).items():
        if name in leave_out:
            continue
        given_truly = call.true_given(name)
        shown, true = jsonable(value), jsonable(given_truly)
        arguments[name] = shown
        if not is_comparable(given_truly):
            untold.append(name)
        if shown != true:
            digests[name] = digest(_text([name, true]))
    instance = call.instance
    if hasattr(type(instance), "_meta") and SELF not in arguments and SELF not in leave_out:
        arguments[SELF] = describe(instance)
    return PlannedCall(call.name, call.is_async, arguments, digests, call.caller, untold)


def from_data(data: Mapping[str, Any]) -> PlannedCall:
    """A call as it stands in a plan's file."""
    return PlannedCall(data["name"], data["is_async"], data["compared"], data["digests"], data["caller"])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
