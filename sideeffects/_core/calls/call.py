"""A call, as written down at the moment of its decision."""

from __future__ import annotations

import datetime
import inspect
import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias, cast

from sideeffects._core.calls import origins, process
from sideeffects._core.calls.decision import Decision, Mode
from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.outcome import (
    Outcome,
    RemoteError,
    error_to_record,
    outcome_from_record,
    outcome_to_record,
)
from sideeffects._core.calls.process import Identity
from sideeffects._core.values import clock, describe, kinds, redaction, scrubbing
from sideeffects._core.values.callers import Site, line_of
from sideeffects._core.values.sensitive_names import is_sensitive

#: Numbers the calls of this process.
serials: Final = itertools.count(1)


class HasFate(Protocol):
    """The transactions in which a call was made."""

    @property
    def fate(self) -> str:
        """What became of them."""
        ...


class Binds(Protocol):
    """What knows how the arguments of an effect's calls are bound."""

    def bind(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Them by name, defaults applied."""
        ...


#: What is written down of a call at the moment of its decision, as `Call` unpacks it. A plain tuple: most recorded
#: calls are never looked at, and making a `Call` would cost as much as half of recording one.
Row: TypeAlias = tuple[
    "SideEffect",
    "Decision",
    "dict[str, Any] | Binds",  # the arguments, by parameter
    tuple[Any, ...],  # as given: positional ones
    dict[str, Any],  # and keywords
    Any,  # the instance
    tuple[str, ...],  # what could not be copied
    Site | tuple[str, int],  # who called
    float,  # when: seconds since the epoch
    frozenset[str],  # further sensitive names, normalised
    bool,  # whether it was handed to the background
    "str | None",  # the run list
    int,  # its number
    Identity,  # the process
    object,  # what set the code going
    "Mapping[str, Any] | BaseException | None",  # what `details` gave or raised
    "dict[str, Any] | None",  # the arguments that were given, where a redirect has changed them
]


def row_of(
    effect: SideEffect,
    decision: Decision,
    bound: dict[str, Any] | Binds,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    instance: Any,
    site: Site | tuple[str, int],
    names: frozenset[str],
    is_async: bool = False,
    run_id: str | None = None,
    by_reference: tuple[str, ...] = (),
    details: Mapping[str, Any] | BaseException | None = None,
    asked: dict[str, Any] | None = None,
) -> Row:
    """The row of a call that is made now, in this process.

    Args:
        effect: the effect.
        decision: what was decided.
        bound: the arguments by parameter, or what binds them when somebody reads them.
        args: the positional arguments as given.
        kwargs: the keyword arguments as given.
        instance: what it was called on.
        site: who called: the code and the offset in it, or the path of its file and the line.
        names: further sensitive names, normalised.
        is_async: whether it was handed to the background.
        run_id: the run list that it belongs to.
        by_reference: paths of the arguments that could not be copied.
        details: what the effect's `details` gave, or raised.
        asked: the arguments by parameter that were given, where others are used.
    """
    return (
        effect,
        decision,
        bound,
        args,
        kwargs or _NO_KEYWORDS,
        instance,
        by_reference,
        site,
        _now(),
        names,
        is_async,
        run_id,
        next(serials),
        process.current,
        _origin(),
        details,
        asked,
    )


_now: Final = clock.now
_origin: Final = origins.current.get
#: Characters of one detail that a line shows.
_SHOWN: Final = 200
#: One for all calls without keywords: each keeps what it was given, and most are given none.
_NO_KEYWORDS: Final[dict[str, Any]] = {}


class Call:
    """One call of an effect, as written down at the moment of its decision.

    It cannot be changed; its `outcome` is added once. What it shows is redacted: sensitive values read
    `[redacted]` in `arguments`, `args`, `kwargs` and `outcome`. Assertions compare the true values, in the process in
    which the call was made; these are never shown, stored or pickled.
    """

    __slots__ = (
        "__weakref__",
        "_args",
        "_asked",
        "_at",
        "_bound",
        "_by_reference",
        "_decision",
        "_details",
        "_effect",
        "_instance",
        "_is_async",
        "_is_foreign",
        "_is_read",
        "_kwargs",
        "_names",
        "_origin",
        "_outcome",
        "_process",
        "_run_id",
        "_serial",
        "_site",
        "_transaction",
    )

    def __init__(self, row: Row, outcome: Outcome | None = None) -> None:
        (
            self._effect,
            self._decision,
            bound,
            self._args,
            self._kwargs,
            self._instance,
            self._by_reference,
            self._site,
            self._at,
            self._names,
            self._is_async,
            self._run_id,
            self._serial,
            self._process,
            self._origin,
            self._details,
            self._asked,
        ) = row
        if not isinstance(bound, dict):
            bound = bound.bind(self._instance, self._args, self._kwargs)
        self._bound = bound
        self._outcome = outcome
        self._transaction: HasFate | None = None
        self._is_read = False
        self._is_foreign = False

    # -- what was called

    @property
    def name(self) -> str:
        """The effect's name."""
        return self._effect.name

    @property
    def effect(self) -> SideEffect:
        """The declared effect."""
        return self._effect

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments by parameter, defaults applied, redacted."""
        return self._shown(self._bound)

    @property
    def asked(self) -> Mapping[str, Any] | None:
        """The arguments that were given, where a redirect has changed them; `None` where they are those used."""
        return None if self._asked is None else self._shown(self._asked)

    @property
    def details(self) -> Mapping[str, Any] | BaseException | None:
        """What the effect's `details` says of the call, redacted; what it raised; `None` without one."""
        details = self._details
        if details is None or isinstance(details, BaseException):
            return details
        return MappingProxyType(
            {name: kinds.REDACTED if self._hides(name) else self._clean(value) for name, value in details.items()}
        )

    @property
    def details_shown(self) -> str:
        """The details in words, as they stand behind the call's arguments; empty without any."""
        details = self.details
        if details is None:
            return ""
        if isinstance(details, BaseException):
            return f"; details raised {': '.join(error_to_record(details, self.scrubbed))}"
        return "".join(f"; {name}={describe.describe(value, _SHOWN)}" for name, value in details.items())

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments as given, redacted."""
        hidden = self._hidden_positions()
        return tuple(
            kinds.REDACTED if position in hidden else self._clean(value) for position, value in enumerate(self._args)
        )

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments as given, redacted."""
        return MappingProxyType(
            {name: kinds.REDACTED if self._hides(name) else self._clean(value) for name, value in self._kwargs.items()}
        )

    @property
    def instance(self) -> Any:
        """The object that the effect was called on, the class for class methods, `None` for functions."""
        return self._instance

    @property
    def by_reference(self) -> tuple[str, ...]:
        """Paths of the arguments that could not be copied, so that they show what they are now."""
        return self._by_reference

    # -- what was decided

    @property
    def mode(self) -> Mode:
        """What was decided."""
        return self._decision.mode

    @property
    def reason(self) -> str:
        """Why it was decided so."""
        return self.decision.reason

    @property
    def decision(self) -> Decision:
        """The decision, with its origin."""
        decision = self._decision
        # A rule on arguments may have failed with their values in its words.
        return Decision(decision.mode, self.scrubbed(decision.reason), decision.origin, decision.conditional)

    @property
    def is_async(self) -> bool:
        """Whether the call was handed to the background."""
        return self._is_async

    # -- when and where

    @property
    def caller(self) -> str:
        """The file and line that called it, with a colon between them.

        `<no Python code>:0` where none did: a greenlet or `_thread` was given the effect itself.
        """
        code, place = self._site
        if isinstance(code, str):
            return f"{code}:{place}"
        return f"{code.co_filename}:{line_of(code, place)}"

    @property
    def site(self) -> tuple[str, str, tuple[Any, ...]]:
        """The file and the function that called it, and what is the same for all calls from there."""
        code, _ = self._site
        assert not isinstance(code, str)  # noqa: S101 - calls that were read from elsewhere are asked nothing
        return code.co_filename, code.co_qualname, self._site

    @property
    def origin(self) -> str:
        """What set the code going: a request, a command, a task or a test; empty where that is not known."""
        return str(self._origin)

    def take_origin(self, origin: object) -> None:
        """Note what set the code going, where that was said elsewhere: a worker has it from who enqueued the call."""
        self._origin = origin

    @property
    def run_id(self) -> str | None:
        """The run list that it belongs to, if any."""
        return self._run_id

    @property
    def pid(self) -> int:
        """The process in which it was decided."""
        return self._process.pid

    @property
    def racer(self) -> int | None:
        """The index of the racer that made it, from 0 on; `None` outside races."""
        return self._process.racer

    def handed_on(self) -> Call:
        """The same call, for readers in the parent process: where races are nested, the outer racer made it."""
        outer = process.current.racer
        return Call.from_record({**self.to_record(), "racer": self.racer if outer is None else outer})

    def mark_racer(self, index: int) -> None:
        """Note which racer made it: for racers in threads this is known when the race is over."""
        self._process = Identity(self._process.pid, self._process.token, index)

    @property
    def id(self) -> str:
        """Unique among all processes of a test run."""
        return f"{self._process.pid}-{self._process.token}-{self._serial}"

    def take_id(self, number: str) -> None:
        """Be the call that another process wrote down under this id, so that the outcome given here is added there."""
        pid, token, serial = number.split("-")
        self._process = Identity(int(pid), token, self._process.racer)
        self._serial = int(serial)

    @property
    def at(self) -> datetime.datetime:
        """When it was decided (UTC)."""
        return datetime.datetime.fromtimestamp(self._at, datetime.UTC)

    # -- what came of it

    @property
    def outcome(self) -> Outcome | None:
        """What came of it, redacted; `None` while it is running, waiting for a commit, or in the background."""
        outcome = self._outcome
        if outcome is None or outcome.result is None:
            return outcome
        return outcome._replace(result=self._clean(outcome.result))

    @property
    def transaction(self) -> str | None:
        """What became of the transaction in which it was called: `committed`, `rolled back` or `pending`.

        `None` when the application had none open: those in which tests are wrapped do not count. It is known in a test
        run, in the process that made the call.
        """
        return None if self._transaction is None else self._transaction.fate

    def take_transaction(self, transaction: HasFate) -> None:
        """Note in which transaction it was called."""
        self._transaction = transaction

    def finish(self, outcome: Outcome) -> None:
        """Add the outcome. It can be added once."""
        if self._outcome is not None:
            raise RuntimeError(f"call {self.id} of {self.name!r} has its outcome already")
        self._outcome = outcome

    # -- reading

    @property
    def is_foreign(self) -> bool:
        """Whether it was made in another process, so that its values are JSON-safe stand-ins."""
        return self._is_foreign

    @property
    def is_read(self) -> bool:
        """Whether somebody looked at this call through `Calls`."""
        return self._is_read

    def mark_read(self) -> None:
        """Note that somebody looked at this call."""
        self._is_read = True

    def true_argument(self, name: str) -> Any:
        """The unredacted value, for comparing in assertions; `KeyError` when there is none of that name."""
        if name in self._bound:
            return self._bound[name]
        return self._extras()[name]

    def true_given(self, name: str) -> Any:
        """The unredacted value that was given for a parameter, whatever a redirect has made of it."""
        return (self._bound if self._asked is None else self._asked)[name]

    def has_argument(self, name: str) -> bool:
        """Whether `true_argument(name)` would find one."""
        return name in self._bound or name in self._extras()

    def hides(self, name: str) -> bool:
        """Whether the value of that parameter is sensitive."""
        return self._hides(name)

    @property
    def sensitive_names(self) -> frozenset[str]:
        """The further sensitive names, normalised, that held when the call was made (`SIDE_EFFECTS["SENSITIVE"]`)."""
        return self._names

    def scrubbed(self, text: str) -> str:
        """`text` without this call's sensitive values: for what others have written, such as an exception's message."""
        secrets = set(scrubbing.secrets_in(self._attributes(), self._names))
        for name, value in (*self._bound.items(), *self._extras().items(), *self._said_besides()):
            secrets.update(
                scrubbing.texts_in(value) if self._hides(name) else scrubbing.secrets_in(value, self._names),
            )
        return scrubbing.scrub(text, secrets)

    def as_data(self) -> dict[str, Any]:
        """The call as JSON-safe data without what changes from run to run, redacted."""
        outcome = self.outcome
        return {
            "name": self.name,
            "arguments": _as_json(self.arguments),
            **({} if self._asked is None else {"asked": _as_json(self._shown(self._asked))}),
            **({} if self._details is None else {"details": self._details_record()}),
            "mode": self.mode.value,
            "is_async": self.is_async,
            "run_id": self.run_id,
            "result": None if outcome is None else describe.jsonable(outcome.result),
            "error": None if outcome is None or outcome.error is None else type(outcome.error).__name__,
        }

    def as_line(self) -> dict[str, Any]:
        """What a line of each decision says of it (see `state/live.py`): JSON-safe, redacted, without its outcome."""
        data = self.as_data()
        return {
            "at": self.at.isoformat(),
            "pid": self.pid,
            "id": self.id,
            "name": self.name,
            "mode": self.mode.value,
            "reason": self.reason,
            "rule": self.decision.origin,
            "arguments": data["arguments"],
            "asked": data.get("asked"),
            "details": data.get("details"),
            "caller": self.caller,
            "origin": self.origin,
            "is_async": self.is_async,
            "run_id": self.run_id,
        }

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={describe.describe(value)}" for name, value in self.arguments.items())
        return f"<Call {self.name}({shown}{self.details_shown}) {self.mode.name} at {self.caller}>"

    def to_record(self) -> dict[str, Any]:
        """The call as JSON-safe, redacted data, from which `from_record` makes an equal-looking call elsewhere."""
        outcome = self.outcome
        return {
            "name": self.name,
            "mode": self.mode.value,
            "reason": self.reason,
            "origin": self._decision.origin,
            "arguments": _as_json(self.arguments),
            "asked": None if self._asked is None else _as_json(self._shown(self._asked)),
            "details": self._details_record(),
            "args": [describe.jsonable(value) for value in self.args],
            "kwargs": _as_json(self.kwargs),
            "instance": None if self._instance is None else describe.describe(self._clean(self._instance)),
            "by_reference": list(self._by_reference),
            "caller": self.caller,
            "set_going_by": self.origin,
            "is_async": self._is_async,
            "run_id": self._run_id,
            "at": self._at,
            "serial": self._serial,
            "process": [self._process.pid, self._process.token],
            "racer": self._process.racer,
            "sensitive": [name for name in (*self._bound, *self._extras()) if self._hides(name)],
            "names": sorted(self._names),
            "extra_keywords": self._extra_keywords(),
            "outcome": None if outcome is None else outcome_to_record(outcome, self.scrubbed),
        }

    def outcome_record(self) -> dict[str, Any]:
        """What tells of the outcome, for those who have read the call's record before it had one."""
        outcome = self.outcome
        return {
            "process": [self._process.pid, self._process.token],
            "serial": self._serial,
            "outcome": None if outcome is None else outcome_to_record(outcome, self.scrubbed),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Call:
        """The call that another process wrote down with `to_record`."""
        effect = SideEffect(
            name=record["name"],
            dotted_path="",
            kind="elsewhere",
            file="",
            line=0,
            # All that is known of it is how it calls its further keywords.
            signature=inspect.Signature([inspect.Parameter(record["extra_keywords"], inspect.Parameter.VAR_KEYWORD)]),
            doc="",
            sensitive=tuple(record["sensitive"]),
        )
        path, _, line = record["caller"].rpartition(":")
        outcome = record["outcome"]
        row = row_of(
            effect,
            Decision(Mode(record["mode"]), record["reason"], record["origin"]),
            bound=dict(record["arguments"]),
            args=tuple(record["args"]),
            kwargs=dict(record["kwargs"]),
            instance=record["instance"],
            site=(path, int(line or 0)),
            names=frozenset(record["names"]),
            is_async=record["is_async"],
            run_id=record["run_id"],
            by_reference=tuple(record["by_reference"]),
            details=_details_from(record["details"]),
            asked=record["asked"],
        )
        call = cls(row, None if outcome is None else outcome_from_record(outcome))
        call._at, call._serial = record["at"], record["serial"]
        call._process = Identity(record["process"][0], record["process"][1], record["racer"])
        call._origin = record["set_going_by"]
        call._is_foreign = True
        return call

    def __reduce__(self) -> tuple[Any, ...]:
        return Call.from_record, (self.to_record(),)

    def _details_record(self) -> Any:
        """The details as JSON-safe data: a mapping, or a list of what an exception is called and says."""
        details = self.details
        if isinstance(details, BaseException):
            return error_to_record(details, self.scrubbed)
        return None if details is None else _as_json(details)

    def _said_besides(self) -> list[tuple[str, Any]]:
        """What else has names: the arguments that a redirect has changed, and the details."""
        details = self._details
        said = [*(self._asked or {}).items()]
        return said if details is None or isinstance(details, BaseException) else [*said, *details.items()]

    def _shown(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return MappingProxyType(
            {
                name: kinds.REDACTED if self._hides(name) else self._clean_argument(name, value)
                for name, value in arguments.items()
            }
        )

    def _hides(self, name: str) -> bool:
        sensitive = self._effect.sensitive
        if name in sensitive or is_sensitive(name, self._names):
            return True
        return name not in self._bound and self._extra_keywords() in sensitive

    def _clean_argument(self, name: str, value: Any) -> Any:
        if name == self._extra_keywords() and type(value) is dict:
            return {key: kinds.REDACTED if self._hides(key) else self._clean(child) for key, child in value.items()}
        return self._clean(value)

    def _clean(self, value: Any) -> Any:
        return redaction.redact(value, self._names)

    def _extra_keywords(self) -> str:
        signature = self._effect.signature
        if signature is not None:
            for parameter in signature.parameters.values():
                if parameter.kind is parameter.VAR_KEYWORD:
                    return parameter.name
        return "kwargs"

    def _attributes(self) -> Mapping[str, Any]:
        """What a method's instance holds: its errors may quote it."""
        given: object = {} if kinds.is_lazy(type(self._instance)) else getattr(self._instance, "__dict__", {})
        return cast(Mapping[str, Any], given) if type(given) is dict else {}

    def _extras(self) -> Mapping[str, Any]:
        """The keyword arguments that the function takes under no parameter of their own."""
        extras: object = self._bound.get(self._extra_keywords())
        return cast(Mapping[str, Any], extras) if type(extras) is dict else {}

    def _hidden_positions(self) -> frozenset[int]:
        """Positions in `args` that hold sensitive parameters: `bound` has them in the signature's order."""
        signature = self._effect.signature
        if signature is None:
            return frozenset()
        names = [name for name in signature.parameters if name in self._bound]
        hidden: set[int] = set()
        for position, name in enumerate(names):
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                if self._hides(name):
                    hidden.update(range(position, len(self._args)))
                break
            if self._hides(name):
                hidden.add(position)
        return frozenset(hidden)


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: describe.jsonable(value) for name, value in values.items()}


def _details_from(record: Any) -> Mapping[str, Any] | RemoteError | None:
    return RemoteError(*record) if isinstance(record, list) else record
